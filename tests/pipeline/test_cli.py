"""The command as a user calls it: results, exit codes, and one clear error for bad input."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from converters.tflite import TensorType, write_graph
from converters.tflite.builder import GraphBuilder
from converters.tflite.options import FullyConnectedOptions, SoftmaxOptions

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def tidepool(tmp_path: Path) -> Run:
    """Runs the command in an empty folder; it may not end with a traceback."""

    def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pipeline.cli", *map(str, arguments)]
        result = subprocess.run(
            command,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **environment},
        )
        assert "Traceback" not in result.stderr, result.stderr
        return result

    return run


def classifier(builder: GraphBuilder) -> GraphBuilder:
    """A dense layer and a softmax on 8 inputs."""
    rng = np.random.default_rng(1)
    x = builder.input((1, 8), 0.05, -3)
    w = builder.constant(rng.integers(-127, 128, (4, 8), np.int8), scales=[0.02])
    b = builder.constant(rng.integers(-99, 99, 4, np.int32), scales=[0.001])
    options = FullyConnectedOptions()
    y = builder.op("FULLY_CONNECTED", [x, w, b], options, shape=(1, 4), scale=0.1, zero_point=5)
    z = builder.op(
        "SOFTMAX", [y], SoftmaxOptions(1.0), shape=(1, 4), scale=1 / 256, zero_point=-128
    )
    builder.output(z)
    return builder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "net_int8.tflite"
    path.write_bytes(write_graph(classifier(GraphBuilder("net")).graph()))
    return path


def error_of(result: subprocess.CompletedProcess[str], code: int = 1) -> str:
    """The one error of a failed command."""
    assert result.returncode == code, result.stderr
    assert result.stderr.count("error:") == 1, result.stderr
    assert "hint:" in result.stderr, result.stderr
    return result.stderr


def test_deploy_leaves_everything_and_says_so_in_json(
    tidepool: Run, model: Path, tmp_path: Path
) -> None:
    result = tidepool("deploy", model, "--json", "--debug-tensors")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["schema_version"] == 1
    emulation = report["mcu"]["emulation"]
    assert emulation["bit_exact"] and emulation["compared"] == "every tensor"
    assert report["mcu"]["tflm"]["bit_exact"]
    folder = tmp_path / "build" / "net"
    assert json.loads((folder / "report.json").read_text()) == report
    names = {"mcu/aot/net.c", "mcu/tflm/net_op_resolver.h", "mcu/firmware/CMakeLists.txt"}
    assert all((folder / name).is_file() for name in names | {"net_int8.tflite"})
    outputs = json.loads((folder / "manifest.json").read_text())["outputs"]
    assert {"net_int8.tflite", "mcu/aot/net.c", "mcu/tflm/net_op_resolver.h"} <= set(outputs)


def test_same_deploy_gives_same_bytes(tidepool: Run, model: Path, tmp_path: Path) -> None:
    def files() -> dict[str, bytes]:
        assert tidepool("deploy", model).returncode == 0
        folder = tmp_path / "build" / "net"
        sources = (p for p in folder.rglob("*") if p.is_file() and "firmware/build" not in str(p))
        return {str(path): path.read_bytes() for path in sources}

    assert files() == files()


def test_dataset_gives_the_same_accuracy_on_host_and_emulator(
    tidepool: Run, model: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng(2)
    np.savez(
        tmp_path / "data.npz", x=rng.integers(-128, 128, (40, 8), np.int8), y=np.arange(40) % 4
    )
    result = tidepool("emulate", model, "--dataset", "data.npz", "--samples", "all", "--json")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    emulation = report["mcu"]["emulation"]
    assert emulation["samples"] == report["evaluation"]["samples"] == 40
    assert emulation["host_value"] == emulation["emulator_value"]
    assert emulation["host_value"] == report["evaluation"]["int8_value"]


def test_check_passes_and_blocks_by_exit_code(tidepool: Run, model: Path, tmp_path: Path) -> None:
    assert tidepool("check", model).returncode == 0
    builder = GraphBuilder("odd")
    x = builder.input((1, 8), 0.05, -3)
    builder.output(builder.op("CEIL", [x], None, shape=(1, 8), scale=0.05, zero_point=-3))
    odd = tmp_path / "odd.tflite"
    odd.write_bytes(write_graph(builder.graph()))
    result = tidepool("check", odd, "--json")
    assert result.returncode == 1
    (finding,) = json.loads(result.stdout)["findings"]
    assert finding["opcode"] == "CEIL" and "CONV_2D" in finding["message"] + finding["hint"]


def test_unsupported_op_is_named_with_its_tensor_and_the_supported_ones(
    tidepool: Run, tmp_path: Path
) -> None:
    builder = GraphBuilder("odd")
    x = builder.input((1, 8), 0.05, -3)
    builder.output(builder.op("NEG", [x], None, shape=(1, 8), scale=0.05, zero_point=-3))
    (tmp_path / "odd.tflite").write_bytes(write_graph(builder.graph()))
    error = error_of(tidepool("deploy", "odd.tflite"))
    assert "NEG" in error and "tensor_1" in error and "FULLY_CONNECTED" in error
    assert not (tmp_path / "build" / "odd" / "mcu").exists()


@pytest.mark.parametrize("command", ["deploy", "check", "emulate"])
def test_missing_model(tidepool: Run, command: str) -> None:
    assert "nothing.tflite does not exist" in error_of(tidepool(command, "nothing.tflite"))


def test_corrupt_model(tidepool: Run, model: Path, tmp_path: Path) -> None:
    model.write_bytes(model.read_bytes()[:200])
    assert "corrupt or truncated" in error_of(tidepool("deploy", model))
    assert not (tmp_path / "build").exists()


def test_file_of_another_kind(tidepool: Run, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_text("?")
    assert "model.onnx" in error_of(tidepool("deploy", "model.onnx", "--dataset", "random"))


def test_float_model(tidepool: Run, tmp_path: Path) -> None:
    builder = GraphBuilder("float")
    x = builder.tensor((1, 8), TensorType.FLOAT32)
    y = builder.tensor((1, 8), TensorType.FLOAT32)
    builder.op("RELU", [x], None, shape=(1, 8), scale=1, zero_point=0)
    graph = builder.graph()
    relu = dataclasses.replace(graph.operators[0], outputs=(y,))
    graph = dataclasses.replace(graph, operators=(relu,), inputs=(x,), outputs=(y,))
    (tmp_path / "float.tflite").write_bytes(write_graph(graph))
    for target in ("mcu", "edge-tpu"):
        error = error_of(tidepool("deploy", "float.tflite", "--target", target))
        assert "FLOAT32" in error


def test_unknown_core_names_the_known_ones(tidepool: Run, model: Path) -> None:
    error = error_of(tidepool("deploy", model, "--core", "cortex-m5"))
    assert "cortex-m5" in error and "cortex-m55" in error


def test_samples_that_are_no_number(tidepool: Run, model: Path) -> None:
    assert "'many'" in error_of(tidepool("deploy", model, "--samples", "many"))


def test_unknown_option_is_a_usage_error(tidepool: Run, model: Path) -> None:
    assert tidepool("deploy", model, "--fast").returncode == 2


def test_unknown_key_in_the_settings(tidepool: Run, model: Path, tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text("[mcu]\ncores = 3\n")
    error = error_of(tidepool("deploy", model, "--config", "my.toml"))
    assert "mcu.cores" in error and "mcu.core" in error


def test_dataset_of_the_wrong_shape(tidepool: Run, model: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=np.zeros((20, 9), np.int8), y=np.zeros(20, np.int64))
    error = error_of(tidepool("emulate", model, "--dataset", "data.npz"))
    assert "9" in error and "8" in error


def test_dataset_on_another_scale_is_warned_of(tidepool: Run, model: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    x = rng.uniform(0, 255, (120, 8)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=x, y=np.arange(120) % 4)
    result = tidepool("emulate", model, "--dataset", "data.npz", "--json")
    assert result.returncode == 0
    assert "warning:" in result.stderr and "times as wide" in result.stderr
    assert any("times as wide" in warning for warning in json.loads(result.stdout)["warnings"])


def test_missing_toolchain_says_how_to_get_it(tidepool: Run, model: Path, tmp_path: Path) -> None:
    error = error_of(tidepool("deploy", model, PATH=str(tmp_path)))
    assert "arm-none-eabi-gcc" in error and "apt-get install" in error


def test_edge_tpu_check_predicts_every_operator(tidepool: Run, model: Path) -> None:
    result = tidepool("check", model, "--target", "edge-tpu", "--json")
    assert result.returncode == 0, result.stderr
    prediction = json.loads(result.stdout)
    assert [op["op"] for op in prediction["ops"]] == ["FULLY_CONNECTED", "SOFTMAX"]
    assert prediction["mapped_ops"] == prediction["total_ops"] == 2
    assert prediction["predicted_parameter_bytes"] > 0
    table = tidepool("check", model, "--target", "edge-tpu")
    assert table.returncode == 0 and "2 of 2 operators" in table.stdout


def test_inspect_reads_a_compiled_model_and_refuses_another(
    tidepool: Run, model: Path, edge_tpu_pairs: Path
) -> None:
    assert "is not compiled for the Edge TPU" in error_of(tidepool("inspect", model))
    result = tidepool("inspect", edge_tpu_pairs / "split_concat_edgetpu.tflite", "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["edge_tpu_ops"]


def test_missing_edge_tpu_compiler_keeps_what_there_is(
    tidepool: Run, model: Path, tmp_path: Path
) -> None:
    result = tidepool(
        "deploy", model, "--target", "edge-tpu", EDGETPU_COMPILER=str(tmp_path / "nowhere")
    )
    assert "EDGETPU_COMPILER" in error_of(result, code=4)
    assert "Mapped to Edge TPU" in result.stdout and "streamed for every inference" in result.stdout
    folder = tmp_path / "build" / "net"
    assert (folder / "edge_tpu" / "net_int8.tflite").read_bytes() == model.read_bytes()
    report = json.loads((folder / "report.json").read_text())
    assert report["edge_tpu"]["compiled"] is False
    assert report["edge_tpu"]["preflight"]["mapped_ops"] == 2


def test_tflm_without_its_library_says_how_upstream_builds_it(tidepool: Run, model: Path) -> None:
    error = error_of(tidepool("deploy", model, "--runtime", "tflm", TFLM_ROOT=""))
    assert "TFLM_ROOT" in error and "cortex_m_generic" in error


def test_tflite_has_nothing_to_convert(tidepool: Run, model: Path) -> None:
    assert "nothing to convert" in error_of(tidepool("convert", model))


def test_model_that_was_not_converted_can_not_be_emulated(tidepool: Run, tmp_path: Path) -> None:
    (tmp_path / "net.keras").touch()
    assert "was not converted yet" in error_of(tidepool("emulate", "net.keras"))


def test_conversion_without_a_dataset(tidepool: Run, tmp_path: Path) -> None:
    (tmp_path / "net.keras").touch()
    assert "representative dataset" in error_of(tidepool("deploy", "net.keras"))


def test_commands_without_conversion_start_without_tensorflow(model: Path) -> None:
    code = (
        "import sys, pipeline.run, pipeline.doctor, pipeline.display, pipeline.cli;"
        "sys.exit(any(name.split('.')[0] in ('tensorflow', 'keras') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_emulate_names_the_budget_that_is_exceeded(tidepool: Run, model: Path) -> None:
    result = tidepool("emulate", model, "--max-arena", 1, "--max-instructions", 10**9)
    message = error_of(result, code=6)
    assert "over budget: arena" in message and "instructions" not in message.split("error:")[1]


def test_emulate_refuses_max_drop_without_a_baseline(tidepool: Run, model: Path) -> None:
    assert "--baseline" in error_of(tidepool("emulate", model, "--max-drop", 1))
