"""What CONV_2D, DEPTHWISE_CONV_2D and the pools share: windows and channel factors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from converters.tflite.graph import Array, Padding, Tensor
from converters.tflite.multiplier import Multiplier, quantize_multiplier
from device_runners.cgen.operation import OpContext


@dataclass(frozen=True)
class Window:
    """A window over one dimension: how many places it takes, and the padding in front."""

    outputs: int
    pad: int


def window(padding: Padding, size: int, filter_size: int, stride: int, dilation: int) -> Window:
    """SAME and VALID as TensorFlow defines them; SAME puts the odd element behind."""
    extent = (filter_size - 1) * dilation + 1
    if padding is Padding.SAME:
        outputs = -(-size // stride)
        return Window(outputs, max((outputs - 1) * stride + extent - size, 0) // 2)
    return Window((size + stride - extent) // stride, 0)


def windows(context: OpContext, filter_height: int, filter_width: int) -> tuple[Window, Window]:
    """The windows along height and width of an operator with strides and maybe dilations."""
    options: Any = context.operator.options
    _, height, width, _ = context.input(0).shape
    return (
        window(
            options.padding,
            height,
            filter_height,
            options.stride_h,
            getattr(options, "dilation_h_factor", 1),
        ),
        window(
            options.padding,
            width,
            filter_width,
            options.stride_w,
            getattr(options, "dilation_w_factor", 1),
        ),
    )


def window_params(context: OpContext, filter_height: int, filter_width: int) -> dict[str, int]:
    """The fields of ``tidepool_window``."""
    options: Any = context.operator.options
    vertical, horizontal = windows(context, filter_height, filter_width)
    batches, height, width, channels = context.input(0).shape
    return {
        "batches": batches,
        "input_height": height,
        "input_width": width,
        "input_channels": channels,
        "output_height": vertical.outputs,
        "output_width": horizontal.outputs,
        "output_channels": context.output.shape[3],
        "filter_height": filter_height,
        "filter_width": filter_width,
        "stride_height": options.stride_h,
        "stride_width": options.stride_w,
        "dilation_height": getattr(options, "dilation_h_factor", 1),
        "dilation_width": getattr(options, "dilation_w_factor", 1),
        "pad_top": vertical.pad,
        "pad_left": horizontal.pad,
    }


def describe_window(context: OpContext, filter_height: int, filter_width: int) -> str:
    """The window in words, for the comment above a call."""
    options: Any = context.operator.options
    text = (
        f"{filter_height}x{filter_width} window, stride {options.stride_h}x{options.stride_w}, "
        f"{options.padding}"
    )
    dilations = (getattr(options, "dilation_h_factor", 1), getattr(options, "dilation_w_factor", 1))
    if dilations != (1, 1):
        text += f", dilation {dilations[0]}x{dilations[1]}"
    return text


def channel_factors(source: Tensor, weights: Tensor, output: Tensor, channels: int) -> list[float]:
    """input scale * weight scale / output scale, in double precision, for each output channel."""
    scales = weights.quantization.scales if weights.quantization else ()
    factors = [source.scale * scale / output.scale for scale in scales]
    return factors * channels if len(factors) == 1 else factors


def channel_multipliers(context: OpContext, channels: int) -> list[Multiplier]:
    """The requantization of each output channel."""
    factors = channel_factors(context.input(0), context.input(1), context.output, channels)
    return [quantize_multiplier(factor) for factor in factors]


def bias_values(context: OpContext) -> Array | None:
    """The bias, flattened, or None."""
    bias = context.optional_input(2)
    return None if bias is None or bias.data is None else bias.data.ravel()


def activation_of(context: OpContext) -> Any:
    """The fused activation of an operator that has one."""
    options: Any = context.operator.options
    return options.fused_activation_function


def rows_as_window(rows: int, depth: int, channels: int) -> dict[str, int]:
    """Fields of ``tidepool_window`` for a dense layer: its rows as the pixels of one image."""
    return {
        "batches": 1,
        "input_height": 1,
        "input_width": rows,
        "input_channels": depth,
        "output_height": 1,
        "output_width": rows,
        "output_channels": channels,
        "filter_height": 1,
        "filter_width": 1,
        "stride_height": 1,
        "stride_width": 1,
        "dilation_height": 1,
        "dilation_width": 1,
        "pad_top": 0,
        "pad_left": 0,
    }
