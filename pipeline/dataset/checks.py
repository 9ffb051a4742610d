"""What is suspicious about a dataset: each check is one function that returns its warnings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from converters.errors import TidepoolError
from pipeline.dataset.inputs import InputSpec
from pipeline.dataset.samples import Dataset, DatasetKind, SplitName
from pipeline.dataset.statistics import SplitStatistics, scan_split

LEAST_CALIBRATION_SAMPLES = 100
LEAST_TEST_SAMPLES = 100
# A test range this many times wider than the calibrated one is another scale, not an outlier;
# below the inverse the data would use a fraction of the 256 steps.
_RANGE_FACTOR = 4.0
_MOST_CLASSES = 1000
_SHOWN_CLASSES = 8

Range = tuple[float, float]


class WarningCode(StrEnum):
    """What a warning is about."""

    RANGE = "range"
    MISSING_CLASS = "missing_class"
    CONSTANT_SAMPLES = "constant_samples"
    IDENTICAL_SAMPLES = "identical_samples"
    TOO_FEW_SAMPLES = "too_few_samples"


@dataclass(frozen=True)
class DatasetWarning:
    """Something about the data that needn't be wrong, but mostly is.

    Attributes:
        code: What it is about.
        split: The split it was found in.
        message: What was found.
        hint: What to do about it.
    """

    code: WarningCode
    split: SplitName
    message: str
    hint: str


@dataclass(frozen=True)
class DatasetReport:
    """What the checks found.

    Attributes:
        statistics: For each split that there is.
        warnings: In the order of the splits.
    """

    statistics: dict[SplitName, SplitStatistics]
    warnings: tuple[DatasetWarning, ...]


def check_dataset(
    dataset: Dataset,
    inputs: Sequence[InputSpec],
    *,
    classes: int | None = None,
    calibrated: Sequence[Range] | None = None,
) -> DatasetReport:
    """Reads every split that a run uses once, and checks it.

    Args:
        dataset: The dataset; its training split isn't read.
        inputs: The model's inputs.
        classes: How many classes the model tells apart; None if it is no classifier.
        calibrated: For each input the range that the model was calibrated on; None to take it
            from a quantized input, or else from the calibration split.

    Raises:
        TidepoolError: Samples don't fit the model, or labels are out of the range of its outputs.
    """
    splits = [split for split in (dataset.calibration, dataset.test) if split is not None]
    if not splits:
        raise TidepoolError(
            f"dataset {dataset.name} has neither calibration nor test samples",
            hint="define calibration() and test() in the recipe, or name arrays x_test and so on",
        )
    statistics = {split.name: scan_split(split, inputs) for split in splits}
    warnings: list[DatasetWarning] = []
    for found in statistics.values():
        if classes is not None:
            check_labels(found, classes)
        if dataset.kind is not DatasetKind.RANDOM:
            warnings += too_few_samples(found)
        warnings += constant_samples(found)
        warnings += identical_samples(found)
        if classes is not None:
            warnings += missing_classes(found, classes, dataset.classes)
    test = statistics.get(SplitName.TEST)
    ranges = calibrated or _calibrated_ranges(inputs, statistics.get(SplitName.CALIBRATION))
    if test is not None and ranges is not None:
        warnings += ranges_disagree(test, ranges, inputs)
    return DatasetReport(statistics, tuple(warnings))


def _calibrated_ranges(
    inputs: Sequence[InputSpec], calibration: SplitStatistics | None
) -> Sequence[Range] | None:
    known = [spec.range for spec in inputs]
    ranges = [found for found in known if found is not None]
    if len(ranges) == len(inputs):
        return ranges
    return calibration.ranges if calibration is not None else None


def check_labels(found: SplitStatistics, classes: int) -> None:
    """Refuses labels that no output of the model stands for.

    Raises:
        TidepoolError: It names the label and the number of classes.
    """
    highest = max(classes, 2) - 1  # a single output tells two classes apart
    for label in sorted(found.labels):
        if not 0 <= label <= highest:
            raise TidepoolError(
                f"label {label} in the {found.split} split is out of range: the model has "
                f"{classes} output(s), so labels are 0 to {highest}",
                hint="number the classes from 0 in the order of the model's outputs; "
                "targets of a regression are floats",
            )


def too_few_samples(found: SplitStatistics) -> list[DatasetWarning]:
    """Too few samples calibrate badly, or measure too coarsely."""
    if found.split is SplitName.CALIBRATION and found.samples < LEAST_CALIBRATION_SAMPLES:
        hint = f"use {LEAST_CALIBRATION_SAMPLES} or more: rare values decide the ranges"
    elif found.split is SplitName.TEST and found.samples < LEAST_TEST_SAMPLES:
        hint = f"one sample is {100 / found.samples:.1f} percentage points of accuracy: use more"
    else:
        return []
    message = f"the {found.split} split has only {found.samples} sample(s)"
    return [DatasetWarning(WarningCode.TOO_FEW_SAMPLES, found.split, message, hint)]


def constant_samples(found: SplitStatistics) -> list[DatasetWarning]:
    """A sample with one value everywhere is mostly a failed read."""
    if found.constant == 0:
        return []
    message = (
        f"{found.constant} of {found.samples} samples of the {found.split} split have one value "
        "everywhere"
    )
    hint = "look at them: an image that failed to load is black"
    return [DatasetWarning(WarningCode.CONSTANT_SAMPLES, found.split, message, hint)]


def identical_samples(found: SplitStatistics) -> list[DatasetWarning]:
    """The same sample over and over: mostly a generator that doesn't advance."""
    if found.distinct:
        return []
    message = f"all {found.samples} samples of the {found.split} split are the same"
    hint = "check that the recipe's generator advances"
    return [DatasetWarning(WarningCode.IDENTICAL_SAMPLES, found.split, message, hint)]


