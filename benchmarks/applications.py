"""Takes every keras.applications model through quantization-aware training to int8.

    python benchmarks/applications.py [--model MobileNetV2]...

Each is quantized, sees a few batches of noise (so that its ranges are known), and is converted. The
table says whether the file is pure int8 and how far it is from what the quantized model computes,
or why it was refused. Writes ``docs/applications.md`` and ``build/bench/applications.json``.
"""

from __future__ import annotations

import json
import logging
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

from converters.errors import TidepoolError
from converters.files import write_atomic
from converters.load.keras_runtime import import_keras
from pipeline import display

SIZE = 64
CLASSES = 10
MODELS = (
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Small",
    "MobileNetV3Large",
    "EfficientNetB0",
    "EfficientNetV2B0",
    "ResNet50",
    "ResNet50V2",
    "DenseNet121",
    "NASNetMobile",
    "Xception",
    "InceptionV3",
    "VGG16",
    "ConvNeXtTiny",
)
# Networks that shrink their input too much for SIZE.
_SIZES = {"Xception": 96, "InceptionV3": 96, "NASNetMobile": 64}


@dataclass(frozen=True)
class Row:
    """One model's way, as far as it got.

    Attributes:
        model: Its name in ``keras.applications``.
        size: Height and width of its input.
        parameters: Of the float model.
        operators: Of the int8 file; None when there is none.
        file_bytes: Size of that file.
        mean_error_lsb: Mean difference of the file's output from the quantized model's.
        seconds: For quantizing, observing and converting.
        refusal: Why it has no int8 file; empty when it has.
    """

    model: str
    size: int
    parameters: int
    operators: int | None
    file_bytes: int | None
    mean_error_lsb: float | None
    seconds: float
    refusal: str


def main(
    model: Annotated[list[str] | None, typer.Option(help="Only this one; repeatable.")] = None,
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("docs/applications.md"),
) -> None:
    """Take every keras.applications model through quantization-aware training to int8."""
    # To TensorFlow the models of one process look like one function that is traced again and again.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    terminal = display.Terminal()
    rows = []
    for name in model or MODELS:
        with terminal.stage(name):
            rows.append(take(name))
        if rows[-1].refusal:
            terminal.warn(f"{name}: {rows[-1].refusal}")
    content = json.dumps([asdict(row) for row in rows], indent=2) + "\n"
    write_atomic(Path("build/bench/applications.json"), content)
    if model is None:
        write_atomic(out, page(rows))
    display.show_rows(
        "keras.applications to int8",
        ("model", "parameters", "operators", "bytes", "mean error (LSB)", "refusal"),
        [tuple(_cells(row)) for row in rows],
    )


def take(name: str) -> Row:
    """Quantizes, observes, converts and checks one model."""
    keras = import_keras()
    size = _SIZES.get(name, SIZE)
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    model = getattr(keras.applications, name)(
        weights=None, input_shape=(size, size, 3), classes=CLASSES
    )
    started = time.monotonic()
    try:
        operators, file_bytes, error = _quantize(model, size)
        refusal = ""
    except TidepoolError as problem:
        operators, file_bytes, error = None, None, None
        refusal = str(problem)
    seconds = time.monotonic() - started
    return Row(name, size, model.count_params(), operators, file_bytes, error, seconds, refusal)


def _quantize(model: Any, size: int) -> tuple[int, int, float]:
    import numpy as np

    from converters import qat
    from converters.tflite import read_graph
    from converters.tflite.verify import compare_with_keras
    from device_runners.host.oracle import Oracle

    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (32, size, size, 3)).astype(np.float32)
    quantized = qat.quantize_model(model)
    quantized.compile("sgd", "sparse_categorical_crossentropy")
    # A learning rate of zero: ranges and statistics are observed, no weight moves.
    quantized.optimizer.learning_rate = 0.0
    quantized.fit(images, rng.integers(0, CLASSES, 32), batch_size=8, epochs=2, verbose=0)
    qat.reestimate_batch_norm(quantized, [images[:16], images[16:]])
    content = qat.convert_quantized(quantized)
    graph = read_graph(content)
    samples = [[image] for image in images[:4]]
    (agreement,) = compare_with_keras(quantized, graph, Oracle(content).run, samples)
    return len(graph.operators), len(content), agreement.mean_error_lsb


def page(rows: list[Row]) -> str:
    """The table as Markdown."""
    import keras
    import tensorflow as tf

    lines = [
        "# keras.applications",
        "",
        "Every model with random weights, a small input and 10 classes, through `quantize_model`,",
        "a few batches and the conversion to full-integer int8, which refuses a file with any",
        "float tensor and one whose weights or ranges aren't the trained ones. The error is the",
        "file's mean difference from what the quantized model computes, in steps of the output.",
        "Written by",
        f"`python benchmarks/applications.py` with Keras {keras.__version__} and TensorFlow "
        f"{tf.__version__}.",
        "",
        "| model | input | parameters | operators | bytes | mean error (LSB) | refused because |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        cells = _cells(row)
        lines.append(f"| {cells[0]} | {row.size}x{row.size} | " + " | ".join(cells[1:]) + " |")
    return "\n".join(lines) + "\n"


def _cells(row: Row) -> list[str]:
    def number(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    return [
        row.model,
        f"{row.parameters:,}",
        number(row.operators, ","),
        number(row.file_bytes, ","),
        number(row.mean_error_lsb, ".2f"),
        row.refusal.replace("\n", " ").replace("|", "/"),
    ]


if __name__ == "__main__":
    typer.run(main)
