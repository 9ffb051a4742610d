"""Arrays read row by row: from memory, memory-mapped ``.npy``, or members of an ``.npz``."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from converters.errors import TidepoolError
from converters.tflite.graph import Array


@dataclass(frozen=True, eq=False)
class Rows:
    """An array whose first axis is the samples, read one row at a time.

    Attributes:
        source: Where it comes from, for messages.
        shape: The whole array's shape.
        dtype: Its dtype.
        start: Starts reading at the first row.
    """

    source: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    start: Callable[[], Iterator[Array]]

    def __iter__(self) -> Iterator[Array]:
        return self.start()

    def __len__(self) -> int:
        return self.shape[0]


def array_rows(array: Array, source: str) -> Rows:
    """The rows of an array in memory or memory-mapped.

    Raises:
        TidepoolError: It holds Python objects or has no axis.
    """
    _check(array.shape, array.dtype, source)
    return Rows(source, array.shape, array.dtype, lambda: map(np.asarray, iter(array)))


def npy_rows(path: Path) -> Rows:
    """The rows of a ``.npy`` file, memory-mapped.

    Raises:
        TidepoolError: The file is no such array, or damaged.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise _damaged(path, error) from error
    if not isinstance(array, np.ndarray):
        raise TidepoolError(f"{path}: not a .npy file", hint="name an archive .npz")
    return array_rows(array, str(path))


def npz_members(path: Path) -> dict[str, Rows]:
    """The arrays of an ``.npz`` file by their names; a row is read when it is asked for.

    Raises:
        TidepoolError: The file is no such archive, or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".npy")]
            return {name.removesuffix(".npy"): _npz_rows(path, archive, name) for name in names}
    except (zipfile.BadZipFile, ValueError, OSError, EOFError) as error:
        raise _damaged(path, error) from error


def _npz_rows(path: Path, archive: zipfile.ZipFile, name: str) -> Rows:
    source = f"{path}: array '{name.removesuffix('.npy')}'"
    with archive.open(name) as file:
        shape, by_columns, dtype = _read_header(file)
    _check(shape, dtype, source)
    size = math.prod(shape[1:]) * dtype.itemsize

    def stream() -> Iterator[Array]:
        try:
            with closing(zipfile.ZipFile(path)) as opened, opened.open(name) as member:
                _read_header(member)
                for _ in range(shape[0]):
                    content = member.read(size)
                    if len(content) < size:
                        raise EOFError("it ends within a sample")
                    yield np.frombuffer(content, dtype).reshape(shape[1:])
        except (zipfile.BadZipFile, OSError, EOFError) as error:
            raise _damaged(path, error) from error

    def whole() -> Iterator[Array]:
        # Stored column by column: no row lies in one piece, so it has to be read as a whole.
        with np.load(path, allow_pickle=False) as arrays:
            return iter(arrays[name.removesuffix(".npy")])

    return Rows(source, shape, dtype, whole if by_columns and len(shape) > 1 else stream)


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    # NumPy's own stubs leave these three untyped.
    form: Any = np.lib.format
    if form.read_magic(file) == (1, 0):
        shape, by_columns, dtype = form.read_array_header_1_0(file)
    else:
        shape, by_columns, dtype = form.read_array_header_2_0(file)
    return shape, by_columns, dtype


def _check(shape: tuple[int, ...], dtype: np.dtype[Any], source: str) -> None:
    if dtype.hasobject or dtype.kind not in "biuf":
        raise TidepoolError(
            f"{source} has dtype {dtype}, not numbers",
            hint="store it as a plain numeric array, all samples of one shape",
        )
    if not shape:
        raise TidepoolError(
            f"{source} is a single number", hint="the first axis has to be the samples"
        )


def _damaged(path: Path, error: Exception) -> TidepoolError:
    return TidepoolError(
        f"{path}: not a NumPy file, or damaged: {error}",
        hint="write it again with numpy.save or numpy.savez",
    )
