"""The build for the Edge TPU with a stand-in that replays the compiler's outcomes.

The compiler is closed source and seldom at hand; what it prints and writes is known, so that a
script can play it. The last test runs the real one where it is installed.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.edgetpu_stand_in import Outcome, StandIn, is_running, make_compiler

from converters.errors import ExitCode, TidepoolError
from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Graph, Operator, TensorType
from converters.tflite.options import OtherOptions
from converters.tflite.reader import read_graph
from device_runners.edge_tpu import CompilerOptions, Driver, build_together
from device_runners.edge_tpu.compiler import COMPILER_VARIABLE
from device_runners.edge_tpu.runner import build, check, run
from device_runners.runner import Artifacts, Int8Model

VERSION = "Edge TPU Compiler version 16.0.384591198"
REPORT = f"""{VERSION}
Started a compilation timeout timer of 180 seconds.

Model compiled successfully in 42 ms.

Input model: net.tflite
Input size: 742.00KiB
Output model: net_edgetpu.tflite
Output size: 1.06MiB
On-chip memory used for caching model parameters: 640.00KiB
On-chip memory remaining for caching model parameters: 6.50MiB
Off-chip memory used for streaming uncached model parameters: 0.00B
Number of Edge TPU subgraphs: 1
Total number of operations: 72
Operation log: net_edgetpu.log
"""
PARTLY = """
Number of operations that will run on Edge TPU: 64
Number of operations that will run on CPU: 8

Operator                       Count      Status

ARG_MAX                        1          Operation not supported
CONV_2D                        2          More than one subgraph is not supported
"""
PARTIAL = "deeplabv3_mnv2_dm05_pascal_quant"
WHOLE = "mobilenet_v1_0.25_128_quant"

Make = Callable[..., StandIn]


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes a compiler with one outcome, and names it as the compiler."""

    def make(output: str, *, compiled: Path | None = None, log: str = "", **more: Any) -> StandIn:
        outcome = Outcome(output, [compiled] if compiled else (), [log] if log else (), **more)
        compiler = make_compiler(tmp_path / "compiler", outcome)
        monkeypatch.setenv(COMPILER_VARIABLE, str(compiler.executable))
        return compiler

    return make


def build_pair(pairs: Path, name: str, out: Path, **driver: Any) -> Artifacts:
    path = pairs / f"{name}.tflite"
    return build(Int8Model("net", path.read_bytes(), read_graph(path)), out, Driver(**driver))


def test_all_operators_mapped(edge_tpu_pairs: Path, tmp_path: Path, stand_in: Make) -> None:
    compiled = edge_tpu_pairs / f"{WHOLE}_edgetpu.tflite"
    stand_in(REPORT.replace("operations: 72", "operations: 31"), compiled=compiled, log="the log")
    out = tmp_path / "edge_tpu"
    artifacts = build_pair(edge_tpu_pairs, WHOLE, out)
    assert artifacts.files == (
        "net_edgetpu.log",
        "net_edgetpu.tflite",
        "net_edgetpu_compiler.txt",
        "net_int8.tflite",
        "run_on_device.py",
    )
    assert sorted(file.name for file in out.iterdir()) == list(artifacts.files)
    assert (out / "net_edgetpu.tflite").read_bytes() == compiled.read_bytes()
    assert (out / "net_edgetpu.log").read_text() == "the log"
    source = edge_tpu_pairs / f"{WHOLE}.tflite"
    assert (out / "net_int8.tflite").read_bytes() == source.read_bytes()
    figures = artifacts.figures
    assert (figures["tpu_operations"], figures["cpu_operations"]) == (31, 0)
    assert figures["cpu_operators"] == []
    assert figures["compiler_version"] == "16.0.384591198"
    assert figures["compile_report"]["on_chip_used_bytes"] == 640 * 1024
    assert figures["compile_report"]["cpu_operations"] == 0


def test_counts_come_from_the_output_file(
    edge_tpu_pairs: Path, tmp_path: Path, stand_in: Make
) -> None:
    stand_in(REPORT + PARTLY, compiled=edge_tpu_pairs / f"{PARTIAL}_edgetpu.tflite")
    figures = build_pair(edge_tpu_pairs, PARTIAL, tmp_path / "edge_tpu").figures
    assert (figures["tpu_operations"], figures["cpu_operations"]) == (64, 8)
    assert {op["opcode"] for op in figures["cpu_operators"]} == {
        "RESIZE_BILINEAR",
        "CONV_2D",
        "QUANTIZE",
        "CONCATENATION",
        "ARG_MAX",
    }


