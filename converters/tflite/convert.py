"""Post-training full-integer int8 conversion of a Keras model.

The route is the one that works on every TensorFlow from 2.19 on: a concrete function with a batch
of 1 and no trackable object. It is traced and its variables are frozen into constants here, so
that what travels to the child process is a plain graph: it needs neither the user's classes nor
their code, and gives the same bytes as converting in this process.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.errors import TidepoolError
from converters.native_log import hushed
from converters.progress import Progress, no_progress
from converters.tflite._convert_child import ChildJob

Array = npt.NDArray[Any]
Representative = Callable[[], Iterable[Sequence[Array]]]

_CHILD_MODULE = "converters.tflite._convert_child"
_STDERR_LINES = 8
# What TensorFlow logs on any run; it would crowd the reason out of an error message.
_NOISE = re.compile(
    r"^I0000 |cuda|computation_placer|absl::InitializeLog|tf_tfl_flatbuffer_helpers"
    r"|Statistics for quantized inputs|^\s+warnings\.warn\(|^fully_quantize:"
)


@dataclass(frozen=True)
class ConvertOptions:
    """Options of the conversion.

    Attributes:
        per_channel_dense: Whether Dense weights get one scale for each output, as the converter
            does by default. TFLM before 2024 computed these wrongly.
        time_limit: Seconds after which the converter is ended.
    """

    per_channel_dense: bool = True
    time_limit: float = 1800.0


@dataclass(frozen=True)
class FrozenGraph:
    """A traced model without variables.

    Attributes:
        definition: The serialized ``GraphDef``.
        inputs: Names of the input tensors, in the model's order.
        outputs: Names of the output tensors, in the model's order.
        shapes: For each input its static shape, batch of 1 included.
    """

    definition: bytes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]


def convert_int8(
    model: Any,
    representative: Representative,
    *,
    options: ConvertOptions | None = None,
    progress: Progress = no_progress,
) -> bytes:
    """Converts a Keras model to a TFLite file that computes in int8, inputs and outputs included.

    Args:
        model: A ``keras.Model`` with float inputs of fixed shape (but for the batch).
        representative: Returns the calibration samples: for each a float array for every input,
            in real units, in the input's shape without or with a batch of 1. They are streamed:
            one is in memory at a time.
        options: See ``ConvertOptions``.
        progress: Called with the calibration samples taken so far.

    Returns:
        The file's content; the same inputs give the same bytes.

    Raises:
        TidepoolError: The model can't be traced or converted, a sample doesn't fit, or the
            converter crashed or took too long; the message holds its reason.
    """
    frozen = freeze(model)
    frames = _frames(representative(), frozen, model)
    return _convert(frozen, options or ConvertOptions(), frames, progress)


def convert_trained_ranges(frozen: FrozenGraph, options: ConvertOptions | None = None) -> bytes:
    """Converts a graph that holds its ranges as fake-quantization ops: no samples are needed.

    Args:
        frozen: The traced model, with baked weights.
        options: See ``ConvertOptions``.

    Returns:
        The content of a TFLite file with int8 inputs and outputs.

    Raises:
        TidepoolError: The converter refused the graph, crashed or took too long.
    """
    return _convert(frozen, options or ConvertOptions(), None, no_progress)


def _convert(
    frozen: FrozenGraph,
    options: ConvertOptions,
    frames: Iterable[bytes] | None,
    progress: Progress,
) -> bytes:
    with tempfile.TemporaryDirectory(prefix="tidepool-convert-") as folder:
        graph = Path(folder) / "frozen_graph.pb"
        graph.write_bytes(frozen.definition)
        result = Path(folder) / "model.tflite"
        job = ChildJob(
            frozen_graph=str(graph),
            inputs=frozen.inputs,
            outputs=frozen.outputs,
            shapes=frozen.shapes,
            per_channel_dense=options.per_channel_dense,
            result=str(result),
            calibrate=frames is not None,
        )
        command = [sys.executable, "-P", "-m", _CHILD_MODULE, job.to_json()]
        log = Path(folder) / "stderr.txt"
        run_streaming(command, frames or (), log, options.time_limit, progress)
        if not result.is_file():
            raise TidepoolError(
                f"the TFLite converter ended without a result{_tail(log)}",
                hint="run again; if it persists, convert a smaller part of the model",
            )
        return result.read_bytes()


def freeze(model: Any) -> FrozenGraph:
    """Traces a Keras model for inference with a batch of 1 and turns its variables to constants.

    Raises:
        TidepoolError: An input isn't a float of fixed shape, or tracing fails.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    shapes = tuple(_static_shape(tensor) for tensor in model.inputs)
    specs = [
        tf.TensorSpec(shape, tf.float32, name=tensor.name)
        for shape, tensor in zip(shapes, model.inputs, strict=True)
    ]

    def infer(*tensors: Any) -> Any:
        outputs = model(tf.nest.pack_sequence_as(model.input, tensors), training=False)
        return tuple(tf.nest.flatten(outputs))

    try:
        with hushed():
            traced = tf.function(infer, input_signature=specs).get_concrete_function()
            frozen = convert_variables_to_constants_v2(traced, lower_control_flow=False)
    except Exception as error:
        reason = str(error).strip().split("\n")[-1][:300]
        raise TidepoolError(
            f"model '{model.name}' can't be traced: {type(error).__name__}: {reason}",
            hint="its call() must work in a TensorFlow graph with a batch of 1",
        ) from error
    return FrozenGraph(
        definition=frozen.graph.as_graph_def().SerializeToString(deterministic=True),
        inputs=tuple(tensor.name for tensor in frozen.inputs),
        outputs=tuple(tensor.name for tensor in frozen.outputs),
        shapes=shapes,
    )


