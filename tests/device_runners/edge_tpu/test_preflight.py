"""Predictions against the compiler's real outputs, and what is made of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Graph, TensorType
from converters.tflite.options import Conv2DOptions
from converters.tflite.reader import read_graph
from device_runners.edge_tpu import statuses
from device_runners.edge_tpu.log import MAPPED, OperatorRow, parse_report
from device_runners.edge_tpu.mapping import read_mapping
from device_runners.edge_tpu.package import read_package
from device_runners.edge_tpu.preflight import Preflight, preflight
from device_runners.edge_tpu.rules import SUPPORTED_OPS

PAIRS = (
    "deeplab_mobilenet_edgetpu_slim_cityscapes_quant",
    "deeplabv3_mnv2_dm05_pascal_quant",
    "keras_lstm_mnist_ptq",
    "mobilenet_v1_0.25_128_quant",
    "mobilenet_v2_1.0_224_quant",
    "movenet_single_pose_lightning_ptq",
    "posenet_mobilenet_v1_075_353_481_quant_decoder",
    "split_concat",
)
FLOAT = TensorType.FLOAT32


class Chain:
    """Builds a graph op by op; each takes the output of the one before unless told otherwise."""

    def __init__(self, type: TensorType = TensorType.INT8, shape: Sequence[int] = (1, 8, 8, 4)):
        self.b = GraphBuilder("chain")
        self.shape = shape
        self.last = self.b.input(shape, 0.1, 0, type)

    def op(
        self,
        opcode: str,
        type: TensorType = TensorType.INT8,
        *,
        of: Sequence[int] | None = None,
        version: int = 1,
    ) -> int:
        inputs = [self.last] if of is None else of
        self.last = self.b.op(
            opcode,
            inputs,
            None,
            shape=self.shape,
            scale=0.1,
            zero_point=0,
            type=type,
            version=version,
        )
        return self.last

    def conv(self, filters: int = 4) -> int:
        depth = self.shape[-1]
        weights = self.b.constant(np.zeros((filters, 3, 3, depth), np.int8), scales=[0.1])
        bias = self.b.constant(np.zeros(filters, np.int32), scales=[0.1])
        self.shape = (*self.shape[:-1], filters)
        inputs = [self.last, weights, bias]
        self.last = self.b.op(
            "CONV_2D", inputs, Conv2DOptions(), shape=self.shape, scale=0.1, zero_point=0, version=3
        )
        return self.last

    def graph(self) -> Graph:
        self.b.output(self.last)
        return self.b.graph()


def mapped(prediction: Preflight) -> tuple[int, ...]:
    return tuple(op.index for op in prediction.ops if op.mapped)


@pytest.mark.parametrize("name", PAIRS)
def test_the_mapped_operators_of_a_real_pair(edge_tpu_pairs: Path, name: str) -> None:
    graph = read_graph(edge_tpu_pairs / f"{name}.tflite")
    real = read_mapping(graph, read_graph(edge_tpu_pairs / f"{name}_edgetpu.tflite"))
    prediction = preflight(graph)
    assert not prediction.refused
    assert mapped(prediction) == real.tpu
    assert (prediction.mapped_ops, prediction.total_ops) == (len(real.tpu), len(graph.operators))


@pytest.mark.parametrize("name", PAIRS)
def test_the_parameter_bytes_of_a_real_pair(edge_tpu_pairs: Path, name: str) -> None:
    package = read_package(edge_tpu_pairs / f"{name}_edgetpu.tflite")
    real = package.cached_bytes + package.streamed_bytes
    parameters = preflight(read_graph(edge_tpu_pairs / f"{name}.tflite")).parameters
    low, high = parameters.range
    assert low <= real <= high
    assert parameters.cached[0] <= package.cached_bytes <= parameters.cached[1]
    assert parameters.streamed == (0, 0)


# Within the percentage alone, on models large enough for it; the smallest has 11 %.
@pytest.mark.parametrize(
    ("name", "real", "error"),
    [
        ("mobilenet_v1_0.25_128_quant", 566_912, 0.11),
        ("mobilenet_v2_1.0_224_quant", 3_900_864, 0.03),
        ("movenet_single_pose_lightning_ptq", 2_865_024, 0.08),
        ("deeplab_mobilenet_edgetpu_slim_cityscapes_quant", 2_654_784, 0.06),
    ],
)
def test_predicted_bytes_against_the_compilers(
    edge_tpu_pairs: Path, name: str, real: int, error: float
) -> None:
    prediction = preflight(read_graph(edge_tpu_pairs / f"{name}.tflite"))
    assert prediction.parameters.predicted == pytest.approx(real, rel=error)


def test_first_blocker_of_a_real_model_and_what_it_strands(edge_tpu_pairs: Path) -> None:
    prediction = preflight(read_graph(edge_tpu_pairs / "deeplabv3_mnv2_dm05_pascal_quant.tflite"))
    blocker = prediction.first_blocker
    assert blocker is not None
    assert (blocker.index, blocker.op, blocker.status) == (
        64,
        "RESIZE_BILINEAR",
        statuses.INTERPOLATION,
    )
    assert blocker.stranded == (65, 66, 67, 68, 69)
    assert "1x1" in blocker.fix
    assert prediction.share.ops == 64 / 72
    assert blocker.after_fix.ops == 70 / 72
    assert (prediction.share.macs or 0) < (blocker.after_fix.macs or 0) == 1


def test_what_runs_before_the_edge_tpu_blocks_nothing(edge_tpu_pairs: Path) -> None:
    prediction = preflight(read_graph(edge_tpu_pairs / "movenet_single_pose_lightning_ptq.tflite"))
    assert [op.op for op in prediction.ops[:2]] == ["CAST", "QUANTIZE"]
    assert not any(op.mapped for op in prediction.ops[:2])
    assert prediction.first_blocker is not None
    assert prediction.first_blocker.index == 89


def logs() -> list[Path]:
    folder = Path(__file__).resolve().parents[4] / "shared" / "edge_tpu" / "logs"
    return sorted(folder.glob("*.log"))


def test_the_rules_agree_with_real_logs() -> None:
    if not logs():
        pytest.skip("the Edge TPU compiler's logs are not here (../shared/edge_tpu/logs)")
    for path in logs():
        for row in parse_report(path.read_text()).operators:
            assert row.status in statuses.STATUSES
            if row.status in {MAPPED, statuses.MORE_SUBGRAPHS, statuses.UNSPECIFIED}:
                assert row.opcode in SUPPORTED_OPS
            if row.status == statuses.UNSPECIFIED:
                assert row.opcode == "QUANTIZE"  # from float, at the input
            if row.status == statuses.DATA_TYPE:
                assert row.opcode not in SUPPORTED_OPS


def test_table_of_a_float_model_with_quantized_inside() -> None:
    """The structure of the face detector's log: float in, float out."""
    chain = Chain(FLOAT)
    chain.op("QUANTIZE")
    chain.conv()
    chain.op("QUANTIZE")
    chain.op("DEQUANTIZE", FLOAT)
    assert set(preflight(chain.graph()).operator_table) == {
        OperatorRow("QUANTIZE", 1, statuses.UNSPECIFIED),
        OperatorRow("CONV_2D", 1, MAPPED),
        OperatorRow("QUANTIZE", 1, MAPPED),
        OperatorRow("DEQUANTIZE", 1, statuses.DATA_TYPE),
    }


