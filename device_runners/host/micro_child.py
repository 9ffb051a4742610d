"""The part of ``device_runners.host.micro`` that runs in a process of its own.

``python -m device_runners.host.micro_child MODEL INPUTS OUTPUTS INPUT_COUNT OUTPUT_COUNT ARENA``

INPUTS and OUTPUTS are NumPy arrays one after the other, as ``numpy.save`` writes them: first all
inputs of the first sample, then those of the second. TFLM writes its messages and its arena report
to the standard error stream, where the parent reads them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np


def main(arguments: list[str]) -> None:
    """Runs the samples, then prints the arena report."""
    from tflite_micro.python.tflite_micro import runtime

    model, inputs, outputs = (Path(argument) for argument in arguments[:3])
    input_count, output_count, arena_bytes = (int(argument) for argument in arguments[3:])
    interpreter = runtime.Interpreter.from_bytes(model.read_bytes(), arena_size=arena_bytes)
    end = inputs.stat().st_size
    with inputs.open("rb") as source, outputs.open("wb") as target:
        while source.tell() < end:
            interpreter.reset()  # each sample starts from the initial state
            for index in range(input_count):
                interpreter.set_input(np.load(source, allow_pickle=False), index)
            interpreter.invoke()
            for index in range(output_count):
                np.save(target, interpreter.get_output(index), allow_pickle=False)
    interpreter.print_allocations()


if __name__ == "__main__":
    main(sys.argv[1:])
