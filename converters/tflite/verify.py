"""What a converted model must be before anything is built of it.

``check_full_integer`` looks at the graph; ``compare_with_keras`` at the numbers. The second is
needed because one of the converter's failures is silent: a file with the right layers and wrong
weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from converters.errors import TidepoolError
from converters.progress import Progress, no_progress
from converters.tflite.affine import dequantize, quantize
from converters.tflite.graph import Array, Graph, Operator, Tensor, TensorType

PredictInt8 = Callable[[Sequence[Array]], Sequence[Array]]
"""Runs one inference: quantized inputs (batch of 1) in, quantized outputs out."""

LEAST_CORRELATION = 0.5
"""Below it an output has nothing to do with the Keras model's: the conversion is refused.

It finds broken conversions, not inaccurate ones: a net that loses half its accuracy to int8 is
above it, and is the business of the gate on the test split.
"""

TOLERATED_LSB = 4.0
"""An output whose root-mean-square error is within it is right whatever the correlation: where
the model's answer hardly varies over the data, there is nothing to correlate."""

_STATEFUL = frozenset(("READ_VARIABLE", "ASSIGN_VARIABLE", "VAR_HANDLE", "CALL_ONCE"))
_QUANTIZED = frozenset((TensorType.INT8, TensorType.UINT8, TensorType.INT16))
_INDICES = frozenset((TensorType.INT32, TensorType.INT64))
_BATCH = 32


@dataclass(frozen=True)
class Agreement:
    """How far one output of the int8 model is from the Keras model's.

    Attributes:
        output: Name of the output tensor.
        samples: How many samples were compared.
        mean_error: Mean absolute error in real units.
        worst_error: Greatest absolute error in real units.
        lsb: The output's scale: one step of its integers, in real units.
        rms_error: Root-mean-square error in real units.
        correlation: Pearson's, over all elements of all samples; 0 when either is constant.
        argmax_agreement: Share of the samples with the same argmax over the last axis; None for
            an output with a single element there.
    """

    output: str
    samples: int
    mean_error: float
    worst_error: float
    lsb: float
    rms_error: float
    correlation: float
    argmax_agreement: float | None

    @property
    def mean_error_lsb(self) -> float:
        return self.mean_error / self.lsb

    @property
    def worst_error_lsb(self) -> float:
        return self.worst_error / self.lsb

    @property
    def acceptable(self) -> bool:
        """Whether the output is the Keras model's, up to quantization."""
        return self.correlation >= LEAST_CORRELATION or self.rms_error <= TOLERATED_LSB * self.lsb


def check_full_integer(graph: Graph) -> None:
    """Refuses a graph that isn't full-integer and static from its inputs to its outputs.

    Allowed are quantized tensors, integer indices, and QUANTIZE between two integer types.

    Raises:
        TidepoolError: It names the first op or tensor in the way.
    """
    if graph.subgraphs != 1:
        raise TidepoolError(
            f"the model has {graph.subgraphs} subgraphs",
            hint="control flow and recurrent layers that loop can't be deployed: "
            "use unroll=True, or leave them out",
        )
    for operator in graph.operators:
        _check_operator(graph, operator)
    # They stand for scales inside of an operator; those that it lacks are empty floats.
    inside = {index for operator in graph.operators for index in operator.intermediates}
    for tensor in graph.tensors:
        if tensor.index not in inside:
            _check_tensor(graph, tensor)
    for tensor in (*graph.input_tensors, *graph.output_tensors):
        quantized = tensor.type in _QUANTIZED and tensor.quantization is not None
        # An output may also be an index: the result of an ARG_MAX.
        is_index = tensor.index in graph.outputs and tensor.type in _INDICES
        if not quantized and not is_index:
            scale = "" if tensor.quantization else " without a scale and zero point"
            raise TidepoolError(
                f"{_role(graph, tensor)} is {tensor.type}{scale}, not a quantized integer",
                hint="convert the model to full-integer int8, inputs and outputs included",
            )


