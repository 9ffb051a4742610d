"""The digits example: it reaches its accuracy, again and again, and is what it says it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from converters.load import SourceKind, load_model
from converters.tflite import read_graph
from converters.tflite.convert import convert_int8
from converters.tflite.verify import check_full_integer
from pipeline.dataset import keras_inputs, load_dataset

REPOSITORY = Path(__file__).resolve().parents[2]
EXAMPLE = REPOSITORY / "examples" / "digits"


def run_training(out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLE / "train.py"), "--out", str(out), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_model_has_the_layers_that_it_is_an_example_of() -> None:
    loaded = load_model(EXAMPLE)
    assert (loaded.name, loaded.kind) == ("digits", SourceKind.RECIPE)
    kinds = {type(layer).__name__ for layer in loaded.model.layers}
    assert kinds >= {
        "Conv2D",
        "DepthwiseConv2D",
        "BatchNormalization",
        "Add",
        "MaxPooling2D",
        "Dense",
        "Softmax",
    }
    assert loaded.model.count_params() < 20_000


@pytest.mark.slow
def test_training_is_good_enough_and_reproducible(tmp_path: Path) -> None:
    files = [tmp_path / "first" / "digits.keras", tmp_path / "second" / "digits.keras"]
    for file in files:
        result = run_training(file)
        assert result.returncode == 0, result.stderr
        accuracy = float(result.stdout.split("test accuracy ")[1].split()[0])
        assert accuracy >= 0.97
        assert [entry.name for entry in file.parent.iterdir()] == ["digits.keras"]
    assert files[0].read_bytes() == files[1].read_bytes()

    model = load_model(files[0]).model
    dataset = load_dataset(str(REPOSITORY / "datasets" / "digits.py"), keras_inputs(model))
    calibration = dataset.calibration
    assert calibration is not None
    graph = read_graph(convert_int8(model, lambda: (sample.inputs for sample in calibration)))
    check_full_integer(graph)
    opcodes = {operator.opcode for operator in graph.operators}
    assert {"CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "FULLY_CONNECTED", "SOFTMAX"} <= opcodes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("--epochs", "0"), "--epochs has to be"), (("--out", "x.h5"), "has to end in .keras")],
)
def test_bad_arguments(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    result = run_training(tmp_path / "m.keras", *arguments)
    assert result.returncode == 2
    assert message in result.stderr
