"""The inputs of a model without data are the baseline's."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from converters.tflite import read_graph
from converters.tflite.builder import GraphBuilder
from device_runners.host.oracle import Oracle
from pipeline.fixed_input import fixed_samples
from pipeline.stages.mcu import output_crc32


def test_first_sample_gives_the_recorded_checksum(mlperf_tiny_model: Path) -> None:
    baseline = json.loads((mlperf_tiny_model.parent / "tflm_baseline.json").read_text())
    (name,) = [key for key, file in baseline["models"].items() if file == mlperf_tiny_model.name]
    (sample,) = fixed_samples(read_graph(mlperf_tiny_model), 1)
    outputs = Oracle(mlperf_tiny_model).run(sample)
    assert output_crc32(outputs) == baseline["output_crc32"][name]


def test_inputs_are_filled_in_order_from_one_stream() -> None:
    builder = GraphBuilder()
    for shape in ((1, 3), (1, 5)):
        builder.input(shape, 0.5, 0)
    first, second = fixed_samples(builder.graph(), 2)
    more, _ = fixed_samples(builder.graph(), 2)
    assert [array.shape for array in first] == [(1, 3), (1, 5)]
    assert all(np.array_equal(a, b) for a, b in zip(first, more, strict=True))
    assert not np.array_equal(first[0], second[0])
    # By hand: xorshift32 of 0x12345678 is 0x87985AA5, then 0xDD1A9E32...
    assert first[0].ravel()[0] == np.uint8(0x87).view(np.int8)
