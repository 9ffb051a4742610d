from __future__ import annotations

from dataclasses import replace

import numpy as np
from support.rewriting import assert_equal

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Graph, TensorType
from converters.tflite.options import AddOptions, ArgMaxOptions, Conv2DOptions
from device_runners.edge_tpu.preflight import preflight
from device_runners.edge_tpu.rewrites import Part, Source, rewrite
from device_runners.edge_tpu.rewrites.cut_tail import cut
from device_runners.edge_tpu.rewrites.effect import WholeModel
from device_runners.edge_tpu.rewrites.reference import oracle

FLOAT = TensorType.FLOAT32
SHAPE = (1, 4, 4, 8)


class Model:
    """Convolutions, and what the test puts behind them."""

    def __init__(self) -> None:
        self.b = GraphBuilder("model")
        self.input = self.b.input(SHAPE, 0.05, 3)
        self.rng = np.random.default_rng(0)

    def conv(self, source: int) -> int:
        taps = self.rng.integers(-127, 128, (8, 1, 1, 8)).astype(np.int8)
        weights = self.b.constant(taps, scales=[0.01])
        bias = self.b.constant(np.zeros(8, np.int32), scales=[0.0005])
        return self._op("CONV_2D", [source, weights, bias], Conv2DOptions(), version=3)

    def unary(self, opcode: str, source: int, type: TensorType = TensorType.INT8) -> int:
        version = 2 if opcode in ("RELU", "DEQUANTIZE", "EXP") else 1
        return self._op(opcode, [source], None, version=version, type=type)

    def add(self, one: int, other: int) -> int:
        return self._op("ADD", [one, other], AddOptions(), version=2)

    def arg_max(self, source: int) -> int:
        axis = self.b.constant(np.array(-1, np.int32))
        return self.b.op(
            "ARG_MAX",
            [source, axis],
            ArgMaxOptions(),
            shape=SHAPE[:-1],
            scale=1,
            zero_point=0,
            type=TensorType.INT32,
            version=2,
        )

    def _op(self, opcode: str, inputs: list[int], options: object, **settings: object) -> int:
        return self.b.op(
            opcode,
            inputs,
            options,  # type: ignore[arg-type]
            shape=SHAPE,
            scale=0.1,
            zero_point=-5,
            **settings,  # type: ignore[arg-type]
        )

    def graph(self, *outputs: int) -> Graph:
        for output in outputs:
            self.b.output(output)
        graph = self.b.graph()
        plain = (FLOAT, TensorType.INT32)
        tensors = (
            replace(t, quantization=None) if t.type in plain and not t.is_constant else t
            for t in graph.tensors
        )
        return replace(graph, tensors=tuple(tensors))


def samples(graph: Graph, count: int = 4) -> list[list[np.ndarray]]:
    rng = np.random.default_rng(1)
    shapes = [tensor.shape for tensor in graph.input_tensors]
    return [[rng.integers(-128, 128, s).astype(np.int8) for s in shapes] for _ in range(count)]


def assert_head_then_tail_is_the_whole(graph: Graph) -> None:
    whole, parts = oracle(graph), WholeModel(rewrite(graph))
    for sample in samples(graph):
        assert_equal(whole.run(sample), parts.run(sample))


def test_an_arg_max_is_left_to_the_host() -> None:
    m = Model()
    graph = m.graph(m.arg_max(m.conv(m.input)))
    found = cut(graph)
    assert found is not None
    assert [op.opcode for op in found.head.operators] == ["CONV_2D"]
    assert [op.opcode for op in found.tail.operators] == ["ARG_MAX"]
    assert found.tail_inputs == (Source(Part.HEAD, 0),)
    assert found.outputs == (Source(Part.TAIL, 0),)
    (given,), (taken,) = found.head.output_tensors, found.tail.input_tensors
    assert (given.name, given.quantization, given.shape) == (
        taken.name,
        taken.quantization,
        taken.shape,
    )
    assert preflight(found.head).mapped_ops == 1
    assert_head_then_tail_is_the_whole(graph)


