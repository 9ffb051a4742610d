"""``.npy`` and ``.npz``: arrays with or without splits.

Names in an ``.npz``: ``x`` and, where there are labels, ``y``; or ``x_train``, ``x_calibration``,
``x_test`` and their ``y_...``. A single ``x`` is split by seed into calibration and test.
"""

from __future__ import annotations

from pathlib import Path

from converters.errors import TidepoolError
from pipeline.dataset.rows import Rows, npy_rows, npz_members
from pipeline.dataset.samples import Dataset, DatasetKind, Split, SplitName
from pipeline.dataset.splits import calibration_and_test, calibration_of_train, rows_split


def load_npy(path: Path, seed: int, calibrate: bool) -> Dataset:
    """Samples without labels."""
    return _single(path, npy_rows(path), None, seed, calibrate)


def load_npz(path: Path, seed: int, calibrate: bool) -> Dataset:
    """Samples, with labels and splits where the file has them.

    Raises:
        TidepoolError: It has none of the names, or labels without samples.
    """
    members = npz_members(path)
    known = {"x", "y"} | {f"{axis}_{split}" for axis in "xy" for split in SplitName}
    unknown = sorted(set(members) - known)
    if unknown or not members:
        raise TidepoolError(
            f"{path}: array '{unknown[0]}' has no known name" if unknown else f"{path}: empty",
            hint="name them x and y, or x_train, x_calibration, x_test and y_...",
        )
    for name in members:
        if name.startswith("y") and "x" + name[1:] not in members:
            raise TidepoolError(
                f"{path}: array '{name}' has no '{'x' + name[1:]}'",
                hint="give the samples that the labels belong to",
            )
    if "x" in members:
        if len(members.keys() - {"x", "y"}):
            raise TidepoolError(
                f"{path}: both 'x' and splits of it", hint="give either x, or x_test and so on"
            )
        return _single(path, members["x"], members.get("y"), seed, calibrate)
    return _with_splits(path, members, seed)


def _single(path: Path, inputs: Rows, labels: Rows | None, seed: int, calibrate: bool) -> Dataset:
    if not calibrate:
        test = rows_split(SplitName.TEST, (inputs,), labels)
        return Dataset(str(path), DatasetKind.ARRAYS, test=test)
    calibration, test = calibration_and_test((inputs,), labels, seed)
    return Dataset(str(path), DatasetKind.ARRAYS, calibration=calibration, test=test)


def _with_splits(path: Path, members: dict[str, Rows], seed: int) -> Dataset:
    splits: dict[SplitName, Split] = {
        name: rows_split(name, (members[f"x_{name}"],), members.get(f"y_{name}"))
        for name in SplitName
        if f"x_{name}" in members
    }
    if SplitName.CALIBRATION not in splits and SplitName.TRAIN in splits:
        splits[SplitName.CALIBRATION] = calibration_of_train(
            (members["x_train"],), members.get("y_train"), seed
        )
    return Dataset(
        str(path),
        DatasetKind.ARRAYS,
        train=splits.get(SplitName.TRAIN),
        calibration=splits.get(SplitName.CALIBRATION),
        test=splits.get(SplitName.TEST),
    )
