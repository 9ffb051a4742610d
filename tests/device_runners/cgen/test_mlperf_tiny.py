"""The four MLPerf Tiny models: every tensor, the recorded CRCs, the arenas' sizes."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
from support.host_equality import (
    SANITIZED,
    assert_every_tensor_equals_reference,
    object_cache,
)
from support.models import int8_model

from converters.tflite import read_graph
from device_runners.cgen import HostBuild, Isa, build

MODELS = Path(__file__).resolve().parents[4] / "shared" / "mlperf_tiny"
# The largest set of tensors and scratch alive at one time: the arena if nothing overlapped.
LIVE_BYTES = {"ad": 768, "ic": 49440, "kws": 16128, "vww": 55312}
# With the scratch memory of the portable kernels. All four are optimal.
ARENA_BYTES = {"ad": 768, "ic": 33584, "kws": 8512, "vww": 37456}
# With the scratch memory of the kernels of level dsp.
LARGEST_DSP_ARENA_BYTES = {"ad": 768, "ic": 36_000, "kws": 10_000, "vww": 40_000}
# Of 971 dead filters 960 go: what is left stays a multiple of four.
LIVE_MACS = {"vww": 3_774_684}

pytestmark = pytest.mark.skipif(
    not MODELS.exists(), reason="the MLPerf Tiny models (../shared/mlperf_tiny) are absent"
)


def _baseline() -> dict[str, dict[str, str]]:
    baseline: dict[str, dict[str, str]] = json.loads((MODELS / "tflm_baseline.json").read_text())
    return baseline


def xorshift_bytes(count: int) -> np.ndarray:
    """The baseline's input: the top bytes of xorshift32 from 0x12345678."""
    state, values = 0x12345678, []
    for _ in range(count):
        state ^= state << 13 & 0xFFFFFFFF
        state ^= state >> 17
        state ^= state << 5 & 0xFFFFFFFF
        values.append(state >> 24)
    return np.array(values, np.uint8).view(np.int8)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ad", "ic", "kws", "vww"])
def test_every_tensor_equals_the_reference(name: str, tmp_path: Path) -> None:
    model = MODELS / _baseline()["models"][name]
    graph = read_graph(model)
    shape = graph.input_tensors[0].shape
    rng = np.random.default_rng(0)
    samples = [
        [xorshift_bytes(graph.input_tensors[0].elements).reshape(shape)],
        [rng.integers(-128, 128, shape).astype(np.int8)],
        [np.full(shape, graph.input_tensors[0].zero_point, np.int8)],
    ]
    assert_every_tensor_equals_reference(
        graph,
        samples,
        tmp_path,
        model=model.read_bytes(),
        flags=("-O1", *SANITIZED[1:]),
    )


@pytest.mark.parametrize("name", ["ad", "ic", "kws", "vww"])
def test_output_crc_and_figures_equal_the_baseline(name: str, tmp_path: Path) -> None:
    baseline = _baseline()
    graph = read_graph(MODELS / baseline["models"][name])
    artifacts = build(int8_model(graph), tmp_path / "aot")
    image = xorshift_bytes(graph.input_tensors[0].elements)
    with HostBuild(artifacts, object_cache=object_cache()) as host:
        (output,) = host.run([image.reshape(graph.input_tensors[0].shape)])
    assert f"{zlib.crc32(output.tobytes()):08x}" == baseline["output_crc32"][name]
    saved = sum(saving["macs"] for saving in artifacts.figures["passes"])
    assert artifacts.figures["macs"] + saved == baseline["macs"][name]
    assert artifacts.figures["macs"] == LIVE_MACS.get(name, baseline["macs"][name])
    assert artifacts.figures["arena_bytes"] == ARENA_BYTES[name]
    assert artifacts.figures["lower_bound_bytes"] == ARENA_BYTES[name]
    assert artifacts.figures["live_bytes"] == LIVE_BYTES[name]
    assert artifacts.figures["arena_is_optimal"]


@pytest.mark.parametrize("name", ["ad", "ic", "kws", "vww"])
def test_scratch_fits_beside_tensors_that_overlap(name: str, tmp_path: Path) -> None:
    graph = read_graph(MODELS / _baseline()["models"][name])
    artifacts = build(int8_model(graph), tmp_path / "aot", Isa.DSP)
    assert artifacts.figures["arena_bytes"] <= LARGEST_DSP_ARENA_BYTES[name]
    assert artifacts.figures["arena_is_optimal"]


def test_real_keywords_are_recognized(tmp_path: Path) -> None:
    data = np.load(MODELS / "kws_inputs.npz")
    graph = read_graph(MODELS / "kws_dscnn_int8.tflite")
    artifacts = build(int8_model(graph), tmp_path / "aot")
    with HostBuild(artifacts, object_cache=object_cache()) as host:
        results = host.run_many([[x[None]] for x in data["x"][:100]])
    right = sum(
        int(result[0].argmax()) == label
        for result, label in zip(results, data["y"][:100].tolist(), strict=True)
    )
    assert right >= 85