def _check_operator(graph: Graph, operator: Operator) -> None:
    place = f"op {operator.index} {operator.display_name}"
    outputs = graph.outputs_of(operator)
    if outputs:
        place += f" (output '{outputs[0].name}')"
    if operator.custom_code or operator.opcode == "CUSTOM":
        raise TidepoolError(
            f"{place} is a custom op",
            hint="only TFLite's built-in ops can be deployed; an Edge TPU file is compiled already",
        )
    if operator.opcode in _STATEFUL:
        raise TidepoolError(
            f"{place} reads or keeps a variable: the weights aren't constants",
            hint="convert from a concrete function without a trackable object, as "
            "'tidepool convert' does",
        )
    if operator.opcode == "DEQUANTIZE":
        raise TidepoolError(
            f"{place}: the model goes back to float there",
            hint="convert with int8 inputs and outputs and a representative dataset",
        )
    if operator.opcode == "QUANTIZE":
        source = graph.inputs_of(operator)[0]
        if source is not None and source.type.is_float:
            raise TidepoolError(
                f"{place}: the model takes float values there",
                hint="convert with int8 inputs and outputs and a representative dataset",
            )


def _check_tensor(graph: Graph, tensor: Tensor) -> None:
    if tensor.type.is_float:
        raise TidepoolError(
            f"{_role(graph, tensor)} is {tensor.type}{_users(graph, tensor)}",
            hint="the model isn't full-integer: an op without an int8 version keeps its "
            "surroundings in float",
        )
    # The batch may be called dynamic: it is 1 in the file, and nothing here resizes it.
    if any(size < 0 for size in tensor.shape_signature[1:]) or any(s < 0 for s in tensor.shape):
        raise TidepoolError(
            f"{_role(graph, tensor)} has a dynamic shape {tensor.shape_signature}",
            hint="convert with a fixed input shape and a batch of 1",
        )


def _role(graph: Graph, tensor: Tensor) -> str:
    kind = "tensor"
    if tensor.index in graph.inputs:
        kind = "input"
    elif tensor.index in graph.outputs:
        kind = "output"
    return f"{kind} {tensor.index} '{tensor.name}'"


def _users(graph: Graph, tensor: Tensor) -> str:
    producer = graph.producer(tensor.index)
    if producer is not None:
        return f", computed by op {producer.index} {producer.display_name}"
    consumers = graph.consumers(tensor.index)
    return f", read by op {consumers[0].index} {consumers[0].display_name}" if consumers else ""


def compare_with_keras(
    model: Any,
    graph: Graph,
    predict_int8: PredictInt8,
    samples: Iterable[Sequence[Array]],
    *,
    progress: Progress = no_progress,
) -> tuple[Agreement, ...]:
    """Runs both models on the same samples and measures how far apart they are.

    Args:
        model: The Keras model.
        graph: The converted model's graph; its inputs and outputs are in the Keras model's order.
        predict_int8: Runs the converted model.
        samples: For each sample a float array for every input, without a batch, in real units.
            They are streamed.
        progress: Called with the samples compared so far.

    Returns:
        One ``Agreement`` for each output.

    Raises:
        TidepoolError: There are no samples, or the outputs don't match in number or size.
    """
    inputs = graph.input_tensors
    sums = [_Sums() for _ in graph.output_tensors]
    done = 0
    for batch in _batches(samples, _BATCH):
        expected = predict_keras(model, batch)
        if len(expected) != len(sums):
            raise TidepoolError(
                f"the converted model has {len(sums)} outputs, the Keras model {len(expected)}",
                hint="convert the model again",
            )
        for position, sample in enumerate(batch):
            quantized = [
                quantize(np.asarray(values).reshape(tensor.shape), tensor)
                for values, tensor in zip(sample, inputs, strict=True)
            ]
            actual = predict_int8(quantized)
            for total, want, got, tensor in zip(
                sums, expected, actual, graph.output_tensors, strict=True
            ):
                total.add(want[position], dequantize(got, tensor), tensor)
            done += 1
            progress(done, None)
    if done == 0:
        raise TidepoolError(
            "there are no samples to compare the int8 model with the Keras model on",
            hint="give a dataset with a calibration split",
        )
    return tuple(
        total.agreement(tensor) for total, tensor in zip(sums, graph.output_tensors, strict=True)
    )


