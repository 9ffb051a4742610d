"""What an op's file provides, and what it hands to the code generator.

A file in ``ops/`` defines ``OP = Operation(...)``: a check that says everything that stands in the
way of an operator, and an emitter that turns an operator that passed into kernel calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from converters.tflite.graph import Array, Graph, Operator, Tensor
from device_runners.cgen.isa import Isa
from device_runners.cgen.optimize import Optimize


@dataclass(frozen=True)
class OpContext:
    """One operator of a graph, as the op's file sees it."""

    graph: Graph
    operator: Operator
    isa: Isa = Isa.SCALAR
    optimize: Optimize = Optimize.BALANCED

    @cached_property
    def inputs(self) -> tuple[Tensor | None, ...]:
        return self.graph.inputs_of(self.operator)

    @cached_property
    def outputs(self) -> tuple[Tensor, ...]:
        return self.graph.outputs_of(self.operator)

    @cached_property
    def output(self) -> Tensor:
        return self.outputs[0]

    def input(self, position: int) -> Tensor:
        """An input that is there (the check made sure)."""
        tensor = self.optional_input(position)
        if tensor is None:
            raise ValueError(f"{self.operator.opcode} has no input {position}")
        return tensor

    def optional_input(self, position: int) -> Tensor | None:
        """An input, or None where the operator leaves it out."""
        return self.inputs[position] if position < len(self.inputs) else None

    def data(self, position: int) -> Array:
        """The values of a constant input (the check made sure)."""
        data = self.input(position).data
        if data is None:
            raise ValueError(f"input {position} of {self.operator.opcode} is not constant")
        return data

    def name(self, what: str) -> str:
        """The C name of something that belongs to this operator."""
        return f"op{self.operator.index}_{what}"


@dataclass(frozen=True)
class ConstantArray:
    """A ``static const`` array: a C type and values, flattened. Two of one name are the same."""

    name: str
    c_type: str
    values: Array
    comment: str = ""


@dataclass(frozen=True)
class Symbol:
    """A C expression in an initializer: the name of an array, or NULL."""

    text: str


@dataclass(frozen=True)
class KernelCall:
    """One call of a kernel.

    Attributes:
        function: The kernel's C function.
        params_type: The C type of its parameters.
        params: Field -> value, in the order of the struct.
        inputs: Tensor indices of its data operands, in the order of the arguments.
        output_offset: Where in the output tensor the call writes, in bytes.
        output: Which of the operator's outputs it writes.
        input_offset: Where in each operand the call begins, in bytes.
        states: Tensor indices of the variables that it reads and writes; their addresses follow
            the output's.
        element_bytes: The size of what the kernel counts in: 2 for those with int16 operands, 1 for
            all others, and for kernels that move bytes whatever they mean.
    """

    function: str
    params_type: str
    params: Mapping[str, object]
    inputs: tuple[int, ...]
    output_offset: int = 0
    output: int = 0
    input_offset: int = 0
    states: tuple[int, ...] = ()
    element_bytes: int = 1

    @property
    def kernel(self) -> str:
        """The kernel's file, without ``.c``."""
        return self.function.removeprefix("tidepool_")


@dataclass(frozen=True)
class Emission:
    """What an operator becomes.

    Attributes:
        kernel: The kernel's file, without ``.c``.
        calls: The calls, in order.
        summary: What the layer computes, beyond opcode, shapes and scales.
        constants: Arrays that the calls refer to.
        macs: Multiply-accumulates of one inference.
        in_place: Input tensors whose memory the output may take over, if nobody needs them later.
        scratch_bytes: Memory that is needed only during the calls; they get its address last.
        reason: Why this kernel, where there is a choice.
        alternatives: What the operator may become as well, from few to many instructions.
    """

    kernel: str
    calls: tuple[KernelCall, ...]
    summary: str = ""
    constants: tuple[ConstantArray, ...] = ()
    macs: int = 0
    in_place: tuple[int, ...] = ()
    scratch_bytes: int = 0
    reason: str = ""
    alternatives: tuple[Emission, ...] = ()


@dataclass(frozen=True)
class Operation:
    """An op that the code generator supports.

    Attributes:
        opcode: Its builtin name.
        versions: Its versions, up to this one.
        inputs: Fewest and most inputs; None for no limit.
        check: Yields what stands in the way, one sentence each, to follow the operator's name.
        emit: Makes the calls; only for an operator that passed.
        outputs: Fewest and most outputs; None for no limit.
        int16: Whether it is there for int16 tensors, too.
    """

    opcode: str
    versions: int
    inputs: tuple[int, int | None]
    check: Callable[[OpContext], Iterator[str]]
    emit: Callable[[OpContext], Emission]
    outputs: tuple[int, int | None] = (1, 1)
    int16: bool = False
