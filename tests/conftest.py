"""Fixtures that every test may use."""

from __future__ import annotations

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = REPOSITORY.parent / "shared"
MLPERF_TINY = {
    "ad": "ad01_int8.tflite",
    "ic": "ic_resnet8_int8.tflite",
    "kws": "kws_dscnn_int8.tflite",
    "vww": "vww_mobilenet_int8.tflite",
}


@pytest.fixture(scope="session")
def mlperf_tiny() -> Path:
    """The folder of MLPerf Tiny's reference models; skips where it is absent."""
    folder = SHARED / "mlperf_tiny"
    if not folder.is_dir():
        pytest.skip("the MLPerf Tiny models are not here (../shared/mlperf_tiny)")
    return folder


@pytest.fixture(params=sorted(MLPERF_TINY))
def mlperf_tiny_model(request: pytest.FixtureRequest, mlperf_tiny: Path) -> Path:
    """Each of MLPerf Tiny's four int8 models."""
    return mlperf_tiny / MLPERF_TINY[request.param]


@pytest.fixture(scope="session")
def edge_tpu_pairs() -> Path:
    """The folder of the Edge TPU compiler's inputs and outputs; skips where it is absent."""
    folder = SHARED / "edge_tpu" / "pairs"
    if not folder.is_dir():
        pytest.skip("the Edge TPU model pairs are not here (../shared/edge_tpu/pairs)")
    return folder
