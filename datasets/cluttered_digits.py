"""Handwritten digits somewhere in a cluttered, noisy image: a harder task from the same scans.

Each image is 20x20 pixels: one of scikit-learn's 8x8 digits (real handwriting, see ``digits.py``)
at a random place, over fragments cut from other digits, with Gaussian noise. The label is the whole
digit's. Arrays are float32 (n, 20, 20, 1) in 0..1 with int64 labels (n,).

The scans are split before images are made of them: no stroke of a test image, fragments included,
comes from a scan that training or calibration sees. Same seeds, same arrays, on every call.
"""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

CLASSES = tuple(str(digit) for digit in range(10))

SIZE = 20
_SCAN_SIZE = 8
_FRAGMENT_SIZE = 3
_FRAGMENTS = 4
_NOISE = 0.1
_SPLIT_SEED = 2024
# name: (seed, first scan, one after the last, images)
_SPLITS = {
    "train": (1, 0, 1200, 16384),
    "calibration": (2, 1200, 1350, 300),
    "test": (3, 1350, 1797, 3000),
}


def train() -> tuple[np.ndarray, np.ndarray]:
    """16384 images of 1200 scans to train on."""
    return _split("train")


def calibration() -> tuple[np.ndarray, np.ndarray]:
    """300 images of 150 scans to calibrate int8 ranges on."""
    return _split("calibration")


def test() -> tuple[np.ndarray, np.ndarray]:
    """3000 images of 447 scans that neither training nor calibration sees."""
    return _split("test")


def _split(name: str) -> tuple[np.ndarray, np.ndarray]:
    seed, first, last, count = _SPLITS[name]
    digits = load_digits()
    scans = np.random.default_rng(_SPLIT_SEED).permutation(len(digits.target))[first:last]
    strokes = (digits.images[scans] / 16.0).astype(np.float32)
    labels = digits.target[scans].astype(np.int64)
    rng = np.random.default_rng(seed)
    chosen = rng.integers(len(strokes), size=count)
    images = np.zeros((count, SIZE, SIZE), np.float32)
    for image, scan in zip(images, chosen, strict=True):
        for other in rng.integers(len(strokes), size=_FRAGMENTS):
            _paint(image, _fragment(strokes[other], rng), rng)
        _paint(image, strokes[scan], rng)
    images += rng.normal(0.0, _NOISE, images.shape).astype(np.float32)
    return np.clip(images, 0.0, 1.0)[..., np.newaxis], labels[chosen]


def _fragment(scan: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    top, left = rng.integers(_SCAN_SIZE - _FRAGMENT_SIZE + 1, size=2)
    return scan[top : top + _FRAGMENT_SIZE, left : left + _FRAGMENT_SIZE]


def _paint(image: np.ndarray, patch: np.ndarray, rng: np.random.Generator) -> None:
    """Puts a patch at a random place; where ink meets ink, the darker stays."""
    size = len(patch)
    top, left = rng.integers(SIZE - size + 1, size=2)
    region = image[top : top + size, left : left + size]
    np.maximum(region, patch, out=region)
