"""Operators counted in the compiler's real output files."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import pytest

from converters.errors import TidepoolError
from converters.tflite.reader import read_graph
from device_runners.edge_tpu.mapping import CUSTOM_OP, read_mapping

# name: operators of the input, and how many of each stay on the CPU.
PAIRS: dict[str, tuple[int, dict[str, int]]] = {
    "deeplab_mobilenet_edgetpu_slim_cityscapes_quant": (84, {"RESIZE_BILINEAR": 1, "ARG_MAX": 1}),
    "deeplabv3_mnv2_dm05_pascal_quant": (
        72,
        {"RESIZE_BILINEAR": 3, "CONV_2D": 2, "QUANTIZE": 1, "CONCATENATION": 1, "ARG_MAX": 1},
    ),
    "keras_lstm_mnist_ptq": (6, {}),
    "mobilenet_v1_0.25_128_quant": (31, {}),
    "mobilenet_v2_1.0_224_quant": (66, {}),
    "posenet_mobilenet_v1_075_353_481_quant_decoder": (38, {"CUSTOM": 1}),
    "split_concat": (3, {}),
}


@pytest.mark.parametrize("name", PAIRS)
def test_operators_of_a_real_pair(edge_tpu_pairs: Path, name: str) -> None:
    graph = read_graph(edge_tpu_pairs / f"{name}.tflite")
    mapping = read_mapping(graph, read_graph(edge_tpu_pairs / f"{name}_edgetpu.tflite"))
    total, on_cpu = PAIRS[name]
    assert len(mapping.tpu) + len(mapping.cpu) == len(graph.operators) == total
    assert set(mapping.tpu).isdisjoint(mapping.cpu)
    assert Counter(graph.operators[i].opcode for i in mapping.cpu) == on_cpu
    assert mapping.subgraphs == 1


def test_real_pair_with_a_long_tail_on_the_cpu(edge_tpu_pairs: Path) -> None:
    name = "movenet_single_pose_lightning_ptq"
    graph = read_graph(edge_tpu_pairs / f"{name}.tflite")
    compiled = read_graph(edge_tpu_pairs / f"{name}_edgetpu.tflite")
    mapping = read_mapping(graph, compiled)
    assert (len(mapping.tpu), len(mapping.cpu)) == (98, 59)
    left = Counter(op.opcode for op in compiled.operators if op.custom_code != CUSTOM_OP)
    assert Counter(graph.operators[i].opcode for i in mapping.cpu) == left
    # No convolution is left behind, and nothing float or int32 went along.
    assert "CONV_2D" not in left
    assert left["DEQUANTIZE"] == 4


def test_a_model_compared_with_itself_is_all_on_the_cpu(edge_tpu_pairs: Path) -> None:
    graph = read_graph(edge_tpu_pairs / "split_concat.tflite")
    mapping = read_mapping(graph, graph)
    assert (mapping.tpu, len(mapping.cpu), mapping.subgraphs) == ((), 3, 0)


def test_operators_with_the_same_names_are_counted_one_by_one(edge_tpu_pairs: Path) -> None:
    graph = read_graph(edge_tpu_pairs / "mobilenet_v1_0.25_128_quant.tflite")
    same = dataclasses.replace(
        graph, tensors=tuple(dataclasses.replace(t, name="x") for t in graph.tensors)
    )
    mapping = read_mapping(same, dataclasses.replace(same, operators=same.operators[:5]))
    assert (len(mapping.tpu), len(mapping.cpu)) == (26, 5)


def test_output_of_another_model_is_refused(edge_tpu_pairs: Path) -> None:
    graph = read_graph(edge_tpu_pairs / "mobilenet_v1_0.25_128_quant.tflite")
    other = read_graph(edge_tpu_pairs / "deeplabv3_mnv2_dm05_pascal_quant_edgetpu.tflite")
    with pytest.raises(TidepoolError, match="not in the model that it should be made of"):
        read_mapping(graph, other)
