"""``load_dataset``: finds out what a DATASET is and hands it to the module for that."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from converters.errors import TidepoolError
from pipeline.dataset.array_files import load_npy, load_npz
from pipeline.dataset.images import load_images
from pipeline.dataset.inputs import InputSpec
from pipeline.dataset.noise import is_random, random_dataset
from pipeline.dataset.recipe import load_recipe_dataset
from pipeline.dataset.samples import Dataset

_ACCEPTED = "a recipe .py, an .npz or .npy file, a folder of images by class, or 'random'"


def load_dataset(
    source: str,
    inputs: Sequence[InputSpec],
    *,
    seed: int = 0,
    image_range: tuple[float, float] | None = None,
    calibrate: bool = True,
) -> Dataset:
    """Loads a dataset.

    Args:
        source: A recipe ``.py``, an ``.npz`` or ``.npy`` file, a folder of images by class, or
            ``random`` or ``random:LOW,HIGH``.
        inputs: The model's inputs.
        seed: Seed of every split and of noise.
        image_range: What black and white of a folder's images become.
        calibrate: Whether calibration samples are needed. Without, all samples of a source
            without splits are test samples.

    Raises:
        TidepoolError: The source doesn't exist, is of an unknown kind, or is damaged.
    """
    if is_random(source):
        return random_dataset(source, inputs, seed)
    path = Path(source)
    if not path.exists():
        raise TidepoolError(f"dataset {path} does not exist", hint=f"give {_ACCEPTED}")
    if path.is_dir():
        return load_images(path, inputs, image_range, seed, calibrate)
    suffix = path.suffix.lower()
    if suffix == ".py":
        return load_recipe_dataset(path, seed)
    if suffix == ".npz":
        return load_npz(path, seed, calibrate)
    if suffix == ".npy":
        return load_npy(path, seed, calibrate)
    raise TidepoolError(f"dataset {path}: unknown kind '{suffix}'", hint=f"give {_ACCEPTED}")
