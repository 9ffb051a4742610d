"""The Coral target: rewrite for its compiler, predict what maps, compile, compare the two."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converters.errors import TidepoolError
from converters.tflite import Graph, write_graph
from device_runners import edge_tpu
from device_runners.edge_tpu.preflight import Preflight, preflight
from device_runners.edge_tpu.rewrites import Rewritten, rewrite
from device_runners.edge_tpu.rewrites.effect import Effect, measure
from device_runners.edge_tpu.verdict import compare_figures
from device_runners.runner import Int8Model
from pipeline.compile import driver_of
from pipeline.listener import Listener
from pipeline.report import EdgeTpuReport, LayerRewriteReport, RewriteReport
from pipeline.settings import EdgeTpuSettings, RewriteMode


@dataclass(frozen=True, eq=False)
class Outlook:
    """What the compiler will make of a model, as it is and as it would be rewritten.

    Attributes:
        before: The prediction for the model as it is.
        rewritten: What the rewrites made of it.
        after: The prediction for that.
    """

    before: Preflight
    rewritten: Rewritten
    after: Preflight

    @property
    def blocked(self) -> bool:
        """Whether compiling would give nothing, rewritten or not."""
        return bool(self.after.refused) or self.after.mapped_ops == 0

    def to_json(self) -> str:
        """The prediction for the model as it is, and in ``after_rewrites`` what follows."""
        document = json.loads(self.before.to_json())
        document["after_rewrites"] = self.rewritten.summary() | {
            "mapped_ops": self.after.mapped_ops,
            "total_ops": self.after.total_ops,
            "refused": [dataclasses.asdict(finding) for finding in self.after.refused],
            "first_blocker": (
                dataclasses.asdict(self.after.first_blocker) if self.after.first_blocker else None
            ),
            "share": dataclasses.asdict(self.after.share),
        }
        return json.dumps(document, indent=2)


def outlook(graph: Graph, settings: EdgeTpuSettings) -> Outlook:
    """Predicts, rewrites, and predicts again.

    Raises:
        TidepoolError: ``skip_rewrites`` names no rewrite.
    """
    before = preflight(graph)
    if settings.rewrite is RewriteMode.OFF:
        rewritten = rewrite(graph, skip=edge_tpu.REWRITE_NAMES)
    else:
        rewritten = rewrite(graph, skip=settings.skip_rewrites)
    after = before if rewritten.graph is graph else preflight(rewritten.graph)
    return Outlook(before, rewritten, after)


def rewrite_layers(
    model: Any, settings: EdgeTpuSettings, listener: Listener
) -> tuple[Any, list[LayerRewriteReport]]:
    """Replaces layers that don't map by forms that do, before quantization.

    Args:
        model: The float Keras model.
        settings: ``rewrite`` says whether forms that aren't exact are allowed: the run's gate on
            accuracy decides on them.
        listener: Hears what was replaced, and what can't be.

    Returns:
        The model to convert (the same one when nothing matched), and what was replaced.
    """
    if settings.rewrite is RewriteMode.OFF:
        return model, []
    # It reads the model with Keras.
    from device_runners.edge_tpu.keras_rewrites import rewrite_model

    rewritten = rewrite_model(model, approximate=settings.rewrite is RewriteMode.ALL)
    for left in rewritten.left:
        listener.warn(f"layer '{left.layer}' ({left.function}) won't map: {left.reason}")
    reports = [LayerRewriteReport(**dataclasses.asdict(one)) for one in rewritten.applied]
    for report in reports:
        listener.note(describe_layers(report))
    return rewritten.model, reports


def describe_layers(report: LayerRewriteReport) -> str:
    """A replacement in words."""
    error = "exact" if report.exact else f"error at most {report.max_error:.2g}"
    count = len(report.layers)
    return f"{report.note} ({error}; {count} {'layer' if count == 1 else 'layers'})"


def build(
    model: Int8Model, folder: Path, settings: EdgeTpuSettings, listener: Listener
) -> tuple[EdgeTpuReport, TidepoolError | None]:
    """Rewrites and compiles; what can be had without the compiler is kept when it is missing.

    Args:
        model: The int8 model.
        folder: Gets the compiler's input and output, the host's part where one was cut off, and
            ``<name>_rewrites.json``.
        settings: How.
        listener: Hears of the progress and of warnings.

    Returns:
        The report, and what the run failed with, if it did.

    Raises:
        TidepoolError: The compiler would refuse the model, rewritten or not.
    """
    with listener.stage("rewriting and checking for the Edge TPU"):
        found = outlook(model.graph, settings)
        effect = _effect(model.graph, found.rewritten)
    edge_tpu.check(found.rewritten.graph).raise_if_blocking()
    ready, files = _ready(model, found.rewritten)
    report = EdgeTpuReport(
        directory=str(folder),
        mapped_before_rewrites=found.before.mapped_ops,
        operators_before_rewrites=found.before.total_ops,
        rewrites=[
            RewriteReport(name=one.name, count=one.count, exact=one.exact, note=one.note)
            for one in found.rewritten.applied
        ],
        rewrite_difference=None if effect is None else effect.max_difference,
        preflight=json.loads(found.after.to_json()),
        compiled=False,
    )
    findings = (*found.rewritten.findings, *found.after.refused, *found.after.warnings)
    report.warnings = [f"{finding.message}: {finding.hint}" for finding in findings]
    try:
        with listener.stage("compiling for the Edge TPU"):
            driver = driver_of(settings, listener)
            artifacts = edge_tpu.build(ready, folder, driver, beside=files)
    except TidepoolError as error:
        return report, error
    verdict = compare_figures(ready.graph, found.after, artifacts.figures)
    report.compiled = True
    report.figures = artifacts.figures | {"differences": dataclasses.asdict(verdict)}
    report.mispredicted = [difference.index for difference in verdict.operators]
    return report, None


def _effect(graph: Graph, rewritten: Rewritten) -> Effect | None:
    """What rewriting did to the outputs; None when nothing was done or it can't run here."""
    if rewritten.graph is graph:
        return None
    try:
        return measure(graph, rewritten)
    except TidepoolError:
        return None  # an op without a reference kernel on this machine, such as a custom one


def _ready(model: Int8Model, rewritten: Rewritten) -> tuple[Int8Model, dict[str, bytes | str]]:
    """The model to compile, and what lies beside it because of the rewrites."""
    if rewritten.graph is model.graph:
        return model, {}
    files: dict[str, bytes | str] = {
        f"{model.name}_rewrites.json": json.dumps(rewritten.summary(), indent=2) + "\n"
    }
    if rewritten.tail is not None:
        files[f"{model.name}_host_tail.tflite"] = write_graph(rewritten.tail)
    return Int8Model(model.name, write_graph(rewritten.graph), rewritten.graph), files
