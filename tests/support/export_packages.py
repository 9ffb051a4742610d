"""Exports of small models, laid out for a compiler: where each format puts what."""

from __future__ import annotations

import subprocess
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from support.models import int8_model

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Activation, Graph, Padding
from converters.tflite.options import (
    Conv2DOptions,
    FullyConnectedOptions,
    Pool2DOptions,
    ReshapeOptions,
    SoftmaxOptions,
)
from device_runners import cgen, tflm
from device_runners.exports import Package, Runtime, SelfTest, package_of
from device_runners.host.oracle import Oracle
from device_runners.runner import Int8Model
from pipeline.fixed_input import SEED, fixed_samples

CORTEX_M4 = ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16")
WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Werror")
SECTIONS = ("-ffunction-sections", "-fdata-sections")

# Format -> standards of C and of C++ that its ecosystem compiles with.
STANDARDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "arduino": (("gnu11", "gnu17"), ("gnu++11", "gnu++14", "gnu++17")),
    "platformio": (("gnu11",), ("gnu++11", "gnu++14", "gnu++17")),
    "zephyr": (("c17", "gnu17"), ("c++17", "gnu++20")),
    "esp-idf": (("gnu17",), ("gnu++2b",)),
    "cmsis-pack": (("c11",), ("c++17",)),
    "cmake": (("c11",), ("c++17",)),
    "c-array": (("c11",), ("c++11", "c++14", "c++17")),
}


def small_graph(seed: int) -> Graph:
    """Convolution, max pooling, dense, softmax, with random weights."""
    rng = np.random.default_rng(seed)

    def weights(*shape: int) -> np.ndarray:
        return rng.integers(-127, 128, shape).astype(np.int8)

    b = GraphBuilder("small")
    x = b.input((1, 8, 8, 1), 0.02, -3)
    scales = [0.004 + 0.001 * k for k in range(4)]
    kernel = b.constant(weights(4, 3, 3, 1), scales=scales, axis=0)
    bias = b.constant(
        rng.integers(-400, 400, 4).astype(np.int32), scales=[0.02 * s for s in scales], axis=0
    )
    options = Conv2DOptions(Padding.SAME, 2, 2, Activation.RELU)
    y = b.op("CONV_2D", [x, kernel, bias], options, shape=(1, 4, 4, 4), scale=0.05, zero_point=-128)
    window = Pool2DOptions(Padding.VALID, 2, 2, 2, 2, Activation.NONE)
    y = b.op("MAX_POOL_2D", [y], window, shape=(1, 2, 2, 4), scale=0.05, zero_point=-128)
    size = 16
    y = b.op(
        "RESHAPE",
        [y, b.constant(np.array([1, size], np.int32))],
        ReshapeOptions((1, size)),
        shape=(1, size),
        scale=0.05,
        zero_point=-128,
    )
    dense = b.constant(weights(5, size), scales=[0.006])
    y = b.op(
        "FULLY_CONNECTED",
        [y, dense],
        FullyConnectedOptions(Activation.NONE),
        shape=(1, 5),
        scale=0.2,
        zero_point=4,
    )
    y = b.op("SOFTMAX", [y], SoftmaxOptions(1.0), shape=(1, 5), scale=1 / 256, zero_point=-128)
    b.output(y)
    return b.graph()


def expected_crc32(model: Int8Model) -> int:
    """What the reference computes for the fixed input."""
    checksum = 0
    for array in Oracle(model.content).run(fixed_samples(model.graph, 1)[0]):
        checksum = zlib.crc32(array.tobytes(), checksum)
    return checksum


def package_for(model: Int8Model, runtime: Runtime, scratch: Path) -> Package:
    """Builds a model and collects its package."""
    runner = cgen if runtime is Runtime.AOT else tflm
    artifacts = runner.build(model, scratch / model.name / runtime)
    self_test = SelfTest(SEED, expected_crc32(model))
    return package_of(model, artifacts, runtime, self_test=self_test, generator="tidepool test")


def small_package(name: str, runtime: Runtime, scratch: Path, seed: int = 1) -> Package:
    """The package of a small model; seeds differ in their weights."""
    return package_for(int8_model(small_graph(seed), name), runtime, scratch)


@dataclass(frozen=True)
class Library:
    """An export's files, as its ecosystem's build system sees them.

    Attributes:
        include: Folder on the include path of the application.
        sources: Files that are compiled.
        example: Folder with the self-test.
    """

    include: Path
    sources: tuple[Path, ...]
    example: Path

    @property
    def self_test(self) -> Path:
        (source,) = (
            path
            for path in self.example.glob("*_self_test.*")
            if path.suffix in (".c", ".cc", ".cpp")
        )
        return source


def library_of(format_name: str, model: str, directory: Path) -> Library:
    """Finds an export's parts; an archive is unpacked beside it."""
    root = directory
    archives = [*directory.glob("*.zip"), *directory.glob("*.pack")]
    if archives:
        root = directory.parent / f"{directory.name}-unpacked"
        with zipfile.ZipFile(archives[0]) as archive:
            archive.extractall(root)
    include, source, example = {
        "arduino": ("src", "src", "examples/SelfTest"),
        "platformio": ("include", "src", "examples/self_test/src"),
        "zephyr": ("include", "src", "samples/self_test/src"),
        "esp-idf": ("include", "src", "examples/self_test/main"),
        "cmsis-pack": ("include", "src", "layer"),
        "cmake": ("include", "src", "example"),
        "c-array": (".", ".", "example"),
    }[format_name]
    if format_name in ("arduino", "esp-idf"):
        (root,) = (path for path in root.iterdir() if path.is_dir())
    sources = [p for p in sorted((root / source).iterdir()) if p.suffix in (".c", ".cc", ".cpp")]
    assert sources
    assert model in {p.stem.removesuffix("_model_data") for p in sources}
    return Library(root / include, tuple(sources), root / example)


def compile_objects(
    sources: Sequence[Path], out: Path, flags: Sequence[str], *, prefix: str = ""
) -> list[Path]:
    """Compiles each file by itself, as every build system does."""
    out.mkdir(parents=True, exist_ok=True)
    objects = []
    for source in sources:
        compiler = "gcc" if source.suffix == ".c" else "g++"
        target = out / f"{source.stem}.o"
        standard = [] if any(flag.startswith("-std=") for flag in flags) else default_std(source)
        command = [f"{prefix}{compiler}", *standard, *flags, "-c", str(source), "-o", str(target)]
        subprocess.run(command, check=True)
        objects.append(target)
    return objects


def default_std(source: Path) -> list[str]:
    return ["-std=c11" if source.suffix == ".c" else "-std=c++17"]
