from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from converters.load.python_file import load_python_file

_RECIPE = Path(__file__).resolve().parents[2] / "datasets" / "cluttered_digits.py"


@pytest.fixture(scope="module")
def recipe() -> ModuleType:
    return load_python_file(_RECIPE)


@pytest.mark.parametrize("split", ["train", "calibration", "test"])
def test_images_are_float32_between_0_and_1_with_every_class(
    recipe: ModuleType, split: str
) -> None:
    x, y = getattr(recipe, split)()
    assert x.shape == (len(y), 20, 20, 1)
    assert x.dtype == np.float32
    assert x.min() == 0.0
    assert x.max() == 1.0
    assert set(y) == set(range(10))


def test_every_call_gives_the_same_arrays(recipe: ModuleType) -> None:
    for first, second in zip(recipe.test(), recipe.test(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_no_scan_is_in_two_splits(recipe: ModuleType) -> None:
    used = [scan for _, first, last, _ in recipe._SPLITS.values() for scan in range(first, last)]
    assert len(used) == len(set(used)) == 1797


def test_the_whole_digit_is_in_its_image(
    recipe: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe, "_NOISE", 0.0)
    monkeypatch.setattr(recipe, "_FRAGMENTS", 0)
    monkeypatch.setattr(recipe, "_SPLITS", {"test": (3, 0, 1797, 50)})
    x, y = recipe.test()
    scans = recipe.load_digits()
    ink = {
        (round(float(image.sum() / 16.0), 3), int(label))
        for image, label in zip(scans.images, scans.target, strict=True)
    }
    for image, label in zip(x, y, strict=True):
        assert (round(float(image.sum()), 3), int(label)) in ink
