"""A model in segments: one file for each Edge TPU of a pipeline.

What the pipeline needs (libcoral's ``PipelinedModelRunner`` checks the same when it starts): every
segment takes what the model takes or an earlier segment gives, and nothing that a segment gives is
lost.
"""

from __future__ import annotations

from collections.abc import Sequence

from converters.errors import TidepoolError
from converters.tflite.graph import Graph, Tensor


def segment_names(name: str, count: int) -> tuple[str, ...]:
    """The names, without suffix, that the compiler gives the parts of a model.

    >>> segment_names("net", 2)
    ('net_segment_0_of_2', 'net_segment_1_of_2')
    >>> segment_names("net", 1)
    ('net',)
    """
    if count == 1:
        return (name,)
    return tuple(f"{name}_segment_{index}_of_{count}" for index in range(count))


def check_chain(graph: Graph, segments: Sequence[Graph]) -> None:
    """Sees that the segments, one after the other, take and give what the model does.

    Raises:
        TidepoolError: A segment's input comes from nowhere or in another form, one of its outputs
            goes nowhere, or an output of the model is missing.
    """
    given = {tensor.name: tensor for tensor in graph.input_tensors}
    last = len(segments) - 1
    for number, segment in enumerate(segments):
        for tensor in segment.input_tensors:
            source = given.get(tensor.name)
            if source is None:
                raise _broken(
                    f"segment {number} takes '{tensor.name}', which neither the model nor an "
                    "earlier segment gives"
                )
            if _form(source) != _form(tensor):
                raise _broken(
                    f"segment {number} takes '{tensor.name}' as {_said(tensor)}, but it comes as "
                    f"{_said(source)}"
                )
        given |= {tensor.name: tensor for tensor in segment.output_tensors}
    wanted = {tensor.name for tensor in graph.output_tensors}
    for name in wanted - given.keys():
        raise _broken(f"no segment gives the model's output '{name}'")
    for number, segment in enumerate(segments[:last]):
        later = {t.name for other in segments[number + 1 :] for t in other.input_tensors}
        for tensor in segment.output_tensors:
            if tensor.name not in later | wanted:
                raise _broken(
                    f"segment {number} gives '{tensor.name}', which no later segment takes"
                )


def _form(tensor: Tensor) -> object:
    quantization = tensor.quantization
    grid = (quantization.scales, quantization.zero_points) if quantization else None
    return tensor.type, tensor.shape, grid


def _said(tensor: Tensor) -> str:
    quantization = tensor.quantization
    scales = f", scale {quantization.scales[0]:g}" if quantization and quantization.scales else ""
    return f"{tensor.type} {list(tensor.shape)}{scales}"


def _broken(what: str) -> TidepoolError:
    return TidepoolError(
        f"the compiled segments don't make up the model: {what}",
        hint="compile again, with another number of segments; please report it with the model",
    )