def test_nothing_mapped_is_an_error_and_leaves_no_compiled_model(
    edge_tpu_pairs: Path, tmp_path: Path, stand_in: Make
) -> None:
    output = REPORT + PARTLY.replace("64", "0").replace("CPU: 8", "CPU: 31")
    stand_in(output, compiled=edge_tpu_pairs / f"{WHOLE}.tflite", log="the log")
    out = tmp_path / "edge_tpu"
    with pytest.raises(TidepoolError, match="nothing of net was mapped") as error:
        build_pair(edge_tpu_pairs, WHOLE, out)
    assert "1 ARG_MAX: Operation not supported" in error.value.message
    assert error.value.exit_code is ExitCode.ERROR
    names = sorted(file.name for file in out.iterdir())
    assert names == [
        "net_edgetpu.log",
        "net_edgetpu_compiler.txt",
        "net_int8.tflite",
        "run_on_device.py",
    ]


def test_old_runtime_that_leaves_an_int8_model_on_the_cpu_is_named(
    edge_tpu_pairs: Path, tmp_path: Path, stand_in: Make
) -> None:
    stand_in(REPORT, compiled=edge_tpu_pairs / f"{WHOLE}.tflite")
    options = CompilerOptions(min_runtime_version=11)
    with pytest.raises(TidepoolError, match="nothing of net was mapped") as error:
        build_pair(edge_tpu_pairs, WHOLE, tmp_path / "edge_tpu", options=options)
    assert "min_runtime_version = 11 leaves int8 models on the CPU" in error.value.hint
    assert "12 or newer" in error.value.hint


def test_table_comes_from_the_log_file_when_it_is_not_printed(
    edge_tpu_pairs: Path, tmp_path: Path, stand_in: Make
) -> None:
    log = f"{VERSION}\nInput: net.tflite\nOutput: net_edgetpu.tflite\n{PARTLY}"
    stand_in(REPORT, compiled=edge_tpu_pairs / f"{PARTIAL}_edgetpu.tflite", log=log)
    figures = build_pair(edge_tpu_pairs, PARTIAL, tmp_path / "edge_tpu").figures
    rows = figures["compile_report"]["operators"]
    assert [(row["opcode"], row["count"]) for row in rows] == [("ARG_MAX", 1), ("CONV_2D", 2)]


def test_options_are_checked_before_anything_is_written(
    edge_tpu_pairs: Path, tmp_path: Path, stand_in: Make
) -> None:
    compiler = stand_in(REPORT)
    options = CompilerOptions(intermediate_tensors=("nowhere",))
    with pytest.raises(TidepoolError, match="no tensor 'nowhere'"):
        build_pair(edge_tpu_pairs, WHOLE, tmp_path / "edge_tpu", options=options)
    assert compiler.calls == [] and not (tmp_path / "edge_tpu").exists()


def test_package_of_the_compiled_model_is_read(
    edge_tpu_pairs: Path, tmp_path: Path, stand_in: Make
) -> None:
    stand_in(REPORT, compiled=edge_tpu_pairs / f"{WHOLE}_edgetpu.tflite")
    (part,) = build_pair(edge_tpu_pairs, WHOLE, tmp_path / "edge_tpu").figures["parts"]
    assert (part["cached_bytes"], part["streamed_bytes"]) == (566_912, 0)
    assert part["min_runtime_version"] == 12
    assert len(part["parameter_caching_tokens"]) == 1


def test_failure_keeps_the_model_and_what_the_compiler_said(
    edge_tpu_pairs: Path, tmp_path: Path, stand_in: Make
) -> None:
    said = f"{VERSION}\nInvalid model: net.tflite\nModel not quantized\n"
    stand_in(said, code=1)
    out = tmp_path / "edge_tpu"
    with pytest.raises(TidepoolError, match="not fully quantized") as error:
        build_pair(edge_tpu_pairs, WHOLE, out)
    assert str(out / "net_int8.tflite") in error.value.message
    assert "full-integer" in error.value.hint
    assert (out / "net_edgetpu_compiler.txt").read_text() == said
    assert not (out / "net_edgetpu.tflite").exists()


def test_failure_that_ends_with_code_0_is_noticed(
    edge_tpu_pairs: Path, tmp_path: Path, stand_in: Make
) -> None:
    stand_in(f"{VERSION}\n\nInternal compiler error. Aborting! \n")
    with pytest.raises(TidepoolError, match="failed inside"):
        build_pair(edge_tpu_pairs, WHOLE, tmp_path / "edge_tpu", retries=0)


