"""Making splits of arrays that come without them: the same seed gives the same split."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from converters.errors import TidepoolError
from converters.tflite.graph import Array
from pipeline.dataset.rows import Rows
from pipeline.dataset.samples import Sample, Split, SplitName

CALIBRATION_SHARE = 0.2
"""Share of the samples that calibrate where the source doesn't say which do."""

CALIBRATION_FROM_TRAIN = 500
"""At most so many training samples calibrate where there is no calibration split."""


def rows_split(
    name: SplitName,
    inputs: tuple[Rows, ...],
    labels: Rows | None,
    chosen: Array | None = None,
) -> Split:
    """A split of arrays, or of some of their rows.

    Args:
        name: Which split it is.
        inputs: One array for each input.
        labels: One label for each row; None where there are none.
        chosen: Boolean mask over the rows; None for all.

    Raises:
        TidepoolError: The arrays differ in length.
    """
    count = len(inputs[0])
    for rows in (*inputs[1:], *([labels] if labels is not None else [])):
        if len(rows) != count:
            raise TidepoolError(
                f"{inputs[0].source} has {count} samples, but {rows.source} has {len(rows)}",
                hint="give as many labels as samples",
            )

    def start() -> Iterator[Sample]:
        streams = [iter(rows) for rows in inputs]
        targets = iter(labels) if labels is not None else None
        for index in range(count):
            arrays = tuple(next(stream) for stream in streams)
            label = next(targets) if targets is not None else None
            if chosen is None or chosen[index]:
                yield Sample(arrays, label)

    return Split(name, start, count if chosen is None else int(chosen.sum()))


def calibration_and_test(
    inputs: tuple[Rows, ...], labels: Rows | None, seed: int
) -> tuple[Split, Split]:
    """Splits one array of samples at random into calibration and test.

    Raises:
        TidepoolError: There are too few samples to split.
    """
    count = len(inputs[0])
    if count < 2:
        raise TidepoolError(
            f"{inputs[0].source} has {count} sample(s): it can't be split into calibration and "
            "test",
            hint="give more samples, or separate x_calibration and x_test",
        )
    mask = random_mask(count, max(1, round(count * CALIBRATION_SHARE)), seed)
    return (
        rows_split(SplitName.CALIBRATION, inputs, labels, mask),
        rows_split(SplitName.TEST, inputs, labels, ~mask),
    )


def calibration_of_train(inputs: tuple[Rows, ...], labels: Rows | None, seed: int) -> Split:
    """A random part of the training samples, to calibrate on."""
    count = len(inputs[0])
    mask = random_mask(count, min(count, CALIBRATION_FROM_TRAIN), seed)
    return rows_split(SplitName.CALIBRATION, inputs, labels, mask)


def random_mask(count: int, chosen: int, seed: int) -> Array:
    """A boolean mask with ``chosen`` of ``count`` true."""
    mask = np.zeros(count, bool)
    mask[np.random.default_rng(seed).permutation(count)[:chosen]] = True
    return mask
