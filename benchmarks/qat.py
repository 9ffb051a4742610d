"""Measures quantization-aware training against PTQ and tensorflow-model-optimization's.

    python benchmarks/qat.py [--net normal]... [--seeds 3] [--epochs 4] [--quick]

Same architecture, data, starting weights, batches, optimizer and batch-norm re-estimation for
ours and for tfmot's, which runs in an environment of its own that is made once, in ``tfmot-venv``
under ``--out``. Accuracies are those of the .tflite files on LiteRT's reference kernels. Writes
``qat.json`` (``{net: {float, ptq, qat, qat_int4, tfmot}, "step_time_ratio": {qat, tfmot}}``, each
accuracy as mean, spread and seeds) and ``qat.png``. The .tflite files stay under ``qat/``, with the
plan and the steps' times in seconds. Steps are timed on the first network, without XLA, in turns
with the float model's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import qat_nets
import qat_report
import typer
from qat_accuracy import accuracy
from qat_report import Results
from qat_tfmot import Job
from qat_training import Data, Schedule, batches, fit, step_seconds

from converters.errors import ExitCode, TidepoolError
from converters.files import write_atomic
from converters.load.keras_runtime import import_keras
from converters.load.python_file import load_python_file
from converters.native_log import hushed
from converters.tflite.convert import convert_int8
from pipeline import display

_HERE = Path(__file__).resolve().parent
_RECIPES = _HERE.parent / "datasets"
_TFMOT_REQUIREMENTS = (
    "tensorflow==2.19.1",
    "tf-keras==2.19.0",
    "tensorflow-model-optimization==0.8.1",
)
_LOG_LINES = 8


@dataclass(frozen=True)
class Plan:
    """What to measure, and how to train.

    Attributes:
        nets: Names of ``qat_nets.NETS``.
        seeds: One training of everything for each.
        pretraining: The float model's schedule; its seed is replaced by each of ``seeds``.
        finetuning: The schedule of every QAT, likewise.
        tfmot: Whether tfmot's QAT is measured too.
    """

    nets: tuple[str, ...]
    seeds: tuple[int, ...]
    pretraining: Schedule
    finetuning: Schedule
    tfmot: bool


def main(
    net: Annotated[list[str] | None, typer.Option(help="Only this network; repeatable.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Repetitions, with seeds from 0.")] = 3,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs of every QAT.")] = 4,
    float_epochs: Annotated[int, typer.Option(min=1, help="Epochs of the float training.")] = 12,
    tfmot: Annotated[bool, typer.Option(help="Measure tfmot too.")] = True,
    quick: Annotated[
        bool, typer.Option(help="One seed, few epochs: shows that all works; holds no bar.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Where the results go.")] = Path("build/bench"),
) -> None:
    """Measure float, PTQ, QAT, 4-bit QAT and tfmot's QAT on small networks."""
    try:
        nets = tuple(net or qat_nets.NETS)
        if unknown := [name for name in nets if name not in qat_nets.NETS]:
            raise TidepoolError(
                f"unknown network {unknown[0]}", hint=f"one of {', '.join(qat_nets.NETS)}"
            )
        plan = Plan(
            nets=nets,
            seeds=tuple(range(seeds)),
            pretraining=Schedule(float_epochs, 5e-3, 128, 0),
            finetuning=Schedule(epochs, 2e-3, 128, 0),
            tfmot=tfmot,
        )
        if quick:
            plan = replace(
                plan,
                seeds=(0,),
                pretraining=replace(plan.pretraining, epochs=2),
                finetuning=replace(plan.finetuning, epochs=1),
            )
        results = measure(plan, out)
        write_atomic(out / "qat.json", json.dumps(results.to_json(), indent=2) + "\n")
        titles = {name: qat_nets.NETS[name].title for name in nets}
        write_atomic(out / "qat.png", qat_report.draw(results, titles))
        _show(results, out, hold=not quick)
    except TidepoolError as error:
        display.show_error(error)
        raise typer.Exit(error.exit_code) from None


