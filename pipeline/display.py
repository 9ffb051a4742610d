"""What the command line shows: stages with their progress, tables, errors. Nothing else prints."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as RichProgress
from rich.table import Table

from converters.errors import TidepoolError
from converters.progress import Progress
from device_runners.runner import Findings
from pipeline.budgets import describe
from pipeline.report import (
    AgreementReport,
    EdgeTpuReport,
    EmulationReport,
    EvaluationReport,
    McuReport,
    QatReport,
    Report,
)
from pipeline.stages.edge_tpu import Outlook, describe_layers

# Progress, notes and errors go to standard error: standard output is the result's alone.
_status = Console(stderr=True, highlight=False, soft_wrap=True)
# A pipe or a log has no width of its own: take one that holds the widest table.
_result = Console(highlight=False, width=None if sys.stdout.isatty() else 140)


class Terminal:
    """A listener that shows progress bars on a terminal, and a line a stage elsewhere."""

    @contextmanager
    def stage(self, title: str) -> Iterator[Progress]:
        started = time.monotonic()
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        hidden = not _status.is_terminal
        with RichProgress(*columns, console=_status, transient=True, disable=hidden) as bars:
            task = bars.add_task(escape(title), total=None)

            def progress(done: int, total: int | None) -> None:
                bars.update(task, completed=done, total=total)

            yield progress
        _status.print(f"[green]✓[/] {escape(title)} [dim]{time.monotonic() - started:.1f} s[/]")

    def note(self, text: str) -> None:
        _status.print(f"  [dim]{escape(text)}[/]")

    def warn(self, text: str) -> None:
        _status.print(f"[yellow]warning:[/] {escape(text)}")


def show_error(error: TidepoolError) -> None:
    """One error: what is wrong, then the next step."""
    _status.print(f"[bold red]error:[/] {escape(error.message)}")
    if error.hint:
        _status.print(f"[bold]hint:[/]  {escape(error.hint)}")


def show_json(text: str) -> None:
    """Machine-readable text, unstyled and unwrapped."""
    sys.stdout.write(text.rstrip("\n") + "\n")


def show_report(report: Report, directory: str) -> None:
    """The tables of a run."""
    table = _table(f"{report.model.name} → {report.target}")
    model = report.model
    table.add_row("int8 model", f"{model.int8_bytes:,} bytes, {model.operators} operators")
    for agreement in report.agreement:
        table.add_row("agreement with Keras", _agreement(agreement))
    if report.evaluation is not None:
        table.add_row(report.evaluation.metric, _evaluation(report.evaluation))
    if report.clustering is not None:
        change = report.clustering
        table.add_row(
            "weights clustered",
            f"{2**change.bits} values a channel, {change.tensors} tensors changed, mean error "
            f"{change.mean_error:.2f} LSB, worst {change.worst_error} LSB",
        )
    if report.qat is not None:
        table.add_row("quantization-aware training", _training(report.qat))
    if report.mcu is not None:
        _add_mcu(table, report.mcu)
    if report.edge_tpu is not None:
        _add_edge_tpu(table, report.edge_tpu)
    for verdict in report.budgets:
        mark = "[green]ok[/]" if verdict.passed else "[red]OVER BUDGET[/]"
        table.add_row("budget", f"{escape(describe(verdict))}, {mark}")
    table.add_row("results", escape(directory))
    _result.print(table)
    if report.edge_tpu is not None:
        _show_prediction(report.edge_tpu.preflight)
    if report.mcu is not None and report.mcu.runtimes is not None:
        found = report.mcu.runtimes
        title = f"runtimes on {found.core} (instructions are not cycles; sizes in bytes)"
        show_rows(title, found.HEADINGS, found.rows())


def _add_mcu(table: Table, mcu: McuReport) -> None:
    if mcu.aot is not None:
        for one in mcu.aot.passes:
            table.add_row(f"pass {one.name}", escape(one.told()))
        table.add_row("multiply-accumulates", f"{mcu.aot.macs:,}")
        bound = (
            "no plan takes less"
            if mcu.aot.arena_is_optimal
            else f"at least {mcu.aot.arena_lower_bound_bytes:,}"
        )
        table.add_row(
            "planned arena",
            f"{mcu.aot.arena_bytes:,} bytes ({bound}; {mcu.aot.live_bytes:,} are live at once)",
        )
    if mcu.tflm is not None:
        table.add_row(
            "TFLM on this machine",
            f"{_exact(mcu.tflm.bit_exact)} on {mcu.tflm.samples} samples, arena for a board "
            f"{mcu.tflm.arena_bytes:,} bytes ({mcu.tflm.arena_source})",
        )
    if mcu.compression is not None:
        saved = mcu.compression.bytes_before - mcu.compression.bytes_after
        table.add_row(
            "lookup tables for TFLM",
            f"{mcu.compression.tensors} tensors, {saved:,} bytes less in the flatbuffer "
            f"({mcu.compression.bytes_after:,})",
        )
    if mcu.emulation is not None:
        _add_emulation(table, mcu.emulation)


def _add_edge_tpu(table: Table, report: EdgeTpuReport) -> None:
    for layers in report.layer_rewrites:
        table.add_row("layers replaced", escape(describe_layers(layers)))
    for one in report.rewrites:
        table.add_row("rewritten", escape(f"{one.name} ({one.count}x): {one.note}"))
    if report.rewrite_difference is not None:
        table.add_row("", f"largest change of an output: {report.rewrite_difference:g} LSB")
    if report.rewrites:
        table.add_row(
            "before these",
            f"{report.mapped_before_rewrites} of {report.operators_before_rewrites} operators",
        )
    prediction = report.preflight
    table.add_row(
        "predicted to map",
        f"{prediction['mapped_ops']} of {prediction['total_ops']} operators, "
        f"{prediction['predicted_parameter_bytes']:,} bytes of parameters",
    )
    if not report.compiled:
        table.add_row("Edge TPU", "[yellow]not compiled[/]")
        return
    _add_compiled(table, report.figures)


def _show_prediction(prediction: dict[str, Any]) -> None:
    """The operator table that the compiler is expected to print, and the memory."""
    rows = [
        (row["opcode"], str(row["count"]), escape(row["status"]))
        for row in prediction["operator_table"]
    ]
    show_rows("predicted for compiler 16.0", ("operator", "count", "status"), rows)
    parameters = prediction["parameters"]
    low, high = parameters["streamed"]
    streamed = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    _result.print(
        f"parameters: {parameters['predicted']:,} bytes ({parameters['level']}), "
        f"{streamed} bytes of them streamed for every inference"
    )
    latency = prediction["latency"]
    if latency is not None:
        low, high = latency["low_ms"], latency["high_ms"]
        _result.print(f"latency: {low:.1f} to {high:.1f} ms, estimated")


def _add_compiled(table: Table, figures: dict[str, Any]) -> None:
    attempts = len(figures["attempts"])
    times = "" if attempts == 1 else f", called {attempts} times"
    table.add_row("compiler", f"version {figures['compiler_version']}{times}")
    table.add_row("on the Edge TPU", f"{figures['tpu_operations']} operators")
    table.add_row("on the CPU", f"{figures['cpu_operations']} operators")
    for part in figures["parts"]:
        table.add_row(
            escape(part["file"]),
            f"{part['bytes']:,} bytes; parameters {part['cached_bytes']:,} cached, "
            f"{part['streamed_bytes']:,} streamed",
        )
    for search in figures["delegate_searches"]:
        for name in search["intermediate_tensors"]:
            table.add_row("the Edge TPU's part ends at", escape(name))
    for text in figures["compiler_warnings"]:
        table.add_row("the compiler warns", escape(text))
    for op in figures["differences"]["operators"]:
        table.add_row(
            "[yellow]predicted otherwise[/]",
            escape(
                f"operator {op['index']} {op['op']}: predicted '{op['predicted']}', the compiler "
                f"says '{op['compiler']}'"
            ),
        )


def _add_emulation(table: Table, emulation: EmulationReport) -> None:
    exact = _exact(emulation.bit_exact)
    table.add_row(
        f"{emulation.core} ({emulation.runtime})",
        f"{exact} on {emulation.samples} samples ({emulation.compared}), "
        f"output CRC32 {emulation.output_crc32}",
    )
    if emulation.mismatch is not None:
        bad = emulation.mismatch
        table.add_row(
            "first difference",
            f"sample {bad.sample}, tensor {bad.tensor} '{escape(bad.tensor_name)}' of "
            f"{bad.opcode}: {bad.differing_elements} of {bad.total_elements} elements, "
            f"worst by {bad.worst_difference}",
        )
    if emulation.metric is not None:
        table.add_row(
            f"{emulation.metric} of these samples",
            f"host {emulation.host_value:.4f}, emulator {emulation.emulator_value:.4f}",
        )
    table.add_row(
        "instructions per inference",
        f"{emulation.instructions:,} (not cycles; by {emulation.instruction_count_method})",
    )
    if emulation.estimated_cycles is not None:
        cycles = emulation.estimated_cycles
        table.add_row(
            "estimated cycles",
            f"{cycles:,} by the Cortex-M4's published timing, "
            f"{cycles / emulation.instructions:.2f} an instruction",
        )
    table.add_row(
        "RAM of the model",
        f"{emulation.arena_bytes:,} bytes arena, {emulation.stack_bytes:,} bytes stack",
    )
    table.add_row(
        "flash of the model",
        f"{emulation.text_bytes:,} bytes code, {emulation.rodata_bytes:,} bytes constants",
    )


def _agreement(agreement: AgreementReport) -> str:
    text = (
        f"mean error {agreement.mean_error_lsb:.2f} LSB, worst {agreement.worst_error_lsb:.0f} LSB"
    )
    if agreement.argmax_agreement is not None:
        text += f", same argmax on {agreement.argmax_agreement:.1%}"
    return f"{text} ({agreement.samples} calibration samples)"


def _evaluation(evaluation: EvaluationReport) -> str:
    unit = "points" if evaluation.higher_is_better else "percent"
    text = f"int8 {evaluation.int8_value:.4f}"
    if evaluation.float_value is not None and evaluation.drop is not None:
        verdict = "[green]passed[/]" if evaluation.passed else "[red]FAILED[/]"
        change = "lost" if evaluation.drop >= 0 else "gained"
        text = (
            f"float {evaluation.float_value:.4f}, {text}: {change} {abs(evaluation.drop):.2f} "
            f"{unit}, {evaluation.max_drop:g} may be lost, {verdict}"
        )
    return f"{text} ({evaluation.samples} test samples)"


def _training(training: QatReport) -> str:
    text = f"scheme {training.scheme}, {training.epochs} epochs"
    if training.first_loss is not None and training.last_loss is not None:
        text += f", loss {training.first_loss:.4f} to {training.last_loss:.4f}"
    if training.post_training is not None:
        text += f"; without it int8 {training.post_training.int8_value:.4f}"
    return text


def _exact(bit_exact: bool) -> str:
    return "[green]bit-exact[/]" if bit_exact else "[bold red]NOT bit-exact[/]"


def show_findings(title: str, findings: Findings) -> None:
    """What a check found out."""
    if not findings.items:
        _result.print(f"[green]✓[/] {escape(title)}: nothing stands in the way")
        return
    table = Table(title=escape(title), title_justify="left")
    for column in ("op", "opcode", "output", "finding", "what to do"):
        table.add_column(column, overflow="fold")
    for item in findings.items:
        table.add_row(
            "" if item.operator is None else str(item.operator),
            item.opcode,
            escape(item.tensor),
            escape(item.message) if item.blocking else f"[dim]{escape(item.message)}[/]",
            escape(item.hint),
        )
    _result.print(table)


def show_outlook(title: str, outlook: Outlook) -> None:
    """What the Edge TPU compiler will make of a model: the operators, and what it adds up to."""
    prediction = outlook.before
    show_rows(
        title,
        ("op", "opcode", "output", "predicted status", "what to do"),
        [
            (
                str(op.index),
                f"{op.op} v{op.version}",
                escape(op.output.split(";")[0]),
                f"[green]{op.status}[/]" if op.mapped else f"[yellow]{escape(op.status)}[/]",
                escape(op.fix),
            )
            for op in prediction.ops
        ],
    )
    table = _table("prediction for compiler 16.0")
    share = prediction.share
    table.add_row("on the Edge TPU", f"{prediction.mapped_ops} of {prediction.total_ops} operators")
    if share.macs is not None:
        table.add_row("", f"{share.macs:.1%} of the multiply-accumulates")
    for finding in prediction.refused:
        table.add_row("[red]refused[/]", escape(f"{finding.message}: {finding.hint}"))
    blocker = prediction.first_blocker
    if blocker is not None:
        after = blocker.after_fix
        table.add_row(
            "first obstacle",
            escape(f"operator {blocker.index} {blocker.op}: {blocker.fix}")
            + f" — strands {len(blocker.stranded)} operators; after the fix {after.ops:.1%} map",
        )
    parameters = prediction.parameters
    table.add_row("parameters", f"{parameters.predicted:,} bytes ({parameters.level})")
    if prediction.latency is not None:
        latency = prediction.latency
        table.add_row("latency", f"{latency.low_ms:.1f} to {latency.high_ms:.1f} ms, estimated")
        table.add_row("", escape(latency.source))
    for finding in prediction.warnings:
        table.add_row("[yellow]warning[/]", escape(f"{finding.message}: {finding.hint}"))
    for one in outlook.rewritten.applied:
        table.add_row("deploy rewrites", escape(f"{one.name} ({one.count}x): {one.note}"))
    if outlook.rewritten.applied:
        mapped, total = outlook.after.mapped_ops, outlook.after.total_ops
        table.add_row("after that", f"{mapped} of {total} operators map")
    _result.print(table)


def show_rows(title: str, headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """A plain table; the cells may hold rich's markup."""
    table = Table(title=title, title_justify="left")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*row)
    _result.print(table)


def _table(title: str) -> Table:
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    return table
