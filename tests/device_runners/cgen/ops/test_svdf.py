"""SVDF: features of the past in a state, exact from step to step, sums that wrap included."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.recurrent_layers import svdf_graph
from support.sequences import assert_samples_and_a_sequence_equal_reference

from converters.tflite.graph import Activation, Graph, Quantization, TensorType
from converters.tflite.options import SVDFOptions
from device_runners.cgen import check


def _with_tensor(graph: Graph, position: int, **changes: Any) -> Graph:
    index = graph.operators[0].inputs[position]
    tensors = [replace(t, **changes) if t.index == index else t for t in graph.tensors]
    return replace(graph, tensors=tuple(tensors))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_random_layers_equal_the_reference(seed: int, compiler: str, tmp_path: Path) -> None:
    graph = svdf_graph(seed, layers=2)
    assert_samples_and_a_sequence_equal_reference(graph, seed, tmp_path, compiler=compiler)


@pytest.mark.slow
def test_many_random_layers_equal_the_reference(tmp_path: Path) -> None:
    for seed in range(100, 160):
        graph = svdf_graph(seed, layers=2)
        folder = tmp_path / str(seed)
        assert_samples_and_a_sequence_equal_reference(graph, seed, folder, steps=12)


def test_sums_beyond_32_bits_wrap_as_the_references_do(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    graph = svdf_graph(8)
    op = graph.operators[0]
    # Features that saturate the state, weights of full range, a result that tells of every bit.
    scale = 1e-6
    time = graph.tensor(op.inputs[2])
    weights = rng.choice([-32768, 32767], time.shape).astype(np.int16)
    graph = _with_tensor(graph, 4, quantization=Quantization((scale,), (0,)))
    graph = _with_tensor(graph, 2, data=weights)
    output = graph.tensor(op.outputs[0])
    coarse = Quantization((scale * time.scale * 2**24,), (0,))
    tensors = [replace(t, quantization=coarse) if t is output else t for t in graph.tensors]
    graph = replace(graph, tensors=tuple(tensors))
    assert np.abs(weights.astype(np.int64)).sum(1).max() * 2**15 > 2**31
    assert_samples_and_a_sequence_equal_reference(graph, 1, tmp_path, steps=20)


# ---- Refusals ---------------------------------------------------------------------------------


def _refusals(graph: Graph) -> str:
    return "\n".join(finding.message for finding in check(graph).blocking)


def test_another_activation_than_relu_is_refused_as_by_the_reference() -> None:
    graph = svdf_graph(0)
    op = graph.operators[0]
    assert isinstance(op.options, SVDFOptions)
    options = replace(op.options, fused_activation_function=Activation.NONE)
    operators = (replace(op, options=options), *graph.operators[1:])
    assert "activation NONE; the reference needs RELU" in _refusals(
        replace(graph, operators=operators)
    )


def test_int8_time_weights_are_refused() -> None:
    graph = svdf_graph(0)
    shape = graph.tensor(graph.operators[0].inputs[2]).shape
    changed = _with_tensor(graph, 2, type=TensorType.INT8, data=np.zeros(shape, np.int8))
    assert "time weights of type INT8" in _refusals(changed)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"is_variable": False}, "which is no variable of the graph"),
        ({"type": TensorType.INT8}, "a state of type INT8"),
        ({"shape": (3, 5, 7)}, "a state of 105 elements"),
        ({"quantization": None}, "a state without a scale of its own"),
        ({"quantization": Quantization((0.1,), (3,))}, "a state with the zero point 3"),
        ({"quantization": Quantization((1e6,), (0,))}, "the factor of its sums"),
    ],
)
def test_a_state_that_is_none_is_refused(changes: dict[str, Any], message: str) -> None:
    assert message in _refusals(_with_tensor(svdf_graph(0), 4, **changes))


def test_a_state_that_another_operator_reads_is_refused() -> None:
    graph = svdf_graph(0, layers=2)
    first, table, second, *others = graph.operators
    shared = replace(second, inputs=(*second.inputs[:4], first.inputs[4]))
    changed = replace(graph, operators=(first, table, shared, *others))
    assert "shares its state" in _refusals(changed)


def test_a_rank_that_does_not_divide_the_filters_is_refused() -> None:
    graph = svdf_graph(0)
    op = graph.operators[0]
    assert isinstance(op.options, SVDFOptions)
    operators = (replace(op, options=replace(op.options, rank=1000)), *graph.operators[1:])
    assert "no multiple of its rank 1000" in _refusals(replace(graph, operators=operators))