def measure(plan: Plan, out: Path) -> Results:
    """Trains and converts everything, and measures the accuracies and the step times.

    Args:
        plan: What to measure.
        out: The folder of the results; data, weights and .tflite files go to ``qat/`` in it.
    """
    terminal = display.Terminal()
    python = None
    if plan.tfmot:
        with terminal.stage("environment of tensorflow-model-optimization"):
            python = tfmot_environment(out / "tfmot-venv")
    keras = import_keras()
    with hushed():
        # The first tensor looks for a GPU, and complains aloud of having none.
        keras.ops.zeros(1)
    folder = out / "qat"
    folder.mkdir(parents=True, exist_ok=True)
    results = Results()
    splits = {name: _data(name, folder) for name in plan.nets}
    ours = _Ours(keras, plan, folder, splits, results)
    with terminal.stage("float, PTQ and QAT") as progress:
        ours.run(progress)
    with terminal.stage("time of a training step"):
        results.step_time_ratio["qat"] = ours.step_time_ratio(plan.nets[0])
    if python is not None:
        job = Job(
            trainings=[(net, seed) for net in plan.nets for seed in plan.seeds],
            **_hyperparameters(plan.finetuning),
            timed=plan.nets[0],
        )
        with terminal.stage("tfmot's QAT") as progress:
            _run_tfmot(python, job, folder, progress)
        for net, seed in job.trainings:
            content = (folder / f"{net}_{seed}_tfmot.tflite").read_bytes()
            results.add(net, "tfmot", accuracy(content, splits[net]["test"]))
        seconds = json.loads((folder / "step_seconds_tfmot.json").read_text())
        results.step_time_ratio["tfmot"] = seconds["qat"] / seconds["float"]
    write_atomic(folder / "plan.json", json.dumps(asdict(plan), indent=2) + "\n")
    return results


def _hyperparameters(schedule: Schedule) -> dict[str, Any]:
    return {
        "epochs": schedule.epochs,
        "learning_rate": schedule.learning_rate,
        "batch": schedule.batch,
    }


def _data(net: str, folder: Path) -> dict[str, Data]:
    """The splits of a network's data; the training data are left in the folder for tfmot."""
    kind = qat_nets.NETS[net]
    recipe = load_python_file(_RECIPES / kind.recipe)
    splits = {}
    for number, name in enumerate(("train", "calibration", "test")):
        splits[name] = Data(*kind.dress(getattr(recipe, name)(), number))
    np.savez(folder / f"{net}_train.npz", x=splits["train"].x, y=splits["train"].y)
    return splits


@dataclass(frozen=True)
class _Ours:
    """Float training, PTQ and our QAT."""

    keras: Any
    plan: Plan
    folder: Path
    splits: dict[str, dict[str, Data]]
    results: Results

    def run(self, progress: Callable[[int, int | None], None]) -> None:
        """Trains, converts and measures every network with every seed."""
        plan = self.plan
        total = len(plan.seeds) * (
            len(self._origins()) * plan.pretraining.epochs
            + 2 * len(plan.nets) * plan.finetuning.epochs
        )
        epochs = iter(range(1, total + 1))

        def epoch_done() -> None:
            progress(next(epochs), total)

        progress(0, total)
        for seed in plan.seeds:
            self.keras.backend.clear_session()
            trained = {
                origin: self._pretrain(net, seed, epoch_done)
                for origin, net in self._origins().items()
            }
            for net in plan.nets:
                self._measure(net, seed, trained[qat_nets.NETS[net].origin], epoch_done)

    def _origins(self) -> dict[str, str]:
        """The float trainings to do: each once, though several networks may start from it."""
        return {qat_nets.NETS[net].origin: net for net in reversed(self.plan.nets)}

    def _pretrain(self, net: str, seed: int, epoch_done: Callable[[], None]) -> Any:
        self.keras.utils.set_random_seed(seed)
        model = qat_nets.build(self.keras, net)
        schedule = replace(self.plan.pretraining, seed=seed)
        fit(self.keras, model, self.splits[net]["train"], schedule, epoch_done)
        return model

    def _measure(self, net: str, seed: int, trained: Any, epoch_done: Callable[[], None]) -> None:
        from converters import qat

        keras, splits = self.keras, self.splits[net]
        model = qat_nets.build(keras, net)
        weights = qat_nets.NETS[net].start(trained, seed)
        model.set_weights(weights)
        np.savez(self.folder / f"{net}_{seed}.npz", **{f"{n}": w for n, w in enumerate(weights)})
        logits = model.predict(splits["test"].x, batch_size=500, verbose=0)
        self.results.add(net, "float", float(np.mean(logits.argmax(-1) == splits["test"].y)))
        samples = splits["calibration"].x
        self._keep(net, seed, "ptq", convert_int8(model, lambda: ([x] for x in samples)))
        schedule = replace(self.plan.finetuning, seed=seed)
        for variant, scheme in (("qat", "int8"), ("qat_int4", "int4")):
            trainee = qat.quantize_model(model, scheme=scheme)
            fit(keras, trainee, splits["train"], schedule, epoch_done)
            qat.reestimate_batch_norm(trainee, batches(splits["train"], schedule.batch))
            self._keep(net, seed, variant, qat.convert_quantized(trainee))

    def _keep(self, net: str, seed: int, variant: str, content: bytes) -> None:
        write_atomic(self.folder / f"{net}_{seed}_{variant}.tflite", content)
        self.results.add(net, variant, accuracy(content, self.splits[net]["test"]))

    def step_time_ratio(self, net: str) -> float:
        """The time of an int8 QAT step over that of a float step, both in this process."""
        from converters import qat

        models = {
            "float": qat_nets.build(self.keras, net),
            "qat": qat.quantize_model(qat_nets.build(self.keras, net), scheme="int8"),
        }
        batch = self.plan.finetuning.batch
        seconds = step_seconds(self.keras, models, self.splits[net]["train"], batch)
        write_atomic(self.folder / "step_seconds_qat.json", json.dumps(seconds) + "\n")
        return seconds["qat"] / seconds["float"]