def missing_classes(
    found: SplitStatistics, classes: int, names: Sequence[str]
) -> list[DatasetWarning]:
    """A class without samples is neither calibrated nor measured."""
    count = max(classes, 2)
    if not found.labels or count > _MOST_CLASSES:
        return []
    missing = [number for number in range(count) if number not in found.labels]
    if not missing:
        return []
    shown = ", ".join(
        f"{number} ({names[number]})" if number < len(names) else str(number)
        for number in missing[:_SHOWN_CLASSES]
    )
    more = f" and {len(missing) - _SHOWN_CLASSES} more" if len(missing) > _SHOWN_CLASSES else ""
    message = f"the {found.split} split has no sample of class {shown}{more}"
    hint = "add some: the metric says nothing about a class it hasn't seen"
    if found.split is SplitName.CALIBRATION:
        hint = "add some: values that only this class has are clipped"
    return [DatasetWarning(WarningCode.MISSING_CLASS, found.split, message, hint)]


def ranges_disagree(
    test: SplitStatistics, calibrated: Sequence[Range], inputs: Sequence[InputSpec]
) -> list[DatasetWarning]:
    """Test data on another scale than the calibration data: 0..255 against 0..1."""
    warnings = []
    for found, known, spec in zip(test.ranges, calibrated, inputs, strict=True):
        reason = _range_mismatch(found, known)
        if not reason:
            continue
        message = (
            f"input '{spec.name}' was calibrated on {_text(known)}, but the test data spans "
            f"{_text(found)}: {reason}"
        )
        hint = "scale both the same way, to the range that the model was trained on"
        if max(abs(v) for v in found) > 100 >= max(abs(v) for v in known):
            hint = "divide the images by 255 if the model was trained on 0..1"
        warnings.append(DatasetWarning(WarningCode.RANGE, test.split, message, hint))
    return warnings


def _range_mismatch(found: Range, known: Range) -> str:
    width = known[1] - known[0]
    span = found[1] - found[0]
    if width <= 0:
        return "the calibrated range is empty" if span > 0 else ""
    overlap = min(found[1], known[1]) - max(found[0], known[0])
    if overlap < 0:
        return "the two don't overlap"
    if span > _RANGE_FACTOR * width:
        return f"it is {span / width:.3g} times as wide, and what is outside is clipped"
    if 0 < span < width / _RANGE_FACTOR:
        return f"it uses {100 * span / width:.2g}% of the quantized steps"
    return ""


def _text(values: Range) -> str:
    return f"{values[0]:.4g} to {values[1]:.4g}"
