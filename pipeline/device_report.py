"""What a run on an Edge TPU found out: as JSON, and as the rows of a table."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict

from device_runners.edge_tpu.device import Difference, Latency


class DeviceReport(BaseModel):
    """One run on a device. Times are milliseconds.

    Attributes:
        model: The file that was given.
        ran: The file that ran: the same, or with the device ``cpu`` the one before compilation.
        on_edge_tpu: Whether an Edge TPU ran it.
        device: As it was asked for.
        interpreter: The module that the interpreter came from.
        versions: What took part, with versions.
        runtime: What libedgetpu says it is.
        notes: The device's remarks.
        warnings: What the user should look at.
        inputs: Where the samples come from.
        samples: How many ran.
        first_ms: The first inference, which also sends the parameters to the device.
        latency_ms: Inferences after warm-up.
        clock: What measured them.
        compared_with: The model that the reference interpreter ran; None when nothing was compared.
        differences: For each output.
        metric: Name of the dataset's metric; None where it allows none.
        host_value: The metric of the reference's outputs on these samples.
        device_value: The metric of the device's outputs.
    """

    model_config = ConfigDict(extra="forbid")

    model: str
    ran: str
    on_edge_tpu: bool
    device: str
    interpreter: str
    versions: list[str]
    runtime: str | None
    notes: list[str]
    warnings: list[str]
    inputs: str
    samples: int
    first_ms: float
    latency_ms: Latency
    clock: str
    compared_with: str | None = None
    differences: list[Difference] = []
    metric: str | None = None
    host_value: float | None = None
    device_value: float | None = None

    def rows(self) -> tuple[tuple[str, str], ...]:
        """The report as labels and values for a table of two columns."""
        return tuple(_rows(self))


def _rows(report: DeviceReport) -> Iterator[tuple[str, str]]:
    if report.on_edge_tpu:
        yield "ran on", f"Edge TPU (device '{report.device}')"
    else:
        yield "ran on", f"this machine's CPU, NOT an Edge TPU: {report.ran}, before compilation"
    yield "interpreter", f"{report.interpreter}: {', '.join(report.versions)}"
    if report.runtime is not None:
        yield "libedgetpu", report.runtime
    yield "inputs", f"{report.samples} samples: {report.inputs}"
    upload = ", with the upload of the parameters" if report.on_edge_tpu else ""
    yield "first inference", f"{report.first_ms:.3f} ms{upload}"
    times = report.latency_ms
    yield (
        "latency",
        f"p50 {times.p50:.3f} ms, p90 {times.p90:.3f}, p99 {times.p99:.3f}, min {times.min:.3f}, "
        f"mean {times.mean:.3f} ({times.runs} runs after {times.warmup} of warm-up)",
    )
    yield "clock", report.clock
    if report.compared_with is not None:
        yield "compared with", f"{report.compared_with} on LiteRT's reference kernels"
    for entry in report.differences:
        text = f"max {entry.max:g}, mean {entry.mean:.4g} {entry.unit}, {entry.equal:.1%} equal"
        if entry.same_argmax is not None:
            text += f", same argmax on {entry.same_argmax:.1%}"
        yield f"output {entry.output}", text
    if report.metric is not None:
        yield (
            f"{report.metric} of these samples",
            f"host {report.host_value:.4f}, device {report.device_value:.4f}",
        )
    for note in report.notes:
        yield "note", note
