"""Measures MLPerf Tiny's four models on every emulated core, against the bars over TFLM.

    python benchmarks/mcu.py [--core cortex-m4]... [--model kws]... [--per-layer] [--hold]
    python benchmarks/mcu.py --board nucleo_f446re [--probe ID] [--model kws]...

Writes ``mcu.json`` (``{core: {model: {...}}}``, each figure with its bar and whether it is held)
and ``mcu.png`` to ``build/bench``; with ``--per-layer`` also ``layers.json`` (``{core: {model:
[layer, ...]}}``, each with its floor) and ``layers.png``. The input is the one that the baseline
was measured on. Instructions are counted, not timed: the same figure on every machine, but no
cycles; those are an estimate. A real board (``--board``) counts its cycles itself:
``board-<name>.json``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import mcu_pictures
import mcu_tables
import on_board
import typer
from bars import bars_of, require_held
from measurements import Measured
from per_layer import LayerCount, count_layers

from converters.errors import ExitCode, TidepoolError
from converters.files import write_atomic
from converters.progress import no_progress
from converters.tflite import read_graph
from device_runners import cgen
from device_runners.cortex_m import CORES
from device_runners.runner import Int8Model
from pipeline import display
from pipeline.comparison import reference_outputs
from pipeline.fixed_input import fixed_samples
from pipeline.listener import Listener, Silent
from pipeline.report import EmulationReport
from pipeline.settings import McuSettings
from pipeline.stages import mcu

_MODELS = ("ad", "ic", "kws", "vww")


def main(
    models: Annotated[
        Path, typer.Option(help="Folder of the models and of tflm_baseline.json.")
    ] = Path("../shared/mlperf_tiny"),
    core: Annotated[list[str] | None, typer.Option(help="Only this core; repeatable.")] = None,
    model: Annotated[list[str] | None, typer.Option(help="Only this model; repeatable.")] = None,
    out: Annotated[Path, typer.Option(help="Where the results go.")] = Path("build/bench"),
    per_layer: Annotated[
        bool, typer.Option("--per-layer", help="Count every layer by itself, too.")
    ] = False,
    hold: Annotated[
        bool, typer.Option("--hold", help="Fail (exit code 6) if a figure misses its bar.")
    ] = False,
    board: Annotated[
        str | None, typer.Option(metavar="NAME", help="Measure this board, at its debug probe.")
    ] = None,
    probe: Annotated[
        str, typer.Option(metavar="ID", help="The probe, where several are connected.")
    ] = "",
) -> None:
    """Measure the MLPerf Tiny models on every core against the bars over TFLM."""
    try:
        baseline = _read_baseline(models / "tflm_baseline.json")
        chosen = {name: models / _file_of(baseline, name) for name in model or _MODELS}
        if board is not None:
            if core or per_layer or hold:
                raise TidepoolError(
                    "--core, --per-layer and --hold are for emulated cores, --board is a real one",
                    hint="measure the one, then the other",
                    exit_code=ExitCode.USAGE,
                )
            _measure_board(chosen, baseline, board, probe, out)
        else:
            if probe:
                raise TidepoolError("--probe needs --board", exit_code=ExitCode.USAGE)
            _measure_cores(chosen, core or list(CORES), baseline, out, per_layer, hold)
    except TidepoolError as error:
        display.show_error(error)
        raise typer.Exit(error.exit_code) from None


def _measure_cores(
    models: dict[str, Path],
    cores: Sequence[str],
    baseline: dict[str, Any],
    out: Path,
    per_layer: bool,
    hold: bool,
) -> None:
    terminal = display.Terminal()
    jobs = [(core, name) for name in models for core in cores]
    found: list[Measured] = []
    with terminal.stage("measuring") as progress:
        for done, (core, name) in enumerate(jobs):
            progress(done, len(jobs))
            report = measure(models[name], name, core, out / name, Silent())
            layers = layers_of(models[name], name, core, out / name) if per_layer else ()
            isa = mcu.isa_of(core)
            bars = bars_of(name, report.core, isa, baseline)
            crc32 = baseline["output_crc32"][name]
            found.append(Measured(name, core, isa, report, bars, crc32, layers))
    found.sort(key=lambda each: cores.index(each.core))
    written = [_write(out / "mcu.json", found, Measured.as_json)]
    written.append(mcu_pictures.draw(found, out / "mcu.png"))
    mcu_tables.show(found)
    if per_layer:
        written.append(_write(out / "layers.json", found, Measured.layers_as_json))
        written.append(mcu_pictures.draw_layers(found, out / "layers.png"))
        mcu_tables.show_layers(found)
    terminal.note(f"written: {', '.join(map(str, written))}")
    _require_exact(found)
    if hold:
        require_held({(each.core, each.model): each.standings for each in found})


def _measure_board(
    models: dict[str, Path], baseline: dict[str, Any], name: str, probe: str, out: Path
) -> None:
    terminal = display.Terminal()
    jobs = on_board.build(models, name, probe, out, terminal)
    emulated = {
        each.model: measure(models[each.model], each.model, each.core, out / each.model, terminal)
        for each in jobs
    }
    found = [on_board.run(each, emulated[each.model], terminal) for each in jobs]
    path = on_board.write(found, out)
    mcu_tables.show_board(found)
    terminal.note(f"written: {path}")
    wrong = [
        each.report.model
        for each in found
        if not each.report.bit_exact
        or each.report.output_crc32 != baseline["output_crc32"][each.report.model]
    ]
    if wrong:
        raise TidepoolError(
            f"not bit-exact on the board {name}: {', '.join(wrong)}",
            hint="are they on the emulator? 'python benchmarks/mcu.py' says so",
            exit_code=ExitCode.MISMATCH,
        )


def measure(path: Path, name: str, core: str, out: Path, listener: Listener) -> EmulationReport:
    """Builds one model for one core and runs the baseline's input on it.

    Raises:
        TidepoolError: There is no such core, or its firmware can't be built or run.
    """
    model = Int8Model(name, path.read_bytes(), read_graph(path))
    mcu.build_aot(model, out, listener, mcu.isa_of(core))
    samples = fixed_samples(model.graph, 1)
    trial = mcu.Trial(samples, reference_outputs(model.content, samples, no_progress))
    return mcu.emulate(model, out, trial, McuSettings(core=core), listener).report


def layers_of(path: Path, name: str, core: str, out: Path) -> tuple[LayerCount, ...]:
    """What each layer of a model takes on a core."""
    model = Int8Model(name, path.read_bytes(), read_graph(path))
    artifacts = cgen.build(model, out / "aot", mcu.isa_of(core))
    (sample,) = fixed_samples(model.graph, 1)
    return tuple(count_layers(artifacts, model.graph, core, sample))


def _read_baseline(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        raise TidepoolError(
            f"there is no {path}", hint="name the folder of the MLPerf Tiny models with --models"
        ) from None
    return content


def _file_of(baseline: dict[str, Any], model: str) -> str:
    if model not in baseline["models"]:
        raise TidepoolError(f"unknown model {model}", hint=f"one of {', '.join(_MODELS)}")
    file: str = baseline["models"][model]
    return file


def _write(path: Path, found: Sequence[Measured], what: Callable[[Measured], Any]) -> Path:
    """Writes ``{core: {model: ...}}`` as JSON."""
    content: dict[str, dict[str, Any]] = {}
    for each in found:
        content.setdefault(each.core, {})[each.model] = what(each)
    return write_atomic(path, json.dumps(content, indent=2) + "\n")


def _require_exact(found: Sequence[Measured]) -> None:
    wrong = [f"{each.model} on {each.core}" for each in found if not each.exact]
    if wrong:
        raise TidepoolError(
            f"not bit-exact: {', '.join(wrong)}",
            hint="'tidepool emulate MODEL --core CORE --debug-tensors' names the first difference",
            exit_code=ExitCode.MISMATCH,
        )


if __name__ == "__main__":
    typer.run(main)
