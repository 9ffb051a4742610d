"""A graph on its way to C: the operators that remain, and the tensors that share memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from converters.tflite.graph import Graph, Operator, Tensor


@dataclass(frozen=True)
class Program:
    """What the passes work on.

    Attributes:
        graph: The graph as it was read.
        aliases: Tensor -> the tensor whose memory it is; only tensors that an operator without a
            call of its own computes.
    """

    graph: Graph
    aliases: Mapping[int, int] = field(default_factory=dict)

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
