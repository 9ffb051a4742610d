"""The arena's size covers what upstream measured on boards."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Padding
from converters.tflite.options import Conv2DOptions, TransposeConvOptions
from converters.tflite.reader import read_graph
from device_runners.host.micro import run_micro
from device_runners.tflm.arena import estimate_arena


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m55"])
def test_arena_is_enough_for_cmsis_nn_and_not_wasteful(mlperf_tiny_model: Path, core: str) -> None:
    baseline = json.loads((mlperf_tiny_model.parent / "tflm_baseline.json").read_text())
    (key,) = (k for k, name in baseline["models"].items() if name == mlperf_tiny_model.name)
    graph = read_graph(mlperf_tiny_model)
    measured = run_micro(mlperf_tiny_model.read_bytes(), graph, []).arena_bytes
    needed = baseline["arena_bytes"][core][key]
    size = estimate_arena(graph, measured).total
    assert size % 16 == 0
    assert needed <= size
    # At most what tells the cores apart, and the wider pointers of this machine.
    assert size <= max(baseline["arena_bytes"][c][key] for c in baseline["arena_bytes"]) + 8_700


def test_kernel_sums_of_dense_layers_add_up(mlperf_tiny: Path) -> None:
    # Upstream's arena for ad is this much larger with MVE than without it.
    graph = read_graph(mlperf_tiny / "ad01_int8.tflite")
    baseline = json.loads((mlperf_tiny / "tflm_baseline.json").read_text())["arena_bytes"]
    difference = baseline["cortex-m55"]["ad"] - baseline["cortex-m4"]["ad"]
    assert estimate_arena(graph, 0).persistent == difference


def test_depthwise_scratch_is_upstreams(mlperf_tiny: Path) -> None:
    # kws on the M55: its depthwise scratch, aligned, and the sums of its dense layer.
    graph = read_graph(mlperf_tiny / "kws_dscnn_int8.tflite")
    baseline = json.loads((mlperf_tiny / "tflm_baseline.json").read_text())["arena_bytes"]
    difference = baseline["cortex-m55"]["kws"] - baseline["cortex-m4"]["kws"]
    arena = estimate_arena(graph, 0)
    assert 0 <= difference - arena.scratch - arena.persistent <= 16


def test_convolution_scratch_is_its_widest_window() -> None:
    b = GraphBuilder("conv")
    x = b.input((1, 8, 8, 3), scale=0.1, zero_point=0)
    w = b.constant(np.zeros((4, 3, 3, 3), np.int8), scales=[0.1] * 4)
    bias = b.constant(np.zeros(4, np.int32), scales=[0.01] * 4)
    options = Conv2DOptions(padding=Padding.SAME)
    b.output(b.op("CONV_2D", [x, w, bias], options, shape=(1, 8, 8, 4), scale=0.1, zero_point=0))
    # 27 values in whole vectors of 16, four columns of them.
    assert estimate_arena(b.graph(), 0).scratch == 4 * 32


def test_transposed_convolution_scratch_holds_its_plane_of_sums() -> None:
    b = GraphBuilder("transposed")
    shape = b.constant(np.array([1, 32, 32, 2], np.int32))
    w = b.constant(np.zeros((2, 3, 3, 4), np.int8), scales=[0.1] * 2)
    x = b.input((1, 16, 16, 4), scale=0.1, zero_point=0)
    options = TransposeConvOptions(padding=Padding.SAME, stride_w=2, stride_h=2)
    y = b.op(
        "TRANSPOSE_CONV", [shape, w, x], options, shape=(1, 32, 32, 2), scale=0.1, zero_point=0
    )
    b.output(y)
    # Three rows of 33 columns, two int32 each; aligned.
    assert estimate_arena(b.graph(), 0).scratch == 3 * 33 * 2 * 4 + 8
