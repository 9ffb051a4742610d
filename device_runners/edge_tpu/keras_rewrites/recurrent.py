"""LSTM, GRU and SimpleRNN, written out step by step.

The loop of a recurrent layer crashes the int8 converter, and ``unroll=True`` begins with an UNPACK,
which doesn't map and strands all that follows. Here the input's part of all time steps is one
convolution with kernel size 1, of which each step takes a slice; the state's part is one Dense
layer, called once a step. The equations are those of Keras's layers: Hochreiter and Schmidhuber's
LSTM with a forget gate, and Cho et al.'s GRU with the reset gate behind the product.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from device_runners.edge_tpu.keras_rewrites.functions import is_keras
from device_runners.edge_tpu.keras_rewrites.rewrite import Form, Rewrite, Site
from device_runners.edge_tpu.keras_rewrites.steps import KerasSteps, Tensor

MAX_STEPS = 128
"""A step is about 16 operators."""

Array = npt.NDArray[np.float32]


@dataclass
class _Cell:
    """A cell between its time steps.

    Attributes:
        steps: What makes the layers.
        units: The size of the state.
        reset_bias: Of the GRU: added to the product that is reset, (units).
        inputs: The input's part of the time step, (batch, gates * units).
        product: The state's part, in the same shape; None at the first time step, where the state
            is 0.
        state: The output of the time step before; None at the first.
        memory: The LSTM's cell state.
    """

    steps: KerasSteps
    units: int
    reset_bias: Array
    inputs: Tensor = None
    product: Tensor = None
    state: Tensor = None
    memory: Tensor = None

    def part(self, tensor: Tensor, gate: int) -> Tensor:
        """The values of one gate."""
        if tensor.shape[-1] == self.units:
            return tensor
        return tensor[:, gate * self.units : (gate + 1) * self.units]

    def gate(self, index: int) -> Tensor:
        """The sum of both parts of a gate."""
        inputs = self.part(self.inputs, index)
        if self.product is None:
            return inputs
        return self.steps.add(inputs, self.part(self.product, index))


def _lstm(cell: _Cell) -> Tensor:
    steps = cell.steps
    entering = steps.multiply(steps.sigmoid(cell.gate(0)), steps.tanh(cell.gate(2)))
    if cell.memory is None:
        cell.memory = entering
    else:
        kept = steps.multiply(steps.sigmoid(cell.gate(1)), cell.memory)
        cell.memory = steps.add(kept, entering)
    return steps.multiply(steps.sigmoid(cell.gate(3)), steps.tanh(cell.memory))


def _gru(cell: _Cell) -> Tensor:
    steps = cell.steps
    update, reset = steps.sigmoid(cell.gate(0)), steps.sigmoid(cell.gate(1))
    inputs = cell.part(cell.inputs, 2)
    # update * state + (1 - update) * candidate, the state being 0 at first
    if cell.state is None:
        candidate = steps.tanh(steps.add(inputs, steps.affine(reset, cell.reset_bias)))
        return steps.subtract(candidate, steps.multiply(update, candidate))
    # The bias is no part of the Dense layer: the converter fails on one that several calls share.
    product = steps.affine(cell.part(cell.product, 2), 1.0, cell.reset_bias)
    candidate = steps.tanh(steps.add(inputs, steps.multiply(reset, product)))
    return steps.add(candidate, steps.multiply(update, steps.subtract(cell.state, candidate)))


def _simple_rnn(cell: _Cell) -> Tensor:
    return cell.steps.tanh(cell.gate(0))


_CELLS: dict[str, Callable[[_Cell], Tensor]] = {
    "LSTM": _lstm,
    "GRU": _gru,
    "SimpleRNN": _simple_rnn,
}


@dataclass(frozen=True)
class _Weights:
    """The weights of a recurrent layer.

    Attributes:
        kernel: (inputs, gates * units).
        bias: Of the input's part, (gates * units).
        state_kernel: (units, gates * units).
        reset_bias: Of the GRU: added to the product that is reset, (units).
    """

    kernel: Array
    bias: Array
    state_kernel: Array
    reset_bias: Array

    @classmethod
    def of(cls, layer: Any) -> _Weights:
        kernel, state_kernel, *biases = layer.get_weights()
        bias = np.zeros(kernel.shape[1], np.float32)
        reset_bias = np.zeros(layer.units, np.float32)
        if biases and biases[0].ndim == 1:
            bias = biases[0]
        elif biases:
            # A GRU has two. Only behind the reset gate they differ in their effect.
            candidate = 2 * layer.units
            bias = biases[0][0].copy()
            bias[:candidate] += biases[0][1][:candidate]
            reset_bias = biases[0][1][candidate:]
        return cls(kernel, bias, state_kernel, reset_bias)


def _form(kind: str, weights: _Weights, *, backwards: bool, sequences: bool) -> Form:
    units = len(weights.state_kernel)

    def build(steps: KerasSteps, x: Tensor) -> Tensor:
        gates = weights.kernel.shape[1]
        project = steps.layer("Conv1D", "input", False, gates, 1)
        inputs = project(x)
        project.set_weights([weights.kernel[None], weights.bias])
        recur = steps.layer("Dense", "state", False, gates, use_bias=False)
        recur.build((None, units))
        recur.set_weights([weights.state_kernel])
        cell = _Cell(steps, units, weights.reset_bias)
        states = []
        count = x.shape[1]
        for time in reversed(range(count)) if backwards else range(count):
            cell.inputs = inputs[:, time, :]
            cell.product = None if cell.state is None else recur(cell.state)
            cell.state = _CELLS[kind](cell)
            states.append(cell.state)
        if not sequences:
            return steps.layer("Identity", "", True)(cell.state)
        rows = [steps.layer("Reshape", "row", False, (1, units))(state) for state in states]
        if count == 1:
            return steps.layer("Identity", "", True)(rows[0])
        return steps.layer("Concatenate", "", True, axis=1)(rows)

    return Form(build, None, exact=True)


def _match(site: Site) -> Form | None:
    node, layer = site.node, site.node.operation
    if not is_keras(layer) or node.kind not in _CELLS or len(node.inputs) != 1:
        return None
    count = node.inputs[0].shape[1]
    if count is None or count > MAX_STEPS or layer.stateful or layer.return_state:
        return None
    if not _usual(layer) or _masked(site):
        return None
    return _form(
        node.kind,
        _Weights.of(layer),
        backwards=layer.go_backwards,
        sequences=layer.return_sequences,
    )


def _usual(layer: Any) -> bool:
    """Whether it has the usual activations, and a GRU the usual place of its reset gate."""
    import keras

    gates = getattr(layer, "recurrent_activation", keras.activations.sigmoid)
    usual = layer.activation is keras.activations.tanh and gates is keras.activations.sigmoid
    return usual and getattr(layer, "reset_after", True)


def _masked(site: Site) -> bool:
    """Whether a layer before it makes a mask, which ends the steps of a sequence early."""
    pending, seen = list(site.node.inputs), set()
    while pending:
        node = site.producer(pending.pop())
        if node is None or node in seen:
            continue
        seen.add(node)
        if node.kind == "Masking" or getattr(node.operation, "mask_zero", False):
            return True
        pending += node.inputs
    return False


RECURRENT = Rewrite(
    name="recurrent",
    replaces=f"LSTM, GRU and SimpleRNN of at most {MAX_STEPS} time steps",
    formula="the layer's equations, step by step",
    ops=("CONV_2D", "STRIDED_SLICE", "FULLY_CONNECTED", "ADD", "LOGISTIC", "TANH", "MUL"),
    match=_match,
    example=Form(lambda steps, x: x, None, exact=True),
)
