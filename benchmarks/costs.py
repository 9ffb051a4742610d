"""Fits the cost models of the kernels (``device_runners/cgen/costs.py``) to counts of the emulator.

    python benchmarks/costs.py [--core cortex-m4]... [--seeds 6]

Random layers of usual sizes, with weights of eight bits and of four, go through every kernel that
can compute them, on a core of each level, layer by layer. Non-negative least squares on relative
errors give what a pass of each loop takes; printed are the tables and how far they are off. Writes
``build/bench/costs.json``.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from per_layer import count_layers
from scipy.optimize import nnls

from converters.files import write_atomic
from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Activation, Graph, Padding, TensorType
from converters.tflite.options import (
    Conv2DOptions,
    DepthwiseConv2DOptions,
    FullyConnectedOptions,
)
from device_runners.cgen.costs import MODELS
from device_runners.cgen.operation import Emission, KernelCall, OpContext
from device_runners.cgen.program import Program
from device_runners.cgen.registry import operations
from device_runners.cgen.runner import assemble
from pipeline import display
from pipeline.fixed_input import fixed_samples
from pipeline.stages.mcu import isa_of

_LAYERS = 36
_MOST_MACS = 1_500_000
_ALTERNATIVES = 6


@dataclass(frozen=True)
class Observation:
    """A call of a kernel, and the instructions that it took."""

    call: KernelCall
    instructions: int


def main(
    core: Annotated[list[str] | None, typer.Option(help="Only this core; repeatable.")] = None,
    seeds: Annotated[int, typer.Option(help="Graphs of 36 layers for each core.")] = 6,
    out: Annotated[Path, typer.Option(help="Where the results go.")] = Path("build/bench"),
) -> None:
    """Fit the cost models to counts of the emulator."""
    terminal = display.Terminal()
    cores = core or ["cortex-m3", "cortex-m4", "cortex-m55"]
    found: list[Observation] = []
    with terminal.stage("counting random layers") as progress:
        for number, (name, seed) in enumerate((c, s) for c in cores for s in range(seeds)):
            progress(number, len(cores) * seeds)
            found += observe(name, seed)
    fits = [fit for name in MODELS if (fit := _fit(name, found)) is not None]
    tables = {fit.function: asdict(fit) for fit in fits}
    write_atomic(out / "costs.json", json.dumps(tables, indent=2) + "\n")
    headings = ("kernel", "layers", "median error", "90% below", "largest", "a pass takes")
    display.show_rows("Models of the kernels' instructions", headings, [_row(fit) for fit in fits])
    terminal.note(f"written: {out / 'costs.json'}")


def observe(core: str, seed: int) -> Iterator[Observation]:
    """Counts random graphs on a core, once with each rank of their layers' kernels."""
    layers = _layers(np.random.default_rng(seed))
    for graph in (layers, _in_four_bits(layers)):
        yield from _observe_graph(graph, core)


def _observe_graph(graph: Graph, core: str) -> Iterator[Observation]:
    program, isa = Program(graph), isa_of(core)
    (sample,) = fixed_samples(graph, 1)
    emissions = {
        op.index: operations()[op.opcode].emit(OpContext(graph, op, isa)) for op in graph.operators
    }
    for rank in range(_ALTERNATIVES):
        taken = {index: _ranked(emission, rank) for index, emission in emissions.items()}
        with tempfile.TemporaryDirectory(prefix="tidepool-costs-") as folder:
            artifacts = assemble("layers", program, taken, (), Path(folder) / "aot")
            counts = count_layers(artifacts, graph, core, sample)
        for count in counts:
            emission = emissions[count.index]
            if rank <= len(emission.alternatives):
                yield Observation(taken[count.index].calls[0], count.instructions)


def _ranked(emission: Emission, rank: int) -> Emission:
    every = (emission, *emission.alternatives)
    return every[min(rank, len(every) - 1)]


@dataclass(frozen=True)
class Fit:
    """What was found for one kernel.

    Attributes:
        function: The kernel's C function.
        layers: Counted calls.
        errors: Median, 9th decile and maximum of the relative error.
        instructions: What a pass of each loop takes.
    """

    function: str
    layers: int
    errors: tuple[float, float, float]
    instructions: dict[str, float]


def _fit(function: str, found: list[Observation]) -> Fit | None:
    """None for a kernel that no layer took."""
    seen = [one for one in found if one.call.function == function]
    if not seen:
        return None
    passes = [MODELS[function].passes(one.call.params) for one in seen]
    loops = list(dict.fromkeys(loop for each in passes for loop in each))
    matrix = np.array([[each.get(loop, 0) for loop in loops] for each in passes], float)
    matrix /= np.array([one.instructions for one in seen], float)[:, None]
    taken, _ = nnls(matrix, np.ones(len(seen)))
    errors = np.abs(matrix @ taken - 1)
    summary = float(np.median(errors)), float(np.quantile(errors, 0.9)), float(errors.max())
    instructions = {loop: round(float(each), 2) for loop, each in zip(loops, taken, strict=True)}
    return Fit(function, len(seen), summary, instructions)


