"""A model in segments: its files, their chain, and figures over all of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from support.edge_tpu_compiled import compiled, relu_chain
from support.edgetpu_outputs import (
    BODY_16,
    END_16,
    FAILED_16,
    SEARCH_16,
    SEGMENTS_16,
    START_16,
)
from support.edgetpu_stand_in import Outcome, make_compiler

from converters.errors import TidepoolError
from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Graph
from converters.tflite.options import AddOptions
from converters.tflite.reader import read_graph
from device_runners.edge_tpu import CompilerOptions, Driver, build
from device_runners.edge_tpu.compiler import COMPILER_VARIABLE
from device_runners.edge_tpu.segments import check_chain, segment_names
from device_runners.runner import Artifacts, Int8Model

GRAPH = relu_chain("net")
NET = Int8Model("net", b"the model", GRAPH)


def build_segments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, segments: list[bytes], *outputs: str
) -> Artifacts:
    """Builds with a compiler that fails with all outputs but the last, and then succeeds."""
    files = [tmp_path / f"{number}.compiled" for number in range(len(segments))]
    for file, content in zip(files, segments, strict=True):
        file.write_bytes(content)
    *failing, succeeding = outputs
    outcomes = [Outcome(output, code=1) for output in failing]
    outcomes.append(Outcome(succeeding, files, ["log 0", "log 1"]))
    stand_in = make_compiler(tmp_path / "compiler", *outcomes)
    monkeypatch.setenv(COMPILER_VARIABLE, str(stand_in.executable))
    options = CompilerOptions(num_segments=len(segments))
    return build(NET, tmp_path / "out", Driver(options))


def test_every_segment_is_kept_with_its_log_and_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segments = [compiled(GRAPH, [0, 1]), compiled(GRAPH, [2, 3], on_cpu=[3])]
    artifacts = build_segments(tmp_path, monkeypatch, segments, SEGMENTS_16)
    assert artifacts.files == (
        "net_edgetpu_compiler.txt",
        "net_int8.tflite",
        "net_segment_0_of_2_edgetpu.log",
        "net_segment_0_of_2_edgetpu.tflite",
        "net_segment_1_of_2_edgetpu.log",
        "net_segment_1_of_2_edgetpu.tflite",
        "run_on_device.py",
    )
    for number, content in enumerate(segments):
        file = tmp_path / "out" / f"net_segment_{number}_of_2_edgetpu.tflite"
        assert file.read_bytes() == content
    figures = artifacts.figures
    assert (figures["tpu_operations"], figures["cpu_operations"]) == (3, 1)
    assert figures["subgraphs"] == 2
    assert figures["cpu_operators"] == [{"operator": 3, "opcode": "RELU", "output": "net/t4"}]
    first, second = figures["parts"]
    assert first["file"] == "net_segment_0_of_2_edgetpu.tflite"
    assert first["cached_bytes"] == second["cached_bytes"] == 640
    assert first["compile_report"]["duration_ms"] == 2270
    assert second["compile_report"]["duration_ms"] == 1500
    assert figures["compile_report"]["duration_ms"] == 3770
    found = [search["intermediate_tensors"] for search in figures["delegate_searches"]]
    assert found == [(), ("tfl.dequantize", "Reshape", "Reshape_8")]


def test_large_activations_of_one_segment_start_a_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segments = [compiled(GRAPH, [0, 1]), compiled(GRAPH, [2, 3])]
    artifacts = build_segments(tmp_path, monkeypatch, segments, FAILED_16, SEGMENTS_16)
    assert [len(each["failure"]) > 0 for each in artifacts.figures["attempts"]] == [True, False]
    assert "--search_delegate" in artifacts.figures["attempts"][1]["arguments"]


def test_segments_that_do_not_chain_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segments = [compiled(GRAPH, [0, 1]), compiled(GRAPH, [3])]
    with pytest.raises(TidepoolError, match=r"segment 1 takes 'net/t3', which neither"):
        build_segments(tmp_path, monkeypatch, segments, SEGMENTS_16)
    assert not (tmp_path / "out" / "net_segment_0_of_2_edgetpu.tflite").exists()
    assert (tmp_path / "out" / "net_int8.tflite").exists()


def test_names_are_the_compilers() -> None:
    assert segment_names("net", 3)[2] == "net_segment_2_of_3"
    assert segment_names("net", 1) == ("net",)


def segments_of(graph: Graph, *ranges: list[int]) -> list[Graph]:
    return [read_graph(compiled(graph, operators)) for operators in ranges]


def branches() -> Graph:
    """Two ReLUs of one input, and their sum: the first one's output skips a segment."""
    b = GraphBuilder("branches")
    x = b.input((1, 8), 0.5, 0)
    ends = [b.op("RELU", [x], None, shape=(1, 8), scale=0.5, zero_point=0) for _ in range(2)]
    y = b.op("ADD", ends, AddOptions(), shape=(1, 8), scale=1.0, zero_point=0)
    b.output(y)
    return b.graph()


def test_a_tensor_may_skip_segments() -> None:
    graph = branches()
    check_chain(graph, segments_of(graph, [0], [1], [2]))


def test_segments_in_the_wrong_order_do_not_chain() -> None:
    graph = branches()
    with pytest.raises(TidepoolError, match="segment 0 takes 'tensor_1'"):
        check_chain(graph, segments_of(graph, [2], [0], [1]))


def test_an_output_that_goes_nowhere() -> None:
    graph = branches()
    first, second, third = segments_of(graph, [0], [1], [2])
    deaf = dataclasses.replace(third, inputs=third.inputs[1:])
    with pytest.raises(TidepoolError, match="segment 0 gives 'tensor_1', which no later"):
        check_chain(graph, [first, second, deaf])


def test_an_output_of_the_model_that_nothing_gives() -> None:
    graph = branches()
    with pytest.raises(TidepoolError, match="no segment gives the model's output 'tensor_3'"):
        check_chain(graph, segments_of(graph, [0], [1]))


def test_a_tensor_that_changes_its_scale_between_segments() -> None:
    first, second = segments_of(GRAPH, [0, 1], [2, 3])
    tensors = tuple(
        dataclasses.replace(t, quantization=dataclasses.replace(t.quantization, scales=(0.25,)))
        if t.name == "net/t2" and t.quantization
        else t
        for t in second.tensors
    )
    with pytest.raises(TidepoolError, match=r"takes 'net/t2' as .*scale 0.25, but it comes as"):
        check_chain(GRAPH, [first, dataclasses.replace(second, tensors=tensors)])


def test_a_real_model_cut_in_two(edge_tpu_pairs: Path) -> None:
    graph = read_graph(edge_tpu_pairs / "mobilenet_v2_1.0_224_quant.tflite")
    # The cut is inside a residual block: two tensors cross it.
    check_chain(graph, segments_of(graph, list(range(14)), list(range(14, len(graph.operators)))))


def test_search_output_of_a_whole_model_is_not_taken_for_segments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = SEARCH_16 + START_16 + BODY_16 + END_16
    artifacts = build_segments(tmp_path, monkeypatch, [compiled(GRAPH)], output)
    (part,) = artifacts.figures["parts"]
    assert part["file"] == "net_edgetpu.tflite"
