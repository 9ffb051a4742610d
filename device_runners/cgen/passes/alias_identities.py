"""Changes of scale and activations that change no value move no bytes: their output is an alias.

A QUANTIZE between equal quantizations is one, and a RELU behind a convolution that has it already.
All 256 values are tried.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from converters.tflite.graph import Operator
from device_runners.cgen.affine_scale import AffineScale
from device_runners.cgen.operation import Emission, OpContext
from device_runners.cgen.program import Program, Saving
from device_runners.cgen.registry import operations
from device_runners.cgen.requantization import INT8_MAX, INT8_MIN

_VALUES = np.arange(INT8_MIN, INT8_MAX + 1, dtype=np.int64)


def match(program: Program, operator: Operator) -> bool:
    """One whose input lies in the arena; a constant has to be copied there."""
    if len(operator.inputs) != 1 or program.root_tensor(operator.inputs[0]).is_constant:
        return False
    emission = operations()[operator.opcode].emit(OpContext(program.graph, operator))
    return _is_identity(emission)


def transform(program: Program, operator: Operator) -> Program:
    """Aliases the output to the input."""
    output = program.graph.tensor(operator.outputs[0])
    saving = Saving(
        "alias_identities",
        f"{operator.opcode} of {output.elements} elements changes no value: no call",
        1,
    )
    return replace(
        program,
        aliases={**program.aliases, operator.outputs[0]: operator.inputs[0]},
        savings=(*program.savings, saving),
    )


def _is_identity(emission: Emission) -> bool:
    (call, *others) = emission.calls
    if others:
        return False
    if call.function == "tidepool_lookup":
        tables = [array.values for array in emission.constants if array.values.size == len(_VALUES)]
        return len(tables) == 1 and np.array_equal(tables[0].ravel(), _VALUES)
    if call.function != "tidepool_rescale":
        return False
    params: Mapping[str, Any] = call.params
    scale = AffineScale(params["factor"], params["addend"], params["shift"])
    results = np.clip(scale.apply(_VALUES), params["output_min"], params["output_max"])
    return np.array_equal(results, _VALUES)