def _row(fit: Fit) -> tuple[str, ...]:
    loops = ", ".join(f"{loop} {each:g}" for loop, each in fit.instructions.items())
    errors = (f"{error:.1%}" for error in fit.errors)
    return (fit.function.removeprefix("tidepool_"), str(fit.layers), *errors, loops)


def _layers(rng: np.random.Generator) -> Graph:
    b = GraphBuilder("layers")
    for number in range(_LAYERS):
        b.output((_convolution, _depthwise, _dense)[number % 3](b, rng))
    return b.graph()


def _in_four_bits(graph: Graph) -> Graph:
    """The same layers with weights that a file might have in four bits."""
    weights = {op.inputs[1] for op in graph.operators}
    return replace(
        graph,
        tensors=tuple(
            replace(tensor, data=np.maximum(tensor.data >> 4, -7), packed_type=TensorType.INT4)
            if tensor.index in weights and tensor.data is not None
            else tensor
            for tensor in graph.tensors
        ),
    )


def _pick(rng: np.random.Generator, *items: Any) -> Any:
    return items[int(rng.integers(len(items)))]


def _convolution(b: GraphBuilder, rng: np.random.Generator) -> int:
    kernel = _pick(rng, (1, 1), (3, 3), (3, 3), (5, 5), (1, 3), (10, 4))
    outputs = _pick(rng, 2, 4, 6, 8, 13, 16, 32, 64)
    return _image_layer(b, rng, kernel, _pick(rng, 1, 3, 4, 8, 16, 24, 32, 64, 96), outputs)


def _depthwise(b: GraphBuilder, rng: np.random.Generator) -> int:
    kernel = _pick(rng, (3, 3), (3, 3), (5, 5), (1, 3), (7, 7), (1, 9), (5, 1), (6, 6))
    return _image_layer(b, rng, kernel, _pick(rng, 3, 4, 8, 12, 16, 24, 32, 64, 96), None)


def _image_layer(
    b: GraphBuilder,
    rng: np.random.Generator,
    kernel: tuple[int, int],
    channels: int,
    outputs: int | None,
) -> int:
    """A convolution; without a number of outputs, a depthwise one."""
    stride, padding = _pick(rng, 1, 1, 2), _pick(rng, Padding.SAME, Padding.SAME, Padding.VALID)
    dilation = _pick(rng, 1, 1, 1, 2) if outputs is None else 1
    extents = [(size - 1) * dilation + 1 for size in kernel]
    height, width = (int(n) for n in max(extents) + rng.integers(0, _pick(rng, 2, 8, 20), 2))
    taps = kernel[0] * kernel[1] * channels * (outputs or 1)
    if taps * height * width / stride**2 > _MOST_MACS:
        height, width = max(extents[0], height // 3), max(extents[1], width // 3)
    rows, columns = (
        -(-size // stride) if padding is Padding.SAME else (size - extent) // stride + 1
        for size, extent in zip((height, width), extents, strict=True)
    )
    zero_point = _pick(rng, -128, -128, 3)
    activation = Activation.RELU if zero_point == -128 else Activation.NONE
    common = (padding, stride, stride)
    options: Any = Conv2DOptions(*common, activation, 1, 1)
    count, axis = outputs or channels, 0
    shape = (count, *kernel, channels)
    if outputs is None:
        multiplier = _pick(rng, 1, 1, 1, 2)
        count, axis = channels * multiplier, 3
        options = DepthwiseConv2DOptions(*common, multiplier, activation, dilation, dilation)
        shape = (1, *kernel, count)
    x = b.input((1, height, width, channels), 0.05, zero_point)
    return b.op(
        "CONV_2D" if outputs else "DEPTHWISE_CONV_2D",
        [x, *_weights(b, rng, shape, axis, shape[axis])],
        options,
        shape=(1, rows, columns, count),
        scale=0.1,
        zero_point=zero_point,
        version=3,
    )


def _dense(b: GraphBuilder, rng: np.random.Generator) -> int:
    depth = _pick(rng, 8, 16, 24, 32, 64, 100, 128, 256, 640)
    outputs, rows = _pick(rng, 2, 4, 8, 10, 12, 32, 64, 128), _pick(rng, 1, 1, 1, 1, 4, 7)
    x = b.input((rows, depth), 0.05, -128)
    return b.op(
        "FULLY_CONNECTED",
        [x, *_weights(b, rng, (outputs, depth), 0, _pick(rng, 1, outputs))],
        FullyConnectedOptions(Activation.RELU),
        shape=(rows, outputs),
        scale=0.1,
        zero_point=-128,
        version=5,
    )


def _weights(
    b: GraphBuilder, rng: np.random.Generator, shape: tuple[int, ...], axis: int, scales: int
) -> tuple[int, int]:
    """Weights and a bias."""
    of = [float(np.float32(scale)) for scale in rng.uniform(0.002, 0.01, scales)]
    taps = rng.integers(-127, 128, shape).astype(np.int8)
    bias = rng.integers(-2000, 2000, shape[axis]).astype(np.int32)
    weights = b.constant(taps, scales=of, axis=axis)
    return weights, b.constant(bias, scales=[0.05 * scale for scale in of])


if __name__ == "__main__":
    typer.run(main)
