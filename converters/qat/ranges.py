"""Which tensors are rounded, and which of them share one range.

Operations of the kind ``SAME_SCALE`` unite their inputs and outputs (union-find). Every group has
one quantizer, which is called on each tensor that is computed anew in it; nothing else is rounded,
so the converter has no reason to put a requantization between.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from converters.errors import TidepoolError
from converters.qat.config import SchemeQuantizeConfig
from converters.qat.network import Network, Node, Value
from converters.qat.quantizer import Quantizer
from converters.qat.quantizers import AllValuesQuantizer, MovingAverageQuantizer
from converters.qat.roles import Kind, Role, role_of


class UnionFind:
    """Disjoint sets of values."""

    def __init__(self) -> None:
        self._parent: dict[Value, Value] = {}

    def find(self, value: Value) -> Value:
        """The representative of a value's set."""
        parent = self._parent.setdefault(value, value)
        if parent is value:
            return value
        root = self.find(parent)
        self._parent[value] = root
        return root

    def union(self, first: Value, second: Value) -> None:
        """Makes one set of two."""
        self._parent[self.find(first)] = self.find(second)


@dataclass(eq=False)
class Group:
    """Tensors with one range.

    Attributes:
        name: Of the tensor that was first in it.
        sources: The tensors that are rounded.
        quantizers: For each source the quantizer that its operation asks for.
    """

    name: str
    sources: list[Value] = field(default_factory=list)
    quantizers: list[Quantizer] = field(default_factory=list)

    def quantizer(self) -> Quantizer:
        """The quantizer of the whole group.

        Raises:
            TidepoolError: The sources ask for different grids.
        """
        first = self.quantizers[0]
        if all(other == first for other in self.quantizers):
            return first
        names = ", ".join(f"'{value.name}'" for value in self.sources[:4])
        observed = (AllValuesQuantizer, MovingAverageQuantizer)
        same = all(
            isinstance(other, observed)
            and (other.num_bits, other.symmetric) == (first.num_bits, first.symmetric)
            for other in self.quantizers
        )
        if not same:
            raise TidepoolError(
                f"the outputs of {names} must have one scale, but are quantized differently",
                hint="annotate these layers with the same config",
            )
        everything = [q for q in self.quantizers if isinstance(q, AllValuesQuantizer)]
        if everything:
            return everything[0]
        moving = [q for q in self.quantizers if isinstance(q, MovingAverageQuantizer)]
        return min(moving, key=lambda quantizer: quantizer.initial_min)


@dataclass(frozen=True)
class Rounding:
    """One rounding of a value: by the quantizer of its group, as which of the sources."""

    group: Group
    source: int


def plan_ranges(network: Network) -> dict[Value, list[Rounding]]:
    """For every value the roundings that follow it; mostly one, or none.

    Raises:
        TidepoolError: Tensors that must have one scale are quantized differently.
    """
    sets = UnionFind()
    for node in network.nodes:
        role = role_of(node)
        if node.config is not None and role is not None and role.kind is Kind.SAME_SCALE:
            values = [*node.inputs, *node.outputs]
            for value in values[1:]:
                sets.union(values[0], value)
    asked = _asked(network)
    groups: dict[Value, Group] = {}
    roundings: dict[Value, list[Rounding]] = {}
    members: dict[Value, list[tuple[Value, Quantizer, bool]]] = {}
    for value, (quantizer, fixed) in asked.items():
        members.setdefault(sets.find(value), []).append((value, quantizer, fixed))
    for root, sources in members.items():
        uniform = all(quantizer == sources[0][1] for _, quantizer, _ in sources)
        for value, quantizer, fixed in sources:
            applied = roundings.setdefault(value, [])
            if fixed and not uniform:
                # First to the operation's own grid, then to the group's.
                own = Group(f"{value.name}_fixed", [value], [quantizer])
                applied.append(Rounding(own, 0))
            free = next((q for _, q, given in sources if not given), quantizer)
            group = groups.setdefault(root, Group(value.name))
            group.sources.append(value)
            group.quantizers.append(free if fixed else quantizer)
            applied.append(Rounding(group, len(group.sources) - 1))
    for group in groups.values():
        group.quantizer()
    return roundings


def _asked(network: Network) -> dict[Value, tuple[Quantizer, bool]]:
    """For every value that is rounded its quantizer, and whether the range is given."""
    consumers = network.consumers()
    outputs = set(network.output_values)
    asked: dict[Value, tuple[Quantizer, bool]] = {}
    for value in network.input_values:
        readers = [node for node in consumers[value] if node.config is not None]
        if readers:
            asked[value] = (_input_quantizer(readers[0]), False)
    for node in network.nodes:
        role = role_of(node)
        if node.config is None or (role is not None and role.kind is Kind.SAME_SCALE):
            continue
        for value in node.outputs:
            if role is not None and value not in outputs and _fused(role, consumers[value]):
                continue
            quantizer = _output_quantizer(node, role)
            if quantizer is not None:
                asked[value] = (quantizer, role is not None and role.kind is Kind.FIXED)
    return asked


def _fused(role: Role, readers: list[Node]) -> bool:
    """Whether the only reader is a ReLU that becomes part of the operation."""
    if not role.fuses or len(readers) != 1 or readers[0].config is None:
        return False
    reader = role_of(readers[0])
    return reader is not None and reader.fusable


def _input_quantizer(reader: Node) -> Quantizer:
    config: Any = reader.config
    scheme = config.scheme if isinstance(config, SchemeQuantizeConfig) else None
    return (scheme or SchemeQuantizeConfig().scheme).inputs()


def _output_quantizer(node: Node, role: Role | None) -> Quantizer | None:
    config: Any = node.config
    if isinstance(config, SchemeQuantizeConfig) and role is not None:
        if role.fixed is not None:
            return config.scheme.fixed(*role.fixed)
        return config.scheme.activations(never_negative=role.never_negative)
    if role is not None and role.fixed is not None:
        return SchemeQuantizeConfig().scheme.fixed(*role.fixed)
    quantizers = config.get_output_quantizers(node.operation)
    return quantizers[0] if quantizers else None