def tfmot_environment(folder: Path) -> Path:
    """The Python of a virtual environment with tfmot, made if it isn't there.

    Raises:
        TidepoolError: It can't be installed.
    """
    python = folder / "bin" / "python"
    stamp = folder / "requirements.txt"
    wanted = "\n".join(_TFMOT_REQUIREMENTS) + "\n"
    if stamp.is_file() and stamp.read_text() == wanted:
        return python
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    commands = [
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        [*install, *_TFMOT_REQUIREMENTS],
    ]
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise TidepoolError(
                f"the environment of tfmot can't be made: {' '.join(command)}\n"
                + _last_lines(done.stderr),
                hint="--no-tfmot measures the rest",
            )
    write_atomic(stamp, wanted)
    return python


def _run_tfmot(
    python: Path, job: Job, folder: Path, progress: Callable[[int, int | None], None]
) -> None:
    job.write(folder)
    total = len(job.trainings) * job.epochs
    log = folder / "tfmot.log"
    # A process with its own packages: nothing of this environment may leak into it.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    environment |= {"TF_USE_LEGACY_KERAS": "1", "CUDA_VISIBLE_DEVICES": "-1"}
    with log.open("w") as errors:
        process = subprocess.Popen(
            [str(python.absolute()), str(_HERE / "qat_tfmot.py"), str(folder)],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment,
        )
        assert process.stdout is not None  # stdout=PIPE
        with process.stdout as lines:
            for done, _ in enumerate(_epochs(lines), start=1):
                progress(done, total)
        code = process.wait()
    if code != 0:
        raise TidepoolError(
            f"tfmot's QAT failed:\n{_last_lines(log.read_text())}", hint=f"see {log}"
        )


def _epochs(lines: Iterator[str]) -> Iterator[str]:
    return (line for line in lines if line.strip() == "epoch")


def _last_lines(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-_LOG_LINES:])


def _show(results: Results, out: Path, *, hold: bool) -> None:
    display.show_rows(
        "Accuracy in percent, mean over the seeds ± half the spread",
        ("network", *qat_report.VARIANTS),
        qat_report.accuracy_rows(results),
    )
    display.Terminal().note(f"written: {out / 'qat.json'}, {out / 'qat.png'}")
    if not hold:
        return
    bars = qat_report.bars(results)
    display.show_rows("Bars", ("claim", "measured", "limit", "holds"), qat_report.bar_rows(bars))
    if missed := [bar.claim for bar in bars if not bar.holds]:
        raise TidepoolError(
            f"missed: {'; '.join(missed)}",
            hint="step times need a machine with nothing else to do; accuracies don't",
            exit_code=ExitCode.GATE,
        )


if __name__ == "__main__":
    typer.run(main)
