"""Handwritten digits: the 1797 images of 8x8 pixels that come with scikit-learn.

They are the test part of the UCI repository's "Optical Recognition of Handwritten Digits" (E.
Alpaydin and C. Kaynak, 1998). Pixels are scaled from 0..16 to 0..1; the arrays are float32
(n, 8, 8, 1) with int64 labels (n,). The split is fixed and stratified: about 70% train, 10%
calibration, 20% test.
"""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

CLASSES = tuple(str(digit) for digit in range(10))

_SEED = 2024
_TEST_SAMPLES = 360
_CALIBRATION_SAMPLES = 180


def train() -> tuple[np.ndarray, np.ndarray]:
    """1257 samples to train on."""
    return _splits()[0]


def calibration() -> tuple[np.ndarray, np.ndarray]:
    """180 samples to calibrate int8 ranges on."""
    return _splits()[1]


def test() -> tuple[np.ndarray, np.ndarray]:
    """360 samples that neither training nor calibration sees."""
    return _splits()[2]


def _splits() -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    digits = load_digits()
    x = (digits.images / 16.0).astype(np.float32)[..., np.newaxis]
    y = digits.target.astype(np.int64)
    x_rest, x_test, y_rest, y_test = train_test_split(
        x, y, test_size=_TEST_SAMPLES, stratify=y, random_state=_SEED
    )
    x_train, x_calibration, y_train, y_calibration = train_test_split(
        x_rest, y_rest, test_size=_CALIBRATION_SAMPLES, stratify=y_rest, random_state=_SEED
    )
    return (x_train, y_train), (x_calibration, y_calibration), (x_test, y_test)
