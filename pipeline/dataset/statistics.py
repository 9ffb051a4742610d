"""One pass over a split: what the checks need to know of it."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from converters.errors import TidepoolError
from converters.tflite.affine import dequantize
from converters.tflite.graph import Array
from pipeline.dataset.inputs import InputSpec
from pipeline.dataset.samples import Sample, Split, SplitName


@dataclass(frozen=True)
class SplitStatistics:
    """What one pass over a split found.

    Attributes:
        split: Which split.
        samples: How many samples it has.
        ranges: For each input the least and the greatest real value.
        constant: Samples whose (first) input has one value everywhere.
        distinct: Whether any two samples differ.
        labels: How often each class occurs; empty without class labels.
        has_labels: Whether the samples have labels of any kind.
        first_label: The first sample's label.
    """

    split: SplitName
    samples: int
    ranges: tuple[tuple[float, float], ...]
    constant: int
    distinct: bool
    labels: Counter[int]
    has_labels: bool
    first_label: Array | None


@dataclass
class _Scan:
    samples: int = 0
    constant: int = 0
    digests: set[bytes] = field(default_factory=set)
    labels: Counter[int] = field(default_factory=Counter)


def scan_split(split: Split, inputs: Sequence[InputSpec]) -> SplitStatistics:
    """Reads a split once, checking every sample against the model's inputs.

    Raises:
        TidepoolError: A sample doesn't fit in number, shape or dtype, or has NaN or infinite
            values; or the split is empty.
    """
    scan = _Scan()
    lows = [np.inf] * len(inputs)
    highs = [-np.inf] * len(inputs)
    first_label: Array | None = None
    for sample in split:
        place = f"{split.name} sample {scan.samples}"
        check_sample(sample, inputs, place)
        for position, (array, spec) in enumerate(zip(sample.inputs, inputs, strict=True)):
            low, high = float(array.min()), float(array.max())
            if spec.tensor is not None and array.dtype == spec.dtype:
                low, high = (float(v) for v in dequantize(np.array([low, high]), spec.tensor))
            lows[position] = min(lows[position], low)
            highs[position] = max(highs[position], high)
        first = sample.inputs[0]
        scan.constant += bool(first.size > 1 and first.min() == first.max())
        if len(scan.digests) < 2:
            scan.digests.add(hashlib.sha256(np.ascontiguousarray(first).tobytes()).digest())
        if scan.samples == 0:
            first_label = sample.label
        number = class_of(sample.label)
        if number is not None:
            scan.labels[number] += 1
        scan.samples += 1
    if scan.samples == 0:
        raise TidepoolError(f"the {split.name} split is empty", hint="give at least one sample")
    return SplitStatistics(
        split=split.name,
        samples=scan.samples,
        ranges=tuple(zip(lows, highs, strict=True)),
        constant=scan.constant,
        distinct=len(scan.digests) > 1 or scan.samples == 1,
        labels=scan.labels,
        has_labels=first_label is not None,
        first_label=first_label,
    )


def class_of(label: Array | None) -> int | None:
    """The class that a label stands for: an integer, or one-hot; None for any other target."""
    if label is None:
        return None
    if label.size == 1:
        return int(label.reshape(())) if label.dtype.kind in "iub" else None
    if np.isin(label, (0, 1)).all() and label.sum() == 1:
        return int(label.argmax())
    return None


def check_sample(sample: Sample, inputs: Sequence[InputSpec], place: str) -> None:
    """Checks one sample against the model's inputs: number, shape, dtype, finite values.

    Raises:
        TidepoolError: It doesn't fit; both shapes are named.
    """
    if len(sample.inputs) != len(inputs):
        raise TidepoolError(
            f"{place} has {len(sample.inputs)} array(s), but the model has {len(inputs)} inputs: "
            f"{', '.join(spec.name for spec in inputs)}",
            hint="return ((x1, x2), y) from a recipe, in the order of the model's inputs",
        )
    for array, spec in zip(sample.inputs, inputs, strict=True):
        if array.shape != spec.shape:
            raise TidepoolError(
                f"{place} has shape {array.shape}, but the model's input '{spec.name}' takes "
                f"{spec.shape}",
                hint=_shape_hint(array.shape, spec.shape),
            )
        _check_dtype(array, spec, place)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            what = "NaN" if np.isnan(array).any() else "infinite values"
            raise TidepoolError(f"{place} has {what}", hint="clean the data: they spoil the range")


def _check_dtype(array: Array, spec: InputSpec, place: str) -> None:
    if spec.tensor is None:
        if array.dtype == np.int8:
            raise TidepoolError(
                f"{place} is int8, but the model's input '{spec.name}' takes float32",
                hint="that looks quantized: give real values, scale * (q - zero_point)",
            )
        return
    # uint8 pixels given to an int8 input are real values 0..255; int8 given to a uint8 input can
    # only be meant as quantized, and for another model.
    if array.dtype == np.int8 != spec.dtype:
        raise TidepoolError(
            f"{place} is {array.dtype}, but the model's input '{spec.name}' is {spec.dtype}",
            hint="give real values (float32), or data quantized for this model",
        )


def _shape_hint(found: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    hints = (
        ((*found, 1) == wanted, "add a channel axis: x[..., numpy.newaxis]"),
        (found == (*wanted, 1), "drop the last axis: x[..., 0]"),
        (found == (1, *wanted), "give samples without a batch axis: x[0]"),
        (
            len(found) == 3 and (*found[1:], found[0]) == wanted,
            "the channels have to come last: numpy.moveaxis(x, 1, -1) on the whole array",
        ),
        (
            math.prod(found) == math.prod(wanted),
            f"reshape the samples: x.reshape(-1, {', '.join(map(str, wanted))})",
        ),
        (
            len(found) == len(wanted) == 3 and found[2:] == wanted[2:],
            f"resize the images to {wanted[0]}x{wanted[1]}" if len(wanted) == 3 else "",
        ),
    )
    fitting = [hint for fits, hint in hints if fits]
    return fitting[0] if fitting else "give samples in the shape of the model's input"
