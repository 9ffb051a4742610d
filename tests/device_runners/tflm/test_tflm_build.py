"""The generated C++: compiled, read back, and run in TFLM on this machine."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile

from converters.errors import TidepoolError
from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Graph, Tensor, TensorType
from converters.tflite.options import FullyConnectedOptions
from converters.tflite.reader import read_graph
from converters.tflite.writer import write_graph
from device_runners.host.micro import run_micro
from device_runners.runner import Artifacts, Int8Model
from device_runners.tflm.arena import MeasuredArena, estimate_arena
from device_runners.tflm.ops import ADD_METHODS, registrations
from device_runners.tflm.runner import build, run, set_arena
from device_runners.tflm.sources import float_literal, model_from_source, sources

WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Wshadow", "-Werror"]
FLAGS = ["-std=c++17", "-fno-rtti", "-fno-exceptions", *WARNINGS]

# The part of TFLM's header that a generated resolver uses: the ops of the MLPerf Tiny models.
STAND_IN = """
#pragma once
enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };
struct TFLMRegistration { int code; };
namespace tflite {
#define OP(name) inline TFLMRegistration Register_##name() { return {0}; }
OP(ADD) OP(AVERAGE_POOL_2D) OP(CONV_2D) OP(DEPTHWISE_CONV_2D) OP(FULLY_CONNECTED) OP(SOFTMAX)
OP(ADD_INT8) OP(AVERAGE_POOL_2D_INT8) OP(CONV_2D_INT8) OP(DEPTHWISE_CONV_2D_INT8)
OP(FULLY_CONNECTED_INT8) OP(SOFTMAX_INT8) OP(RESHAPE)
#undef OP
template <unsigned int tOpCount>
class MicroMutableOpResolver {
 public:
#define ADD(method, name)                                                             \\
  TfLiteStatus method(const TFLMRegistration& registration = Register_##name()) {     \\
    (void)registration;                                                               \\
    return length_ < tOpCount ? (++length_, kTfLiteOk) : kTfLiteError;                \\
  }
  ADD(AddAdd, ADD) ADD(AddAveragePool2D, AVERAGE_POOL_2D) ADD(AddConv2D, CONV_2D)
  ADD(AddDepthwiseConv2D, DEPTHWISE_CONV_2D) ADD(AddFullyConnected, FULLY_CONNECTED)
  ADD(AddReshape, RESHAPE) ADD(AddSoftmax, SOFTMAX)
#undef ADD
  unsigned int GetRegistrationLength() const { return length_; }
 private:
  unsigned int length_ = 0;
};
}  // namespace tflite
"""


def build_model(path: Path, out: Path, name: str) -> Artifacts:
    return build(Int8Model(name, path.read_bytes(), read_graph(path)), out / name)


@pytest.fixture(scope="module")
def arm_compiler() -> str:
    compiler = shutil.which("arm-none-eabi-g++")
    if compiler is None:
        pytest.skip("arm-none-eabi-g++ is not installed")
    return compiler


@pytest.fixture(scope="module")
def host_compiler() -> str:
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler for this machine is installed")
    return compiler


@pytest.fixture
def headers(tmp_path: Path) -> Path:
    folder = tmp_path / "headers"
    header = folder / "tensorflow/lite/micro/micro_mutable_op_resolver.h"
    header.parent.mkdir(parents=True)
    header.write_text(STAND_IN)
    return folder


def compile_with(command: list[str | Path]) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def symbol_bytes(object_file: Path, symbol: str) -> tuple[bytes, int]:
    """Content of a symbol, and the alignment of its section."""
    with object_file.open("rb") as file:
        elf = ELFFile(file)
        (found,) = (
            s for s in elf.get_section_by_name(".symtab").iter_symbols() if s.name == symbol
        )
        section = elf.get_section(found["st_shndx"])
        start = found["st_value"]
        assert start == 0
        return section.data()[start : start + found["st_size"]], section["sh_addralign"]


def test_model_array_on_the_core_is_the_file(
    mlperf_tiny_model: Path, tmp_path: Path, arm_compiler: str
) -> None:
    build_model(mlperf_tiny_model, tmp_path, "net")
    target = tmp_path / "net.o"
    core = ["-mcpu=cortex-m4", "-mthumb", "-fdata-sections"]
    source = tmp_path / "net/net_model_data.cc"
    compile_with([arm_compiler, *FLAGS, *core, "-O2", "-c", source, "-o", target])
    data, alignment = symbol_bytes(target, "g_net_model_data")
    assert data == mlperf_tiny_model.read_bytes()
    assert alignment % 16 == 0
    size, _ = symbol_bytes(target, "g_net_model_data_size")
    assert int.from_bytes(size, "little") == len(data)


def test_model_is_read_back_from_its_source(mlperf_tiny_model: Path, tmp_path: Path) -> None:
    build_model(mlperf_tiny_model, tmp_path, "net")
    source = (tmp_path / "net/net_model_data.cc").read_text()
    assert model_from_source(source) == mlperf_tiny_model.read_bytes()


def test_source_without_an_array_is_refused() -> None:
    with pytest.raises(TidepoolError, match="no array"):
        model_from_source("int main() {}")


def test_same_model_gives_the_same_files(mlperf_tiny: Path, tmp_path: Path) -> None:
    path = mlperf_tiny / "ic_resnet8_int8.tflite"
    first = build_model(path, tmp_path / "a", "ic")
    second = build_model(path, tmp_path / "b", "ic")
    assert first.files == second.files
    for file in first.files:
        assert (first.directory / file).read_bytes() == (second.directory / file).read_bytes()


def test_run_computes_what_tflm_computes(mlperf_tiny: Path, tmp_path: Path) -> None:
    path = mlperf_tiny / "kws_dscnn_int8.tflite"
    artifacts = build_model(path, tmp_path, "kws")
    sample = [np.load(mlperf_tiny / "kws_inputs.npz")["x"][:1]]
    (expected,) = run_micro(path.read_bytes(), read_graph(path), [sample]).outputs
    np.testing.assert_array_equal(run(artifacts, sample), expected)


def test_figures(mlperf_tiny: Path, tmp_path: Path) -> None:
    path = mlperf_tiny / "vww_mobilenet_int8.tflite"
    figures = build_model(path, tmp_path, "vww").figures
    assert figures["model_bytes"] == path.stat().st_size
    assert figures["ops"] == 6
    assert figures["arena_bytes_host"] < figures["tensor_arena_bytes"]


def test_two_models_in_one_firmware(
    mlperf_tiny: Path, tmp_path: Path, headers: Path, host_compiler: str
) -> None:
    """Their headers in one file, their data in one program; sizes and settings as in the graphs."""
    first = mlperf_tiny / "ad01_int8.tflite"
    second = mlperf_tiny / "ic_resnet8_int8.tflite"
    build_model(first, tmp_path, "ad")
    build_model(second, tmp_path, "ic")
    names = ("model_data", "settings", "op_resolver")
    includes = [f'#include "{m}/{m}_{n}.h"' for m in ("ad", "ic") for n in names]
    main = "\n".join(
        [
            "#include <cstdio>",
            *includes,
            *includes,  # guarded
            "int main() {",
            "  ad::OpResolver a;",
            "  ic::OpResolver i;",
            "  const int registered[] = {ad::RegisterOps(a), ic::RegisterOps(i)};",
            '  std::printf("%d %d ", registered[0], registered[1]);',
            '  std::printf("%u %u ", a.GetRegistrationLength(), i.GetRegistrationLength());',
            '  std::printf("%d ", ad::RegisterOps(a));  // it is full',
            '  std::printf("%zu %zu ", g_ad_model_data_size, g_ic_model_data_size);',
            '  static_assert(ad::kTensorArenaSize != ic::kTensorArenaSize, "");',
            '  static_assert(ic::kInput0Shape[1] == 32 && ic::kInput0Shape.size() == 4, "");',
            '  static_assert(sizeof(ad::Input0Type) * 640 == ad::kInput0Bytes, "");',
            '  std::printf("%a %d\\n", double{ic::kInput0Scale}, ic::kInput0ZeroPoint);',
            "}",
        ]
    )
    (tmp_path / "main.cc").write_text(main)
    units = [tmp_path / f for f in ("main.cc", "ad/ad_model_data.cc", "ic/ic_model_data.cc")]
    program = tmp_path / "program"
    search = ["-I", tmp_path, "-isystem", headers]
    compile_with([host_compiler, *FLAGS, *search, *units, "-o", program])
    printed = subprocess.run([program], capture_output=True, text=True, check=True).stdout.split()
    tensor = read_graph(second).input_tensors[0]
    assert printed[:5] == ["0", "0", "1", "6", "1"]
    assert printed[5:7] == [str(first.stat().st_size), str(second.stat().st_size)]
    assert float.fromhex(printed[7]) == tensor.scale
    assert int(printed[8]) == tensor.zero_point


def test_headers_compile_for_the_core(
    mlperf_tiny_model: Path, tmp_path: Path, headers: Path, arm_compiler: str
) -> None:
    build_model(mlperf_tiny_model, tmp_path, "net")
    source = tmp_path / "use.cc"
    source.write_text(
        '#include "net/net_settings.h"\n#include "net/net_op_resolver.h"\n'
        "TfLiteStatus use(net::OpResolver& r) { return net::RegisterOps(r); }\n"
    )
    search = ["-I", tmp_path, "-isystem", headers]
    core = ["-mcpu=cortex-m55", "-mthumb"]
    compile_with([arm_compiler, *FLAGS, *core, *search, "-c", source, "-o", tmp_path / "use.o"])


def test_settings_of_a_scalar_and_of_an_unquantized_output(
    tmp_path: Path, host_compiler: str
) -> None:
    b = GraphBuilder("odd")
    x = b.input((), scale=0.25, zero_point=-3)
    y = b.tensor((1, 2), TensorType.INT32, name="end */ of \\")
    graph = dataclasses.replace(b.graph(), outputs=(y, x))
    model = Int8Model("odd", b"", graph)
    text = sources(model, estimate_arena(graph, 100))["odd_settings.h"]
    (tmp_path / "odd_settings.h").write_text(text)
    (tmp_path / "use.cc").write_text(
        """#include "odd_settings.h"
