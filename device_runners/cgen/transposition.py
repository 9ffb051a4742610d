"""TRANSPOSE_CONV as convolutions: one for each remainder of the output's places by the strides.

Output row ``y = stride * i + first`` collects the filter's rows ``k`` for which ``y + pad - k`` is
a multiple of the stride: every stride-th one. From the last of them to the first they meet input
rows that follow each other, so the rows of one remainder are a convolution by strides of 1. Sums
are the same, so is what is exact about them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from device_runners.cgen.choice import Packed
from device_runners.cgen.dsp_convolution import three_windows
from device_runners.cgen.isa import Isa
from device_runners.cgen.mve_convolution import two_windows
from device_runners.cgen.operation import ConstantArray, KernelCall, OpContext, Symbol
from device_runners.cgen.portable_convolution import windows_portable

_ALIGNMENT = 16


@dataclass(frozen=True)
class _Remainder:
    """One dimension of the outputs of one remainder.

    Attributes:
        first: The first output place.
        outputs: How many there are.
        taps: The filter's taps, in the order of the input.
        pad: Places in front of the input that the first window reaches into; fewer than 0 if it
            begins behind the input's first place.
    """

    first: int
    outputs: int
    taps: tuple[int, ...]
    pad: int


def transposed(
    convolution: OpContext, geometry: Mapping[str, int]
) -> tuple[str, tuple[KernelCall, ...], tuple[ConstantArray, ...], int]:
    """The kernel, its calls, their arrays, and the bytes of scratch memory.

    Args:
        convolution: The operator, its operands in the order of CONV_2D.
        geometry: Sizes, strides and padding, under the names of ``tidepool_window``.
    """
    parts = [
        (rows, columns)
        for rows in _remainders(geometry, "height", geometry["pad_top"])
        for columns in _remainders(geometry, "width", geometry["pad_left"])
    ]
    kernel, found = _packed(convolution, geometry, parts)
    calls = [
        _call(convolution, geometry, kernel, part, one)
        for part, one in zip(parts, found, strict=True)
    ]
    constants = tuple(array for one in found for array in one.constants)
    width = max(columns.outputs for _, columns in parts) * geometry["output_channels"]
    scratch = max(_line(one) for one in found) + width
    return kernel, tuple(calls), constants, scratch


def _packed(
    convolution: OpContext,
    geometry: Mapping[str, int],
    parts: Sequence[tuple[_Remainder, _Remainder]],
) -> tuple[str, list[Packed]]:
    """All parts for the kernel of the highest level that can be proven exact on each of them."""
    for isa, kernel, pack in _LEVELS:
        if isa.included_in(convolution.isa):
            packed = [_pack(convolution, geometry, part, pack) for part in parts]
            found = [one for one in packed if one is not None]
            if len(found) == len(parts):
                return kernel, found
    raise AssertionError("the portable kernel takes everything")


def _remainders(geometry: Mapping[str, int], size: str, pad: int) -> list[_Remainder]:
    stride, filter_size = geometry[f"stride_{size}"], geometry[f"filter_{size}"]
    found = []
    for first in range(min(stride, geometry[f"output_{size}"])):
        tap = (first + pad) % stride
        taps = tuple(range(tap, filter_size, stride))[::-1]
        # The input place that the first output gets by its first tap, which comes last.
        place = (first + pad - tap) // stride
        outputs = -(-(geometry[f"output_{size}"] - first) // stride)
        found.append(_Remainder(first, outputs, taps, max(len(taps), 1) - 1 - place))
    return found


def _pack(
    convolution: OpContext,
    geometry: Mapping[str, int],
    part: tuple[_Remainder, _Remainder],
    pack: Callable[..., Packed | None],
) -> Packed | None:
    rows, columns = part
    weights = convolution.data(1)[:, rows.taps][:, :, columns.taps]
    if weights.size == 0:  # the filter is smaller than the strides: there is only the bias
        weights = np.zeros((len(weights), 1, 1, weights.shape[3]), np.int8)
        rows, columns = replace(rows, pad=0), replace(columns, pad=0)
    window = {
        "batches": geometry["batches"],
        "input_height": geometry["input_height"],
        "input_width": geometry["input_width"],
        "input_channels": geometry["input_channels"],
        "output_height": rows.outputs,
        "output_width": columns.outputs,
        "output_channels": geometry["output_channels"],
        "filter_height": weights.shape[1],
        "filter_width": weights.shape[2],
        "stride_height": 1,
        "stride_width": 1,
        "dilation_height": 1,
        "dilation_width": 1,
        "pad_top": rows.pad,
        "pad_left": columns.pad,
    }
    packed = pack(convolution, window, weights)
    return None if packed is None else _renamed(packed, f"_{rows.first}_{columns.first}")


_LEVELS: tuple[tuple[Isa, str, Callable[..., Packed | None]], ...] = (
    (Isa.MVE, "transpose_conv_mve", two_windows),
    (Isa.DSP, "transpose_conv_dsp", three_windows),
    (Isa.SCALAR, "transpose_conv", windows_portable),
)


def _renamed(packed: Packed, suffix: str) -> Packed:
    """The same arrays under names of their own."""
    names = {array.name for array in packed.constants}

    def of(value: object) -> object:
        if isinstance(value, Mapping):
            return {name: of(item) for name, item in value.items()}
        if isinstance(value, Symbol) and value.text in names:
            return Symbol(value.text + suffix)
        return value

    params = {name: of(value) for name, value in packed.call.params.items()}
    constants = [replace(array, name=array.name + suffix) for array in packed.constants]
    return replace(packed, call=replace(packed.call, params=params), constants=tuple(constants))


def _line(packed: Packed) -> int:
    """Where a row of outputs lies in scratch memory."""
    return -(-packed.scratch_bytes // _ALIGNMENT) * _ALIGNMENT


def _call(
    convolution: OpContext,
    geometry: Mapping[str, int],
    kernel: str,
    part: tuple[_Remainder, _Remainder],
    packed: Packed,
) -> KernelCall:
    rows, columns = part
    pixel = geometry["output_channels"]
    row = geometry["output_width"] * pixel
    params: dict[str, object] = {
        "convolution": packed.call.params,
        "to": {
            "image_step": geometry["output_height"] * row,
            "row_step": geometry["stride_height"] * row,
            "pixel_step": geometry["stride_width"] * pixel,
            "line": _line(packed),
        },
    }
    return KernelCall(
        f"tidepool_{kernel}",
        f"tidepool_{kernel}_params",
        params,
        (convolution.input(0).index,),
        output_offset=rows.first * row + columns.first * pixel,
    )