def test_table_with_an_obstacle_in_the_middle() -> None:
    """The structure of the YOLO log: an op in the middle strands what follows, not its sibling."""
    chain = Chain(FLOAT)
    stem = chain.op("QUANTIZE")
    chain.conv()
    head = chain.last
    upsampled = chain.op("LEAKY_RELU")
    chain.op("QUANTIZE", of=[upsampled])
    chain.conv()
    stranded = chain.last
    chain.last = head
    chain.conv()
    chain.b.output(stranded)
    prediction = preflight(chain.graph())
    assert Counter(prediction.operator_table) == Counter(
        [
            OperatorRow("QUANTIZE", 1, statuses.UNSPECIFIED),
            OperatorRow("CONV_2D", 2, MAPPED),
            OperatorRow("LEAKY_RELU", 1, statuses.NOT_SUPPORTED),
            OperatorRow("QUANTIZE", 1, statuses.MORE_SUBGRAPHS),
            OperatorRow("CONV_2D", 1, statuses.MORE_SUBGRAPHS),
        ]
    )
    assert stem not in (upsampled, head)
    blocker = prediction.first_blocker
    assert blocker is not None
    assert (blocker.op, blocker.stranded) == ("LEAKY_RELU", (3, 4))
    assert blocker.after_fix.ops == 5 / 6