def test_unknown_failure_quotes_the_last_words(
    edge_tpu_pairs: Path, tmp_path: Path, stand_in: Make
) -> None:
    stand_in(f"{VERSION}\nNobody has seen this.\n", code=3)
    with pytest.raises(TidepoolError, match=r"ended with code 3.*'Nobody has seen this\.'"):
        build_pair(edge_tpu_pairs, WHOLE, tmp_path / "edge_tpu")


def test_success_without_a_compiled_model_is_an_error(
    edge_tpu_pairs: Path, tmp_path: Path, stand_in: Make
) -> None:
    stand_in(REPORT)
    with pytest.raises(TidepoolError, match=r"ended without net_edgetpu\.tflite"):
        build_pair(edge_tpu_pairs, WHOLE, tmp_path / "edge_tpu")


def test_crash_names_the_signal(edge_tpu_pairs: Path, tmp_path: Path, stand_in: Make) -> None:
    stand_in(f"{VERSION}\n", code=-signal.SIGSEGV)
    with pytest.raises(TidepoolError, match="killed by SIGSEGV"):
        build_pair(edge_tpu_pairs, WHOLE, tmp_path / "edge_tpu")


def test_hang_ends_at_the_time_limit_and_keeps_the_model(
    edge_tpu_pairs: Path, tmp_path: Path, stand_in: Make
) -> None:
    compiler = stand_in(f"{VERSION}\n", hang=60)
    with pytest.raises(TidepoolError, match="didn't finish within 1 seconds"):
        build_pair(edge_tpu_pairs, WHOLE, tmp_path / "edge_tpu", time_limit=1)
    assert not is_running(compiler.child)
    assert (tmp_path / "edge_tpu/net_int8.tflite").is_file()
    assert (tmp_path / "edge_tpu/net_edgetpu_compiler.txt").read_text() == f"{VERSION}\n"


def test_output_made_of_another_model_is_refused(
    edge_tpu_pairs: Path, tmp_path: Path, stand_in: Make
) -> None:
    stand_in(REPORT, compiled=edge_tpu_pairs / f"{PARTIAL}_edgetpu.tflite")
    with pytest.raises(TidepoolError, match="should be made of"):
        build_pair(edge_tpu_pairs, WHOLE, tmp_path / "edge_tpu")


def test_damaged_output_is_refused(edge_tpu_pairs: Path, tmp_path: Path, stand_in: Make) -> None:
    damaged = tmp_path / "damaged"
    damaged.write_bytes((edge_tpu_pairs / f"{WHOLE}_edgetpu.tflite").read_bytes()[:500])
    stand_in(REPORT, compiled=damaged)
    with pytest.raises(TidepoolError, match="corrupt"):
        build_pair(edge_tpu_pairs, WHOLE, tmp_path / "edge_tpu")


@pytest.fixture
def no_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.delenv(COMPILER_VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))


