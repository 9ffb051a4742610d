"""What a rewrite is: where it matches, and the form that it puts there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from device_runners.edge_tpu.keras_rewrites.functions import Function, function_of
from device_runners.edge_tpu.keras_rewrites.steps import NumpySteps, Tensor

Array = npt.NDArray[np.float64]
# Called with ``KerasSteps``, and with ``NumpySteps`` if the function has a reference.
Build = Callable[[Any, Tensor], Tensor]

GRID = np.arange(-(2**16), 2**16 + 1, dtype=np.float64) / 256
"""Where errors are measured: -256 to 256; those of every form here vanish beyond."""


@dataclass(frozen=True, eq=False)
class Form:
    """What stands in the place of a call.

    Attributes:
        build: Makes it, from the call's input.
        reference: The function that it replaces; None where it isn't one of single elements.
        exact: Whether it gives the same in real arithmetic.
        source: The ``converters.qat.network.Value`` that it reads; None for the call's first
            input.
    """

    build: Build
    reference: Callable[[Array], Array] | None
    exact: bool
    source: Any = None

    @cached_property
    def max_error(self) -> float:
        """Largest absolute difference from the reference over ``GRID``; 0 where it is exact."""
        if self.exact or self.reference is None:
            return 0.0
        computed = self.build(NumpySteps(), GRID)
        return float(np.abs(computed - self.reference(GRID)).max())


@dataclass(frozen=True)
class Site:
    """A call that may be replaced.

    Attributes:
        node: The call, a ``converters.qat.network.Node``.
        producer: For a value the node that computes it; None for an input of the model.
        readers: For a value the nodes that read it.
    """

    node: Any
    producer: Callable[[Any], Any]
    readers: Callable[[Any], Sequence[Any]]

    @cached_property
    def function(self) -> Function | None:
        """The activation function that the call applies, if it does nothing else."""
        return function_of(self.node.operation)

    def named(self, *names: str) -> Function | None:
        """The activation function, if it is one of these of ``keras.activations``."""
        function = self.function
        return function if function is not None and function.name in names else None

    @property
    def may_be_prelu(self) -> bool:
        """Whether the converter will recognize a PReLU in this place.

        It recognizes ``relu(x) - slope * relu(-x)`` only where nothing else needs either ReLU,
        and another activation of x may.
        """
        readers = self.readers(self.node.inputs[0])
        return all(reader is self.node or not _may_need_relu(reader) for reader in readers)


def _may_need_relu(node: Any) -> bool:
    return node.kind == "PReLU" or function_of(node.operation) is not None


@dataclass(frozen=True)
class Rewrite:
    """One rewrite.

    Attributes:
        name: Its name, that of the function or layer.
        replaces: What it replaces, for the page.
        formula: The form that it puts there, for the page.
        ops: The ops that this converts to, in any order.
        match: The form for a call, or None.
        example: The form with the usual parameters, for the page.
    """

    name: str
    replaces: str
    formula: str
    ops: tuple[str, ...]
    match: Callable[[Site], Form | None]
    example: Form
