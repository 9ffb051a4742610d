"""What MODEL stands for: a model file, a project folder, or an int8 model that is there already."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from converters.errors import TidepoolError
from converters.naming import model_name
from pipeline.listener import Listener

_ERROR_LINES = 10
# A training script moves the progress bar by printing "epoch 3/40" at the end of each epoch.
_EPOCH = re.compile(r"epoch (\d+)/(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Source:
    """MODEL, resolved.

    Attributes:
        given: The path as it was given.
        name: The name that results are filed under, a C identifier.
        project: The folder with ``model.py`` or ``train.py``, when MODEL is one.
    """

    given: Path
    name: str
    project: Path | None = None

    @property
    def is_tflite(self) -> bool:
        return self.given.suffix == ".tflite"

    @property
    def config(self) -> Path | None:
        """The project's own settings, when it has some."""
        config = self.project / "tidepool.toml" if self.project else None
        return config if config is not None and config.is_file() else None

    def directory(self, build: Path) -> Path:
        """Where the model's results go."""
        return build / self.name

    def int8_file(self, build: Path) -> Path:
        return self.directory(build) / f"{self.name}_int8.tflite"


def resolve(given: Path) -> Source:
    """Says what MODEL is.

    Raises:
        TidepoolError: It doesn't exist.
    """
    if not given.exists():
        raise TidepoolError(
            f"model {given} does not exist",
            hint="MODEL is a .keras, .h5 or .tflite file, a SavedModel folder, a .py recipe with "
            "build_model(), or a folder with train.py such as examples/digits",
        )
    is_project = given.is_dir() and not (given / "saved_model.pb").exists()
    if is_project and not any((given / name).is_file() for name in ("train.py", "model.py")):
        raise TidepoolError(
            f"folder {given} holds no model",
            hint="it needs a saved_model.pb, a train.py that writes a .keras file, or a model.py "
            "with build_model()",
        )
    return Source(given, model_name(given.resolve()), given if is_project else None)


def converted_file(source: Source, build: Path) -> Path:
    """The full-integer model: MODEL itself, or what an earlier run made of it.

    Raises:
        TidepoolError: It was not converted yet.
    """
    if source.is_tflite:
        return source.given
    converted = source.int8_file(build)
    if not converted.is_file():
        raise TidepoolError(
            f"{source.given} was not converted yet: there is no {converted}",
            hint=f"convert it first: tidepool convert {source.given} --dataset ...",
        )
    return converted


def model_file(source: Source, build: Path, listener: Listener) -> Path:
    """The file or folder to load; a project is trained first when its model isn't there.

    Raises:
        TidepoolError: The training script fails.
    """
    if source.project is None:
        return source.given
    script = source.project / "train.py"
    if not script.is_file():
        return source.project / "model.py"
    trained = source.directory(build) / f"{source.name}.keras"
    if trained.is_file():
        listener.note(f"using the trained model {trained} (delete it to train again)")
        return trained
    _train(script, trained, listener)
    return trained


def _train(script: Path, out: Path, listener: Listener) -> None:
    command = [sys.executable, str(script), "--out", str(out)]
    # TensorFlow chatters on standard error; it is worth showing only when the script fails.
    with (
        listener.stage(f"training: {script}") as progress,
        tempfile.TemporaryFile("w+") as errors,
    ):
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                epoch = _EPOCH.match(line)
                if epoch:
                    progress(int(epoch[1]), int(epoch[2]))
                else:
                    listener.note(line.rstrip())
        errors.seek(0)
        tail = errors.read().splitlines()[-_ERROR_LINES:]
    if process.returncode != 0 or not out.is_file():
        raise TidepoolError(
            f"the training script {script} failed:\n" + "\n".join(f"  {line}" for line in tail),
            hint=f"run it by itself: python {script} --out {out}",
        )
