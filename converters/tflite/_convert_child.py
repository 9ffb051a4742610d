"""The child process of ``convert``: a frozen graph in, a TFLite file out.

It runs apart from the command line because TensorFlow's converter can crash the process it is in.
Calibration samples arrive on standard input as the raw bytes of one float32 array for each input,
sample after sample, until the end of the stream: however many there are, one is in memory.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np


@dataclass(frozen=True)
class ChildJob:
    """What the child is asked to do.

    Attributes:
        frozen_graph: File with a serialized ``GraphDef`` without variables.
        inputs: Names of its input tensors, in the model's order.
        outputs: Names of its output tensors, in the model's order.
        shapes: For each input its shape, batch of 1 included.
        per_channel_dense: Whether Dense weights get a scale for each output.
        result: File to write.
        calibrate: Whether the ranges come from samples on standard input; otherwise the graph
            holds them, as fake-quantization ops.
    """

    frozen_graph: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    per_channel_dense: bool
    result: str
    calibrate: bool = True

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> ChildJob:
        fields = json.loads(text)
        fields["inputs"] = tuple(fields["inputs"])
        fields["outputs"] = tuple(fields["outputs"])
        fields["shapes"] = tuple(tuple(shape) for shape in fields["shapes"])
        return cls(**fields)


def read_samples(
    stream: BinaryIO, shapes: tuple[tuple[int, ...], ...]
) -> Iterator[list[np.ndarray[Any, np.dtype[np.float32]]]]:
    """Yields the samples of a stream, one list of float32 arrays each.

    Raises:
        EOFError: The stream ends within a sample.
    """
    sizes = [4 * math.prod(shape) for shape in shapes]
    total = sum(sizes)
    while frame := stream.read(total):
        if len(frame) < total:
            raise EOFError("the stream of calibration samples ends within a sample")
        sample = []
        offset = 0
        for size, shape in zip(sizes, shapes, strict=True):
            values = np.frombuffer(frame, np.float32, size // 4, offset)
            sample.append(values.reshape(shape))
            offset += size
        yield sample


def main() -> None:
    """Runs the job given as JSON in the first argument."""
    job = ChildJob.from_json(sys.argv[1])
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_concrete_functions([_import_graph(job)])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if job.calibrate:
        converter.representative_dataset = lambda: read_samples(sys.stdin.buffer, job.shapes)
        # Without samples the converter takes this for a mistake.
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    # The converter's only switch for it, as of TensorFlow 2.21.
    converter._experimental_disable_per_channel_quantization_for_dense_layers = (
        not job.per_channel_dense
    )
    Path(job.result).write_bytes(converter.convert())


def _import_graph(job: ChildJob) -> Any:
    import tensorflow as tf

    definition = tf.compat.v1.GraphDef()
    definition.ParseFromString(Path(job.frozen_graph).read_bytes())
    wrapped = tf.compat.v1.wrap_function(lambda: tf.import_graph_def(definition, name=""), [])
    return wrapped.prune(
        [wrapped.graph.get_tensor_by_name(name) for name in job.inputs],
        [wrapped.graph.get_tensor_by_name(name) for name in job.outputs],
    )


if __name__ == "__main__":
    main()
