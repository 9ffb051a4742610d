"""The rules of overlap: against a literal replay of the kernels, and against execution."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.dsp_layers import depthwise_layer
from support.graphs import (
    IMAGE_OPS,
    OPS,
    make_random_graph,
    random_inputs,
    single_op_graph,
)
from support.host_equality import assert_every_tensor_equals_reference
from support.kernel_replay import Step, is_destructive, pixel_by_pixel, replay

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Activation, Graph, Padding, TensorType
from converters.tflite.options import DepthwiseConv2DOptions
from device_runners.cgen import runner
from device_runners.cgen.access import Geometry, Window, accesses
from device_runners.cgen.isa import Isa
from device_runners.cgen.kernel_orders import (
    IN_PLACE,
    ORDERS,
    SPLITTABLE,
    access_pattern,
    in_place_inputs,
)
from device_runners.cgen.memory import Memory, plan_memory
from device_runners.cgen.operation import Emission, OpContext
from device_runners.cgen.overlap import Overlap, overlaps
from device_runners.cgen.program import Program
from device_runners.cgen.registry import operations
from device_runners.cgen.splitting import bottom_rows_first

_ALL_OPS = (*IMAGE_OPS, *OPS)


def _emission(graph: Graph, isa: Isa = Isa.SCALAR) -> Emission:
    (operator,) = graph.operators
    return operations()[operator.opcode].emit(OpContext(graph, operator, isa))


def _of_kernel(kernel: str, graph: Graph, isa: Isa) -> Emission:
    """The emission with a kernel, whether it is the one to take or not."""
    emission = _emission(graph, isa)
    (found,) = (one for one in (emission, *emission.alternatives) if one.kernel == kernel)
    return found


def _steps(emission: Emission, tensor: int, output: int) -> list[Step]:
    """All calls, with the places of one input (as operand 0) and of one output; others drop out."""
    steps: list[Step] = []
    for call in emission.calls:
        for kind, operand, place in replay(call):
            if kind == "r" and call.inputs[operand] == tensor:
                steps.append(("r", 0, place + call.input_offset))
            elif kind == "w" and call.output == output:
                steps.append(("w", 0, place + call.output_offset))
    return steps


def _assert_exact(steps: list[Step], rule: Overlap, distances: range) -> None:
    for delta in distances:
        if rule.allows(delta):
            assert not is_destructive(steps, 0, delta), delta
    # One step further in would be wrong.
    assert rule.below == 0 or is_destructive(steps, 0, rule.below + 1)
    assert rule.above == 0 or is_destructive(steps, 0, rule.above - 1)


def _distances(rule: Overlap) -> range:
    """Around both ends, where a rule that is off by a little shows, and some between."""
    return range(rule.below - 3, rule.above + 4, 1 if rule.above - rule.below < 60 else 7)


def _small_single_op(op: object, seed: int) -> Graph:
    for attempt in itertools.count():
        graph = single_op_graph(np.random.default_rng([seed, attempt]), op)
        tensors = [*graph.input_tensors, *graph.output_tensors]
        if max(tensor.elements for tensor in tensors) <= 200:
            return graph
    raise AssertionError


_IN_BLOCKS = ("conv_2d", "depthwise_conv_2d")
_ONE_BY_ONE = [op for op in _ALL_OPS if op.__name__ not in _IN_BLOCKS]


@pytest.mark.parametrize("op", _ONE_BY_ONE, ids=lambda op: op.__name__)
def test_rules_are_exact(op: object) -> None:
    for seed in range(6):
        graph = _small_single_op(op, seed)
        emission = _emission(graph)
        for (tensor, output), rule in overlaps(graph, emission).items():
            steps = _steps(emission, tensor, output)
            for delta in (rule.below, rule.above):
                assert not is_destructive(steps, 0, delta)
            _assert_exact(steps, rule, _distances(rule))


@pytest.mark.parametrize("isa", list(Isa))
@pytest.mark.parametrize("op", IMAGE_OPS, ids=lambda op: op.__name__)
def test_rules_of_kernels_in_blocks_are_safe(op: object, isa: Isa) -> None:
    """A block is described by its size only, so that rules may ask for more."""
    for seed in range(20):
        graph = _small_single_op(op, seed)
        emission = _emission(graph, isa)
        for (tensor, output), rule in overlaps(graph, emission).items():
            steps = _steps(emission, tensor, output)
            for delta in _distances(rule):
                assert not (rule.allows(delta) and is_destructive(steps, 0, delta))


def _depthwise_3x3(height: int, width: int, channels: int, stride: int, padding: Padding) -> Graph:
    b = GraphBuilder("depthwise")
    rng = np.random.default_rng(height * width * channels)
    x = b.input((2, height, width, channels), 0.1, -5)
    taps = rng.integers(-127, 128, (1, 3, 3, channels)).astype(np.int8)
    w = b.constant(taps, scales=[0.01] * channels, axis=3)
    bias = b.constant(rng.integers(-99, 99, channels).astype(np.int32), scales=[0.001] * channels)
    options = DepthwiseConv2DOptions(padding, stride, stride, 1, Activation.NONE, 1, 1)
    cut = 0 if padding is Padding.SAME else 2
    shape = (2, -(-(height - cut) // stride), -(-(width - cut) // stride), channels)
    b.output(b.op("DEPTHWISE_CONV_2D", [x, w, bias], options, shape=shape, scale=0.1, zero_point=7))
    return b.graph()


@pytest.mark.parametrize("padding", list(Padding))
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("channels", [3, 8, 10])
def test_depthwise_by_eight_channels_is_right_in_place(
    channels: int, stride: int, padding: Padding
) -> None:
    for height, width in itertools.product((4, 7, 40), (4, 9, 24)):
        graph = _depthwise_3x3(height, width, channels, stride, padding)
        emission = _of_kernel("depthwise_3x3_mve", graph, Isa.MVE)
        (call,) = emission.calls
        assert in_place_inputs(emission) == call.inputs
        assert not is_destructive(replay(call), 0, 0)


@pytest.mark.parametrize("padding", list(Padding))
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("channels", [4, 6, 8])
def test_depthwise_by_four_channels_is_right_in_place(
    channels: int, stride: int, padding: Padding
) -> None:
    for height, width in itertools.product((3, 4, 7), (3, 6, 8)):
        graph = _depthwise_3x3(height, width, channels, stride, padding)
        emission = _of_kernel("depthwise_3x3_dsp", graph, Isa.DSP)
        (call,) = emission.calls
        # With six channels, two of them would be computed again from what was overwritten.
        assert in_place_inputs(emission) == (call.inputs if channels != 6 else ())
        if channels != 6:
            assert not is_destructive(_steps(emission, call.inputs[0], 0), 0, 0)


@pytest.mark.parametrize(
    ("kernel", "isa"),
    [("depthwise_conv_2d_mve", Isa.MVE), ("depthwise_windows_dsp", Isa.DSP)],
)
def test_depthwise_in_planes_is_right_in_place(kernel: str, isa: Isa) -> None:
    in_place = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        channels = int(rng.choice([4, 8, 10]))
        chosen = _emission(depthwise_layer(rng, channels, channels), isa)
        every = [one for one in (chosen, *chosen.alternatives) if one.kernel == kernel]
        if not every:
            continue  # 3x3 has a kernel of its own
        (emission,) = every
        (call,) = emission.calls
        window = call.params["window"]
        assert isinstance(window, dict)
        for band in range(1, window["output_height"] + 1):
            parts = replace(call, params={**call.params, "band": band})
            if in_place_inputs(emission):
                assert not is_destructive(replay(parts), 0, 0)
        in_place += [seed] if in_place_inputs(emission) else []
    assert len(in_place) > 15


def test_depthwise_of_any_window_is_right_in_place() -> None:
    depthwise = next(op for op in IMAGE_OPS if op.__name__ == "depthwise_conv_2d")
    in_place = []
    for seed in range(60):
        graph = _small_single_op(depthwise, seed)
        emission = _of_kernel("depthwise_conv_2d", graph, Isa.SCALAR)
        (call,) = emission.calls
        window = call.params["window"]
        assert isinstance(window, dict)
        for tensor in in_place_inputs(emission):
            for band in range(1, window["output_height"] + 1):
                parts = replace(call, params={**call.params, "band": band})
                steps = _steps(replace(emission, calls=(parts,)), tensor, 0)
                assert not is_destructive(steps, 0, 0)
            in_place.append(seed)
        # With a depth multiplier the output is larger than the input.
        assert call.params["depth_multiplier"] == 1 or seed not in in_place
    assert len(in_place) > 20


@pytest.mark.parametrize("isa", [Isa.SCALAR, Isa.DSP])
@pytest.mark.parametrize("stride", [1, 2])
def test_depthwise_in_place_computes_the_same(isa: Isa, stride: int, tmp_path: Path) -> None:
    graph = _depthwise_3x3(7, 6, 8, stride, Padding.SAME)
    samples = [random_inputs(np.random.default_rng(seed), graph) for seed in range(3)]
    artifacts = assert_every_tensor_equals_reference(graph, samples, tmp_path, isa=isa)
    source, output = artifacts.figures["tensors"][0], artifacts.figures["tensors"][-1]
    assert source["offset"] == output["offset"]


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.data())
def test_parts_from_the_bottom_up_are_exact(data: st.DataObject) -> None:
    op = data.draw(st.sampled_from([op for op in IMAGE_OPS if op.__name__ in _SPLIT_OPS]))
    graph = _small_single_op(op, data.draw(st.integers(0, 2**32 - 1)))
    emission = _emission(graph)
    (call,) = emission.calls
    pattern = access_pattern(call)
    assert isinstance(pattern, Window)
    geometry = pattern.geometry
    if geometry.batches > 1:
        return
    parts = data.draw(st.integers(1, geometry.output_height))
    split = replace(emission, calls=bottom_rows_first(call, geometry, parts))
    source = graph.operators[0].inputs[0]
    rule = overlaps(graph, split)[source, 0]
    if op.__name__ in _IN_BLOCKS:
        steps = _steps(split, source, 0)
        for delta in _distances(rule):
            assert not (rule.allows(delta) and is_destructive(steps, 0, delta))
    else:
        _assert_exact(_steps(split, source, 0), rule, _distances(rule))
    # The parts read and write exactly what the whole does.
    for kind in ("r", "w"):
        assert {s for s in _steps(split, source, 0) if s[0] == kind} == {
            s for s in _steps(emission, source, 0) if s[0] == kind
        }


_SPLIT_OPS = ("conv_2d", "average_pool_2d", "max_pool_2d")


def _blocks(w: Window, seed: int) -> list[Step]:
    """A kernel that does what a window pattern permits, at its worst: blocks of random sizes, in
    which everything is written before anything is read, or the other way round if buffered."""
    g = w.geometry
    rng = np.random.default_rng(seed)
    by_pixel: list[list[Step]] = [[]]
    for step in pixel_by_pixel({"window": asdict(g)}):
        by_pixel[-1].append(step)
        if step[0] == "w" and step[2] % g.output_channels == g.output_channels - 1:
            by_pixel.append([])
    steps: list[Step] = []
    pixel, image, band = 0, g.output_height * g.output_width, w.rows * g.output_width
    while pixel < image * g.batches:
        count = int(rng.integers(1, w.pixels + 1))
        if w.rows > 1:
            count = min(band, image - pixel % image)
        block = [step for steps_of in by_pixel[pixel : pixel + count] for step in steps_of]
        steps += sorted(block, key=lambda step: (step[0] == "w") == w.buffered)
        pixel += count
    return steps


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.builds(
        lambda h, w, c, oc, k, s, b: Geometry(
            b, h, w, c, -(-h // s), -(-w // s), oc, k, k, s, s, 1, 1, (k - 1) // 2, (k - 1) // 2
        ),
        st.integers(1, 5),
        st.integers(1, 5),
        st.integers(1, 3),
        st.integers(1, 3),
        st.integers(1, 3),
        st.integers(1, 2),
        st.integers(1, 2),
    ),
    st.integers(1, 3),
    st.integers(1, 3),
    st.booleans(),
    st.integers(0, 1000),
)
def test_rules_of_blocks_hold_for_the_worst_kernel_that_they_permit(
    geometry: Geometry, pixels: int, rows: int, buffered: bool, seed: int
) -> None:
    window = Window(geometry, pixels=pixels, rows=rows, buffered=buffered)
    if pixels == 1 and rows == 1 and not buffered:
        return  # that is a kernel without blocks
    steps = _blocks(window, seed)
    (last,) = accesses(window).last_reads
    assert set(np.nonzero(last >= 0)[0].tolist()) == {s[2] for s in steps if s[0] == "r"}
    rule = _window_rule(window)
    for delta in range(rule.below - 3, rule.above + 4):
        if rule.allows(delta):
            assert not is_destructive(steps, 0, delta), delta


def _window_rule(window: Window) -> Overlap:
    from device_runners.cgen.overlap import _Call, _overlaps

    return _overlaps((_Call(window, (0,), 0, 0, 0),))[0, 0]


@pytest.fixture
def byte_aligned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors at any byte: every overlap is as tight as its rule allows."""

    def plan_tightly(
        program: Program, emissions: Mapping[int, Emission]
    ) -> tuple[dict[int, Emission], Memory]:
        chosen, memory = plan_memory(program, emissions, alignment=1)
        # The arena itself is allocated in multiples of its alignment.
        return chosen, replace(memory, arena_bytes=-(-memory.arena_bytes // 16) * 16)

    monkeypatch.setattr(runner, "plan_memory", plan_tightly)


def _all_int8(graph: Graph) -> bool:
    tensors = (tensor for op in graph.operators for tensor in graph.outputs_of(op))
    return all(tensor.type is TensorType.INT8 for tensor in tensors)


def _assert_equal(seed: int, graph: Graph) -> None:
    rng = np.random.default_rng(seed)
    samples = [random_inputs(rng, graph) for _ in range(2)]
    with tempfile.TemporaryDirectory() as folder:
        assert_every_tensor_equals_reference(graph, samples, Path(folder))


@pytest.mark.usefixtures("byte_aligned")
@pytest.mark.parametrize("op", IMAGE_OPS, ids=lambda op: op.__name__)
def test_the_tightest_overlap_computes_the_same(op: object) -> None:
    for seed in range(2):
        _assert_equal(seed, single_op_graph(np.random.default_rng(seed), op))


@pytest.mark.slow
@pytest.mark.usefixtures("byte_aligned")
@pytest.mark.parametrize("op", _ALL_OPS, ids=lambda op: op.__name__)
def test_the_tightest_overlap_computes_the_same_in_many_graphs(op: object) -> None:
    for seed in range(100, 108):
        graph = single_op_graph(np.random.default_rng(seed), op)
        if _all_int8(graph):
            _assert_equal(seed, graph)


@pytest.mark.slow
@pytest.mark.usefixtures("byte_aligned")
def test_the_tightest_overlaps_of_random_graphs_compute_the_same() -> None:
    for seed in range(60):
        graph = make_random_graph(np.random.default_rng([7, seed]))
        if _all_int8(graph):
            _assert_equal(seed, graph)


def test_every_declared_order_is_of_a_kernel_that_exists() -> None:
    folder = Path(runner.__file__).parent / "kernels"
    headers = "".join(path.read_text() for path in folder.glob("*.h"))
    for function in {*ORDERS, *IN_PLACE, *SPLITTABLE}:
        assert f"void {function}(" in headers
