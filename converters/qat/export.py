"""From a trained quantized model to a TFLite file whose integers are the trained ones.

The model is traced with baked weights: constants that lie on their grid, batch normalization
folded in, and fake-quantization ops on activations only. From the constants the converter derives
``max|w| / 127``, which is the trained scale. Where a trained grid has another scale (4 bits, a
learned range), the trained integers are put into the file afterwards. Then the file is read back
and held against the model: every weight to the last integer, every range at its tensor.
"""

from __future__ import annotations

from typing import Any

from converters.errors import TidepoolError
from converters.qat.activation import QuantizeActivation
from converters.qat.int16 import widen
from converters.qat.places import check_places
from converters.qat.runtime import Phase, phase
from converters.qat.trained import check_ranges, check_weights, seal_weights, trained_weights
from converters.tflite.convert import ConvertOptions, FrozenGraph, convert_trained_ranges, freeze
from converters.tflite.reader import read_graph
from converters.tflite.verify import check_full_integer
from converters.tflite.writer import write_graph


def export(model: Any) -> FrozenGraph:
    """Traces a quantized model for conversion: baked weights, constant ranges, a batch of 1.

    Raises:
        TidepoolError: The model isn't quantized, was never trained, or can't be traced.
    """
    if not any(isinstance(layer, QuantizeActivation) for layer in model.layers):
        raise TidepoolError(
            f"model '{model.name}' isn't quantized",
            hint="make it with quantize_model, or convert it with calibration data",
        )
    for layer in model.layers:
        # Before tracing, which would wrap the error.
        if isinstance(layer, QuantizeActivation):
            layer.trained_range()
    with phase(Phase.EXPORT):
        return freeze(model)


def convert_quantized(model: Any, *, time_limit: float = 1800.0) -> bytes:
    """Converts a trained quantized model to a full-integer TFLite file.

    Args:
        model: A model of ``quantize_model`` or ``quantize_apply``, trained for at least one step.
        time_limit: Seconds after which the converter is ended.

    Returns:
        The file's content; the same model gives the same bytes.

    Raises:
        TidepoolError: The converter refuses the model; the result isn't full-integer; or a weight
            or range of it isn't the trained one: the message names the layer.
    """
    weights = trained_weights(model)
    per_channel_dense = all(w.scales.size > 1 for w in weights if w.dense)
    options = ConvertOptions(per_channel_dense=per_channel_dense, time_limit=time_limit)
    frozen = export(model)
    graph = read_graph(convert_trained_ranges(frozen, options))
    graph = seal_weights(graph, weights)
    wide = _is_wide(model)
    if wide:
        graph = widen(graph)
    check_full_integer(graph)
    content = write_graph(graph)
    result = read_graph(content)
    check_weights(result, weights)
    check_ranges(result, model)
    check_places(result, frozen, wide=wide)
    return content


def _is_wide(model: Any) -> bool:
    """Whether the activations have 16 bits.

    Raises:
        TidepoolError: Some have and some haven't.
    """
    widths = {
        layer.quantizer.num_bits > 8: layer.name
        for layer in model.layers
        if isinstance(layer, QuantizeActivation)
    }
    if len(widths) > 1:
        raise TidepoolError(
            f"the activations of '{widths[True]}' have 16 bits, those of '{widths[False]}' 8",
            hint="mix widths of weights by layer, but give all activations one width",
        )
    return True in widths
