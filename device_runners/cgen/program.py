"""A graph on its way to C: the operators that remain, and the tensors that share memory."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from converters.tflite.graph import Array, Graph, Operator, Tensor, TensorType
from converters.tflite.int4 import with_int8_weights


@dataclass(frozen=True, eq=False)
class RemovedChannels:
    """Channels that a tensor of the file has and the generated code leaves out.

    Attributes:
        shape: The tensor's shape in the file; channels are its last dimension.
        kept: (n,) the channels that are left, ascending.
        values: (channels,) int8: what each removed channel holds everywhere; 0 for the others.
    """

    shape: tuple[int, ...]
    kept: npt.NDArray[np.int64]
    values: npt.NDArray[np.int8]

    @property
    def kept_bytes(self) -> int:
        """What the tensor takes without them."""
        return math.prod(self.shape[:-1]) * len(self.kept)

    def restore(self, kept: Array) -> Array:
        """The whole tensor, of the values of the channels that are left."""
        whole = np.broadcast_to(self.values, self.shape).copy()
        whole[..., self.kept] = kept.reshape(*self.shape[:-1], len(self.kept))
        return whole


@dataclass(frozen=True)
class DroppedPad:
    """A tensor that the generated code never computes: another one with padding around it.

    Attributes:
        source: The other tensor.
        paddings: Elements in front of and behind it, for each dimension.
        value: What they hold.
    """

    source: int
    paddings: tuple[tuple[int, int], ...]
    value: int

    def restore(self, source: Array) -> Array:
        """The tensor, of the values of its source."""
        return np.pad(source, self.paddings, constant_values=self.value)


@dataclass(frozen=True)
class Saving:
    """One change by a pass. What it saves is measured: ``savings.py``.

    Attributes:
        transformation: The pass.
        text: What it did, for the report.
        operators: How many operators it changed or dropped.
    """

    transformation: str
    text: str
    operators: int


@dataclass(frozen=True)
class Program:
    """What the passes work on.

    Attributes:
        graph: The graph. Tensors keep the indices that they have in the file; constants that a pass
            makes come behind them.
        aliases: Tensor -> the tensor whose memory it is; only tensors that an operator without a
            call of its own computes.
        removed: Tensor -> the channels that it lost.
        dropped: Tensor of the file that no operator computes any more -> what it was.
        folded: Tensors of the file that operators computed, and that are constants now.
        savings: What the passes did, in their order.
    """

    graph: Graph
    aliases: Mapping[int, int] = field(default_factory=dict)
    removed: Mapping[int, RemovedChannels] = field(default_factory=dict)
    dropped: Mapping[int, DroppedPad] = field(default_factory=dict)
    folded: tuple[int, ...] = ()
    savings: tuple[Saving, ...] = ()

    def root(self, tensor: int) -> int:
        """The tensor whose memory a tensor is: itself, or the one at the end of its aliases."""
        while tensor in self.aliases:
            tensor = self.aliases[tensor]
        return tensor

    def root_tensor(self, tensor: int) -> Tensor:
        return self.graph.tensor(self.root(tensor))

    def is_silent(self, operator: Operator) -> bool:
        """Whether the operator needs no call, since its outputs are aliases."""
        return all(output in self.aliases for output in operator.outputs)


def program_of(graph: Graph) -> Program:
    """The program of a graph before all passes; 4-bit weights, which are constants, in bytes.

    Kernels that unpack such weights themselves tell them by ``Tensor.packed_type``.
    """
    int4 = [tensor for tensor in graph.tensors if tensor.type is TensorType.INT4]
    packed = int4 and all(tensor.is_constant for tensor in int4)
    return Program(with_int8_weights(graph) if packed else graph)
