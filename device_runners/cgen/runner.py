"""The code generator as a device runner: check, build, run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from converters.files import staged_directory
from converters.tflite.graph import Array, Graph, Operator, Tensor, TensorType
from device_runners.cgen.choice import smallest
from device_runners.cgen.host_build import HostBuild
from device_runners.cgen.int16 import is_wide
from device_runners.cgen.isa import Isa
from device_runners.cgen.memory import plan_memory
from device_runners.cgen.operation import Emission, OpContext
from device_runners.cgen.optimize import Optimize
from device_runners.cgen.passes import apply_pass, fold_constants
from device_runners.cgen.program import Program, RemovedChannels, program_of
from device_runners.cgen.registry import operations, supported_opcodes
from device_runners.cgen.savings import PassSaving, simplify, splitting_saving
from device_runners.cgen.sources import Unit, port, states, write_sources
from device_runners.runner import Artifacts, Finding, Findings, Int8Model, finding_at

_CONVERT = "convert the model to full-integer int8 with 'tidepool convert'"


def check(graph: Graph) -> Findings:
    """Says everything that keeps a graph from becoming C code.

    A graph that is not int8 at all gets one finding; any other gets one for each constraint that
    each operator breaks. What is computed ahead of time may be of any op.
    """
    program = apply_pass(fold_constants, program_of(graph))
    whole = _check_graph(program.graph)
    if whole is not None:
        return Findings((whole,))
    findings: list[Finding] = []
    in_the_file = [op for op in graph.operators if not set(op.outputs) & set(program.folded)]
    for operator, original in zip(program.graph.operators, in_the_file, strict=True):
        findings += _check_operator(OpContext(program.graph, operator), original.index)
    return Findings(tuple(findings))


def build(
    model: Int8Model,
    out: Path,
    isa: Isa = Isa.SCALAR,
    optimize: Optimize = Optimize.BALANCED,
) -> Artifacts:
    """Writes ``<name>.h``, ``<name>.c``, the kernels used and their headers to ``out``.

    Args:
        model: The model.
        out: The folder; it is replaced as a whole, or left alone on an error.
        isa: What the kernels are written for.
        optimize: What decides between kernels.

    Returns:
        The files, and figures: ``arena_bytes``, ``lower_bound_bytes``, ``arena_is_optimal``,
        ``live_bytes`` (the bound without overlap), ``weights_bytes``, ``macs``, ``passes`` (what
        each saved), ``kernels``, ``inputs``, ``outputs``, ``states``, ``layers``, ``tensors`` and
        ``scratch`` (the memory plan).

    Raises:
        TidepoolError: The graph has blocking findings; the message names all of them.
    """
    check(model.graph).raise_if_blocking()

    def emit(program: Program) -> dict[int, Emission]:
        graph = program.graph
        emissions = {
            operator.index: operations()[operator.opcode].emit(
                OpContext(graph, operator, isa, optimize)
            )
            for operator in graph.operators
            if not program.is_silent(operator) and _has_calls(program, operator)
        }
        return smallest(emissions) if optimize is Optimize.SIZE else emissions

    return assemble(model.name, *simplify(program_of(model.graph), emit), out)


def assemble(
    name: str,
    program: Program,
    whole: Mapping[int, Emission],
    savings: tuple[PassSaving, ...],
    out: Path,
) -> Artifacts:
    """Plans the memory of what operators became, and writes it all: the second half of ``build``.

    Args:
        name: The model's, a C identifier.
        program: The program.
        whole: Operator index -> its calls.
        savings: What passes saved.
        out: As of ``build``.
    """
    emissions, memory = plan_memory(program, whole)
    savings += splitting_saving(program, whole, emissions, memory)
    unit = Unit(name, program, emissions, memory, savings)
    with staged_directory(out) as staging:
        files = write_sources(unit, staging)
    return Artifacts(out, files, _figures(unit))


def run(artifacts: Artifacts, inputs: Sequence[Array]) -> list[Array]:
    """Runs one inference on this machine: compiles the sources with its C compiler.

    Use ``HostBuild`` for more than one inference.
    """
    with HostBuild(artifacts) as host:
        return host.run(inputs)


def _has_calls(program: Program, operator: Operator) -> bool:
    """Whether an operator can be emitted: what will be folded may be of any op."""
    if not fold_constants.match(program, operator):
        return True
    operation = operations().get(operator.opcode)
    return operation is not None and not any(operation.check(OpContext(program.graph, operator)))


def _check_graph(graph: Graph) -> Finding | None:
    """What concerns the whole graph: its types, and what its inputs and outputs are."""
    if graph.subgraphs != 1:
        return Finding(
            f"the model has {graph.subgraphs} subgraphs; control flow is not supported",
            hint="remove WHILE, IF and CALL_ONCE from the model",
        )
    computed = [*graph.input_tensors, *(t for op in graph.operators for t in graph.outputs_of(op))]
    for tensor in computed:
        if _is_real_output(graph, tensor):
            continue
        if tensor.type.is_float or tensor.type is TensorType.UINT8:
            kind = "float" if tensor.type.is_float else "uint8"
            return Finding(
                f"the model is not int8: tensor {tensor.index} '{tensor.name}' is {kind} "
                f"({tensor.type})",
                hint=_CONVERT,
                tensor=tensor.name,
            )
    for tensor in (*graph.input_tensors, *graph.output_tensors):
        integer = tensor.type in (TensorType.INT8, TensorType.INT16)
        typed = integer or _is_real_output(graph, tensor) or _is_index_output(graph, tensor)
        if tensor.is_constant or not typed or tensor.is_variable:
            what = "constant" if tensor.is_constant else f"a {tensor.type} tensor with state"
            if not typed:
                what = f"of type {tensor.type}"
            return Finding(
                f"the input or output {tensor.index} '{tensor.name}' is {what}; "
                "computed int8 and int16 tensors are supported",
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


def _is_real_output(graph: Graph, tensor: Tensor) -> bool:
    """A float output that DEQUANTIZE computes from an int8 tensor."""
    producer = graph.producer(tensor.index)
    return (
        tensor.type is TensorType.FLOAT32
        and tensor.index in graph.outputs
        and producer is not None
        and producer.opcode == "DEQUANTIZE"
    )


def _is_index_output(graph: Graph, tensor: Tensor) -> bool:
    """Indices as an output: what ARG_MAX and ARG_MIN compute."""
    producer = graph.producer(tensor.index)
    return (
        tensor.type in (TensorType.INT32, TensorType.INT64)
        and producer is not None
        and producer.opcode in ("ARG_MAX", "ARG_MIN")
    )


def _check_operator(context: OpContext, index: int) -> list[Finding]:
    """What keeps an operator, which the file has at an index, from becoming C code."""
    operator = replace(context.operator, index=index)
    tensor = context.graph.tensor(operator.outputs[0]).name if operator.outputs else ""
    title = f"operator {operator.index} {operator.display_name} (output '{tensor}')"

    def finding(sentence: str, hint: str) -> Finding:
        return finding_at(context.graph, operator, f"{title} {sentence}", hint)

    # TFLM takes int8 models only.
    way_out = _WITH_INT8 if is_wide(context) else _WITH_TFLM
    operation = operations().get(operator.opcode)
    if operation is None:
        hint = f"replace the op in the model, or {way_out}; supported are {supported_opcodes()}"
        return [finding("is not supported", hint)]
    if operator.version > operation.versions:
        sentence = f"has version {operator.version}; versions up to {operation.versions} are known"
        return [finding(sentence, "convert the model with int8 tensors and default options")]
    counts = len(operator.inputs), len(operator.outputs)
    if not (_within(counts[0], operation.inputs) and _within(counts[1], operation.outputs)):
        sentence = f"has {counts[0]} inputs and {counts[1]} outputs"
        return [finding(sentence, "check the model with 'tidepool check'")]
    sentences = operation.check(context)
    return [finding(sentence, f"change the layer, or {way_out}") for sentence in sentences]


def _within(count: int, limits: tuple[int, int | None]) -> bool:
    least, most = limits
    return count >= least and (most is None or count <= most)


_WITH_TFLM = "deploy with the TFLM runtime"
_WITH_INT8 = "convert the model with int8 activations"


def _removed(channels: RemovedChannels | None) -> dict[str, object] | None:
    if channels is None:
        return None
    return {
        "shape": list(channels.shape),
        "kept": channels.kept.tolist(),
        "values": channels.values.tolist(),
    }


def _folded(tensor: Tensor) -> dict[str, object]:
    assert tensor.data is not None
    return {
        "index": tensor.index,
        "type": str(tensor.type),
        "shape": list(tensor.shape),
        "values": tensor.data.ravel().tolist(),
    }


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
                "reason": emission.reason if emission else "",
                "macs": emission.macs if emission else 0,
                "output": operator.outputs[0],
                "outputs": list(operator.outputs),
                "output_shape": list(graph.tensor(operator.outputs[0]).shape),
            }
        )
    return {
        "model": unit.name,
        "arena_bytes": memory.arena_bytes,
        "lower_bound_bytes": memory.lower_bound_bytes,
        "arena_is_optimal": memory.is_optimal,
        "live_bytes": memory.live_bytes,
        "weights_bytes": unit.weights_bytes,
        "macs": unit.macs,
        "passes": [asdict(saving) for saving in unit.savings],
        "kernels": list(unit.kernels),
        "inputs": [port(unit, tensor) for tensor in graph.input_tensors],
        "outputs": [port(unit, tensor) for tensor in graph.output_tensors],
        "states": states(unit),
        "layers": layers,
        "tensors": [
            {
                "index": index,
                "name": graph.tensor(index).name,
                "type": str(graph.tensor(index).type),
                "shape": list(graph.tensor(index).shape),
                "offset": placement.offset,
                "bytes": placement.bytes,
                "first": placement.first,
                "last": placement.last,
                "removed": _removed(unit.program.removed.get(index)),
            }
            for index, placement in memory.tensors.items()
        ],
        "dropped": [{"index": index, **asdict(pad)} for index, pad in unit.program.dropped.items()],
        "folded": [_folded(graph.tensor(index)) for index in unit.program.folded],
        "scratch": [
            {"operator": index, **asdict(placement)} for index, placement in memory.scratch.items()
        ],
    }
