"""Measures MLPerf Tiny's four models in TFLM and as generated C, on every emulated core.

    TFLM_ROOT=<tree of tflite-micro> python benchmarks/tflm.py [--core CORE]... [--model MODEL]...

TFLM runs with every library that upstream's Makefile built for a core under ``TFLM_ROOT``: with
CMSIS-NN, and with the reference kernels. Its arena is measured on the core. Writes
``build/bench/tflm.json`` (versions, a comparison for each core and model, and how far the recorded
baseline is) and ``tflm.md`` (the same as tables). The input is the one that the baseline was
measured on. Instructions are counted, not timed: the same figure on every machine, but no cycles.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Annotated, Any

import typer

from converters.errors import TidepoolError
from converters.files import write_atomic
from converters.progress import no_progress
from converters.tflite import read_graph
from device_runners.cortex_m import find_board, tflm_root, tool_status
from device_runners.cortex_m.tools import ARM_GCC, QEMU
from device_runners.runner import Int8Model
from pipeline import display
from pipeline.comparison import reference_outputs
from pipeline.fixed_input import fixed_samples
from pipeline.listener import Listener, Silent
from pipeline.runtime_comparison import Runtime, RuntimeComparison
from pipeline.settings import McuSettings
from pipeline.stages import mcu, runtimes

_MODELS = ("ad", "ic", "kws", "vww")
_CORES = ("cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55")
_COLUMNS = (
    "model",
    "runtime",
    "instructions",
    "estimated cycles",
    "until ready",
    "flash",
    "of it code",
    "RAM",
    "of it arena",
    "stack",
)


def main(
    models: Annotated[
        Path, typer.Option(help="Folder of the models and of tflm_baseline.json.")
    ] = Path("../shared/mlperf_tiny"),
    core: Annotated[list[str] | None, typer.Option(help="Only this core; repeatable.")] = None,
    model: Annotated[list[str] | None, typer.Option(help="Only this model; repeatable.")] = None,
    out: Annotated[Path, typer.Option(help="Where the results go.")] = Path("build/bench"),
) -> None:
    """Compare TFLM with generated C on every core; needs TFLM_ROOT."""
    try:
        root = tflm_root(find_board(_CORES[0]))
        baseline = _read_baseline(models / "tflm_baseline.json")
        jobs = [(c, m) for c in core or _CORES for m in model or _MODELS]
        terminal = display.Terminal()
        found: list[RuntimeComparison] = []
        with terminal.stage("measuring") as progress:
            for done, (core_name, name) in enumerate(jobs):
                progress(done, len(jobs))
                if name not in baseline["models"]:
                    raise TidepoolError(f"unknown model {name}", hint=f"one of {_MODELS}")
                path = models / baseline["models"][name]
                folder = out / "tflm" / core_name / name
                found.append(measure(path, name, core_name, root, folder, Silent()))
        versions = versions_of(root)
        content = {
            "versions": versions,
            "comparisons": [json.loads(each.to_json()) for each in found],
            "baseline": [deviation(each, baseline) for each in found],
        }
        write_atomic(out / "tflm.json", json.dumps(content, indent=2) + "\n")
        write_atomic(out / "tflm.md", page(found, baseline, versions))
        for each in found:
            display.show_rows(
                f"{each.model} on {each.core}; instructions are not cycles",
                each.HEADINGS,
                each.rows(),
            )
        terminal.note(f"written: {out / 'tflm.json'}, {out / 'tflm.md'}")
        for each in found:
            error = runtimes.mismatch_error(each)
            if error is not None:
                raise error
    except TidepoolError as error:
        display.show_error(error)
        raise typer.Exit(error.exit_code) from None


def measure(
    path: Path, name: str, core: str, root: Path, out: Path, listener: Listener
) -> RuntimeComparison:
    """Builds one model for one core in every runtime, and runs the baseline's input."""
    model = Int8Model(name, path.read_bytes(), read_graph(path))
    samples = fixed_samples(model.graph, 1)
    trial = mcu.Trial(samples, reference_outputs(model.content, samples, no_progress))
    settings = McuSettings(core=core)
    mcu.build_aot(model, out, listener, mcu.isa_of(core))
    artifacts = mcu.build_tflm(model, out, trial, listener)
    assert artifacts is not None, "TFLM has every op of these models"
    generated = mcu.emulate(model, out, trial, settings, listener)
    return runtimes.compare(
        model,
        out,
        trial,
        settings,
        listener,
        generated=generated,
        estimate=artifacts.arena_bytes,
        root=root,
    )


def versions_of(root: Path) -> dict[str, str]:
    """What the figures depend on: the tools, and the sources under ``TFLM_ROOT``."""
    script = root / "tensorflow/lite/micro/tools/make/ext_libs/cmsis_nn_download.sh"
    cmsis_nn = re.search(r'ZIP_PREFIX_NN="(\w+)"', script.read_text()) if script.exists() else None
    commit = subprocess.run(
        ["git", "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return {
        ARM_GCC: tool_status(ARM_GCC).version,
        QEMU: tool_status(QEMU).version,
        "tflite-micro": commit.stdout.strip() or "unknown (no git clone)",
        "CMSIS-NN": cmsis_nn[1] if cmsis_nn else "unknown",
    }


def deviation(found: RuntimeComparison, baseline: dict[str, Any]) -> dict[str, Any]:
    """How TFLM with CMSIS-NN compares with the recorded baseline, as ratios; None: not there."""
    row = next((r for r in found.runtimes if r.runtime is Runtime.TFLM_CMSIS_NN), None)
    ratios: dict[str, Any] = {"core": found.core, "model": found.model}
    for key in ("instructions", "text_bytes", "arena_bytes"):
        recorded = baseline[key].get(found.core, {}).get(found.model)
        both = row is not None and recorded is not None
        ratios[key] = round(getattr(row, key) / recorded, 4) if both else None
    same = {r.output_crc32 for r in found.runtimes} == {baseline["output_crc32"][found.model]}
    return {**ratios, "same_output_crc32": same}


def page(found: list[RuntimeComparison], baseline: dict[str, Any], versions: dict[str, str]) -> str:
    """The tables as Markdown: one a core, then the distance to the baseline."""
    text = ", ".join(f"{name} {version}" for name, version in versions.items())
    lines = [f"Measured with {text}."]
    for core in dict.fromkeys(each.core for each in found):
        lines += ["", f"### {core}", "", _row(_COLUMNS), _row(["---"] * len(_COLUMNS))]
        for each in (c for c in found if c.core == core):
            for position, cells in enumerate(each.rows()):
                model = each.model if position == 0 else ""
                lines.append(_row([model, *cells[: len(_COLUMNS) - 1]]))
    lines += ["", "### Against the recorded baseline (TFLM + CMSIS-NN, ratio)", ""]
    columns = ("core", "model", "instructions", "text_bytes", "arena_bytes", "same_output_crc32")
    lines += [_row(columns), _row(["---"] * len(columns))]
    for each in found:
        ratios = deviation(each, baseline)
        lines.append(_row(["" if ratios[c] is None else str(ratios[c]) for c in columns]))
    return "\n".join(lines) + "\n"


def _row(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _read_baseline(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        raise TidepoolError(
            f"there is no {path}", hint="name the folder of the MLPerf Tiny models with --models"
        ) from None
    return content


if __name__ == "__main__":
    typer.run(main)