def test_fixing_an_op_fixes_all_that_the_same_rule_keeps_off() -> None:
    chain = Chain()
    for _ in range(3):
        chain.conv()
        chain.op("LEAKY_RELU")
    prediction = preflight(chain.graph())
    assert mapped(prediction) == (0,)
    assert prediction.share.macs == pytest.approx(1 / 3)
    assert prediction.first_blocker is not None
    assert prediction.first_blocker.stranded == (2, 4)
    assert prediction.first_blocker.after_fix.ops == 1
    assert [op.fix for op in prediction.ops if op.status == statuses.MORE_SUBGRAPHS] == [
        "fix the operator that it stands behind"
    ] * 2


def test_a_part_in_float_is_one_obstacle() -> None:
    """LayerNormalization of TF 2.19: NEG has no int8 kernel, so the converter wraps it."""
    chain = Chain()
    chain.conv()
    chain.op("DEQUANTIZE", FLOAT)
    chain.op("NEG", FLOAT)
    chain.op("QUANTIZE")
    chain.conv()
    prediction = preflight(chain.graph())
    blocker = prediction.first_blocker
    assert blocker is not None
    assert (blocker.op, blocker.stranded, blocker.after_fix.ops) == ("DEQUANTIZE", (4,), 1)
    assert "(NEG); multiply by -1" in blocker.fix
    assert prediction.ops[3].fix == "replace the layers that compute in float before it"


def test_a_dequantized_output_is_taken_as_it_is() -> None:
    chain = Chain()
    chain.conv()
    chain.op("DEQUANTIZE", FLOAT)
    (_, op) = preflight(chain.graph()).ops
    assert op.fix == "leave it out: take int8 outputs and dequantize on the host"


def test_a_custom_op_is_named_in_the_operators_and_not_in_the_table() -> None:
    chain = Chain()
    chain.conv()
    chain.op("CUSTOM")
    graph = chain.graph()
    custom = replace(graph.operators[1], custom_code="TFLite_Detection_PostProcess")
    prediction = preflight(replace(graph, operators=(graph.operators[0], custom)))
    assert prediction.ops[1].op == "CUSTOM:TFLite_Detection_PostProcess"
    assert prediction.ops[1].status == statuses.DATA_TYPE
    assert OperatorRow("CUSTOM", 1, statuses.DATA_TYPE) in prediction.operator_table
    assert prediction.ops[1].fix == "end the model before it and compute it on the host"


def test_a_later_part_that_is_larger_raises_a_doubt() -> None:
    chain = Chain()
    chain.op("RELU")
    chain.op("LEAKY_RELU")
    for _ in range(3):
        chain.conv()
    prediction = preflight(chain.graph())
    assert mapped(prediction) == (0,)
    assert any("a later one 3" in warning.message for warning in prediction.warnings)


def test_a_graph_that_maps_has_no_blocker() -> None:
    chain = Chain(TensorType.UINT8)
    chain.op("QUANTIZE")
    chain.conv()
    chain.op("QUANTIZE", TensorType.UINT8)
    prediction = preflight(chain.graph())
    assert prediction.first_blocker is None
    assert mapped(prediction) == (0, 1, 2)
    assert (prediction.share.ops, prediction.share.macs) == (1, 1)
    assert not prediction.warnings


