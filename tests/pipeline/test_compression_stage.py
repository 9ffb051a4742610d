"""Clustering, then lookup tables: what a run reports of both."""

from __future__ import annotations

from pathlib import Path

from converters.progress import no_progress
from converters.tflite import read_graph
from device_runners.runner import Int8Model
from pipeline.comparison import reference_outputs
from pipeline.fixed_input import fixed_samples
from pipeline.listener import Silent
from pipeline.stages import compression, mcu


def test_a_clustered_model_is_compressed_and_exact_in_tflm(
    mlperf_tiny: Path, tmp_path: Path
) -> None:
    path = mlperf_tiny / "ic_resnet8_int8.tflite"
    original = Int8Model("ic", path.read_bytes(), read_graph(path))
    model, clustering = compression.cluster(original, 3, Silent())
    assert model.name == "ic"
    assert clustering.bits == 3
    assert 0 < clustering.mean_error < clustering.worst_error
    packed, report = compression.compress(model, Silent())
    assert report.bytes_before == len(model.content)
    assert report.bytes_after == len(packed.content) < 0.6 * report.bytes_before
    samples = fixed_samples(model.graph, 2)
    trial = mcu.Trial(samples, reference_outputs(model.content, samples, no_progress))
    tflm = mcu.build_tflm(packed, tmp_path, trial, Silent())
    assert tflm is not None
    assert tflm.bit_exact
    # The weights that are unpacked lie in the arena.
    assert tflm.host_arena_bytes > 55_984
