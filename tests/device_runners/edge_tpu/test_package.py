"""What a compiled model holds, in the compiler's real output and in packages built by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.edge_tpu_package import (
    CACHING,
    EXECUTION,
    LAYER,
    compiled_model,
    flatbuffer,
    minimal_model,
    options,
    package,
)

from converters.errors import TidepoolError
from converters.tflite.reader import read_graph
from device_runners.edge_tpu.executables import ExecutableType, Layer
from device_runners.edge_tpu.package import Package, co_compiled, read_package

NAMES = (
    "deeplab_mobilenet_edgetpu_slim_cityscapes_quant",
    "deeplabv3_mnv2_dm05_pascal_quant",
    "keras_lstm_mnist_ptq",
    "mobilenet_v1_0.25_128_quant",
    "mobilenet_v2_1.0_224_quant",
    "movenet_single_pose_lightning_ptq",
    "posenet_mobilenet_v1_075_353_481_quant_decoder",
    "split_concat",
)

# Minimum runtime, cached bytes, streamed bytes, bytes of each chunk of instructions, scratch
# bytes, estimated cycles.
FIGURES: dict[str, tuple[int, int, int, tuple[int, ...], int, int | None]] = {
    "mobilenet_v1_0.25_128_quant": (12, 566_912, 0, (170_032,), 0, None),
    "mobilenet_v2_1.0_224_quant": (12, 3_900_864, 0, (129_632,), 0, 458_040),
    "movenet_single_pose_lightning_ptq": (12, 2_862_656, 2_368, (133_408,), 0, None),
    "deeplab_mobilenet_edgetpu_slim_cityscapes_quant": (
        12,
        2_654_784,
        0,
        (262_080, 103_584),
        1_393_920,
        None,
    ),
    "keras_lstm_mnist_ptq": (12, 43_968, 576, (60_864,), 672, None),
}

# What the package adds to a tensor's zero point.
SHIFT = {"uint8": 0, "int8": 128, "int16": 32_768}


def _compiled(pairs: Path, name: str) -> Path:
    return pairs / f"{name}_edgetpu.tflite"


@pytest.mark.parametrize("name", FIGURES)
def test_figures_of_real_packages(edge_tpu_pairs: Path, name: str) -> None:
    read = read_package(_compiled(edge_tpu_pairs, name))
    runtime, cached, streamed, instructions, scratch, cycles = FIGURES[name]
    assert read.min_runtime_version == runtime
    assert (read.cached_bytes, read.streamed_bytes) == (cached, streamed)
    assert (read.instruction_bytes, read.scratch_bytes) == (sum(instructions), scratch)
    assert read.estimated_cycles == cycles
    execution, caching = read.executables
    assert execution.type is ExecutableType.EXECUTION_ONLY
    assert caching.type is ExecutableType.PARAMETER_CACHING
    assert execution.instruction_bytes == instructions
    assert execution.parameter_caching_token == caching.parameter_caching_token != 0
    assert read.chip_names == ("beagle",)
    # Three MiB of narrow memory in 4 x 4 tiles.
    assert 0 < execution.narrow_memory_bytes_per_tile <= 196_608


@pytest.mark.parametrize("name", NAMES)
def test_operators_on_the_cpu_are_those_left_in_the_file(edge_tpu_pairs: Path, name: str) -> None:
    graph = read_graph(_compiled(edge_tpu_pairs, name))
    read = read_package(_compiled(edge_tpu_pairs, name))
    indices = {op.operator for op in (*read.edge_tpu_ops, *read.cpu_operators)}
    assert indices == set(range(len(graph.operators)))
    for op in read.cpu_operators:
        assert op.opcode == graph.operators[op.operator].display_name


@pytest.mark.parametrize("name", NAMES)
def test_layers_agree_with_the_tensors_of_their_names(edge_tpu_pairs: Path, name: str) -> None:
    graph = read_graph(edge_tpu_pairs / f"{name}.tflite")
    tensors = {t.name: t for t in graph.tensors if t.quantization is not None and not t.is_constant}
    matched = 0
    for layer in _layers(read_package(_compiled(edge_tpu_pairs, name))):
        tensor = tensors.get(layer.name)
        if tensor is None:
            continue
        matched += 1
        assert layer.data_type == tensor.type.lower()
        assert layer.dequantization_factor == tensor.scale
        assert layer.zero_point - SHIFT[layer.data_type] == tensor.zero_point
        assert _without_ones(layer.shape) == _without_ones(tensor.shape)
        assert layer.size_bytes >= tensor.bytes
    assert matched


def test_every_compiled_file_reads_and_shows(edge_tpu_pairs: Path) -> None:
    files = sorted(edge_tpu_pairs.glob("*_edgetpu.tflite"))
    assert len(files) >= len(NAMES)
    for file in files:
        read = read_package(file)
        assert read.name == file.name
        assert json.loads(read.to_json())["cached_bytes"] == read.cached_bytes
        assert len(read.rows()) > 10


def test_every_compiler_input_is_refused(edge_tpu_pairs: Path) -> None:
    files = [f for f in edge_tpu_pairs.glob("*.tflite") if not f.stem.endswith("_edgetpu")]
    assert len(files) >= len(NAMES)
    for file in files:
        with pytest.raises(TidepoolError, match="is not compiled for the Edge TPU") as caught:
            read_package(file)
        assert "edgetpu_compiler" in caught.value.hint


def test_models_with_one_token_are_co_compiled(edge_tpu_pairs: Path) -> None:
    contents = [_compiled(edge_tpu_pairs, name).read_bytes() for name in NAMES[3:5]]
    first, second = (read_package(content) for content in contents)
    assert co_compiled(first, first)
    assert not co_compiled(first, second)
    (own,), (other,) = first.parameter_caching_tokens, second.parameter_caching_tokens
    old, new = other.to_bytes(8, "little"), own.to_bytes(8, "little")
    assert contents[1].count(old) == 2  # once in each executable
    assert co_compiled(first, read_package(contents[1].replace(old, new)))


def test_models_without_a_token_are_not_co_compiled() -> None:
    stand_alone = {n: f for n, f in EXECUTION.items() if n not in (13, 14)}
    read = read_package(compiled_model(options({"4": package([stand_alone])})))
    assert read.executables[0].type is ExecutableType.STAND_ALONE
    assert (read.cached_bytes, read.streamed_bytes) == (0, 32)
    assert read.parameter_caching_tokens == ()
    assert not co_compiled(read, read)
    assert ("Parameter-caching token", "none") in read.rows()


def test_all_fields_of_a_package_built_by_hand() -> None:
    read = read_package(minimal_model())
    (op,) = read.edge_tpu_ops
    assert (op.operator, op.version, op.execution_preference, op.chips) == (0, 0, -1, ())
    assert [(c.operator, c.opcode, c.output) for c in read.cpu_operators] == [
        (1, "RELU", "tensor_2")
    ]
    execution, caching = read.executables
    assert (execution.name, execution.batch_size, execution.scratch_bytes) == ("model", 1, 96)
    assert execution.instruction_bytes == (100, 20)
    assert execution.narrow_memory_bytes_per_tile == 4096
    assert (execution.parameter_bytes, caching.parameter_bytes) == (32, 640)
    assert read.estimated_cycles == 5_000_000_000
    assert (read.instruction_bytes, read.caching_instruction_bytes) == (120, 48)
    assert execution.inputs == (Layer("input", (8, 8, 3), 200, "int8", 128, 0.5, 1),)
    assert execution.outputs == (Layer("output", (1, 10), 200, "int8", 128, 0.5, 28),)
    assert (caching.inputs, caching.outputs, caching.estimated_cycles) == ((), (), None)


def test_json_has_the_documented_keys() -> None:
    report = json.loads(read_package(minimal_model()).to_json())
    assert set(report) == {
        "name",
        "min_runtime_version",
        "chip_names",
        "cached_bytes",
        "streamed_bytes",
        "scratch_bytes",
        "instruction_bytes",
        "caching_instruction_bytes",
        "estimated_cycles",
        "parameter_caching_tokens",
        "edge_tpu_ops",
        "cpu_operators",
    }
    # 64 bits as text: as numbers, most readers of JSON would round them.
    assert report["parameter_caching_tokens"] == ["0xf00dcafe00000001"]
    (chip,) = report["edge_tpu_ops"][0]["packages"]
    execution = chip["executables"][0]
    assert execution["type"] == "EXECUTION_ONLY"
    assert execution["parameter_caching_token"] == "0xf00dcafe00000001"
    assert execution["outputs"][0]["shape"] == [1, 10]


def test_old_cycles_are_read_where_the_new_field_is_absent() -> None:
    old = {n: f for n, f in EXECUTION.items() if n != 16} | {11: ("i32", 458_040)}
    read = read_package(compiled_model(options({"4": package([old, CACHING])})))
    assert read.estimated_cycles == 458_040


def test_several_custom_ops_add_up() -> None:
    content = options({"1": 0, "4": package()})
    later = options({"1": 0, "4": package(f0=("i32", 14))})
    read = read_package(compiled_model(content, later, cpu=["RELU", "TANH"]))
    assert [op.operator for op in read.edge_tpu_ops] == [0, 1]
    assert [op.opcode for op in read.cpu_operators] == ["RELU", "TANH"]
    assert read.min_runtime_version == 14
    assert (read.cached_bytes, read.streamed_bytes) == (1280, 64)
    assert (read.scratch_bytes, read.estimated_cycles) == (192, 10_000_000_000)
    assert len(read.parameter_caching_tokens) == 1


def test_additional_packages_are_listed_but_not_counted() -> None:
    content = options({"1": 0, "4": package(), "6": [18, 19], "7": [package(f0=("i32", 14))]})
    read = read_package(compiled_model(content))
    (op,) = read.edge_tpu_ops
    assert op.chips == (18, 19)
    assert [chip.key for chip in op.packages] == ["4", "7"]
    assert read.cached_bytes == 640
    assert read.min_runtime_version == 14


def test_old_files_keep_the_caching_executable_apart() -> None:
    content = options(
        {"1": 0, "2": b"beagle", "3": package([CACHING]), "4": package([EXECUTION]), "5": 1}
    )
    read = read_package(compiled_model(content))
    (op,) = read.edge_tpu_ops
    assert (op.chip_name, op.execution_preference) == ("beagle", 1)
    assert (read.cached_bytes, read.streamed_bytes) == (640, 32)


def test_bundle_for_several_chips() -> None:
    members = [package(f5=("i32", chip)) for chip in (0, 1)]
    bundle = flatbuffer(
        {
            0: ("i32", 13),
            5: ("i32", -1),
            6: ("tables", [{0: ("bytes", member)} for member in members]),
        },
        b"DWN1",
    )
    read = read_package(compiled_model(options({"4": bundle})))
    assert [chip.virtual_chip_id for chip in read.edge_tpu_ops[0].packages] == [0, 1]
    assert read.cached_bytes == 1280
    nested = flatbuffer({0: ("i32", 13), 6: ("tables", [{0: ("bytes", bundle)}])}, b"DWN1")
    with pytest.raises(TidepoolError, match="holds another one"):
        read_package(compiled_model(options({"4": nested})))


def test_values_of_unknown_keys_and_types_are_skipped() -> None:
    content = options({"1": 0, "4": package(), "8": 0.5, "9": [1, b"text", 0.5], "a": 7})
    assert read_package(compiled_model(content)).cached_bytes == 640


def test_names_are_safe_to_show() -> None:
    layer = LAYER | {0: ("text", "a\x1b[31m\nb")}
    execution = EXECUTION | {8: ("tables", [layer]), 1: ("text", b"\xff\xfe")}
    read = read_package(compiled_model(options({"4": package([execution])})))
    assert read.executables[0].inputs[0].name == "a\\x1b[31m\\nb"
    assert read.executables[0].name == "\\xff\\xfe"
    assert all(value.isprintable() for row in read.rows() for value in row)


@pytest.mark.parametrize("factor", [float("nan"), float("inf"), 0.0])
def test_scale_that_is_no_number_is_left_out(factor: float) -> None:
    layer = LAYER | {5: ("table", {1: ("f32", factor)})}
    execution = EXECUTION | {8: ("tables", [layer])}
    read = read_package(compiled_model(options({"4": package([execution])})))
    assert read.executables[0].inputs[0].dequantization_factor is None
    assert json.loads(read.to_json())


@pytest.mark.parametrize(
    ("executable", "message"),
    [
        (EXECUTION | {13: ("i16", 3)}, "unknown type 3"),
        (EXECUTION | {13: ("i16", -1)}, "unknown type -1"),
        (EXECUTION | {4: ("i32", -5)}, "scratch_size_bytes is -5"),
        (EXECUTION | {8: ("tables", [LAYER | {2: ("i32", -1)}])}, "y is -1"),
        (
            EXECUTION | {8: ("tables", [{11: ("table", {0: ("pairs", [(3, 2)])})}])},
            "dimension runs from 3 to 2",
        ),
    ],
)
def test_values_that_make_no_sense_are_refused(executable: Any, message: str) -> None:
    with pytest.raises(TidepoolError, match=message) as caught:
        read_package(compiled_model(options({"4": package([executable])})))
    assert "compile the model again" in caught.value.hint


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (options({"1": 0}), "have no package"),
        (options({"4": 5}), "not bytes"),
        (options({"4": package(), "1": b"0"}), "not an integer"),
        (options({"4": package(), "7": [5]}), "an additional package is the integer 5"),
        (options({"4": package([])}), "holds no executable"),
        (options({"4": package(f1=("bytes", b""))}), "holds no executable"),
        (options({"4": package(f0=("i32", -1))}), "minimum runtime version is -1"),
        (options({"4": package().replace(b"DWN1", b"DWN2")}), "not 'DWN1'"),
        (b"", "have 0 bytes"),
        (b"\x05\x04\x01", "no FlexBuffer map"),
    ],
)
def test_options_without_a_package_are_refused(content: bytes, message: str) -> None:
    with pytest.raises(TidepoolError, match=message):
        read_package(compiled_model(content))


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TidepoolError, match=r"absent_edgetpu\.tflite does not exist"):
        read_package(tmp_path / "absent_edgetpu.tflite")


def _layers(read: Package) -> list[Layer]:
    return [layer for e in read.executables for layer in (*e.inputs, *e.outputs)]


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)
