"""Writes the generated sources of a program."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jinja2

from converters.files import write_atomic
from converters.tflite.graph import Graph, Operator, Tensor, TensorType
from device_runners.cgen.c_text import (
    array_definition,
    c_type,
    comment_text,
    float_text,
    params_definition,
    rodata_bytes,
)
from device_runners.cgen.kernels_version import (
    KERNELS_HEADER,
    declaring_header,
    kernel_files,
    kernels_version,
)
from device_runners.cgen.memory import Memory
from device_runners.cgen.operation import ConstantArray, Emission, KernelCall
from device_runners.cgen.program import Program
from device_runners.cgen.recurrent import reset_value
from device_runners.cgen.savings import PassSaving

_QUANTIZED = (TensorType.INT8, TensorType.INT16)


@dataclass(frozen=True)
class Unit:
    """Everything that is known about a model when its sources are written.

    Attributes:
        name: The model's name, a C identifier.
        program: Its operators and aliases.
        emissions: Operator index -> calls, for the operators that have any.
        memory: The arena.
        savings: What was done to the graph, and what that saved.
    """

    name: str
    program: Program
    emissions: dict[int, Emission]
    memory: Memory
    savings: tuple[PassSaving, ...]

    @property
    def graph(self) -> Graph:
        return self.program.graph

    @property
    def kernels(self) -> tuple[str, ...]:
        return tuple(sorted({emission.kernel for emission in self.emissions.values()}))

    @property
    def arrays(self) -> tuple[ConstantArray, ...]:
        """Each array once, in the order of first use."""
        arrays = (array for emission in self.emissions.values() for array in emission.constants)
        return tuple({array.name: array for array in arrays}.values())

    @property
    def macs(self) -> int:
        return sum(emission.macs for emission in self.emissions.values())

    @property
    def weights_bytes(self) -> int:
        return sum(rodata_bytes(array) for array in self.arrays)


_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("device_runners.cgen", "templates"),
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    undefined=jinja2.StrictUndefined,
    autoescape=False,
)


def render(template: str, **values: Any) -> str:
    """A file from one of our templates."""
    return _TEMPLATES.get_template(template).render(**values)


def write_sources(unit: Unit, folder: Path) -> tuple[str, ...]:
    """Writes the model's header and source and the kernels it uses; returns the files' names."""
    context = _context(unit)
    files = {
        f"{unit.name}.h": render("model.h.j2", **context),
        f"{unit.name}.c": render("model.c.j2", **context),
        **kernel_files(unit.kernels),
    }
    for name, text in files.items():
        write_atomic(folder / name, text)
    return tuple(files)


def port(unit: Unit, tensor: Tensor) -> dict[str, Any]:
    """An input or output of the graph: where it is and what it means."""
    return {
        "index": tensor.index,
        "name": tensor.name,
        "type": str(tensor.type),
        "shape": list(tensor.shape),
        # Indices and real numbers mean themselves.
        "scale": tensor.scale if tensor.type in _QUANTIZED else 1.0,
        "zero_point": tensor.zero_point if tensor.type in _QUANTIZED else 0,
        "offset": unit.memory.tensors[tensor.index].offset,
        "bytes": tensor.bytes,
    }


def states(unit: Unit) -> list[dict[str, Any]]:
    """The variables: where they are, and what each of their bytes starts with."""
    tensors = [unit.graph.tensor(index) for index in unit.memory.tensors]
    return [
        {
            "index": tensor.index,
            "offset": unit.memory.tensors[tensor.index].offset,
            "bytes": tensor.bytes,
            "start": reset_value(tensor),
        }
        for tensor in tensors
        if tensor.is_variable
    ]


def _context(unit: Unit) -> dict[str, Any]:
    def with_text(tensor: Tensor) -> dict[str, Any]:
        return {
            **port(unit, tensor),
            "comment": comment_text(tensor.name),
            "scale_text": float_text(port(unit, tensor)["scale"]),
            "c_type": c_type(tensor.type),
        }

    graph, memory = unit.graph, unit.memory
    return {
        "model": unit.name,
        "M": unit.name.upper(),
        "kernels_header": KERNELS_HEADER,
        "kernels_version": kernels_version(),
        "headers": sorted(set(map(declaring_header, unit.kernels))),
        "macs": unit.macs,
        "savings": unit.savings,
        "weights_bytes": unit.weights_bytes,
        "arena_bytes": memory.arena_bytes,
        "lower_bound_bytes": memory.lower_bound_bytes,
        "arena_is_optimal": memory.is_optimal,
        "live_bytes": memory.live_bytes,
        "dead_at_first": memory.dead(-1),
        "tensors": [
            {"index": index, **asdict(placement)} for index, placement in memory.tensors.items()
        ],
        "scratch": [
            {"operator": index, **asdict(placement)} for index, placement in memory.scratch.items()
        ],
        "states": states(unit),
        "inputs": [with_text(tensor) for tensor in graph.input_tensors],
        "outputs": [with_text(tensor) for tensor in graph.output_tensors],
        "input_traces": [_trace(unit, index) for index in dict.fromkeys(graph.inputs)],
        "arrays": [array_definition(array) for array in unit.arrays],
        "layers": [_layer(unit, operator) for operator in graph.operators],
    }


def _trace(unit: Unit, tensor: int) -> dict[str, int]:
    placement = unit.memory.tensors[tensor]
    return {"index": tensor, "offset": placement.offset, "bytes": placement.bytes}


def _layer(unit: Unit, operator: Operator) -> dict[str, Any]:
    emission = unit.emissions.get(operator.index)
    calls = emission.calls if emission else ()
    names = [_params_name(operator, position, len(calls)) for position in range(len(calls))]
    return {
        "comment": _comment(unit, operator, emission),
        "params": [params_definition(n, call) for n, call in zip(names, calls, strict=True)],
        "calls": [_call(unit, operator, n, call) for n, call in zip(names, calls, strict=True)],
        "traces": [_trace(unit, output) for output in operator.outputs],
        "dead": unit.memory.dead(operator.index),
    }


def _params_name(operator: Operator, position: int, count: int) -> str:
    suffix = f"_{position}" if count > 1 else ""
    return f"op{operator.index}_params{suffix}"


def _comment(unit: Unit, operator: Operator, emission: Emission | None) -> list[str]:
    """What the layer computes, a line each: op, operands, output."""
    summary = "the same bytes as its input" if emission is None else emission.summary
    lines = [f"{operator.index}: {operator.opcode}" + (f", {summary}" if summary else "")]
    if emission is not None and emission.reason:
        lines.append(f"by  {emission.kernel}: {emission.reason}")
    for label, tensors in (("in ", operator.inputs), ("out", operator.outputs)):
        for index in tensors:
            if index >= 0:
                lines.append(f"{label} {_describe(unit, unit.graph.tensor(index))}")
    return lines


def _describe(unit: Unit, tensor: Tensor) -> str:
    shape = "x".join(map(str, tensor.shape)) or "scalar"
    text = f"{tensor.index}: {shape} {tensor.type.lower()}"
    quantization = tensor.quantization
    if quantization is not None and quantization.per_channel:
        text += f", {len(quantization.scales)} scales"
    elif quantization is not None:
        text += f", scale {quantization.scales[0]:.9g}, zero point {quantization.zero_points[0]}"
    if tensor.is_constant:
        return f"{text}, constant"
    removed = unit.program.removed.get(tensor.index)
    if removed is not None:
        left_out = len(removed.values) - len(removed.kept)
        text += f", {left_out} of {len(removed.values)} channels are constant and left out"
    if tensor.index in unit.memory.tensors:
        text += f", at {unit.memory.tensors[tensor.index].offset}"
    return text


def _call(unit: Unit, operator: Operator, params: str, call: KernelCall) -> str:
    arguments = [f"&{params}"]
    operand = "int16_t" if call.element_bytes == 2 else "int8_t"
    for tensor in call.inputs:
        if unit.program.root_tensor(tensor).is_constant:
            begin = call.input_offset // call.element_bytes
            name = f"t{tensor}_data" + (f" + {begin}" if begin else "")
            is_wide = unit.graph.tensor(tensor).type is TensorType.INT16
            arguments.append(f"(const int8_t *){name}" if is_wide and operand == "int8_t" else name)
        else:
            place = unit.memory.tensors[tensor].offset + call.input_offset
            arguments.append(f"(const {operand} *)&arena[{place}]")
    output = unit.graph.tensor(operator.outputs[call.output])
    offset = unit.memory.tensors[output.index].offset + call.output_offset
    # A kernel that moves bytes takes them as int8, whatever they mean.
    moved = output.type is TensorType.INT16 and call.element_bytes == 1
    result = "int8_t" if moved else c_type(output.type)
    arguments.append(f"({result} *)&arena[{offset}]")
    for state in call.states:
        place = unit.memory.tensors[state].offset
        arguments.append(f"({c_type(unit.graph.tensor(state).type)} *)&arena[{place}]")
    if operator.index in unit.memory.scratch:
        arguments.append(f"&arena[{unit.memory.scratch[operator.index].offset}]")
    one_line = f"{call.function}({', '.join(arguments)});"
    if len(one_line) <= 92:
        return one_line
    pad = "\n" + " " * (len(call.function) + 5)
    return f"{call.function}({f',{pad}'.join(arguments)});"
