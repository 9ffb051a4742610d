"""The report of a run: everything it found out, for machines (JSON) and for the tables."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from converters.files import write_atomic
from pipeline.runtime_comparison import RuntimeComparison
from pipeline.stages.compression import ClusteringReport, CompressionReport

SCHEMA_VERSION = 1
"""Raised when a field changes its meaning or goes; new fields don't raise it."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ModelReport(_Part):
    """The model that went in, and the int8 model that came out of it."""

    name: str
    source: str
    int8_file: str = ""
    int8_bytes: int = 0
    operators: int = 0


class AgreementReport(_Part):
    """How one output of the int8 model agrees with the Keras model's on the calibration data.

    Errors are absolute differences: in real units, and in steps of the output's scale (LSB).
    """

    output: str
    samples: int
    mean_error: float
    worst_error: float
    mean_error_lsb: float
    worst_error_lsb: float
    correlation: float
    argmax_agreement: float | None


class EvaluationReport(_Part):
    """The metric on held-out samples, and the gate on its loss.

    Attributes:
        metric: Its name, for example ``accuracy``.
        higher_is_better: Whether it is a score or an error.
        samples: How many test samples it was taken on.
        float_value: The Keras model's; None when the model came in as int8.
        int8_value: The int8 model's, by the reference interpreter.
        drop: The loss in percentage points (score) or percent (error).
        max_drop: The largest loss that passes.
        passed: Whether it passed.
    """

    metric: str
    higher_is_better: bool
    samples: int
    float_value: float | None
    int8_value: float
    drop: float | None
    max_drop: float
    passed: bool


class QatReport(_Part):
    """Quantization-aware training.

    Attributes:
        scheme: The grids that it trained for.
        epochs: How many it ran; fewer than asked for when it stopped early.
        epochs_resumed: How many of them an earlier run had done, which was interrupted.
        first_loss: Training loss of the first epoch of this run (after a resume: of the rest).
        last_loss: Training loss of its last epoch.
        distillation: Weight of the float model's teaching.
        model_file: The trained quantized model.
        logs: Folder of the TensorBoard logs.
        post_training: What conversion without training reached, in the mode ``auto``.
    """

    scheme: str
    epochs: int
    epochs_resumed: int
    first_loss: float | None
    last_loss: float | None
    distillation: float
    model_file: str
    logs: str
    post_training: EvaluationReport | None = None


class MismatchReport(_Part):
    """The first tensor in which the device differs from the reference."""

    sample: int
    tensor: int
    tensor_name: str
    opcode: str
    differing_elements: int
    total_elements: int
    worst_difference: int


class PassReport(_Part):
    """A pass over the graph before code is generated, and what it saved; negative: what it cost.

    Attributes:
        name: Its file in ``device_runners/cgen/passes``; ``splitting``: operators in parts.
        text: What it changed.
        operators: How many operators that concerned.
        macs: Multiply-accumulates of an inference.
        arena_bytes: Planned memory.
        weights_bytes: Constants of the generated code.
    """

    name: str
    text: str
    operators: int
    macs: int
    arena_bytes: int
    weights_bytes: int

    def told(self) -> str:
        """What it did, and what went."""
        units = ("multiply-accumulates", "bytes of arena", "bytes of constants")
        values = (self.macs, self.arena_bytes, self.weights_bytes)
        parts = [f"{value:,} {unit}" for value, unit in zip(values, units, strict=True) if value]
        return self.text + (f": {', '.join(parts)} less" if parts else "")


class AotReport(_Part):
    """The generated C.

    Attributes:
        arena_bytes: What the planned arena takes: inputs, outputs, activations, scratch.
        arena_lower_bound_bytes: No plan for these kernels takes less.
        arena_is_optimal: Whether it is proven that no plan takes less than this one.
        live_bytes: The largest set of tensors that are live at once: what a plan without overlap
            takes at least.
        macs: Multiply-accumulates of one inference, as it is executed.
        passes: What was done to the graph before.
    """

    directory: str
    files: list[str]
    arena_bytes: int
    arena_lower_bound_bytes: int
    arena_is_optimal: bool
    live_bytes: int
    macs: int
    passes: list[PassReport] = []


class TflmReport(_Part):
    """TFLM on this machine: proof that the same flatbuffer runs there, and its arena.

    Attributes:
        host_arena_bytes: What the interpreter used of its arena here, with 64-bit pointers.
        arena_bytes: ``kTensorArenaSize``.
        arena_source: Where that comes from: measured on an emulated core, or estimated from
            ``host_arena_bytes`` and what CMSIS-NN's kernels may take on a board.
        compression: What lookup tables saved of the flatbuffer; None when it wasn't compressed.
    """

    directory: str
    files: list[str]
    bit_exact: bool
    samples: int
    mismatch: MismatchReport | None
    host_arena_bytes: int
    arena_bytes: int
    arena_source: str = "estimated from this machine's interpreter"