static_assert(odd::kInput0Shape.empty() && odd::kInput0Bytes == 1, "");
static_assert(odd::kInput0Scale == 0.25F && odd::kInput0ZeroPoint == -3, "");
static_assert(odd::kOutput0Shape[1] == 2 && odd::kOutput0Bytes == 8, "");
static_assert(sizeof(odd::Output0Type) == 4 && odd::kOutputCount == 2, "");
static_assert(odd::kTensorArenaSize == 112, "");
"""
    )
    compile_with([host_compiler, *FLAGS, "-c", tmp_path / "use.cc", "-o", tmp_path / "use.o"])
    assert "kOutput0Scale" not in text


def test_a_measured_arena_replaces_the_estimate(mlperf_tiny: Path, tmp_path: Path) -> None:
    path = mlperf_tiny / "kws_dscnn_int8.tflite"
    model = Int8Model("net", path.read_bytes(), read_graph(path))
    build(model, tmp_path / "net")
    before = (tmp_path / "net/net_settings.h").read_text()
    arena = MeasuredArena(smallest=3024, used=2580, core="cortex-m4", kernels="CMSIS-NN")
    written = set_arena(model, tmp_path / "net", arena)
    text = written.read_text()
    assert written.name == "net_settings.h"
    assert "kTensorArenaSize = 3040;" in text
    assert "Measured on the emulated cortex-m4 with\n// TFLM's CMSIS-NN" in text
    assert "An estimate from above" in before
    assert "An estimate" not in text
    # All that isn't the arena stays as it was.
    rest = "inline constexpr std::size_t kInputCount"
    assert text[text.index(rest) :] == before[before.index(rest) :]


@pytest.mark.parametrize("value", [1.0, 0.00390625, 0.5847029089927673, 1e-38, 3.0e-41, 123456.0])
def test_float_literals_are_exact(value: float) -> None:
    exact = float(np.float32(value))
    literal = float_literal(exact)
    assert re.fullmatch(r"0x[01](\.[0-9a-f]+)?p-?\d+f", literal)
    assert float.fromhex(literal.removesuffix("f")) == exact


def test_registrations_are_the_ops_used_and_int8_where_that_holds() -> None:
    b = GraphBuilder("mixed")
    x = b.input((1, 4), scale=0.1, zero_point=0)
    w = b.constant(np.ones((4, 4), np.int8), scales=[0.1])
    y = b.op(
        "FULLY_CONNECTED", [x, w], FullyConnectedOptions(), shape=(1, 4), scale=1, zero_point=0
    )
    z = b.op("LOGISTIC", [y], None, shape=(1, 4), scale=1 / 256, zero_point=-128)
    b.output(z)
    graph = b.graph()
    dense = "AddFullyConnected(tflite::Register_FULLY_CONNECTED_INT8())"
    assert registrations(graph) == (dense, "AddLogistic()")
    assert registrations(with_packed_weights(graph, w)) == ("AddFullyConnected()", "AddLogistic()")


def with_packed_weights(graph: Graph, index: int) -> Graph:
    def packed(tensor: Tensor) -> Tensor:
        data = np.zeros(8, np.uint8)
        return dataclasses.replace(tensor, type=TensorType.INT4, data=data)

    tensors = tuple(packed(t) if t.index == index else t for t in graph.tensors)
    return dataclasses.replace(graph, tensors=tensors)


def test_table_has_each_method_once() -> None:
    assert len(set(ADD_METHODS.values())) == len(ADD_METHODS) == 100


def small_model(opcode: str = "RELU") -> Int8Model:
    b = GraphBuilder("small")
    x = b.input((1, 4), scale=0.1, zero_point=3)
    b.output(b.op(opcode, [x], None, shape=(1, 4), scale=0.1, zero_point=3))
    return Int8Model("net", write_graph(b.graph()), b.graph())


def test_failed_build_leaves_the_old_files(tmp_path: Path) -> None:
    out = tmp_path / "tflm"
    build(small_model(), out)
    before = {file: file.read_bytes() for file in out.iterdir()}
    with pytest.raises(TidepoolError, match="GELU"):
        build(small_model("GELU"), out)
    assert {file: file.read_bytes() for file in out.iterdir()} == before
    assert list(tmp_path.iterdir()) == [out]


def test_model_that_tflm_itself_refuses_writes_nothing(tmp_path: Path) -> None:
    # SIN is an op that TFLM has, for floats only.
    with pytest.raises(TidepoolError, match="TensorFlow Lite Micro refuses"):
        build(small_model("SIN"), tmp_path / "tflm")
    assert list(tmp_path.iterdir()) == []