def test_outputs_of_the_head_stay_in_the_head_and_keep_their_order() -> None:
    m = Model()
    first = m.conv(m.input)
    second = m.conv(first)
    graph = m.graph(m.arg_max(first), second, m.arg_max(second))
    found = cut(graph)
    assert found is not None
    assert found.outputs == (Source(Part.TAIL, 0), Source(Part.HEAD, 0), Source(Part.TAIL, 1))
    assert found.tail_inputs == (Source(Part.HEAD, 1), Source(Part.HEAD, 0))
    assert_head_then_tail_is_the_whole(graph)


def test_a_tail_that_reads_the_models_input_takes_it_too() -> None:
    m = Model()
    scores = m.unary("DEQUANTIZE", m.conv(m.input), FLOAT)
    inputs = m.unary("DEQUANTIZE", m.input, FLOAT)
    both = m._op("ADD", [scores, inputs], AddOptions(), version=1, type=FLOAT)
    graph = m.graph(both)
    found = cut(graph)
    assert found is not None
    assert set(found.tail_inputs) == {Source(Part.HEAD, 0), Source(Part.INPUT, 0)}
    assert_head_then_tail_is_the_whole(graph)


def test_what_stands_behind_the_obstacle_goes_with_it() -> None:
    m = Model()
    first = m.conv(m.input)
    graph = m.graph(m.unary("RELU", m.unary("ABS", first)), m.unary("RELU", first))
    found = cut(graph)
    assert found is not None
    assert [op.opcode for op in found.tail.operators] == ["ABS", "RELU"]
    assert [op.opcode for op in found.head.operators] == ["CONV_2D", "RELU"]


def test_an_op_that_the_compiler_refuses_the_file_for() -> None:
    m = Model()
    trunk = m.conv(m.conv(m.conv(m.input)))
    graph = m.graph(m.unary("RELU", m.unary("EXP", trunk)))
    assert preflight(graph).refused
    found = cut(graph)
    assert found is not None
    head = preflight(found.head)
    assert not head.refused
    assert head.mapped_ops == head.total_ops == 3


def test_a_model_with_most_work_behind_the_obstacle_is_not_cut() -> None:
    m = Model()
    graph = m.graph(m.conv(m.conv(m.unary("EXP", m.conv(m.input)))))
    assert preflight(graph).refused
    assert cut(graph) is None


def test_work_behind_an_obstacle_that_compiles_is_not_cut_off() -> None:
    """The compiler leaves it on the CPU: two files would be no better than one."""
    m = Model()
    graph = m.graph(m.conv(m.unary("ABS", m.conv(m.conv(m.input)))))
    assert not preflight(graph).refused
    assert cut(graph) is None


def test_what_runs_before_the_edge_tpu_stays_in_the_head() -> None:
    m = Model()
    start = m.unary("ABS", m.input)
    graph = m.graph(m.arg_max(m.conv(start)))
    found = cut(graph)
    assert found is not None
    assert [op.opcode for op in found.head.operators] == ["ABS", "CONV_2D"]


def test_a_model_that_maps_is_not_cut() -> None:
    m = Model()
    assert cut(m.graph(m.add(m.conv(m.input), m.conv(m.input)))) is None


def test_a_model_without_a_head_is_not_cut() -> None:
    m = Model()
    assert cut(m.graph(m.arg_max(m.unary("ABS", m.input)))) is None


def test_the_same_tensor_as_two_outputs() -> None:
    m = Model()
    first = m.conv(m.input)
    graph = m.graph(first, m.arg_max(first), first)
    found = cut(graph)
    assert found is not None
    assert found.outputs == (Source(Part.HEAD, 0), Source(Part.TAIL, 0), Source(Part.HEAD, 0))
    assert len(found.head.outputs) == 1
