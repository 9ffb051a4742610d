"""A dataset: splits of samples that are streamed, never held as a whole by us."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import NamedTuple

from converters.tflite.graph import Array
from pipeline.dataset.metrics import Metric


class Sample(NamedTuple):
    """One sample.

    Attributes:
        inputs: One array for each input of the model, without a batch.
        label: The label or target; None where there is none.
    """

    inputs: tuple[Array, ...]
    label: Array | None


class DatasetKind(StrEnum):
    """Where a dataset comes from."""

    RECIPE = "recipe"
    ARRAYS = "arrays"
    IMAGES = "images"
    RANDOM = "random"


class SplitName(StrEnum):
    """The three splits of a dataset."""

    TRAIN = "train"
    CALIBRATION = "calibration"
    TEST = "test"


@dataclass(frozen=True, eq=False)
class Split:
    """A stream of samples that can be iterated again and again, each time the same.

    Attributes:
        name: Which split it is.
        start: Starts the stream from its beginning.
        length: How many samples there are; None for a generator, which only tells by ending.
    """

    name: SplitName
    start: Callable[[], Iterator[Sample]]
    length: int | None = None

    def __iter__(self) -> Iterator[Sample]:
        return self.start()

    def take(self, count: int) -> Split:
        """The split's first ``count`` samples."""
        length = None if self.length is None else min(count, self.length)
        return Split(self.name, lambda: islice(self.start(), count), length)


@dataclass(frozen=True, eq=False)
class Dataset:
    """The data of a run.

    Attributes:
        name: The file or folder it comes from.
        kind: The kind of source. Of a ``RANDOM`` one no accuracy may be reported.
        train: None where there is none.
        calibration: None where there is none.
        test: None where there is none.
        metric: The recipe's own metric, or None.
        classes: Names of the classes, or nothing when they aren't known.
    """

    name: str
    kind: DatasetKind
    train: Split | None = None
    calibration: Split | None = None
    test: Split | None = None
    metric: Metric | None = None
    classes: tuple[str, ...] = ()

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits that there are."""
        return tuple(s for s in (self.train, self.calibration, self.test) if s is not None)
