"""Builtin options of TFLite operators as frozen dataclasses.

Each class is named after its table in TFLite's schema and each field after the schema's, in
snake case. Operators without a class of their own here keep their options as ``OtherOptions``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from converters.tflite.graph import Activation, Padding, TensorType


@dataclass(frozen=True)
class Options:
    """What all builtin options have in common: nothing but being options."""


@dataclass(frozen=True)
class Conv2DOptions(Options):
    padding: Padding = Padding.SAME
    stride_w: int = 1
    stride_h: int = 1
    fused_activation_function: Activation = Activation.NONE
    dilation_w_factor: int = 1
    dilation_h_factor: int = 1
    quantized_bias_type: TensorType = TensorType.FLOAT32


@dataclass(frozen=True)
class DepthwiseConv2DOptions(Options):
    padding: Padding = Padding.SAME
    stride_w: int = 1
    stride_h: int = 1
    depth_multiplier: int = 1
    fused_activation_function: Activation = Activation.NONE
    dilation_w_factor: int = 1
    dilation_h_factor: int = 1


@dataclass(frozen=True)
class TransposeConvOptions(Options):
    padding: Padding = Padding.SAME
    stride_w: int = 1
    stride_h: int = 1
    fused_activation_function: Activation = Activation.NONE
    quantized_bias_type: TensorType = TensorType.FLOAT32


@dataclass(frozen=True)
class FullyConnectedOptions(Options):
    fused_activation_function: Activation = Activation.NONE
    weights_format: int = 0
    keep_num_dims: bool = False
    asymmetric_quantize_inputs: bool = False
    quantized_bias_type: TensorType = TensorType.FLOAT32


@dataclass(frozen=True)
class Pool2DOptions(Options):
    padding: Padding = Padding.VALID
    stride_w: int = 1
    stride_h: int = 1
    filter_width: int = 1
    filter_height: int = 1
    fused_activation_function: Activation = Activation.NONE


@dataclass(frozen=True)
class AddOptions(Options):
    fused_activation_function: Activation = Activation.NONE
    pot_scale_int16: bool = True


@dataclass(frozen=True)
class SubOptions(Options):
    fused_activation_function: Activation = Activation.NONE
    pot_scale_int16: bool = True


@dataclass(frozen=True)
class MulOptions(Options):
    fused_activation_function: Activation = Activation.NONE


@dataclass(frozen=True)
class DivOptions(Options):
    fused_activation_function: Activation = Activation.NONE


@dataclass(frozen=True)
class L2NormOptions(Options):
    fused_activation_function: Activation = Activation.NONE


@dataclass(frozen=True)
class ConcatenationOptions(Options):
    axis: int = 0
    fused_activation_function: Activation = Activation.NONE


@dataclass(frozen=True)
class ReshapeOptions(Options):
    new_shape: tuple[int, ...] = ()


@dataclass(frozen=True)
class SqueezeOptions(Options):
    squeeze_dims: tuple[int, ...] = ()


@dataclass(frozen=True)
class SoftmaxOptions(Options):
    beta: float = 1.0


@dataclass(frozen=True)
class ReducerOptions(Options):
    keep_dims: bool = False


@dataclass(frozen=True)
class LeakyReluOptions(Options):
    alpha: float = 0.0


@dataclass(frozen=True)
class GeluOptions(Options):
    approximate: bool = False


@dataclass(frozen=True)
class StridedSliceOptions(Options):
    begin_mask: int = 0
    end_mask: int = 0
    ellipsis_mask: int = 0
    new_axis_mask: int = 0
    shrink_axis_mask: int = 0
    offset: bool = False


@dataclass(frozen=True)
class SplitOptions(Options):
    num_splits: int = 1


@dataclass(frozen=True)
class SplitVOptions(Options):
    num_splits: int = 1


@dataclass(frozen=True)
class PackOptions(Options):
    values_count: int = 1
    axis: int = 0


@dataclass(frozen=True)
class UnpackOptions(Options):
    num: int = 1
    axis: int = 0


@dataclass(frozen=True)
class GatherOptions(Options):
    axis: int = 0
    batch_dims: int = 0


@dataclass(frozen=True)
class BatchMatMulOptions(Options):
    adj_x: bool = False
    adj_y: bool = False
    asymmetric_quantize_inputs: bool = False


@dataclass(frozen=True)
class ResizeBilinearOptions(Options):
    align_corners: bool = False
    half_pixel_centers: bool = False


@dataclass(frozen=True)
class ResizeNearestNeighborOptions(Options):
    align_corners: bool = False
    half_pixel_centers: bool = False


@dataclass(frozen=True)
class SpaceToDepthOptions(Options):
    block_size: int = 1


@dataclass(frozen=True)
class DepthToSpaceOptions(Options):
    block_size: int = 1


@dataclass(frozen=True)
class ArgMaxOptions(Options):
    output_type: TensorType = TensorType.INT32


@dataclass(frozen=True)
class ArgMinOptions(Options):
    output_type: TensorType = TensorType.INT32


@dataclass(frozen=True)
class CastOptions(Options):
    in_data_type: TensorType = TensorType.FLOAT32
    out_data_type: TensorType = TensorType.FLOAT32


@dataclass(frozen=True)
class SVDFOptions(Options):
    rank: int = 1
    fused_activation_function: Activation = Activation.NONE
    asymmetric_quantize_inputs: bool = False


@dataclass(frozen=True)
class UnidirectionalSequenceLSTMOptions(Options):
    fused_activation_function: Activation = Activation.NONE
    cell_clip: float = 0.0
    proj_clip: float = 0.0
    time_major: bool = False
    asymmetric_quantize_inputs: bool = False
    diagonal_recurrent_tensors: bool = False


@dataclass(frozen=True)
class OtherOptions(Options):
    """Options without a class of their own: the schema's table and its plain fields.

    Attributes:
        table: The table's name in the schema, for example ``PadOptions``.
        fields: Pairs of the schema's field name (camel case) and value.
    """

    table: str
    fields: tuple[tuple[str, Any], ...] = ()


TABLES: dict[str, type[Options]] = {cls.__name__: cls for cls in Options.__subclasses__()}
"""Name of the schema's table -> dataclass."""
