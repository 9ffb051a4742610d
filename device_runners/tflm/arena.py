"""How large a tensor arena a board needs: measured on an emulated core, or estimated from here.

A core can be asked only where TFLM's library is at hand. Else the size is what this machine
measures, plus what it can't measure: the interpreter of the tflite-micro wheel has
64-bit pointers, so its bookkeeping is an upper bound for a board; but it has the reference kernels.
On a board TFLM is built with CMSIS-NN, whose kernels ask for buffers that the reference kernels do
without. Their sizes follow from the shapes (CMSIS-NN, ``arm_*_get_buffer_sizes_s8.c``), with the
DSP and the MVE extension each in its own way; here it is the larger of the two.
"""

from __future__ import annotations

from dataclasses import dataclass

from converters.tflite.graph import Graph, Operator, Tensor
from converters.tflite.options import TransposeConvOptions

ALIGNMENT = 16
"""TFLM's arenas, and each buffer in them, are aligned to this many bytes."""

# CH_IN_BLOCK_MVE of arm_nnsupportfunctions.h: the channels that a depthwise kernel buffers.
_MVE_CHANNEL_BLOCK = 124
# What CMSIS-NN's kernels keep per operator beyond the reference kernels: indices of buffers, and
# the alignment of each.
_PER_OPERATOR_BYTES = 32


@dataclass(frozen=True)
class MeasuredArena:
    """An arena that was tried on an emulated core.

    Attributes:
        smallest: The smallest size, in steps of 16 bytes, at which the model ran there.
        used: ``arena_used_bytes()`` there, once all tensors were allocated.
        core: The core (``cortex-m55``). Kernels differ from core to core, and so do their buffers.
        kernels: The library's kernels, for people ("CMSIS-NN").
    """

    smallest: int
    used: int
    core: str
    kernels: str

    @property
    def margin(self) -> int:
        """What an arena loses whose address isn't aligned: TFLM aligns its beginning itself."""
        return ALIGNMENT

    @property
    def total(self) -> int:
        """The arena's size in bytes."""
        return self.smallest + self.margin

    @property
    def source(self) -> str:
        """Where the size comes from, in half a sentence."""
        return f"measured on the emulated {self.core} with TFLM's {self.kernels}"


@dataclass(frozen=True)
class EstimatedArena:
    """The parts of an estimate from above, all in bytes.

    Attributes:
        measured: What the interpreter on this machine used.
        scratch: The largest scratch buffer of CMSIS-NN's kernels: it lives for one operator.
        persistent: Buffers that CMSIS-NN's kernels keep (sums of weights).
        bookkeeping: What its kernels keep per operator beyond the reference kernels.
    """

    measured: int
    scratch: int
    persistent: int
    bookkeeping: int

    @property
    def source(self) -> str:
        """Where the size comes from, in half a sentence."""
        return "estimated from this machine's interpreter"

    @property
    def total(self) -> int:
        """The arena's size, rounded up to its alignment."""
        size = self.measured + self.scratch + self.persistent + self.bookkeeping
        return size + -size % ALIGNMENT


Arena = MeasuredArena | EstimatedArena


def estimate_arena(graph: Graph, measured: int) -> EstimatedArena:
    """Adds to a measured arena what CMSIS-NN's kernels may take on a board.

    Args:
        graph: An int8 graph that TFLM supports.
        measured: ``MicroResult.arena_bytes``.
    """
    scratch = max((_aligned(_scratch(graph, op)) for op in graph.operators), default=0)
    persistent = sum(_aligned(_kernel_sums(graph, op)) for op in graph.operators)
    return EstimatedArena(measured, scratch, persistent, _PER_OPERATOR_BYTES * len(graph.operators))


def _aligned(size: int) -> int:
    return size + -size % ALIGNMENT


def _scratch(graph: Graph, operator: Operator) -> int:
    """An upper bound of the scratch bytes that CMSIS-NN's kernel for an operator asks for."""
    tensors, outputs = graph.inputs_of(operator), graph.outputs_of(operator)
    match operator.opcode, tensors:
        case "CONV_2D", (Tensor(), Tensor(shape=(_, height, width, channels)), *_):
            return _im2col(height, width, channels)
        case "DEPTHWISE_CONV_2D", (Tensor(shape=(*_, channels)), Tensor() as weights, *_):
            return _depthwise(weights, channels)
        case "FULLY_CONNECTED", _:
            # With a batch in two dimensions it runs as a 1x1 convolution: multipliers and shifts.
            return 8 * outputs[0].shape[-1] if len(outputs[0].shape) > 2 else 0
        case "AVERAGE_POOL_2D" | "BATCH_MATMUL", _:
            return 4 * outputs[0].shape[-1]  # one row of int32 sums
        case "TRANSPOSE_CONV", (_, Tensor() as weights, Tensor() as values, *_):
            assert isinstance(operator.options, TransposeConvOptions)
            return _transpose_conv(weights, values, operator.options)
        case _:
            return 0


def _im2col(height: int, width: int, channels: int) -> int:
    columns = height * width * channels
    # MVE: four columns of int8 in whole vectors. DSP: two columns of int16 in whole words; never
    # more than that.
    return 4 * _aligned(columns)


def _depthwise(weights: Tensor, input_channels: int) -> int:
    _, height, width, _ = weights.shape
    window = height * width
    mve = 4 * _MVE_CHANNEL_BLOCK * window
    dsp = 2 * input_channels * window
    # MVE turns one input channel into a convolution with the weights transposed.
    as_convolution = _im2col(height, width, 1) + weights.elements if input_channels == 1 else 0
    return max(mve, dsp, as_convolution)


def _transpose_conv(weights: Tensor, values: Tensor, options: TransposeConvOptions) -> int:
    output_channels, height, width, channels = weights.shape
    # A convolution with the weights reversed, in a second buffer ...
    as_convolution = _im2col(height, width, channels) + _aligned(weights.elements)
    # ... or a plane of int32 sums: the rows that one row of the input reaches.
    columns = (values.shape[2] - 1) * options.stride_w + max(width, options.stride_h)
    sums = 4 * columns * output_channels * max(height, options.stride_h)
    return max(as_convolution, sums)


def _kernel_sums(graph: Graph, operator: Operator) -> int:
    """Bytes of the sums of weights that kernels keep: one int32 an output."""
    weights = graph.inputs_of(operator)[1] if len(operator.inputs) > 1 else None
    if operator.opcode == "UNIDIRECTIONAL_SEQUENCE_LSTM":
        # Four gates, for the input and for the recurrent weights each.
        return 8 * _aligned(4 * graph.outputs_of(operator)[0].shape[-1])
    if weights is None or operator.opcode not in ("FULLY_CONNECTED", "SVDF"):
        return 0
    return 4 * weights.shape[0]
