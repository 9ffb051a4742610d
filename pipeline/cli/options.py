"""The arguments and options that several verbs share, with their help texts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from device_runners.cgen import Optimize
from device_runners.cortex_m import EmulatorKind
from pipeline.settings import QatMode, QatStrategy, RewriteMode, RuntimeChoice

Model = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL",
        help=".keras or .h5 file, SavedModel folder of a Keras model, full-integer .tflite, .py "
        "recipe with build_model(), or a folder with train.py (trained when needed).",
    ),
]
Dataset = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        metavar="DATASET",
        help="Recipe .py, .npz or .npy, folder of images by class; or 'random' / 'random:LOW,HIGH' "
        "to calibrate on noise when only size and speed matter.",
    ),
]
Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings (tidepool.toml); options override it."),
]
BuildDirectory = Annotated[
    Path | None,
    typer.Option("--build-directory", metavar="DIR", help="Results go to DIR/<model>/."),
]
Trust = Annotated[
    bool | None,
    typer.Option("--trust", help="Load Lambda layers and custom objects: runs the file's code."),
]
Core = Annotated[
    str | None,
    typer.Option(
        "--core",
        metavar="CORE",
        help="cortex-m0plus, -m3, -m4, -m7, -m33, -m55 or a board (tidepool boards list).",
    ),
]
OptimizeOption = Annotated[
    Optimize | None,
    typer.Option(
        "--optimize",
        help="Of the generated code: size, balanced, or speed, whatever the weights take.",
    ),
]
Emulator = Annotated[
    EmulatorKind | None,
    typer.Option("--emulator", help="qemu; renode: every board, needs renode on the PATH."),
]
RuntimeOption = Annotated[
    RuntimeChoice | None,
    typer.Option(
        "--runtime",
        help="aot: generated C. tflm: links the library under TFLM_ROOT. both: compares them.",
    ),
]
Samples = Annotated[
    str | None,
    typer.Option(
        "--samples", metavar="N", help="Samples to emulate; 'all' for the whole test set."
    ),
]
DebugTensors = Annotated[
    bool,
    typer.Option(
        "--debug-tensors",
        help="Compare every intermediate tensor, and name the first one that differs.",
    ),
]
MaxDrop = Annotated[
    float | None,
    typer.Option(
        "--max-drop",
        metavar="POINTS",
        help="Largest loss from float to int8, in percentage points (percent for an error).",
    ),
]
CalibrationSamples = Annotated[
    int | None,
    typer.Option("--calibration-samples", metavar="N", help="At most N samples calibrate."),
]
Qat = Annotated[
    QatMode | None,
    typer.Option(
        "--qat",
        help="Quantization-aware training: on (also a bare --qat); auto: only if conversion "
        "without training fails the gate.",
    ),
]
QatEpochs = Annotated[
    int | None, typer.Option("--qat-epochs", metavar="N", help="Epochs of that training.")
]
QatDistill = Annotated[
    float | None,
    typer.Option(
        "--qat-distill", metavar="WEIGHT", help="Let the float model teach: its share of the loss."
    ),
]
Strategy = Annotated[
    QatStrategy | None,
    typer.Option(
        "--strategy",
        help="Distribute that training: mirrored over the GPUs of this machine, multiworker over "
        "the processes that TF_CONFIG lists (start the same command in each).",
    ),
]
Rewrite = Annotated[
    RewriteMode | None,
    typer.Option(
        "--rewrite",
        help="Edge TPU: change the model so that more of it maps: all (also by approximations of "
        "activations, on which the gate decides), exact, off.",
    ),
]
MaxArena = Annotated[
    int | None,
    typer.Option("--max-arena", metavar="BYTES", help="Budget: largest arena."),
]
MaxFlash = Annotated[
    int | None,
    typer.Option("--max-flash", metavar="BYTES", help="Budget: code and constants of the model."),
]
MaxInstructions = Annotated[
    int | None,
    typer.Option("--max-instructions", metavar="N", help="Budget: instructions per inference."),
]
Baseline = Annotated[
    Path | None,
    typer.Option(
        "--baseline",
        metavar="REPORT",
        help="report.json of an earlier run: nothing may be worse than there.",
    ),
]
Junit = Annotated[
    Path | None,
    typer.Option("--junit", metavar="FILE", help="Write JUnit XML, for a CI server's test view."),
]
Summary = Annotated[
    Path | None,
    typer.Option("--summary", metavar="FILE", help="Write a summary in Markdown."),
]
Json = Annotated[bool, typer.Option("--json", help="The report as JSON on standard output.")]
Cluster = Annotated[
    int | None,
    typer.Option(
        "--cluster",
        metavar="BITS",
        help="Group each channel's weights into 2^BITS values, for --compress; the gate decides.",
    ),
]
Compress = Annotated[
    bool | None,
    typer.Option("--compress", help="TFLM: store weights as lookup tables; loses nothing."),
]
