"""TensorFlow Lite Micro's library under ``TFLM_ROOT``: which there are, and which one was linked.

``templates/cmake/FindTFLM.cmake`` looks for the library and checks that it fits, so that a build by
hand gets the same checks; here is what Python wants to know before and after.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from converters.errors import TidepoolError
from device_runners.cortex_m.board import Board

ROOT_VARIABLE = "TFLM_ROOT"
"""The environment variable that names the tree in which upstream's Makefile built the library."""

_LIBRARY = "lib/libtensorflow-microlite.a"
_CMSIS_NN_FOLDER = "_cmsis_nn_"
# Written by FindTFLM.cmake.
_FOUND = "tflm_library.json"


class TflmKernels(StrEnum):
    """Which kernels a library was built with."""

    CMSIS_NN = "cmsis_nn"
    """CMSIS-NN's where it has any (``OPTIMIZED_KERNEL_DIR=cmsis_nn``), else the portable ones."""
    REFERENCE = "reference"
    """TFLM's portable kernels."""

    @property
    def label(self) -> str:
        """Its name for people."""
        return "CMSIS-NN" if self is TflmKernels.CMSIS_NN else "reference kernels"


@dataclass(frozen=True)
class TflmLibrary:
    """The library that a firmware was linked with.

    Attributes:
        path: ``libtensorflow-microlite.a``.
        kernels: The kernels in it.
    """

    path: Path
    kernels: TflmKernels


def tflm_root(board: Board) -> Path:
    """The tree that ``TFLM_ROOT`` names.

    Args:
        board: What the library is wanted for; the error has the command that builds it.

    Raises:
        TidepoolError: It isn't set.
    """
    value = os.environ.get(ROOT_VARIABLE)
    if not value:
        raise TidepoolError(
            f"{ROOT_VARIABLE} isn't set: TensorFlow Lite Micro's library can't be linked",
            hint=f"set {ROOT_VARIABLE} to the tree where it was built (docs/tflm.md); in there: "
            f"{make_command(board, TflmKernels.CMSIS_NN)}",
        )
    return Path(value)


def built_kernels(root: Path, board: Board) -> tuple[TflmKernels, ...]:
    """The kinds of library that upstream's Makefile built for a board's core, CMSIS-NN first.

    Goes by the names of upstream's folders; the build looks into the library.

    Args:
        root: The tree of tflite-micro.
        board: The board, for its ``tflm_target_arch``.

    Raises:
        TidepoolError: There is none; the message has the command that builds it.
    """
    prefix = f"cortex_m_generic_{board.tflm_target_arch}_"
    folders = [f.name for f in (root / "gen").glob("*") if f.name.startswith(prefix)]
    folders = [name for name in folders if (root / "gen" / name / _LIBRARY).is_file()]
    found = {
        TflmKernels.CMSIS_NN if _CMSIS_NN_FOLDER in name else TflmKernels.REFERENCE
        for name in folders
    }
    if not found:
        raise TidepoolError(
            f"{root} has no TFLM library for {board.core}: no gen/{prefix}*/{_LIBRARY}",
            hint=f"build it there: {make_command(board, TflmKernels.CMSIS_NN)}",
        )
    return tuple(kernels for kernels in TflmKernels if kernels in found)


def make_command(board: Board, kernels: TflmKernels) -> str:
    """The command line that builds the library for a board, in a tree of tflite-micro."""
    optimized = "OPTIMIZED_KERNEL_DIR=cmsis_nn " if kernels is TflmKernels.CMSIS_NN else ""
    return (
        "make -f tensorflow/lite/micro/tools/make/Makefile TARGET=cortex_m_generic "
        f"TARGET_ARCH={board.tflm_target_arch} {optimized}BUILD_TYPE=release microlite"
    )


def read_library(build: Path) -> TflmLibrary:
    """Reads which library a configured build folder links."""
    found = json.loads((build / _FOUND).read_text())
    return TflmLibrary(Path(found["library"]), TflmKernels(found["kernels"]))
