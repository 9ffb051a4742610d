"""The generated C as C: warnings, standards, determinism, linking, comments."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from support.graphs import make_random_graph, random_inputs
from support.host_equality import assert_every_tensor_equals_reference
from support.models import int8_model

import device_runners.cgen
from converters.tflite import read_graph
from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Graph
from device_runners.cgen import build
from device_runners.cgen.host_build import WARNING_FLAGS
from device_runners.cgen.kernels_version import kernel_files
from device_runners.runner import Artifacts

_CORTEX_M0PLUS = ("-mcpu=cortex-m0plus", "-mthumb", "-mfloat-abi=soft")
_CORTEX_M3 = ("-mcpu=cortex-m3", "-mthumb", "-mfloat-abi=soft")
_CORTEX_M4 = ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16")
_CORTEX_M55 = ("-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=hard")


def graph_with_every_op() -> Graph:
    """The first random graph that is large; joined ones would need renumbering."""
    return max(
        (make_random_graph(np.random.default_rng(seed)) for seed in range(40)),
        key=lambda graph: len({op.opcode for op in graph.operators}),
    )


def _sources(artifacts: Artifacts) -> list[str]:
    return [str(artifacts.directory / name) for name in artifacts.files if name.endswith(".c")]


def _all_kernels(folder: Path) -> list[str]:
    sources = Path(device_runners.cgen.__file__).parent / "kernels"
    files = kernel_files([path.stem for path in sources.glob("*.c")])
    for file, text in files.items():
        (folder / file).write_text(text)
    return [str(folder / file) for file in files if file.endswith(".c")]


_TARGETS = [
    ("gcc", ()),
    ("clang", ()),
    ("arm-none-eabi-gcc", _CORTEX_M0PLUS),
    ("arm-none-eabi-gcc", _CORTEX_M3),
    ("arm-none-eabi-gcc", _CORTEX_M4),
    ("arm-none-eabi-gcc", _CORTEX_M55),
]
_TARGET_NAMES = ["gcc", "clang", "m0plus", "m3", "m4", "m55"]


def _assert_no_warnings(
    folder: Path, compiler: str, target: tuple[str, ...], levels: tuple[str, ...]
) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    artifacts = build(int8_model(graph_with_every_op(), "every"), folder / "aot")
    model = str(artifacts.directory / "every.c")
    kernels = _all_kernels(folder)
    for level in levels:
        command = [compiler, "-std=c11", *target, *WARNING_FLAGS, level, "-c", f"-I{folder}"]
        subprocess.run([*command, model, *kernels], check=True, cwd=folder)
        tested = ("-DTIDEPOOL_TRACE", "-DTIDEPOOL_FILL_DEAD")
        subprocess.run([*command, *tested, model], check=True, cwd=folder)


def test_no_warnings(tmp_path: Path) -> None:
    _assert_no_warnings(tmp_path, "gcc", (), ("-O2",))


@pytest.mark.slow
@pytest.mark.parametrize(("compiler", "target"), _TARGETS, ids=_TARGET_NAMES)
def test_no_warnings_at_any_optimization_level(
    tmp_path: Path, compiler: str, target: tuple[str, ...]
) -> None:
    _assert_no_warnings(tmp_path, compiler, target, ("-O0", "-O1", "-O2", "-O3", "-Os"))


def test_every_kernel_file_is_compiled_by_the_tests_above(tmp_path: Path) -> None:
    folder = Path(device_runners.cgen.__file__).parent / "kernels"
    compiled = {Path(path).name for path in _all_kernels(tmp_path)}
    assert compiled == {f"tidepool_{path.name}" for path in folder.glob("*.c")}


def test_the_headers_are_valid_cpp(tmp_path: Path) -> None:
    artifacts = build(int8_model(graph_with_every_op(), "every"), tmp_path / "aot")
    subprocess.run(
        ["g++", "-std=c++17", *WARNING_FLAGS, "-fsyntax-only", "-x", "c++"]
        + [f"-include{artifacts.directory / n}" for n in artifacts.files if n.endswith(".h")]
        + ["/dev/null"],
        check=True,
    )


def test_the_same_graph_gives_the_same_bytes(tmp_path: Path) -> None:
    first = build(int8_model(make_random_graph(np.random.default_rng(7), 8), "m"), tmp_path / "one")
    second = build(
        int8_model(make_random_graph(np.random.default_rng(7), 8), "m"), tmp_path / "two"
    )
    assert first.files == second.files
    for name in first.files:
        assert (first.directory / name).read_bytes() == (second.directory / name).read_bytes()


def test_only_the_kernels_used_are_written(tmp_path: Path) -> None:
    b = GraphBuilder("m")
    x = b.input((4,), 0.1, 0)
    b.output(b.op("RELU", [x], None, shape=(4,), scale=0.1, zero_point=0, version=2))
    artifacts = build(int8_model(b.graph()), tmp_path / "aot")
    assert sorted(artifacts.files) == sorted(
        [
            "m.h",
            "m.c",
            "tidepool_arithmetic.h",
            "tidepool_elementwise.h",
            "tidepool_kernels.h",
            "tidepool_rescale.c",
        ]
    )
    assert {path.name for path in artifacts.directory.iterdir()} == set(artifacts.files)


def test_two_models_link_into_one_image(tmp_path: Path) -> None:
    one = build(int8_model(make_random_graph(np.random.default_rng(3), 8), "one"), tmp_path / "one")
    two = build(int8_model(make_random_graph(np.random.default_rng(4), 8), "two"), tmp_path / "two")
    main = tmp_path / "main.c"
    main.write_text(
        '#include "one/one.h"\n#include "two/two.h"\n'
        "static uint8_t a[ONE_ARENA_BYTES], b[TWO_ARENA_BYTES];\n"
        "int main(void) { one_invoke(a); two_invoke(b); return 0; }\n"
    )
    # One copy of each kernel, whichever model it was written with.
    sources = {Path(path).name: path for path in [*_sources(one), *_sources(two)]}
    command = ["gcc", "-std=c11", *WARNING_FLAGS, str(main), *sources.values()]
    subprocess.run([*command, "-o", str(tmp_path / "image")], check=True)
    subprocess.run([str(tmp_path / "image")], check=True)
    for name in set(one.files) & set(two.files):
        assert (one.directory / name).read_bytes() == (two.directory / name).read_bytes()


def test_only_invoke_is_global(tmp_path: Path) -> None:
    artifacts = build(int8_model(graph_with_every_op(), "every"), tmp_path / "aot")
    source = str(artifacts.directory / "every.c")
    # Without position independence, as on a board: there constants hold addresses.
    command = ["gcc", "-std=c11", "-fno-pie", "-c", source, "-o", str(tmp_path / "every.o")]
    subprocess.run(command, check=True)
    listing = subprocess.run(
        ["nm", "--defined-only", str(tmp_path / "every.o")], capture_output=True, check=True
    ).stdout.decode()
    symbols = [line.split() for line in listing.splitlines()]
    assert [name for _, kind, name in symbols if kind.isupper()] == ["every_invoke"]
    # Constants only: nothing in data or bss.
    assert not [name for _, kind, name in symbols if kind in "dbDBcC"]


@pytest.mark.parametrize("name", ["tidepool_add", "Äpfel/2", "int", "a*/b"])
def test_any_model_name_gives_valid_c(tmp_path: Path, name: str) -> None:
    graph = dataclasses.replace(graph_with_every_op(), name=name)
    rng = np.random.default_rng(0)
    assert_every_tensor_equals_reference(graph, [random_inputs(rng, graph)], tmp_path)


def test_tensor_names_cannot_end_a_comment(tmp_path: Path) -> None:
    graph = graph_with_every_op()
    evil = "*/ #error \n/* \\"
    tensors = tuple(dataclasses.replace(tensor, name=evil) for tensor in graph.tensors)
    hostile = dataclasses.replace(graph, tensors=tensors)
    rng = np.random.default_rng(0)
    assert_every_tensor_equals_reference(hostile, [random_inputs(rng, graph)], tmp_path)


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_optimized_code_of_both_compilers(tmp_path: Path, compiler: str) -> None:
    rng = np.random.default_rng(5)
    graph = graph_with_every_op()
    assert_every_tensor_equals_reference(
        graph, [random_inputs(rng, graph)], tmp_path, flags=("-O3",), compiler=compiler
    )


def test_float_constants_read_back_exactly(tmp_path: Path) -> None:
    models = Path(__file__).resolve().parents[4] / "shared" / "mlperf_tiny"
    if not models.exists():
        pytest.skip("the MLPerf Tiny models (../shared/mlperf_tiny) are absent")
    graph = read_graph(models / "kws_dscnn_int8.tflite")
    header = (build(int8_model(graph, "kws"), tmp_path / "aot").directory / "kws.h").read_text()
    (line,) = [line for line in header.splitlines() if "INPUT_0_SCALE" in line]
    text = line.split("(")[1].rstrip("f)")
    assert np.float32(text) == np.float32(graph.input_tensors[0].scale)