@pytest.mark.usefixtures("no_compiler")
def test_missing_compiler_has_an_exit_code_of_its_own_and_keeps_the_model(
    edge_tpu_pairs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "edge_tpu"
    with pytest.raises(TidepoolError, match="is not installed") as error:
        build_pair(edge_tpu_pairs, WHOLE, out)
    assert error.value.exit_code is ExitCode.COMPILER_MISSING
    assert "Coral's apt repository" in error.value.hint
    assert COMPILER_VARIABLE in error.value.hint
    source = edge_tpu_pairs / f"{WHOLE}.tflite"
    assert sorted(file.name for file in out.iterdir()) == ["net_int8.tflite", "run_on_device.py"]
    assert (out / "net_int8.tflite").read_bytes() == source.read_bytes()


def test_program_of_another_machine_is_an_error(
    edge_tpu_pairs: Path, tmp_path: Path, stand_in: Make
) -> None:
    stand_in("").executable.write_bytes(b"\x7fELF of an unknown kind")
    with pytest.raises(TidepoolError, match="can't be started"):
        build_pair(edge_tpu_pairs, WHOLE, tmp_path / "edge_tpu")
    assert (tmp_path / "edge_tpu/net_int8.tflite").is_file()


@pytest.mark.parametrize("name", [WHOLE, PARTIAL, "keras_lstm_mnist_ptq", "split_concat"])
def test_real_inputs_of_the_compiler_pass_the_check(edge_tpu_pairs: Path, name: str) -> None:
    assert check(read_graph(edge_tpu_pairs / f"{name}.tflite")).blocking == ()


def test_operators_on_other_types_are_announced_but_do_not_block(edge_tpu_pairs: Path) -> None:
    graph = read_graph(edge_tpu_pairs / "movenet_single_pose_lightning_ptq.tflite")
    findings = check(graph)
    assert findings.blocking == ()
    assert "DEQUANTIZE" in {item.opcode for item in findings.items}
    compiled = read_graph(edge_tpu_pairs / "movenet_single_pose_lightning_ptq_edgetpu.tflite")
    left = {t.name for op in compiled.operators for t in compiled.outputs_of(op)}
    # What is announced did stay on the CPU.
    assert {item.tensor for item in findings.items} <= left


def chain(type_: TensorType) -> Graph:
    b = GraphBuilder("chain")
    x = b.input((1, 4), 0.1, 0, type_)
    b.output(b.op("RELU", [x], None, shape=(1, 4), scale=0.1, zero_point=0, type=type_))
    return b.graph()


def test_float_model_is_refused_and_nothing_is_written(tmp_path: Path, stand_in: Make) -> None:
    stand_in(REPORT)
    with pytest.raises(TidepoolError, match=r"not fully quantized.*FLOAT32"):
        build(Int8Model("net", b"", chain(TensorType.FLOAT32)), tmp_path / "edge_tpu")
    assert not (tmp_path / "edge_tpu").exists()


def test_compiled_model_is_refused(edge_tpu_pairs: Path) -> None:
    graph = read_graph(edge_tpu_pairs / f"{WHOLE}_edgetpu.tflite")
    assert "compiled for the Edge TPU already" in check(graph).blocking[0].message


def test_several_subgraphs_are_refused() -> None:
    graph = dataclasses.replace(chain(TensorType.INT8), subgraphs=2)
    (finding,) = check(graph).blocking
    assert "2 subgraphs" in finding.message


def test_computed_shape_is_refused_and_a_constant_one_is_not() -> None:
    b = GraphBuilder("reshape")
    x = b.input((1, 4), 0.1, 0)
    shape = b.tensor((2,), TensorType.INT32)
    constant = b.constant(np.array([2, 2], np.int32))
    y = b.tensor((2, 2), scales=[0.1])
    options = OtherOptions("ShapeOptions", (("outType", 2),))
    shape_op = Operator(0, "SHAPE", 1, options, (x,), (shape,))
    dynamic = Operator(1, "RESHAPE", 1, None, (x, shape), (y,))
    static = Operator(0, "RESHAPE", 1, None, (x, constant), (y,))
    base = dataclasses.replace(b.graph(), outputs=(y,))
    (finding,) = check(dataclasses.replace(base, operators=(shape_op, dynamic))).blocking
    assert "the shape that RESHAPE (operator 1) gives is computed" in finding.message
    given = dataclasses.replace(base, operators=(dataclasses.replace(dynamic, index=0),))
    (finding,) = check(given).blocking
    assert "RESHAPE (operator 0) gives is computed" in finding.message
    assert check(dataclasses.replace(base, operators=(static,))).items == ()


def test_running_needs_a_compiled_model(tmp_path: Path) -> None:
    with pytest.raises(TidepoolError, match="no compiled models, not one"):
        run(Artifacts(tmp_path, ()), [])


@pytest.fixture
def real_compiler() -> None:
    if not os.environ.get(COMPILER_VARIABLE) and shutil.which("edgetpu_compiler") is None:
        pytest.skip("the Edge TPU compiler is not installed (Coral's apt repository, x86-64)")


@pytest.mark.usefixtures("real_compiler")
def test_the_real_compiler(edge_tpu_pairs: Path, tmp_path: Path) -> None:
    figures = build_pair(edge_tpu_pairs, WHOLE, tmp_path / "edge_tpu").figures
    assert (figures["tpu_operations"], figures["cpu_operations"]) == (31, 0)
    assert figures["compile_report"]["tpu_operations"] == 31


@pytest.mark.usefixtures("real_compiler")
def test_the_real_compiler_cuts_a_model_into_segments(edge_tpu_pairs: Path, tmp_path: Path) -> None:
    options = CompilerOptions(num_segments=2)
    figures = build_pair(edge_tpu_pairs, WHOLE, tmp_path / "edge_tpu", options=options).figures
    assert figures["tpu_operations"] == 31 and len(figures["parts"]) == 2


@pytest.mark.usefixtures("real_compiler")
def test_the_real_compiler_compiles_models_together(edge_tpu_pairs: Path, tmp_path: Path) -> None:
    paths = [edge_tpu_pairs / f"{name}.tflite" for name in (WHOLE, "mobilenet_v2_1.0_224_quant")]
    models = [
        Int8Model(name, path.read_bytes(), read_graph(path))
        for name, path in zip(("v1", "v2"), paths, strict=True)
    ]
    figures = build_together(models, tmp_path / "edge_tpu", Driver()).figures
    assert figures["parameter_caching_token"] and figures["not_cached"] == []
