"""UNIDIRECTIONAL_SEQUENCE_LSTM: exact over steps, batches and sequences of inferences."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.recurrent_layers import lstm, lstm_graph
from support.sequences import assert_samples_and_a_sequence_equal_reference

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Activation, Graph, Quantization, TensorType
from converters.tflite.options import UnidirectionalSequenceLSTMOptions
from device_runners.cgen import check

_HIDDEN, _CELL = 18, 19


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_random_layers_equal_the_reference(seed: int, compiler: str, tmp_path: Path) -> None:
    graph = lstm_graph(seed)
    assert_samples_and_a_sequence_equal_reference(graph, seed, tmp_path, compiler=compiler)


@pytest.mark.slow
def test_many_random_layers_equal_the_reference(tmp_path: Path) -> None:
    for seed in range(100, 160):
        graph = lstm_graph(seed)
        assert_samples_and_a_sequence_equal_reference(graph, seed, tmp_path / str(seed))


def _layer(**changes: Any) -> Graph:
    rng = np.random.default_rng(7)
    b = GraphBuilder("layer")
    x = b.input((1, 6, 5), 0.03, -4)
    b.output(lstm(b, rng, x, **{"time_major": False, "units": 4, **changes}))
    return b.graph()


def _changed(graph: Graph, position: int, **changes: Any) -> Graph:
    index = graph.operators[0].inputs[position]
    tensors = [replace(t, **changes) if t.index == index else t for t in graph.tensors]
    return replace(graph, tensors=tuple(tensors))


@pytest.mark.parametrize("exponent", range(-15, -8))
@pytest.mark.parametrize("coupled", [False, True])
def test_every_scale_of_the_cell_equals_the_reference(
    exponent: int, coupled: bool, tmp_path: Path
) -> None:
    # Weights that drive the gates from end to end, a forget gate that lets the cell grow.
    graph = _layer(coupled=coupled)
    for position in range(1 + coupled, 5):
        scale = Quantization((0.05,), (0,))
        graph = _changed(graph, position, quantization=scale)
    graph = _changed(graph, 13, data=np.array([20000, 5000, -3000, 0], np.int32))
    graph = _changed(graph, _CELL, quantization=Quantization((2.0**exponent,), (0,)))
    assert_samples_and_a_sequence_equal_reference(graph, exponent + 15, tmp_path, steps=10)


# ---- Refusals ---------------------------------------------------------------------------------


def _refusals(graph: Graph) -> str:
    return "\n".join(finding.message for finding in check(graph).blocking)


def _with_operator(graph: Graph, **changes: Any) -> Graph:
    return replace(graph, operators=(replace(graph.operators[0], **changes),))


@pytest.mark.parametrize(
    ("position", "message"),
    [
        (9, "has peepholes, which is not supported"),
        (11, "has peepholes, which is not supported"),
        (16, "has a projection, which is not supported"),
        (17, "has a projection, which is not supported"),
        (20, "has layer normalization, which is not supported"),
        (23, "has layer normalization, which is not supported"),
    ],
)
def test_what_the_layer_may_have_beyond_gates_is_refused_by_name(
    position: int, message: str
) -> None:
    graph = _layer()
    inputs = list(graph.operators[0].inputs)
    inputs[position] = inputs[12]
    assert message in _refusals(_with_operator(graph, inputs=tuple(inputs)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fused_activation_function": Activation.NONE}, "has the activation NONE"),
        ({"diagonal_recurrent_tensors": True}, "has diagonal recurrent weights"),
        ({"cell_clip": -1.0}, "clips its cell at -1.0"),
    ],
)
def test_options_that_the_reference_does_not_compute_are_refused(
    changes: dict[str, Any], message: str
) -> None:
    graph = _layer()
    options = graph.operators[0].options
    assert isinstance(options, UnidirectionalSequenceLSTMOptions)
    changed = _with_operator(graph, options=replace(options, **changes))
    assert message in _refusals(changed)


@pytest.mark.parametrize(
    ("position", "changes", "message"),
    [
        (2, {"type": TensorType.INT16}, "forget input weights of type INT16"),
        (6, {"quantization": Quantization((0.1,), (1,))}, "with a zero point other than 0"),
        (7, {"shape": (4, 3)}, "cell gate weights of shape [4, 3]"),
        (14, {"type": TensorType.INT64}, "cell bias of type INT64"),
        (15, {"shape": (2,)}, "has 2 output bias values"),
        (_HIDDEN, {"is_variable": False}, "which is no variable of the graph"),
        (_HIDDEN, {"type": TensorType.INT16}, "has a state of type INT16"),
        (_CELL, {"shape": (2, 4)}, "a state of 8 elements"),
        (_CELL, {"quantization": Quantization((0.001,), (0,))}, "has the cell scale 0.001"),
        (_CELL, {"quantization": Quantization((2.0**-8,), (0,))}, "powers of two up to 2^-9"),
        (_HIDDEN, {"quantization": Quantization((1e6,), (0,))}, "can overflow"),
    ],
)
def test_operands_of_another_kind_are_refused(
    position: int, changes: dict[str, Any], message: str
) -> None:
    assert message in _refusals(_changed(_layer(), position, **changes))


def test_an_input_of_two_dimensions_is_refused() -> None:
    assert "3 dimensions are supported" in _refusals(_changed(_layer(), 0, shape=(6, 5)))


def test_a_layer_without_the_scale_of_what_is_hidden_is_refused() -> None:
    graph = _layer()
    inside = graph.operators[0].intermediates
    assert "has 4 intermediate tensors" in _refusals(
        _with_operator(graph, intermediates=inside[:4])
    )
    swapped = (*inside[1:], inside[0])
    assert "no scale for what is hidden" in _refusals(_with_operator(graph, intermediates=swapped))