class EmulationReport(_Part):
    """What ran on the emulated core.

    Attributes:
        instructions: Executed instructions of one inference (of sample 0).
        instructions_max: The largest count over all samples.
        estimated_cycles: What these instructions would take on a Cortex-M4 by its published
            timing, whatever the core is (of sample 0); None unless the plugin counted.
        instruction_count_method: ``plugin`` (exact) or ``icount`` (its resolution is stated in
            ``docs/emulation.md``).
        text_bytes: Code of the model, its kernels and glue, without start-up and harness.
        rodata_bytes: Weights and tables.
        image: Bytes of the whole image by section, harness included.
        flash_bytes: What the whole image takes of the flash.
        ram_bytes: What the whole image reserves of the RAM.
        arena_bytes: Inputs, outputs, activations and scratch.
        stack_bytes: High-water mark of the stack during the whole run.
        output_crc32: Checksum over all outputs of sample 0.
    """

    core: str
    board: str
    machine: str
    runtime: str
    samples: int
    bit_exact: bool
    compared: str
    mismatch: MismatchReport | None
    instructions: int
    instructions_max: int
    estimated_cycles: int | None = None
    instruction_count_method: str
    text_bytes: int
    rodata_bytes: int
    image: dict[str, int]
    flash_bytes: int
    ram_bytes: int
    arena_bytes: int
    stack_bytes: int
    output_crc32: str
    metric: str | None = None
    host_value: float | None = None
    emulator_value: float | None = None


class McuReport(_Part):
    """The Cortex-M target; what a run left out is None."""

    aot: AotReport | None = None
    tflm: TflmReport | None = None
    emulation: EmulationReport | None = None
    runtimes: RuntimeComparison | None = None
    compression: CompressionReport | None = None

    @property
    def bit_exact(self) -> bool:
        """Whether everything that ran computed what the reference computes."""
        parts = (self.tflm, self.emulation, self.runtimes)
        return all(part is None or part.bit_exact for part in parts)


class BudgetReport(_Part):
    """One figure against its budget.

    Attributes:
        name: ``arena``, ``flash``, ``instructions``, ``stack`` or the metric.
        measured: What this run has.
        limit: The largest value that passes (the smallest where ``at_least``).
        source: ``limit`` (the settings) or ``baseline`` (an earlier run's report).
    """

    name: str
    unit: str
    measured: float
    limit: float
    source: str
    at_least: bool
    passed: bool


class LayerRewriteReport(_Part):
    """Layers of the Keras model that were replaced by forms that map.

    Attributes:
        max_error: Largest absolute difference of the function, for any input; 0 where exact.
    """

    name: str
    layers: list[str]
    exact: bool
    max_error: float
    note: str


class RewriteReport(_Part):
    """A rewrite of the int8 graph, and in how many places it changed it."""

    name: str
    count: int
    exact: bool
    note: str


class EdgeTpuReport(_Part):
    """The Coral target.

    Attributes:
        directory: Where its files are.
        mapped_before_rewrites: How many operators would map without the rewrites.
        operators_before_rewrites: How many there were.
        layer_rewrites: What was replaced in the Keras model.
        rewrites: What was changed in the int8 graph.
        rewrite_difference: Largest difference that these make to an output on random inputs, in
            steps of its scale; None when there was nothing to compare, or no reference kernel.
        preflight: The prediction for the compiler's input, as ``tidepool check --target edge-tpu
            --json`` prints it.
        warnings: What the prediction warns of.
        compiled: Whether the compiler ran and its result is there.
        mispredicted: Indices of the operators for which the compiler decided otherwise.
        figures: What was read from the compiled files and the compiler's log; ``differences``
            holds both verdicts on each operator for which they differ.
    """

    directory: str
    mapped_before_rewrites: int
    operators_before_rewrites: int
    layer_rewrites: list[LayerRewriteReport] = []
    rewrites: list[RewriteReport] = []
    rewrite_difference: float | None = None
    preflight: dict[str, Any]
    warnings: list[str] = []
    compiled: bool
    mispredicted: list[int] = []
    figures: dict[str, Any] = {}


class Report(_Part):
    """One run. Written as ``report.json``."""

    schema_version: int = SCHEMA_VERSION
    tidepool_version: str = version("tidepool")
    target: str
    model: ModelReport
    warnings: list[str] = []
    agreement: list[AgreementReport] = []
    evaluation: EvaluationReport | None = None
    qat: QatReport | None = None
    clustering: ClusteringReport | None = None
    mcu: McuReport | None = None
    edge_tpu: EdgeTpuReport | None = None
    budgets: list[BudgetReport] = []

    def write(self, path: Path) -> Path:
        return write_atomic(path, self.model_dump_json(indent=2) + "\n")
