from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import tflm

from pipeline.runtime_comparison import Runtime, RuntimeComparison, RuntimeFigures

_BASELINE = {
    "instructions": {"cortex-m4": {"ad": 1000}},
    "text_bytes": {"cortex-m4": {"ad": 400}},
    "arena_bytes": {},
    "output_crc32": {"ad": "f9fb5916"},
}


def figures(runtime: Runtime, instructions: int) -> RuntimeFigures:
    return RuntimeFigures(
        runtime=runtime,
        bit_exact=True,
        output_crc32="f9fb5916",
        instructions=instructions,
        setup_instructions=5,
        text_bytes=500,
        rodata_bytes=300,
        data_bytes=20,
        bss_bytes=4,
        arena_bytes=96,
        arena_source="",
        stack_bytes=80,
        library="",
    )


@pytest.fixture
def found() -> RuntimeComparison:
    rows = (figures(Runtime.AOT, 400), figures(Runtime.TFLM_CMSIS_NN, 1010))
    return RuntimeComparison("ad", "cortex-m4", "mps2-an386", 1, "plugin", rows)


def test_the_distance_to_the_baseline_is_that_of_cmsis_nn(found: RuntimeComparison) -> None:
    ratios = tflm.deviation(found, _BASELINE)
    assert (ratios["instructions"], ratios["text_bytes"]) == (1.01, 1.25)
    assert ratios["arena_bytes"] is None
    assert ratios["same_output_crc32"]


def test_the_page_has_a_table_for_each_core(found: RuntimeComparison) -> None:
    page = tflm.page([found], _BASELINE, {"gcc": "12.2.1"})
    assert "Measured with gcc 12.2.1." in page
    assert "### cortex-m4" in page
    assert "| ad | AOT | 400 |  | 5 | 820 | 500 | 200 | 96 | 80 |" in page
    assert "|  | TFLM + CMSIS-NN | 1,010 |  | 5 |" in page
    assert "| cortex-m4 | ad | 1.01 | 1.25 |  | True |" in page


def test_versions_are_read_from_the_tree(tmp_path: Path) -> None:
    script = tmp_path / "tensorflow/lite/micro/tools/make/ext_libs/cmsis_nn_download.sh"
    script.parent.mkdir(parents=True)
    script.write_text('ZIP_PREFIX_NN="4ab83cc3"\n')
    versions = tflm.versions_of(tmp_path)
    assert versions["CMSIS-NN"] == "4ab83cc3"
    assert versions["tflite-micro"] == "unknown (no git clone)"


def test_without_tflm_root_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TFLM_ROOT", raising=False)
    result = subprocess.run(
        [sys.executable, tflm.__file__], capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert "TFLM_ROOT isn't set" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_one_model_is_measured_on_one_core(mlperf_tiny: Path, tmp_path: Path) -> None:
    from support.tflm_tree import require_tflm_root

    require_tflm_root()
    command = [sys.executable, tflm.__file__, "--models", str(mlperf_tiny)]
    command += ["--core", "cortex-m4", "--model", "ad", "--out", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True)
    content = json.loads((tmp_path / "tflm.json").read_text())
    (baseline,) = content["baseline"]
    assert baseline["instructions"] == pytest.approx(1, abs=0.001)
    assert baseline["same_output_crc32"]
    assert (tmp_path / "tflm.md").read_text().startswith("Measured with arm-none-eabi-gcc")
