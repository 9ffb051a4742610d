"""The code generator as a device runner: check, build, run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from converters.files import staged_directory
from converters.tflite.graph import Array, Graph, TensorType
from device_runners.cgen.host_build import HostBuild
from device_runners.cgen.memory import allocate
from device_runners.cgen.operation import OpContext
from device_runners.cgen.passes import run_passes
from device_runners.cgen.program import Program
from device_runners.cgen.registry import operations, supported_opcodes
from device_runners.cgen.sources import Unit, port, write_sources
from device_runners.runner import Artifacts, Finding, Findings, Int8Model, finding_at

_CONVERT = "convert the model to full-integer int8 with 'tidepool convert'"


def check(graph: Graph) -> Findings:
    """Says everything that keeps a graph from becoming C code.

    A graph that is not int8 at all gets one finding; any other gets one for each constraint that
    each operator breaks.
    """
    whole = _check_graph(graph)
    if whole is not None:
        return Findings((whole,))
    findings: list[Finding] = []
    for operator in graph.operators:
        findings += _check_operator(OpContext(graph, operator))
    return Findings(tuple(findings))


def build(model: Int8Model, out: Path) -> Artifacts:
    """Writes ``<name>.h``, ``<name>.c``, ``tidepool_kernels.h`` and the kernels used to ``out``.

    Args:
        model: The model.
        out: The folder; it is replaced as a whole, or left alone on an error.

    Returns:
        The files, and figures: ``arena_bytes``, ``lower_bound_bytes``, ``weights_bytes``, ``macs``,
        ``kernels``, ``inputs``, ``outputs``, ``layers`` and ``tensors`` (the memory plan).

    Raises:
        TidepoolError: The graph has blocking findings; the message names all of them.
    """
    graph = model.graph
    check(graph).raise_if_blocking()
    program = run_passes(Program(graph))
    emissions = {
        operator.index: operations()[operator.opcode].emit(OpContext(graph, operator))
        for operator in graph.operators
        if not program.is_silent(operator)
    }
    unit = Unit(model.name, program, emissions, allocate(program, emissions))
    with staged_directory(out) as staging:
        files = write_sources(unit, staging)
    return Artifacts(out, files, _figures(unit))


def run(artifacts: Artifacts, inputs: Sequence[Array]) -> list[Array]:
    """Runs one inference on this machine: compiles the sources with its C compiler.

    Use ``HostBuild`` for more than one inference.
    """
    with HostBuild(artifacts) as host:
        return host.run(inputs)


def _check_graph(graph: Graph) -> Finding | None:
    """What concerns the whole graph: its types, and what its inputs and outputs are."""
    if graph.subgraphs != 1:
        return Finding(
            f"the model has {graph.subgraphs} subgraphs; control flow is not supported",
            hint="remove WHILE, IF and CALL_ONCE from the model",
        )
    computed = [*graph.input_tensors, *(t for op in graph.operators for t in graph.outputs_of(op))]
    for tensor in computed:
        if tensor.type.is_float or tensor.type is TensorType.UINT8:
            kind = "float" if tensor.type.is_float else "uint8"
            return Finding(
                f"the model is not int8: tensor {tensor.index} '{tensor.name}' is {kind} "
                f"({tensor.type})",
                hint=_CONVERT,
                tensor=tensor.name,
            )
    for tensor in (*graph.input_tensors, *graph.output_tensors):
        if tensor.is_constant or tensor.type is not TensorType.INT8 or tensor.is_variable:
            what = "constant" if tensor.is_constant else f"a {tensor.type} tensor with state"
            if tensor.type is not TensorType.INT8:
                what = f"of type {tensor.type}"
            return Finding(
                f"the input or output {tensor.index} '{tensor.name}' is {what}; "
                "computed int8 tensors are supported",
                hint=_CONVERT,
                tensor=tensor.name,
            )
        if graph.producer(tensor.index) is None and tensor.index not in graph.inputs:
            return Finding(
                f"the output {tensor.index} '{tensor.name}' is computed by no operator",
                hint=_CONVERT,
                tensor=tensor.name,
            )
    if not graph.operators:
        return Finding("the model has no operators", hint="check that the conversion succeeded")
    return None


def _check_operator(context: OpContext) -> list[Finding]:
    operator = context.operator
    tensor = context.graph.tensor(operator.outputs[0]).name if operator.outputs else ""
    title = f"operator {operator.index} {operator.display_name} (output '{tensor}')"

    def finding(sentence: str, hint: str) -> Finding:
        return finding_at(context.graph, operator, f"{title} {sentence}", hint)

    operation = operations().get(operator.opcode)
    if operation is None:
        return [finding(f"is not supported; supported are {supported_opcodes()}", _REPLACE)]
    if operator.version > operation.versions:
        sentence = f"has version {operator.version}; versions up to {operation.versions} are known"
        return [finding(sentence, "convert the model with int8 tensors and default options")]
    least, most = operation.inputs
    count = len(operator.inputs)
    if count < least or (most is not None and count > most) or len(operator.outputs) != 1:
        sentence = f"has {count} inputs and {len(operator.outputs)} outputs"
        return [finding(sentence, "check the model with 'tidepool check'")]
    sentences = operation.check(context)
    return [finding(sentence, _CHANGE) for sentence in sentences]


_REPLACE = "replace the op in the model, or deploy with the TFLM runtime"
_CHANGE = "change the layer, or deploy with the TFLM runtime"


def _figures(unit: Unit) -> dict[str, object]:
    graph, memory = unit.graph, unit.memory
    layers = []
    for operator in graph.operators:
        emission = unit.emissions.get(operator.index)
        layers.append(
            {
                "index": operator.index,
                "opcode": operator.opcode,
                "kernel": emission.kernel if emission else None,
                "macs": emission.macs if emission else 0,
                "output": operator.outputs[0],
                "output_shape": list(graph.tensor(operator.outputs[0]).shape),
            }
        )
    return {
        "model": unit.name,
        "arena_bytes": memory.arena_bytes,
        "lower_bound_bytes": memory.lower_bound_bytes,
        "weights_bytes": unit.weights_bytes,
        "macs": unit.macs,
        "kernels": list(unit.kernels),
        "inputs": [port(unit, tensor) for tensor in graph.input_tensors],
        "outputs": [port(unit, tensor) for tensor in graph.output_tensors],
        "layers": layers,
        "tensors": [
            {
                "index": index,
                "name": graph.tensor(index).name,
                "shape": list(graph.tensor(index).shape),
                "offset": placement.offset,
                "bytes": placement.bytes,
                "first": placement.first,
                "last": placement.last,
            }
            for index, placement in memory.tensors.items()
        ],
    }