def _static_shape(tensor: Any) -> tuple[int, ...]:
    dtype = str(tensor.dtype)
    if "float" not in dtype:
        raise TidepoolError(
            f"input '{tensor.name}' of the model is {dtype}, but full-integer int8 conversion "
            "needs floating-point inputs",
            hint="keep lookups and casts out of the model that goes to the device",
        )
    shape = tuple(tensor.shape)
    if any(size is None for size in shape[1:]):
        text = ", ".join("?" if size is None else str(size) for size in shape[1:])
        raise TidepoolError(
            f"input '{tensor.name}' of the model has no fixed shape: ({text})",
            hint="build the model with a fixed input shape: a device plans its memory ahead",
        )
    return (1, *shape[1:])


def run_streaming(
    command: Sequence[str],
    frames: Iterable[bytes],
    log: Path,
    time_limit: float,
    progress: Progress,
) -> None:
    """Runs the converter's process and feeds its standard input.

    Args:
        command: The program and its arguments.
        frames: What it reads, piece by piece; a piece is made when the process takes it.
        log: File for its standard output and error.
        time_limit: Seconds until it is killed.
        progress: Called after every frame.

    Raises:
        TidepoolError: The process failed, crashed, was killed or ran out of time.
    """
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, os.environ.get("PYTHONPATH", "")]
    # No GPU: its results differ from the CPU's, and so would the file.
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "CUDA_VISIBLE_DEVICES": "-1",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            list(command), stdin=subprocess.PIPE, stdout=output, stderr=output, env=environment
        )
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        process.kill()

    timer = threading.Timer(time_limit, expire)
    timer.daemon = True
    timer.start()
    try:
        _feed(process, frames, progress)
        code = process.wait()
    finally:
        timer.cancel()
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdin is not None:
            # What is still buffered has no reader any more.
            with suppress(OSError):
                process.stdin.close()
    if expired.is_set():
        raise TidepoolError(
            f"the TFLite converter didn't finish within {time_limit:g} s{_tail(log)}",
            hint="calibrate on fewer samples, or raise the time limit",
        )
    if code != 0:
        raise _failure(code, log)


def _feed(process: subprocess.Popen[bytes], frames: Iterable[bytes], progress: Progress) -> None:
    pipe = process.stdin
    assert pipe is not None  # stdin=PIPE
    try:
        for done, frame in enumerate(frames, start=1):
            pipe.write(frame)
            progress(done, None)
        pipe.close()
    except BrokenPipeError:
        # The process is gone: its exit code and its log say why.
        pass


def _failure(code: int, log: Path) -> TidepoolError:
    if code == -9:
        return TidepoolError(
            f"the TFLite converter was killed, most likely for lack of memory{_tail(log)}",
            hint="free memory, or convert a smaller model",
        )
    if code < 0:
        return TidepoolError(
            f"the TFLite converter crashed (signal {-code}){_tail(log)}",
            hint="a layer of the model is likely one it can't quantize "
            "(a recurrent layer needs unroll=True); leave it out to find which",
        )
    return TidepoolError(
        f"the TFLite converter refused the model{_tail(log)}",
        hint="replace the layer that it names by one that TFLite has in int8",
    )


def _tail(log: Path) -> str:
    lines = [
        line
        for line in log.read_text(errors="replace").splitlines()
        if line.strip() and not _NOISE.search(line)
    ]
    return ":\n" + "\n".join(f"  {line[:300]}" for line in lines[-_STDERR_LINES:]) if lines else ""


def _frames(samples: Iterable[Sequence[Array]], frozen: FrozenGraph, model: Any) -> Iterable[bytes]:
    count = 0
    for sample in samples:
        if len(sample) != len(frozen.shapes):
            raise TidepoolError(
                f"calibration sample {count} has {len(sample)} arrays, "
                f"but model '{model.name}' has {len(frozen.shapes)} inputs",
                hint="give one array for each input, in the model's order",
            )
        parts = []
        for values, shape, tensor in zip(sample, frozen.shapes, model.inputs, strict=True):
            array = np.asarray(values, np.float32)
            if array.shape not in (shape, shape[1:]):
                raise TidepoolError(
                    f"calibration sample {count} has shape {array.shape}, "
                    f"but input '{tensor.name}' takes {shape[1:]}",
                    hint="give every sample in the shape of the model's input, without a batch",
                )
            if not np.isfinite(array).all():
                raise TidepoolError(
                    f"calibration sample {count} has NaN or infinite values",
                    hint="they would spoil the calibrated range: clean the data first",
                )
            parts.append(array.tobytes())
        yield b"".join(parts)
        count += 1
    if count == 0:
        raise TidepoolError(
            "there are no calibration samples", hint="give at least one; 100 or more are better"
        )
