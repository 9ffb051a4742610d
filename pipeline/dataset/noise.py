"""``random`` and ``random:LOW,HIGH``: uniform noise in place of data.

It is asked for explicitly, to see a model's size and speed before there is data. A model that was
calibrated on it has arbitrary ranges: no accuracy is reported for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from converters.errors import TidepoolError
from pipeline.dataset.inputs import InputSpec
from pipeline.dataset.samples import Dataset, DatasetKind, Sample, Split, SplitName

CALIBRATION_SAMPLES = 100
TEST_SAMPLES = 100
_WORD = "random"


def is_random(source: str) -> bool:
    """Whether a DATASET asks for noise."""
    return source == _WORD or source.startswith(f"{_WORD}:")


def random_dataset(source: str, inputs: Sequence[InputSpec], seed: int) -> Dataset:
    """Noise in the shape of the model's inputs.

    Without bounds it covers the calibrated range of a quantized input, and 0 to 1 for a Keras
    model.

    Raises:
        TidepoolError: The bounds aren't two numbers in order.
    """
    bounds = _bounds(source)

    def split(name: SplitName, count: int, stream: int) -> Split:
        def start() -> Iterator[Sample]:
            generator = np.random.default_rng([seed, stream])
            for _ in range(count):
                yield Sample(
                    tuple(
                        generator.uniform(*(bounds or spec.range or (0.0, 1.0)), spec.shape).astype(
                            np.float32
                        )
                        for spec in inputs
                    ),
                    None,
                )

        return Split(name, start, count)

    return Dataset(
        source,
        DatasetKind.RANDOM,
        calibration=split(SplitName.CALIBRATION, CALIBRATION_SAMPLES, 0),
        test=split(SplitName.TEST, TEST_SAMPLES, 1),
    )


def _bounds(source: str) -> tuple[float, float] | None:
    if source == _WORD:
        return None
    try:
        low, high = (float(part) for part in source.removeprefix(f"{_WORD}:").split(","))
        valid = low < high and math.isfinite(low) and math.isfinite(high)
    except ValueError:
        valid = False
    if not valid:
        raise TidepoolError(
            f"dataset '{source}' isn't random:LOW,HIGH", hint="for example random:0,1"
        )
    return low, high
