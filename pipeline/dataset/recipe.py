"""A dataset recipe: a Python file with ``train()``, ``calibration()`` and ``test()``.

Each of them that there is returns an array of samples ``x``, a pair ``(x, y)`` with labels, or an
iterator (a generator) of samples, each ``x`` or ``(x, y)``. For a model of several inputs ``x`` is
a tuple of arrays, and the pair is always given: ``((x1, x2), None)`` without labels. A generator
function is called anew for every pass over its split; arrays are kept.

Beside them a recipe may define ``CLASSES`` (names of the classes), ``metric(outputs, targets)``
with its name in ``METRIC``, and ``HIGHER_IS_BETTER = False`` when it is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from converters.errors import TidepoolError
from converters.load.python_file import load_python_file, user_code
from converters.tflite.graph import Array
from pipeline.dataset.metrics import Metric
from pipeline.dataset.rows import Rows, array_rows
from pipeline.dataset.samples import Dataset, DatasetKind, Sample, Split, SplitName
from pipeline.dataset.splits import CALIBRATION_FROM_TRAIN, calibration_of_train, rows_split

_Arrays = tuple[tuple[Rows, ...], Rows | None]


def load_recipe_dataset(path: Path, seed: int) -> Dataset:
    """Loads a recipe and calls its functions.

    Raises:
        TidepoolError: It has none of the functions, one of them raised, or returned something
            else than samples.
    """
    module = load_python_file(path)
    splits: dict[SplitName, Split] = {}
    arrays: dict[SplitName, _Arrays | None] = {}
    for name in SplitName:
        function = getattr(module, name.value, None)
        if callable(function):
            splits[name], arrays[name] = _split(function, name, path)
    if not splits:
        raise TidepoolError(
            f"{path}: neither train(), calibration() nor test() in it",
            hint="define test() and calibration(), each returning arrays (x, y) or a generator",
        )
    if SplitName.CALIBRATION not in splits and SplitName.TRAIN in splits:
        # Random ones where that is possible; of a stream the first ones.
        train = arrays[SplitName.TRAIN]
        splits[SplitName.CALIBRATION] = (
            calibration_of_train(*train, seed)
            if train is not None
            else replace(
                splits[SplitName.TRAIN].take(CALIBRATION_FROM_TRAIN), name=SplitName.CALIBRATION
            )
        )
    return Dataset(
        str(path),
        DatasetKind.RECIPE,
        train=splits.get(SplitName.TRAIN),
        calibration=splits.get(SplitName.CALIBRATION),
        test=splits.get(SplitName.TEST),
        metric=_metric(module, path),
        classes=tuple(str(name) for name in getattr(module, "CLASSES", ())),
    )


def _split(
    function: Callable[[], Any], name: SplitName, path: Path
) -> tuple[Split, _Arrays | None]:
    with user_code(path):
        result = function()
    arrays = _arrays(result, f"{path}: {name}()")
    if arrays is not None:
        return rows_split(name, *arrays), arrays
    if not hasattr(result, "__iter__"):
        raise TidepoolError(
            f"{path}: {name}() returned {type(result).__name__}",
            hint="return an array x, a pair (x, y), or a generator of samples",
        )
    # Started once to see what it is; from here on every pass calls the function anew.
    return Split(name, lambda: _stream(function, name, path)), None


def _arrays(result: Any, source: str) -> _Arrays | None:
    """The inputs and labels of a result that consists of arrays; None for an iterator."""
    if isinstance(result, np.ndarray):
        return (array_rows(result, source),), None
    if not isinstance(result, tuple | list):
        return None
    if isinstance(result, list) or len(result) != 2:
        raise TidepoolError(
            f"{source} returned a {type(result).__name__} of {len(result)}",
            hint="return an array x, a pair (x, y), or a generator of samples",
        )
    x, y = result
    parts = x if isinstance(x, tuple | list) else (x,)
    inputs = tuple(
        array_rows(np.asarray(part), f"{source}, input {position}")
        for position, part in enumerate(parts)
    )
    labels = None if y is None else array_rows(np.asarray(y), f"{source}, labels")
    return inputs, labels


def _stream(function: Callable[[], Any], name: SplitName, path: Path) -> Iterator[Sample]:
    with user_code(path):
        iterator = iter(function())
    position = 0
    while True:
        with user_code(path):
            try:
                item = next(iterator)
            except StopIteration:
                return
        yield _sample(item, f"{path}: {name}(), sample {position}")
        position += 1


def _sample(item: Any, source: str) -> Sample:
    x, y = item, None
    if isinstance(item, tuple):
        if len(item) != 2:
            raise TidepoolError(f"{source} is a tuple of {len(item)}", hint="yield x or (x, label)")
        x, y = item
    parts = x if isinstance(x, tuple | list) else (x,)
    inputs: tuple[Array, ...] = tuple(np.asarray(part) for part in parts)
    for array in inputs:
        if array.dtype.kind not in "biuf":
            raise TidepoolError(
                f"{source} has dtype {array.dtype}, not numbers", hint="yield NumPy arrays"
            )
    return Sample(inputs, None if y is None else np.asarray(y))


def _metric(module: ModuleType, path: Path) -> Metric | None:
    function = getattr(module, "metric", None)
    name = getattr(module, "METRIC", None)
    if function is None:
        if name is not None:
            raise TidepoolError(
                f"{path}: METRIC = {name!r} without metric(outputs, targets)",
                hint="define the function, or leave METRIC out for accuracy or mean squared error",
            )
        return None
    if not callable(function):
        raise TidepoolError(
            f"{path}: metric is not a function", hint="define metric(outputs, targets) -> float"
        )
    better = bool(getattr(module, "HIGHER_IS_BETTER", True))
    return Metric(str(name or "metric"), better, function)
