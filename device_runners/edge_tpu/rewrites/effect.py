"""Measures what rewriting did to a model's results: under the reference kernels, nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from converters.tflite.affine import dequantize, quantize, real_range
from converters.tflite.graph import Array, Graph, Tensor
from device_runners.edge_tpu.rewrites.cut_tail import Part, Source
from device_runners.edge_tpu.rewrites.reference import oracle
from device_runners.edge_tpu.rewrites.result import Rewritten
from device_runners.host.oracle import Oracle


@dataclass(frozen=True)
class Effect:
    """How far the results of a rewritten model are from the original's.

    Attributes:
        samples: Inferences compared.
        elements: Elements of all outputs compared.
        differing: How many of them differ.
        max_difference: The largest difference: in steps (LSB) of an integer output, in its own
            unit of a float one.
    """

    samples: int
    elements: int
    differing: int
    max_difference: float


class WholeModel:
    """A rewritten model, head and tail, as the host runs it: on the reference kernels.

    Raises:
        TidepoolError: The reference interpreter refuses a part.
    """

    def __init__(self, rewritten: Rewritten) -> None:
        self._rewritten = rewritten
        self._head = oracle(rewritten.graph)
        self._tail: Oracle | None = None if rewritten.tail is None else oracle(rewritten.tail)

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """The whole model's outputs, in its order, of inputs in the types that the head takes."""
        values: dict[Part, Sequence[Array]] = {Part.INPUT: inputs}
        values[Part.HEAD] = self._head.run(inputs)

        def given(sources: Sequence[Source]) -> list[Array]:
            return [values[source.part][source.position] for source in sources]

        if self._tail is not None:
            values[Part.TAIL] = self._tail.run(given(self._rewritten.tail_inputs))
        return given(self._rewritten.outputs)

    def output_tensors(self) -> list[Tensor]:
        """The tensors of these outputs."""
        tensors: dict[Part, Sequence[Tensor]] = {
            Part.INPUT: self._rewritten.graph.input_tensors,
            Part.HEAD: self._rewritten.graph.output_tensors,
            Part.TAIL: () if self._rewritten.tail is None else self._rewritten.tail.output_tensors,
        }
        return [tensors[source.part][source.position] for source in self._rewritten.outputs]


def measure(
    original: Graph,
    rewritten: Rewritten,
    *,
    samples: Sequence[Sequence[Array]] | None = None,
    count: int = 3,
) -> Effect:
    """Runs a model and its rewritten form on the same inputs, and compares the outputs.

    Args:
        original: The graph before.
        rewritten: What became of it.
        samples: For each inference one array an input, in the original's types and shapes;
            random ones over the whole range if None.
        count: How many random ones.

    Raises:
        TidepoolError: The reference interpreter refuses one of the models.
    """
    before, after = oracle(original), WholeModel(rewritten)
    given = list(_random(original, count)) if samples is None else samples
    elements = differing = 0
    largest = 0.0
    for sample in given:
        heads = zip(original.input_tensors, rewritten.graph.input_tensors, sample, strict=True)
        results = after.run([_as_taken(old, new, array) for old, new, array in heads])
        ends = zip(original.output_tensors, after.output_tensors(), strict=True)
        for expected, result, (old, new) in zip(before.run(sample), results, ends, strict=True):
            difference = _difference(expected, _as_taken(new, old, result), old)
            elements += difference.size
            differing += int(np.count_nonzero(difference))
            largest = max(largest, float(np.max(difference, initial=0)))
    return Effect(len(given), elements, differing, largest)


def _random(graph: Graph, count: int) -> Iterator[list[Array]]:
    generator = np.random.default_rng(0)
    for _ in range(count):
        yield [_draw(generator, graph, tensor) for tensor in graph.input_tensors]


def _draw(generator: np.random.Generator, graph: Graph, tensor: Tensor) -> Array:
    if not tensor.type.is_float:
        limits = np.iinfo(tensor.type.dtype)
        drawn = generator.integers(
            limits.min, limits.max, tensor.shape, endpoint=True, dtype=limits.dtype
        )
        return np.asarray(drawn, tensor.type.dtype)
    quantized = [t for op in graph.consumers(tensor.index) for t in graph.outputs_of(op)]
    scaled = next((t for t in quantized if t.quantization is not None), None)
    low, high = (-1.0, 1.0) if scaled is None else real_range(scaled)
    return generator.uniform(low, high, tensor.shape).astype(tensor.type.dtype)


def _as_taken(given: Tensor, taken: Tensor, values: Array) -> Array:
    """Values of one tensor as the other holds them: quantized or dequantized by the host."""
    if given.type.is_float and not taken.type.is_float:
        return quantize(values, taken)
    if taken.type.is_float and not given.type.is_float:
        return dequantize(values, given)
    return values


def _difference(expected: Array, result: Array, tensor: Tensor) -> Array:
    wide = np.float64 if tensor.type.is_float else np.int64
    difference: Array = np.abs(expected.astype(wide) - result.reshape(expected.shape).astype(wide))
    return difference
