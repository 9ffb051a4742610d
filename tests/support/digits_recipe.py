"""Recipes that serve the digits on other scales, or without some split."""

from __future__ import annotations

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
_RECIPE = """
import runpy
digits = runpy.run_path({recipe!r})
{train}
def calibration():
    x, y = digits["calibration"]()
    return x * {calibration}, y

def test():
    x, y = digits["test"]()
    return x * {test}, y
"""


def digits_recipe(
    folder: Path, *, calibration: float = 1, test: float = 1, train: bool = True
) -> str:
    """Writes a recipe whose splits are multiplied by a factor; returns its path."""
    path = folder / "data.py"
    path.write_text(
        _RECIPE.format(
            recipe=str(REPOSITORY / "datasets" / "digits.py"),
            calibration=calibration,
            test=test,
            train="train = digits['train']" if train else "",
        )
    )
    return str(path)
