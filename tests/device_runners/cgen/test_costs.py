"""The cost models against counts of the emulator, on models that they were not fitted to."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.int4_layers import with_int4_weights

from converters.tflite import read_graph, write_graph
from converters.tflite.int4 import with_int8_weights
from device_runners.cgen import build
from device_runners.cgen.costs import MODELS, instructions
from device_runners.cgen.operation import KernelCall, OpContext
from device_runners.cgen.passes import run_passes
from device_runners.cgen.program import Program
from device_runners.cgen.registry import operations
from device_runners.cortex_m import find_board
from device_runners.runner import Int8Model
from pipeline.fixed_input import fixed_samples
from pipeline.stages.mcu import isa_of

ROOT = Path(__file__).resolve().parents[3]
KERNELS = ROOT / "device_runners" / "cgen" / "kernels"
MODELS_FOLDER = ROOT.parent / "shared" / "mlperf_tiny"
_COUNTED = 2000  # instructions; of less, the call is a good part
_LAYER, _WHOLE, _TEXT = 0.35, 0.12, 0.1


def test_a_kernel_without_a_model_has_no_estimate() -> None:
    assert instructions(KernelCall("tidepool_softmax", "", {}, ())) is None


def test_every_loop_of_a_model_has_its_figure() -> None:
    for function, model in MODELS.items():
        assert model.text_bytes > 0, function
        assert all(taken > 0 for taken in model.instructions.values()), function


@pytest.mark.parametrize("function", MODELS)
def test_code_sizes_are_near_those_of_the_compiler(function: str, tmp_path: Path) -> None:
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    kernel = function.removeprefix("tidepool_")
    flags = find_board("cortex-m55" if kernel.endswith("_mve") else "cortex-m4").gcc_flags
    target = tmp_path / "kernel.o"
    source = KERNELS / f"{kernel}.c"
    command = ["arm-none-eabi-gcc", *flags, "-std=c11", "-Os", "-c", str(source), "-o", str(target)]
    subprocess.run(command, check=True)
    sizes = subprocess.run(
        ["arm-none-eabi-size", str(target)], check=True, capture_output=True, text=True
    ).stdout
    text = int(sizes.splitlines()[1].split()[0])
    assert abs(MODELS[function].text_bytes / text - 1) < _TEXT, text


@pytest.mark.slow
@pytest.mark.parametrize("core", ["cortex-m3", "cortex-m4", "cortex-m55"])
@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("name", ["ad", "ic", "kws", "vww"])
def test_estimates_are_near_the_counts(
    name: str, bits: int, core: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not MODELS_FOLDER.exists():
        pytest.skip("the MLPerf Tiny models (../shared/mlperf_tiny) are absent")
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT / "benchmarks")])
    from per_layer import count_layers

    files = json.loads((MODELS_FOLDER / "tflm_baseline.json").read_text())["models"]
    path = MODELS_FOLDER / files[name]
    graph = read_graph(path)
    if bits == 4:
        graph = with_int4_weights(graph, depthwise=False)
    model = Int8Model(name, write_graph(graph), graph)
    artifacts = build(model, tmp_path / "aot", isa_of(core))
    counts = count_layers(artifacts, model.graph, core, fixed_samples(model.graph, 1)[0])
    graph = run_passes(Program(with_int8_weights(model.graph))).graph
    estimated = counted = 0.0
    for count in counts:
        operator = graph.operators[count.index]
        emission = operations()[operator.opcode].emit(OpContext(graph, operator, isa_of(core)))
        estimate = instructions(emission.calls[0]) if emission.calls else None
        if estimate is None:
            continue
        estimated += estimate
        counted += count.instructions
        if count.instructions >= _COUNTED:
            error = abs(estimate / count.instructions - 1)
            assert error < _LAYER, (count, estimate)
    assert abs(estimated / counted - 1) < _WHOLE
