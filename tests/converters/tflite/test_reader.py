"""The graph reader: complete on real files, one clear error on corrupt ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from converters.errors import TidepoolError
from converters.tflite import Activation, Padding, TensorType, read_graph, write_graph
from converters.tflite.builder import GraphBuilder
from converters.tflite.options import Conv2DOptions, OtherOptions


def small_model() -> bytes:
    builder = GraphBuilder("small")
    x = builder.input((1, 4, 4, 2), 0.5, 3)
    w = builder.constant(
        np.arange(3 * 1 * 1 * 2, dtype=np.int8).reshape(3, 1, 1, 2),
        scales=[0.1, 0.2, 0.3],
        axis=0,
    )
    b = builder.constant(np.array([1, 2, 3], np.int32), scales=[0.05, 0.1, 0.15])
    options = Conv2DOptions(
        padding=Padding.VALID, stride_w=2, fused_activation_function=Activation.RELU6
    )
    y = builder.op("CONV_2D", [x, w, b], options, shape=(1, 4, 2, 3), scale=0.4, zero_point=-128)
    builder.output(y)
    return write_graph(builder.graph())


def test_reads_what_another_reader_reads(mlperf_tiny_model: Path) -> None:
    """LiteRT's own interpreter is the second opinion on every tensor of the file."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    graph = read_graph(mlperf_tiny_model)
    interpreter = Interpreter(
        model_path=str(mlperf_tiny_model), experimental_op_resolver_type=OpResolverType.BUILTIN_REF
    )
    interpreter.allocate_tensors()
    details = {d["index"]: d for d in interpreter.get_tensor_details()}
    for tensor in graph.tensors:
        theirs = details[tensor.index]
        assert tensor.name == theirs["name"]
        assert tensor.shape == tuple(theirs["shape"])
        assert tensor.type.dtype == theirs["dtype"]
        parameters = theirs["quantization_parameters"]
        ours = tensor.quantization
        assert np.array_equal([] if ours is None else ours.scales, parameters["scales"])
        assert np.array_equal([] if ours is None else ours.zero_points, parameters["zero_points"])
        if tensor.data is not None:
            assert np.array_equal(tensor.data, interpreter.get_tensor(tensor.index))
    assert [op.opcode for op in graph.operators] == [
        op["op_name"] for op in interpreter._get_ops_details()
    ]


def test_reads_options_and_quantization() -> None:
    graph = read_graph(small_model())
    (conv,) = graph.operators
    assert conv.options == Conv2DOptions(
        padding=Padding.VALID, stride_w=2, fused_activation_function=Activation.RELU6
    )
    x, w, _ = graph.inputs_of(conv)
    assert x is not None and w is not None and w.quantization is not None
    assert (x.scale, x.zero_point, x.type) == (0.5, 3, TensorType.INT8)
    assert w.quantization.axis == 0 and w.quantization.per_channel
    assert graph.producer(conv.outputs[0]) is conv and graph.consumers(x.index) == (conv,)


def test_constants_can_not_be_changed() -> None:
    graph = read_graph(small_model())
    data = graph.tensors[1].data
    assert data is not None
    with pytest.raises(ValueError, match="read-only"):
        data[0] = 1


def test_per_channel_tensor_has_no_single_scale() -> None:
    with pytest.raises(TidepoolError, match="quantized per channel"):
        _ = read_graph(small_model()).tensors[1].scale


def test_options_without_a_class_keep_their_fields() -> None:
    builder = GraphBuilder()
    x = builder.input((1, 4), 0.5, 0)
    options = OtherOptions("OneHotOptions", (("axis", 3),))
    builder.output(builder.op("ONE_HOT", [x], options, shape=(1, 4), scale=0.5, zero_point=0))
    assert read_graph(write_graph(builder.graph())).operators[0].options == options


def test_missing_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(TidepoolError, match=r"nothing\.tflite does not exist"):
        read_graph(tmp_path / "nothing.tflite")


def test_other_format_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(b"PK\x03\x04 not a flatbuffer")
    with pytest.raises(TidepoolError, match="is not a TFLite model"):
        read_graph(path)


@pytest.mark.parametrize("keep", [8, 20, 100, 300])
def test_truncated_file_is_one_clear_error(keep: int) -> None:
    with pytest.raises(TidepoolError, match="corrupt or truncated"):
        read_graph(small_model()[:keep])


def test_operator_that_reads_ahead_is_refused() -> None:
    builder = GraphBuilder()
    x = builder.input((1, 4), 0.5, 0)
    later = builder.tensor((1, 4), scales=[0.5])
    builder.output(builder.op("RELU", [later], None, shape=(1, 4), scale=0.5, zero_point=0))
    assert x == 0
    with pytest.raises(TidepoolError, match="before it is written"):
        read_graph(write_graph(builder.graph()))


def test_constant_of_the_wrong_size_is_refused() -> None:
    import dataclasses

    builder = GraphBuilder()
    x = builder.input((1, 4), 0.5, 0)
    w = builder.constant(np.zeros((3, 4), np.int8), scales=[0.5])
    builder.output(builder.op("FULLY_CONNECTED", [x, w], None, shape=(1, 3), scale=1, zero_point=0))
    graph = builder.graph()
    short = dataclasses.replace(graph.tensors[w], data=np.zeros(5, np.int8))
    tensors = tuple(short if t.index == w else t for t in graph.tensors)
    with pytest.raises(TidepoolError, match="has 5 bytes of data"):
        read_graph(write_graph(dataclasses.replace(graph, tensors=tensors)))


def test_small_file_that_unfolds_into_a_huge_graph_is_refused() -> None:
    """Every tensor refers to the same long vector: a bomb of numbers."""
    import flatbuffers

    from converters.tflite.schema import schema

    s = schema()
    builder = flatbuffers.Builder(1 << 16)
    shape = builder.CreateNumpyVector(np.ones(2000, np.int32))
    name = builder.CreateString("t")
    s.BufferStart(builder)
    buffer = s.BufferEnd(builder)
    tensors = []
    for _ in range(2000):
        s.TensorStart(builder)
        s.TensorAddShape(builder, shape)
        s.TensorAddName(builder, name)
        tensors.append(s.TensorEnd(builder))

    def vector(offsets: list[int]) -> int:
        builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            builder.PrependUOffsetTRelative(offset)
        return int(builder.EndVector())

    all_tensors = vector(tensors)
    s.SubGraphStart(builder)
    s.SubGraphAddTensors(builder, all_tensors)
    subgraphs = vector([s.SubGraphEnd(builder)])
    buffers = vector([buffer])
    s.ModelStart(builder)
    s.ModelAddVersion(builder, 3)
    s.ModelAddSubgraphs(builder, subgraphs)
    s.ModelAddBuffers(builder, buffers)
    builder.Finish(s.ModelEnd(builder), b"TFL3")
    content = bytes(builder.Output())
    assert len(content) < 80_000
    with pytest.raises(TidepoolError, match="unfolds into far more than its size"):
        read_graph(content)


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.data())
def test_mutated_files_are_read_or_refused_but_never_crash(data: st.DataObject) -> None:
    content = bytearray(small_model())
    for _ in range(data.draw(st.integers(1, 8))):
        position = data.draw(st.integers(0, len(content) - 1))
        content[position] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)) | st.just(len(content)))
    try:
        graph = read_graph(bytes(content[:cut]))
    except TidepoolError:
        return
    # What is accepted is consistent enough to walk.
    for op in graph.operators:
        graph.inputs_of(op)
        graph.outputs_of(op)