def test_the_batch_blocks_everything() -> None:
    chain = Chain(shape=(4, 8, 8, 4))
    chain.conv()
    chain.op("RELU")
    prediction = preflight(chain.graph())
    assert [op.status for op in prediction.ops] == [statuses.RANK] * 2
    assert (prediction.mapped_ops, prediction.latency) == (0, None)
    assert prediction.parameters.range == (0, 0)
    assert prediction.first_blocker is not None
    assert (prediction.first_blocker.index, prediction.first_blocker.stranded) == (0, ())


def test_json_has_the_fields_that_scripts_rely_on() -> None:
    chain = Chain()
    chain.conv()
    chain.op("LEAKY_RELU")
    chain.op("RELU")
    prediction = preflight(chain.graph())
    document = json.loads(prediction.to_json())
    assert document["ops"][1] == {
        "index": 1,
        "op": "LEAKY_RELU",
        "version": 1,
        "output": prediction.ops[1].output,
        "mapped": False,
        "status": "Operation not supported",
        "fix": prediction.ops[1].fix,
    }
    assert {key: document[key] for key in ("mapped_ops", "total_ops")} == {
        "mapped_ops": 1,
        "total_ops": 3,
    }
    assert document["predicted_parameter_bytes"] == 64 * 9 * 4 + 8 * 64
    assert document["first_blocker"]["stranded"] == [2]
    assert document["latency"]["low_ms"] < document["latency"]["high_ms"]
    assert sum(row["count"] for row in document["operator_table"]) == 3


def test_an_output_on_the_way_is_not_the_first_blocker() -> None:
    """It comes first, but what strands others is behind it."""
    chain = Chain()
    chain.conv()
    middle = chain.last
    side = chain.op("DEQUANTIZE", FLOAT)
    chain.b.output(side)
    chain.op("LEAKY_RELU", of=[middle])
    chain.conv()
    prediction = preflight(chain.graph())
    assert prediction.first_blocker is not None
    assert (prediction.first_blocker.op, prediction.first_blocker.stranded) == ("LEAKY_RELU", (3,))


def test_findings_name_the_rule_and_the_fix() -> None:
    chain = Chain()
    chain.conv()
    chain.op("LEAKY_RELU")
    chain.op("RELU")
    prediction = preflight(chain.graph())
    (finding,) = prediction.findings.items
    assert finding.message == (
        "LEAKY_RELU (operator 1) will run on the CPU: Operation not supported. The rule: The Edge "
        "TPU has the op."
    )
    assert (finding.operator, finding.hint) == (1, prediction.ops[1].fix)
    assert not prediction.findings.blocking


@pytest.mark.parametrize("opcode", sorted({*SUPPORTED_OPS, "CUSTOM", "DEQUANTIZE", "GELU"}))
@pytest.mark.parametrize("version", [1, 99])
def test_an_operator_without_inputs_or_options_is_not_a_crash(opcode: str, version: int) -> None:
    chain = Chain()
    chain.conv()
    chain.op("RELU", TensorType.FLOAT32)
    graph = chain.graph()
    for inputs in ((), (-1, -1, -1, -1)):
        odd = replace(graph.operators[1], opcode=opcode, version=version, inputs=inputs)
        prediction = preflight(replace(graph, operators=(graph.operators[0], odd)))
        assert prediction.total_ops == 2
        assert not prediction.ops[1].mapped


def test_an_operator_without_outputs_is_not_a_crash() -> None:
    chain = Chain()
    chain.conv()
    graph = chain.graph()
    first = graph.operators[0]
    odd = tuple(
        replace(first, index=i + 1, opcode=op, version=1, inputs=first.inputs[1:], outputs=())
        for i, op in enumerate(sorted(SUPPORTED_OPS | {"CUSTOM", "DEQUANTIZE"}))
    )
    prediction = preflight(replace(graph, operators=(first, *odd)))
    assert mapped(prediction) == (0,)