def check_agreement(agreements: Sequence[Agreement]) -> None:
    """Refuses a conversion with an output that has nothing to do with the Keras model's.

    Raises:
        TidepoolError: It names the output and by how much it is off.
    """
    for agreement in agreements:
        if not agreement.acceptable:
            raise TidepoolError(
                f"output '{agreement.output}' of the int8 model disagrees with the Keras model: "
                f"correlation {agreement.correlation:.2f}, mean error {agreement.mean_error:.4g} "
                f"({agreement.mean_error_lsb:.1f} LSB), worst {agreement.worst_error:.4g}, "
                f"over {agreement.samples} samples",
                hint="calibrate on data in the range that the model was trained on; "
                "if it is, the model is too sensitive for int8",
            )


@dataclass
class _Sums:
    """Running sums over the samples of one output: nothing is kept of the samples."""

    samples: int = 0
    elements: int = 0
    absolute: float = 0.0
    squared: float = 0.0
    worst: float = 0.0
    same_argmax: int = 0
    width: int = 1
    # Sums of x, y, x*x, y*y, x*y, for Pearson's correlation. The first element is taken off both,
    # so that a large common offset doesn't eat the digits.
    moments: Array = field(default_factory=lambda: np.zeros(5))
    offset: float | None = None

    def add(self, want: Array, got: Array, tensor: Tensor) -> None:
        if want.size != got.size:
            raise TidepoolError(
                f"output '{tensor.name}' has {got.size} elements, "
                f"but {want.size} in the Keras model",
                hint="convert the model again",
            )
        if not np.isfinite(want).all():
            raise TidepoolError(
                f"the Keras model computes NaN or infinity for output '{tensor.name}'",
                hint="check its weights and the range of the calibration data",
            )
        x = want.astype(np.float64).ravel()
        y = got.astype(np.float64).ravel()
        error = np.abs(x - y)
        self.samples += 1
        self.elements += x.size
        self.absolute += float(error.sum())
        self.squared += float(np.square(error).sum())
        self.worst = max(self.worst, float(error.max(initial=0.0)))
        self.width = want.shape[-1] if want.ndim else 1
        if self.width > 1:
            rows = (-1, self.width)
            same = x.reshape(rows).argmax(-1) == y.reshape(rows).argmax(-1)
            self.same_argmax += bool(same.all())
        if self.offset is None:
            self.offset = float(x[0])
        x, y = x - self.offset, y - self.offset
        self.moments += (x.sum(), y.sum(), x @ x, y @ y, x @ y)

    def agreement(self, tensor: Tensor) -> Agreement:
        return Agreement(
            output=tensor.name,
            samples=self.samples,
            mean_error=self.absolute / self.elements,
            worst_error=self.worst,
            lsb=tensor.scale if tensor.quantization else 1.0,
            rms_error=math.sqrt(self.squared / self.elements),
            correlation=self._correlation(),
            argmax_agreement=self.same_argmax / self.samples if self.width > 1 else None,
        )

    def _correlation(self) -> float:
        x, y, xx, yy, xy = (float(value) for value in self.moments / self.elements)
        variances = (xx - x * x) * (yy - y * y)
        return (xy - x * y) / math.sqrt(variances) if variances > 0 else 0.0


def _batches(samples: Iterable[Sequence[Array]], size: int) -> Iterator[list[Sequence[Array]]]:
    iterator = iter(samples)
    while batch := list(islice(iterator, size)):
        yield batch


def predict_keras(model: Any, batch: Sequence[Sequence[Array]]) -> list[Array]:
    """Runs the Keras model on some samples at once.

    Args:
        model: The Keras model.
        batch: For each sample an array for every input, without a batch; not empty.

    Returns:
        For each output an array with the samples along its first axis.
    """
    import tensorflow as tf

    # Filled up to a round size: every other batch size would compile the model anew.
    missing = max(_BATCH, 1 << (len(batch) - 1).bit_length()) - len(batch)
    filled = []
    for tensor, arrays in zip(model.inputs, zip(*batch, strict=True), strict=True):
        shape = (len(batch), *tensor.shape[1:])
        values = np.stack(arrays).astype(np.float32).reshape(shape)
        filled.append(np.concatenate([values, np.repeat(values[-1:], missing, axis=0)]))
    outputs = model.predict_on_batch(tf.nest.pack_sequence_as(model.input, filled))
    return [np.asarray(output)[: len(batch)] for output in tf.nest.flatten(outputs)]
