"""Measures what lookup tables save of TFLM's flash, and what they cost, on an emulated core.

    TFLM_ROOT=<tree of tflite-micro> python benchmarks/tflm_compression.py [--core CORE] [--bits 4]

MLPerf Tiny's models with their weights clustered, as they are and as lookup tables, in TFLM with
the library that a build takes when nobody chooses. Writes ``build/bench/tflm_compression.json`` and
a table, ``tflm_compression.md``.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from converters.errors import ExitCode, TidepoolError
from converters.files import write_atomic
from converters.progress import no_progress
from converters.tflite import read_graph
from device_runners.cortex_m import RuntimeKind, TflmOptions, find_board, tflm_root
from device_runners.runner import Int8Model
from pipeline import display
from pipeline.comparison import reference_outputs
from pipeline.fixed_input import fixed_samples
from pipeline.listener import Silent
from pipeline.settings import McuSettings
from pipeline.stages import compression, mcu, runtimes

_MODELS = {
    "ad": "ad01_int8.tflite",
    "ic": "ic_resnet8_int8.tflite",
    "kws": "kws_dscnn_int8.tflite",
    "vww": "vww_mobilenet_int8.tflite",
}
_HEADINGS = ("model", "weights", "flatbuffer", "flash", "arena", "instructions")


@dataclass(frozen=True)
class Figures:
    """One model, in one form; bytes and instructions of one inference."""

    model: str
    weights: str
    bytes: int
    flash_bytes: int
    arena_bytes: int
    instructions: int
    bit_exact: bool

    def cells(self) -> tuple[str, ...]:
        sizes = (self.bytes, self.flash_bytes, self.arena_bytes, self.instructions)
        return (self.model, self.weights, *(f"{size:,}" for size in sizes))


def main(
    models: Annotated[Path, typer.Option(help="Folder of the models.")] = Path(
        "../shared/mlperf_tiny"
    ),
    core: Annotated[str, typer.Option(help="Which core.")] = "cortex-m4",
    bits: Annotated[int, typer.Option(help="Values a channel: 2 to the power of this.")] = 4,
    out: Annotated[Path, typer.Option(help="Where the results go.")] = Path("build/bench"),
) -> None:
    """Compare clustered weights with the same as lookup tables; needs TFLM_ROOT."""
    try:
        root = tflm_root(find_board(core))
        terminal = display.Terminal()
        found: list[Figures] = []
        with terminal.stage(f"measuring on {core}") as progress:
            for done, (name, file) in enumerate(_MODELS.items()):
                progress(done, len(_MODELS))
                original = Int8Model(name, (models / file).read_bytes(), read_graph(models / file))
                plain, _ = compression.cluster(original, bits, Silent())
                packed, _ = compression.compress(plain, Silent())
                for weights, model in (("as they are", plain), ("lookup tables", packed)):
                    folder = out / "tflm_compression" / weights.replace(" ", "_")
                    found.append(measure(model, weights, plain, core, root, folder))
        content = [asdict(figures) for figures in found]
        write_atomic(out / "tflm_compression.json", json.dumps(content, indent=2) + "\n")
        rows = [_HEADINGS, ("---",) * len(_HEADINGS), *(figures.cells() for figures in found)]
        table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
        write_atomic(out / "tflm_compression.md", f"{table}\n")
        display.show_rows(f"{bits} bits on {core}", _HEADINGS, [each.cells() for each in found])
        wrong = [f"{each.model} ({each.weights})" for each in found if not each.bit_exact]
        if wrong:
            raise TidepoolError(f"not bit-exact: {', '.join(wrong)}", exit_code=ExitCode.MISMATCH)
    except TidepoolError as error:
        display.show_error(error)
        raise typer.Exit(error.exit_code) from None


def measure(
    model: Int8Model, weights: str, reference: Int8Model, core: str, root: Path, out: Path
) -> Figures:
    """Runs one form of a model in TFLM on a core, against the reference on its plain form."""
    samples = fixed_samples(reference.graph, 1)
    trial = mcu.Trial(samples, reference_outputs(reference.content, samples, no_progress))
    settings = McuSettings(core=core)
    folder = out / model.name
    artifacts = mcu.build_tflm(model, folder, trial, Silent())
    assert artifacts is not None, "TFLM has every op of these models"
    estimate = artifacts.arena_bytes
    runtimes.fit_arena(model, folder, trial, settings, Silent(), estimate=estimate, root=root)
    emulated = mcu.emulate(
        model,
        folder,
        trial,
        settings,
        Silent(),
        runtime=RuntimeKind.TFLM,
        tflm_options=TflmOptions(root),
    )
    sizes = emulated.sizes
    return Figures(
        model=model.name,
        weights=weights,
        bytes=len(model.content),
        flash_bytes=sizes.text_bytes + sizes.rodata_bytes + sizes.data_bytes,
        arena_bytes=sizes.arena_bytes,
        instructions=emulated.report.instructions,
        bit_exact=emulated.report.bit_exact and artifacts.bit_exact,
    )


if __name__ == "__main__":
    typer.run(main)
