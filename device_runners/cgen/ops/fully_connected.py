"""FULLY_CONNECTED: weights per tensor (with any zero point) or per channel.

LiteRT's reference kernel requantizes this op in floating point from version 1.3 on; TFLM, earlier
LiteRT and the generated code do it in fixed point, as for every other op.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from converters.tflite.graph import Array, Tensor
from converters.tflite.multiplier import Multiplier, quantize_multiplier
from converters.tflite.options import FullyConnectedOptions
from device_runners.cgen import checks
from device_runners.cgen.channel_packing import pack_channels
from device_runners.cgen.choice import Candidate, Packed, choose
from device_runners.cgen.convolution import bias_values, channel_factors
from device_runners.cgen.dsp_convolution import FOUR_BITS as DSP_FOUR_BITS
from device_runners.cgen.dsp_dense import (
    dense_as_three_pixels,
    dense_dsp,
    dense_int4_dsp,
)
from device_runners.cgen.elementwise import operand_arrays
from device_runners.cgen.int16 import with_int16
from device_runners.cgen.int16_products import (
    activation_fields,
    check_products,
    check_sums,
    product_emission,
    products,
)
from device_runners.cgen.isa import Isa
from device_runners.cgen.mve_convolution import dense_as_pairs, dense_mve
from device_runners.cgen.mve_vectors import FOUR_BITS as MVE_FOUR_BITS
from device_runners.cgen.operation import (
    Emission,
    KernelCall,
    OpContext,
    Operation,
)
from device_runners.cgen.requantization import INT8_MIN

_DEFAULT_WEIGHTS_FORMAT = 0
# The reference refuses a per-tensor bias whose scale is further off than this, in output steps.
_BIAS_SCALE_TOLERANCE = 0.02


def _options(context: OpContext) -> FullyConnectedOptions:
    options = context.operator.options
    if not isinstance(options, FullyConnectedOptions):
        raise ValueError("FULLY_CONNECTED without its options")
    return options


def _check(context: OpContext) -> Iterator[str]:
    basics = [
        *checks.int8_activations(context),
        *checks.options(context, FullyConnectedOptions),
        *checks.weights(context, 2),
    ]
    yield from basics
    shapes = [] if basics else list(_check_shapes(context))
    yield from shapes
    if not basics and not shapes:
        yield from _accumulators(context)


def _check_int16(context: OpContext) -> Iterator[str]:
    basics = list(check_products(context, FullyConnectedOptions, 2))
    yield from basics
    shapes = [] if basics else list(_check_shapes(context))
    yield from shapes
    if not basics and not shapes:
        multipliers = _multipliers(context) * context.input(1).shape[0]
        yield from check_sums(context, _centered(context), multipliers[: context.input(1).shape[0]])


def _check_shapes(context: OpContext) -> Iterator[str]:
    source, weights = context.input(0), context.input(1)
    yield from checks.activation(context)
    if _options(context).weights_format != _DEFAULT_WEIGHTS_FORMAT:
        yield "has shuffled weights; the default format is supported"
    if weights.quantization is not None and weights.quantization.per_channel:
        yield from checks.symmetric_weights(context, axis=0)
    else:
        yield from _bias_scale(context)
    channels, depth = weights.shape
    if source.elements % depth:
        yield f"has {source.elements} input values, which is no multiple of the depth {depth}"
        return
    yield from checks.bias_size(context, channels)
    if _options(context).keep_num_dims:
        if source.shape[-1:] != (depth,):
            yield f"keeps the dimensions {list(source.shape)}, but the last one is not {depth}"
        yield from checks.output_shape(context, (*source.shape[:-1], channels))
    else:
        yield from checks.output_shape(context, (source.elements // depth, channels))


def _bias_scale(context: OpContext) -> Iterator[str]:
    bias = context.optional_input(2)
    if bias is None:
        return
    product = context.input(0).scale * context.input(1).scale
    scale = 0.0 if bias.quantization is None else bias.quantization.scales[0]
    if abs(product - scale) / context.output.scale > _BIAS_SCALE_TOLERANCE:
        yield (f"has a bias of scale {scale:.9g}; input scale times weights scale is {product:.9g}")


def _accumulators(context: OpContext) -> Iterator[str]:
    source, weights = context.input(0), context.input(1)
    channels = weights.shape[0]
    bounds = checks.accumulator_bounds(_centered(context), source.zero_point, bias_values(context))
    # The kernel takes the weights' zero point off behind the products.
    bounds = bounds + -INT8_MIN * abs(_weights_zero_point(weights)) * weights.shape[1]
    multipliers = [quantize_multiplier(factor) for factor in _own_factors(context)]
    multipliers *= channels // len(multipliers)
    yield from checks.accumulators(bounds, multipliers)


def _centered(context: OpContext) -> Array:
    """(channels, depth) int64 weights, without their zero point."""
    centered: Array = context.data(1).astype(np.int64) - _weights_zero_point(context.input(1))
    return centered


def _weights_zero_point(weights: Tensor) -> int:
    quantization = weights.quantization
    return 0 if quantization is None or quantization.per_channel else weights.zero_point


def _own_factors(context: OpContext) -> list[float]:
    """input scale * weights scale / output scale: one a channel, or one for all.

    For a single weights scale the reference multiplies in float32, as it doesn't anywhere else.
    """
    source, weights, output = context.input(0), context.input(1), context.output
    if weights.quantization is not None and weights.quantization.per_channel:
        return channel_factors(source, weights, output, weights.shape[0])
    return [float(np.float32(source.scale) * np.float32(weights.scale)) / output.scale]


def _multipliers(context: OpContext) -> list[Multiplier]:
    return [quantize_multiplier(factor) for factor in _own_factors(context)]


def _symmetric(
    pack: Callable[[OpContext, Sequence[Multiplier]], Packed | None],
) -> Callable[[OpContext], Packed | None]:
    """Packs weights whose zero point is 0, with a multiplier for each channel."""

    def make(context: OpContext) -> Packed | None:
        if _weights_zero_point(context.input(1)) != 0:
            return None
        factors = _multipliers(context)
        return pack(context, factors * (context.input(1).shape[0] // len(factors)))

    return make


_CANDIDATES = (
    Candidate(
        Isa.MVE,
        _symmetric(dense_mve),
        reason="vector extension, no shift to the left",
        refusal="weights with a zero point, a shift to the left, or weights that would grow",
    ),
    Candidate(
        Isa.MVE,
        _symmetric(dense_as_pairs),
        reason="vector extension, rows as pixels",
        refusal="weights with a zero point, a shift to the left, or weights that would grow",
    ),
    Candidate(
        Isa.DSP,
        _symmetric(dense_dsp),
        reason="DSP extension, every channel proven exact",
        refusal="weights with a zero point, or no proof",
    ),
    Candidate(
        Isa.DSP,
        _symmetric(dense_as_three_pixels),
        reason="DSP extension, rows as pixels",
        refusal="weights with a zero point, or no proof",
    ),
)


def _portable(context: OpContext) -> Emission:
    channels, depth = context.input(1).shape
    packed = _without_extensions(context)
    return Emission(
        kernel=packed.call.kernel,
        calls=(packed.call,),
        summary=f"{depth} to {channels}",
        constants=(*packed.constants, *operand_arrays(context, 0)),
        macs=context.output.elements * depth,
    )


def _without_extensions(context: OpContext, four_bits: bool = False) -> Packed:
    source = context.input(0)
    channels, depth = context.input(1).shape
    zero_point = _weights_zero_point(context.input(1))
    factors = _multipliers(context)
    packed = pack_channels(
        context,
        context.data(1),
        factors * (channels // len(factors)),
        weights_zero_point=zero_point,
    )
    weights, arrays = packed.quads(channels, four_bits)
    params: dict[str, object] = {
        "batches": source.elements // depth,
        "input_depth": depth,
        "output_depth": channels,
        "weights_zero_point": zero_point,
        **weights,
        "channels": packed.params,
    }
    function = f"tidepool_fully_connected{'_int4' if four_bits else ''}"
    call = KernelCall(function, "tidepool_fully_connected_params", params, (source.index,))
    return Packed(call, (*arrays, *packed.arrays), 0)


_FOUR_BITS = (
    Candidate(
        Isa.MVE,
        _symmetric(partial(dense_mve, bits=MVE_FOUR_BITS)),
        reason="vector extension, weights stay in 4 bits",
        refusal="weights with a zero point or -8, a shift to the left, or weights that would grow",
    ),
    Candidate(
        Isa.MVE,
        _symmetric(partial(dense_as_pairs, bits=MVE_FOUR_BITS)),
        reason="vector extension, rows as pixels, weights stay in 4 bits",
        refusal="weights with a zero point or -8, a shift to the left, or weights that would grow",
    ),
    Candidate(
        Isa.DSP,
        _symmetric(dense_int4_dsp),
        reason="DSP extension, weights stay in 4 bits, every channel proven exact",
        refusal="weights with a zero point, or no proof for 4 bits",
    ),
    Candidate(
        Isa.DSP,
        _symmetric(partial(dense_as_three_pixels, kernels=DSP_FOUR_BITS)),
        reason="DSP extension, rows as pixels, weights stay in 4 bits",
        refusal="weights with a zero point, or no proof for 4 bits",
    ),
    Candidate(
        Isa.SCALAR,
        partial(_without_extensions, four_bits=True),
        reason="weights stay in 4 bits",
        refusal="",
    ),
)
"""For weights that the model has in 4 bits; the others take them as bytes."""


def _emit(context: OpContext) -> Emission:
    return choose(context, _CANDIDATES, lambda: _portable(context), _FOUR_BITS)


def _emit_int16(context: OpContext) -> Emission:
    channels, depth = context.input(1).shape
    factors, zero_point = _multipliers(context), _weights_zero_point(context.input(1))
    chosen = products(context, _centered(context), factors, symmetric=zero_point == 0)
    params: dict[str, object] = {
        "batches": context.input(0).elements // depth,
        "input_depth": depth,
        "output_depth": channels,
        **({"weights_zero_point": zero_point} if chosen.is_wide else {}),
        **activation_fields(context),
        "per_channel": int(len(factors) > 1),
        **chosen.fields,
    }
    summary, macs = f"{depth} to {channels}", context.output.elements * depth
    return product_emission(context, "fully_connected", chosen, params, summary, macs)


OP = with_int16(
    Operation("FULLY_CONNECTED", versions=12, inputs=(2, 3), check=_check, emit=_emit),
    _check_int16,
    _emit_int16,
)
