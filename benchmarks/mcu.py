"""Measures MLPerf Tiny's four models on every emulated core, against TFLM with CMSIS-NN.

    python benchmarks/mcu.py [--core cortex-m4]... [--model kws]... [--per-layer]

Writes ``build/bench/mcu.json`` (``{core: {model: {...}}}``) and ``mcu.png``. The input is the one
that the baseline was measured on. Instructions are counted, not timed: the same figure on every
machine, but no cycles.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from per_layer import count_layers

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
from pipeline.settings import McuSettings
from pipeline.stages import mcu

Figures = dict[str, Any]
_MODELS = ("ad", "ic", "kws", "vww")
_COMPARED = ("instructions", "arena_bytes", "text_bytes")


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
) -> None:
    """Measure the MLPerf Tiny models on every core against TFLM with CMSIS-NN."""
    try:
        baseline = _read_baseline(models / "tflm_baseline.json")
        results: dict[str, dict[str, Figures]] = {name: {} for name in core or CORES}
        terminal = display.Terminal()
        jobs = [(c, m) for m in model or _MODELS for c in results]
        with terminal.stage("measuring") as progress:
            for done, (core_name, model_name) in enumerate(jobs):
                progress(done, len(jobs))
                if model_name not in baseline["models"]:
                    raise TidepoolError(
                        f"unknown model {model_name}", hint=f"one of {', '.join(_MODELS)}"
                    )
                path = models / baseline["models"][model_name]
                figures = measure(path, model_name, core_name, out / model_name, Silent())
                figures["baseline"] = _baseline_of(baseline, core_name, model_name)
                figures["ratio"] = {
                    key: round(figures[key] / value, 4)
                    for key, value in figures["baseline"].items()
                    if value is not None and key in _COMPARED
                }
                if per_layer:
                    figures["layers"] = layers_of(path, model_name, core_name, out / model_name)
                results[core_name][model_name] = figures
        write_atomic(out / "mcu.json", json.dumps(results, indent=2) + "\n")
        _draw(results, out / "mcu.png")
        _show(results)
        if per_layer:
            _show_layers(results)
        terminal.note(f"written: {out / 'mcu.json'}, {out / 'mcu.png'}")
        _require_exact(results)
    except TidepoolError as error:
        display.show_error(error)
        raise typer.Exit(error.exit_code) from None


def measure(path: Path, name: str, core: str, out: Path, listener: Listener) -> Figures:
    """Builds one model for one core and runs the baseline's input on it.

    Returns:
        ``instructions`` of one inference; ``arena_bytes``, ``stack_bytes`` (RAM); ``text_bytes``,
        ``rodata_bytes`` (flash) of the model and its kernels; ``bit_exact`` and ``output_crc32``.
    """
    model = Int8Model(name, path.read_bytes(), read_graph(path))
    mcu.build_aot(model, out, listener, mcu.isa_of(core))
    samples = fixed_samples(model.graph, 1)
    trial = mcu.Trial(samples, reference_outputs(model.content, samples, no_progress))
    report = mcu.emulate(model, out, trial, McuSettings(core=core), listener).report
    keys = {"instructions", "arena_bytes", "text_bytes", "rodata_bytes", "stack_bytes"}
    return report.model_dump(include=keys | {"bit_exact", "output_crc32"})


def layers_of(path: Path, name: str, core: str, out: Path) -> list[Figures]:
    """What each layer of a model takes on a core: see ``per_layer.LayerCount``."""
    model = Int8Model(name, path.read_bytes(), read_graph(path))
    artifacts = cgen.build(model, out / "aot", mcu.isa_of(core))
    (sample,) = fixed_samples(model.graph, 1)
    counts = count_layers(artifacts, model.graph, core, sample)
    return [{**asdict(c), "instructions_per_mac": c.instructions_per_mac} for c in counts]


def _read_baseline(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        raise TidepoolError(
            f"there is no {path}", hint="name the folder of the MLPerf Tiny models with --models"
        ) from None
    return content


def _baseline_of(baseline: dict[str, Any], core: str, model: str) -> dict[str, Any]:
    figures = {key: baseline[key].get(core, {}).get(model) for key in _COMPARED}
    return {**figures, "output_crc32": baseline["output_crc32"][model]}


def _require_exact(results: dict[str, dict[str, Figures]]) -> None:
    wrong = [
        f"{model} on {core}"
        for core, models in results.items()
        for model, figures in models.items()
        if not figures["bit_exact"]
        or figures["output_crc32"] != figures["baseline"]["output_crc32"]
    ]
    if wrong:
        raise TidepoolError(
            f"not bit-exact: {', '.join(wrong)}",
            hint="'tidepool emulate MODEL --core CORE --debug-tensors' names the first difference",
            exit_code=ExitCode.MISMATCH,
        )


def _show(results: dict[str, dict[str, Figures]]) -> None:
    rows = []
    for core, models in results.items():
        for model, figures in models.items():
            compared = [
                f"{figures[key]:,}"
                + (f" ({figures['ratio'][key]:.2f})" if key in figures["ratio"] else "")
                for key in _COMPARED
            ]
            rest = [f"{figures['rodata_bytes']:,}", f"{figures['stack_bytes']:,}"]
            exact = "[green]yes[/]" if figures["bit_exact"] else "[red]NO[/]"
            rows.append((core, model, *compared, *rest, figures["output_crc32"], exact))
    display.show_rows(
        "One inference (in brackets: ratio to TFLM + CMSIS-NN); instructions are not cycles",
        ("core", "model", "instructions", "arena", "text", "constants", "stack", "CRC32", "exact"),
        rows,
    )


def _show_layers(results: dict[str, dict[str, Figures]]) -> None:
    for core, models in results.items():
        for model, figures in models.items():
            rows = [
                (
                    str(layer["index"]),
                    layer["opcode"],
                    layer["kernel"] or "",
                    "x".join(map(str, layer["output_shape"])),
                    f"{layer['macs']:,}",
                    f"{layer['instructions']:,}",
                    str(layer["instructions_per_mac"] or ""),
                )
                for layer in figures["layers"]
            ]
            names = ("op", "opcode", "kernel", "output", "MACs", "instructions", "per MAC")
            display.show_rows(f"{model} on {core}", names, rows)


def _draw(results: dict[str, dict[str, Figures]], path: Path) -> None:
    """Bars of the ratios to the baseline, a panel for each figure; 1 is TFLM with CMSIS-NN."""
    import io

    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, len(_COMPARED), figsize=(14, 4), layout="constrained")
    models = sorted({model for figures in results.values() for model in figures})
    for panel, key in zip(panels, _COMPARED, strict=True):
        shown = [c for c in results if any(key in f["ratio"] for f in results[c].values())]
        width = 0.8 / max(1, len(shown))
        for number, core in enumerate(shown):
            heights = [results[core].get(m, {}).get("ratio", {}).get(key, 0) for m in models]
            places = [place + number * width for place in range(len(models))]
            panel.bar(places, heights, width, label=core)
        panel.axhline(1, color="black", linewidth=0.8)
        panel.set_xticks([place + 0.4 - width / 2 for place in range(len(models))], models)
        panel.set_title(key.replace("_", " "))
        panel.set_ylabel("ratio to TFLM + CMSIS-NN")
        if shown:
            panel.legend(fontsize="small")
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120)
    plt.close(figure)
    write_atomic(path, content.getvalue())


if __name__ == "__main__":
    typer.run(main)
