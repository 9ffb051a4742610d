"""A folder of images by class: ``<folder>/<class>/<image>``.

With folders ``train``, ``calibration`` and ``test`` on top, these are the splits:
``<folder>/test/<class>/<image>``. Classes are numbered in the order of their names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from converters.errors import TidepoolError
from converters.tflite.graph import Array
from pipeline.dataset.inputs import InputSpec
from pipeline.dataset.samples import Dataset, DatasetKind, Sample, Split, SplitName
from pipeline.dataset.splits import CALIBRATION_FROM_TRAIN, CALIBRATION_SHARE, random_mask

_SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".pgm", ".webp", ".tiff"))
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


@dataclass(frozen=True)
class ImageFormat:
    """What images are turned into.

    Attributes:
        height: Rows of the model's input.
        width: Columns of the model's input.
        channels: 1 (grey), 3 (RGB) or 4 (RGBA).
        has_axis: Whether the input has a channel axis; without it channels is 1.
        range: The values that black and white become.
    """

    height: int
    width: int
    channels: int
    has_axis: bool
    range: tuple[float, float]


def load_images(
    folder: Path,
    inputs: Sequence[InputSpec],
    image_range: tuple[float, float] | None,
    seed: int,
    calibrate: bool,
) -> Dataset:
    """Makes a dataset of a folder of images.

    Raises:
        TidepoolError: The folder holds no images by class, the model's input is no image, or the
            range of its values isn't given.
    """
    form = _image_format(folder, inputs, image_range)
    names = {name for name in SplitName if (folder / name).is_dir()}
    if names:
        classes = _class_names([folder / name for name in sorted(names)], folder)
        files = {name: _files(folder / name, classes) for name in names}
    else:
        classes = _class_names([folder], folder)
        files = _split_files(_files(folder, classes), seed, calibrate, folder)
    if SplitName.CALIBRATION not in files and SplitName.TRAIN in files:
        train = files[SplitName.TRAIN]
        mask = random_mask(len(train), min(len(train), CALIBRATION_FROM_TRAIN), seed)
        files[SplitName.CALIBRATION] = _chosen(train, mask)
    splits = {name: _images_split(name, entries, form) for name, entries in files.items()}
    return Dataset(
        str(folder),
        DatasetKind.IMAGES,
        train=splits.get(SplitName.TRAIN),
        calibration=splits.get(SplitName.CALIBRATION),
        test=splits.get(SplitName.TEST),
        classes=classes,
    )


def _image_format(
    folder: Path, inputs: Sequence[InputSpec], image_range: tuple[float, float] | None
) -> ImageFormat:
    shape = inputs[0].shape
    channels = shape[2] if len(shape) == 3 else 1
    if len(inputs) != 1 or len(shape) not in (2, 3) or channels not in _MODES:
        raise TidepoolError(
            f"{folder}: a folder of images, but the model takes "
            f"{', '.join(str(spec.shape) for spec in inputs)}, not one image",
            hint="give a recipe .py or an .npz with arrays in that shape",
        )
    if image_range is None:
        raise TidepoolError(
            f"{folder}: which values the images' pixels become isn't given",
            hint="set image_range in [dataset] to what the model was trained on: "
            "[0, 1], [-1, 1] or [0, 255]",
        )
    low, high = image_range
    if not low < high:
        raise TidepoolError(
            f"image_range [{low:g}, {high:g}] is empty", hint="give [low, high], for example [0, 1]"
        )
    return ImageFormat(shape[0], shape[1], channels, len(shape) == 3, image_range)


def _class_names(parents: Sequence[Path], folder: Path) -> tuple[str, ...]:
    names = {
        entry.name
        for parent in parents
        for entry in parent.iterdir()
        if entry.is_dir() and not entry.name.startswith(".")
    }
    if not names:
        raise TidepoolError(
            f"{folder}: no folders of classes in it",
            hint="sort the images into <folder>/<class>/, or give a recipe .py",
        )
    return tuple(sorted(names))


def _files(parent: Path, classes: Sequence[str]) -> list[tuple[Path, int]]:
    found = [
        (file, number)
        for number, name in enumerate(classes)
        if (parent / name).is_dir()
        for file in sorted((parent / name).rglob("*"))
        if file.suffix.lower() in _SUFFIXES
    ]
    if not found:
        raise TidepoolError(
            f"{parent}: no images in its folders",
            hint=f"known kinds are {', '.join(sorted(_SUFFIXES))}",
        )
    return found


def _split_files(
    files: list[tuple[Path, int]], seed: int, calibrate: bool, folder: Path
) -> dict[SplitName, list[tuple[Path, int]]]:
    if not calibrate:
        return {SplitName.TEST: files}
    if len(files) < 2:
        raise TidepoolError(
            f"{folder}: a single image can't be split into calibration and test",
            hint="give more images",
        )
    mask = random_mask(len(files), max(1, round(len(files) * CALIBRATION_SHARE)), seed)
    return {
        SplitName.CALIBRATION: _chosen(files, mask),
        SplitName.TEST: _chosen(files, ~mask),
    }


def _chosen(files: list[tuple[Path, int]], mask: Array) -> list[tuple[Path, int]]:
    return [file for file, chosen in zip(files, mask, strict=True) if chosen]


def _images_split(name: SplitName, files: list[tuple[Path, int]], form: ImageFormat) -> Split:
    def start() -> Iterator[Sample]:
        for file, number in files:
            yield Sample((read_image(file, form),), np.asarray(number))

    return Split(name, start, len(files))


def read_image(file: Path, form: ImageFormat) -> Array:
    """Reads an image, resizes it (bilinear) and scales its values.

    Returns:
        float32 ``(height, width, channels)``, or ``(height, width)``.

    Raises:
        TidepoolError: The file is no image, or damaged.
    """
    from PIL import Image

    try:
        with Image.open(file) as image:
            converted = image.convert(_MODES[form.channels])
    except (OSError, ValueError, SyntaxError) as error:
        raise TidepoolError(
            f"{file}: not an image, or damaged: {error}", hint="remove or replace it"
        ) from error
    if converted.size != (form.width, form.height):
        converted = converted.resize((form.width, form.height), Image.Resampling.BILINEAR)
    low, high = form.range
    values = np.asarray(converted, np.float32) * np.float32((high - low) / 255) + np.float32(low)
    shape = (form.height, form.width, form.channels) if form.has_axis else values.shape
    return values.reshape(shape)
