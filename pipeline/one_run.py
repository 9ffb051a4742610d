"""One run: its state, and the stages that move it on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converters.errors import ExitCode, TidepoolError
from converters.files import write_atomic
from converters.load import load_model
from converters.tflite import Graph, read_graph
from converters.tflite.verify import check_full_integer
from device_runners.cortex_m import RuntimeKind, tool_statuses
from device_runners.runner import Int8Model
from pipeline.budgets import budget_error, judge
from pipeline.comparison import reference_outputs
from pipeline.dataset import (
    Dataset,
    DatasetKind,
    InputSpec,
    Sample,
    Split,
    SplitName,
    check_dataset,
    graph_inputs,
    keras_inputs,
    load_dataset,
    quantized_inputs,
)
from pipeline.fixed_input import fixed_samples
from pipeline.listener import Listener
from pipeline.manifest import write_manifest
from pipeline.report import LayerRewriteReport, McuReport, ModelReport, Report
from pipeline.settings import ConversionSettings, QatMode, RuntimeChoice, Settings, Target
from pipeline.source import Source, converted_file, model_file
from pipeline.stages import compression, edge_tpu, mcu, runtimes
from pipeline.stages import evaluate as evaluation
from pipeline.stages.convert import Converted, convert_trained
from pipeline.stages.convert import convert as convert_stage

ConvertStage = Callable[[Any, Split, ConversionSettings, Listener], Converted]

_FIXED_SAMPLES = 4
"""Samples that a model without data runs on."""


@dataclass(frozen=True)
class Result:
    """How a run ended.

    Attributes:
        report: What it found out; it is written to ``report.json`` too.
        directory: Where everything is.
        error: What the command line should end with, when the run didn't succeed.
    """

    report: Report
    directory: Path
    error: TidepoolError | None


class Run:
    """The state of one run: what it has read and written, and its report so far."""

    def __init__(self, source: Source, settings: Settings, listener: Listener, target: str) -> None:
        self.source = source
        self.settings = settings
        self.listener = listener
        self.directory = source.directory(settings.build_directory)
        self.report = Report(
            target=target, model=ModelReport(name=source.name, source=str(source.given))
        )
        self.error: TidepoolError | None = None
        self.dataset: Dataset | None = None
        self._inputs: list[Path] = []
        self._test_ranges: tuple[tuple[float, float], ...] = ()
        self._layer_rewrites: list[LayerRewriteReport] = []

    def prepare(self) -> Int8Model:
        """The int8 model: converted and verified, or read when it comes as one."""
        if self.source.is_tflite:
            return self.reuse()
        file = model_file(self.source, self.settings.build_directory, self.listener)
        self._inputs.append(file)
        if self.settings.dataset.source is None:
            raise TidepoolError(
                f"converting {self.source.given} needs a representative dataset",
                hint="give --dataset (DATASET=...): a recipe .py, .npz, .npy or a folder of images "
                "by class; '--dataset random' calibrates on noise, when only size and speed matter",
            )
        with self.listener.stage(f"loading {file}"):
            loaded = load_model(file, trust=self.settings.model.trust)
        for note in loaded.notes:
            self.listener.note(note)
        mappable = self._mappable(loaded.model)
        specs = keras_inputs(loaded.model)
        outputs = loaded.model.outputs[0].shape[1:]
        dataset = self._load_dataset(specs, outputs, calibrate=True)
        if dataset is None or dataset.calibration is None:
            raise TidepoolError(
                f"dataset {self.settings.dataset.source} has no calibration samples",
                hint="define calibration() in the recipe, or x_calibration in the .npz",
            )
        mode = self.settings.qat.mode
        if mode is QatMode.ON:
            return self._train(loaded.model, mappable, dataset, dataset.calibration)
        model = self._convert(convert_stage, mappable, dataset.calibration)
        self._evaluate(loaded.model, model)
        if mode is QatMode.AUTO and self.error is not None:
            self.listener.note(f"{self.error.message}: training on the quantized grid")
            return self._train(loaded.model, mappable, dataset, dataset.calibration)
        return model

    def _mappable(self, keras_model: Any) -> Any:
        """The model to quantize: for the Edge TPU with layers that map."""
        if self.report.target != Target.EDGE_TPU:
            return keras_model
        with self.listener.stage("replacing layers that the Edge TPU hasn't got"):
            model, self._layer_rewrites = edge_tpu.rewrite_layers(
                keras_model, self.settings.edge_tpu, self.listener
            )
        return model

    def _train(
        self, keras_model: Any, mappable: Any, dataset: Dataset, calibration: Split
    ) -> Int8Model:
        """Quantization-aware training, and the conversion of what it made.

        Args:
            keras_model: The model that the result is measured against.
            mappable: The model that is trained: that one, or its form for the Edge TPU.
            dataset: Trains and tests.
            calibration: What the trained and the converted model are compared on.
        """
        # TensorFlow and Keras: only a run that trains imports them.
        from pipeline.stages import qat

        trained = qat.train(
            mappable, dataset, self.settings.qat, self.directory / "qat", self.listener
        )
        # In the mode auto: what conversion without training reached.
        trained.report.post_training = self.report.evaluation
        self.report.qat = trained.report
        model = self._convert(convert_trained, trained.model, calibration)
        self._evaluate(keras_model, model)
        return model

    def _convert(self, how: ConvertStage, keras_model: Any, calibration: Split) -> Int8Model:
        converted = how(keras_model, calibration, self.settings.conversion, self.listener)
        self.report.agreement = converted.agreement
        return self._accept(converted.content, converted.graph)

    def reuse(self) -> Int8Model:
        """The int8 model that is there already: MODEL itself, or what an earlier run made of it."""
        file = converted_file(self.source, self.settings.build_directory)
        self._inputs.append(file)
        graph = read_graph(file)
        if self.report.target != Target.EDGE_TPU:
            # There a rewrite takes the float ends off, and the runner's check says the rest.
            check_full_integer(graph)
        if self.settings.dataset.source is not None:
            outputs = graph.output_tensors[0].shape[1:]
            self._load_dataset(graph_inputs(graph), outputs, calibrate=False)
        model = self._accept(file.read_bytes(), graph)
        self._evaluate(None, model)
        return model

    def _accept(self, content: bytes, graph: Graph) -> Int8Model:
        bits = self.settings.conversion.cluster_bits
        if bits is not None:
            before = Int8Model(self.source.name, content, graph)
            clustered, self.report.clustering = compression.cluster(before, bits, self.listener)
            content, graph = clustered.content, clustered.graph
        file = write_atomic(self.source.int8_file(self.settings.build_directory), content)
        self.report.model.int8_file = str(file)
        self.report.model.int8_bytes = len(content)
        self.report.model.operators = len(graph.operators)
        return Int8Model(self.source.name, content, graph)

    def _load_dataset(
        self, specs: tuple[InputSpec, ...], output_shape: tuple[int, ...], *, calibrate: bool
    ) -> Dataset | None:
        settings = self.settings.dataset
        assert settings.source is not None
        with self.listener.stage(f"checking dataset {settings.source}"):
            dataset = load_dataset(
                settings.source,
                specs,
                seed=settings.seed,
                image_range=settings.image_range,
                calibrate=calibrate,
            )
            classes = evaluation.class_count(dataset, specs[0].shape, output_shape)
            found = check_dataset(dataset, specs, classes=classes)
        test = found.statistics.get(SplitName.TEST)
        self._test_ranges = tuple(test.ranges) if test is not None else ()
        for warning in found.warnings:
            self._warn(f"{warning.message}: {warning.hint}")
        if Path(settings.source).exists():
            self._inputs.append(Path(settings.source))
        self.dataset = dataset
        return dataset

    def _evaluate(self, keras_model: Any | None, model: Int8Model) -> None:
        """Measures the metric where the dataset allows one, and closes the gate on its loss."""
        if self.dataset is None or self.dataset.test is None:
            return
        if self.dataset.kind is DatasetKind.RANDOM:
            self._warn("the dataset is noise: ranges are arbitrary, and no accuracy is reported")
            return
        metric = evaluation.metric_of(self.dataset, model.graph)
        if metric is None:
            self._warn(f"dataset {self.dataset.name} has no labels: no accuracy is reported")
            return
        result = evaluation.evaluate(
            keras_model,
            model,
            metric,
            self.dataset.test,
            self.settings.gate,
            self.listener,
        )
        self.report.evaluation = result
        for text in evaluation.doubts(result, model.graph, self._test_ranges):
            self._warn(text)
        self.error = evaluation.gate_error(result)

    def build_mcu(self, model: Int8Model, *, debug_tensors: bool) -> None:
        """Writes the sources and the firmware, and proves them on the emulator."""
        folder = self.directory / "mcu"
        self.report.mcu = report = McuReport()
        settings, listener = self.settings.mcu, self.listener
        if settings.runtime.kind is RuntimeKind.AOT:
            isa = mcu.isa_of(settings.core)
            report.aot = mcu.build_aot(model, folder, listener, isa, settings.optimize)
        samples = self._emulated_samples()
        trial = self._trial(model, samples)
        for_tflm = model
        if settings.compress:
            for_tflm, report.compression = compression.compress(model, listener)
        report.tflm = mcu.build_tflm(for_tflm, folder, trial, listener)
        if settings.runtime is RuntimeChoice.TFLM and report.tflm is not None:
            arena = runtimes.fit_arena(
                model, folder, trial, settings, listener, estimate=report.tflm.arena_bytes
            )
            report.tflm.arena_bytes, report.tflm.arena_source = arena.total, arena.source
        emulated = mcu.emulate(
            model, folder, trial, settings, listener, debug_tensors=debug_tensors
        )
        report.emulation = emulated.report
        if settings.runtime is RuntimeChoice.BOTH and report.tflm is not None:
            estimate = report.tflm.arena_bytes
            found = runtimes.compare(
                model, folder, trial, settings, listener, generated=emulated, estimate=estimate
            )
            fitted = found.runtimes[1]  # the library that a build takes when nobody chooses
            report.tflm.arena_bytes, report.tflm.arena_source = (
                fitted.arena_bytes,
                fitted.arena_source,
            )
            report.runtimes = found
            self.error = runtimes.mismatch_error(found)
        if samples:
            self._score(model, samples, trial, emulated)
        if report.tflm is not None and not report.tflm.bit_exact:
            self.error = self._mismatch_error("TFLM on this machine")
        if not emulated.report.bit_exact:
            self.error = self._mismatch_error(f"the emulated {emulated.report.core}")

    def hold_budgets(self) -> None:
        """Holds what ran on the emulator against the budgets; a wrong result stays the error."""
        verdicts = judge(self.report, self.settings.budget, self.settings.gate)
        self.report.budgets = verdicts
        self.error = self.error or budget_error(verdicts)

    def _emulated_samples(self) -> list[Sample]:
        """The test samples that the emulator gets; none when there is no real data."""
        dataset = self.dataset
        if dataset is None or dataset.test is None or dataset.kind is DatasetKind.RANDOM:
            return []
        count = self.settings.mcu.samples
        return list(dataset.test if count is None else dataset.test.take(count))

    def _trial(self, model: Int8Model, samples: list[Sample]) -> mcu.Trial:
        if samples:
            inputs = [quantized_inputs(sample.inputs, model.graph) for sample in samples]
        else:
            count = min(self.settings.mcu.samples or _FIXED_SAMPLES, _FIXED_SAMPLES)
            inputs = fixed_samples(model.graph, count)
        title = f"computing the reference (LiteRT, BUILTIN_REF) of {len(inputs)} samples"
        with self.listener.stage(title) as progress:
            return mcu.Trial(inputs, reference_outputs(model.content, inputs, progress))

    def _score(
        self, model: Int8Model, samples: list[Sample], trial: mcu.Trial, emulated: mcu.Emulated
    ) -> None:
        """The metric of the samples that were emulated, on the host and on the emulator."""
        assert self.dataset is not None
        metric = evaluation.metric_of(self.dataset, model.graph)
        if metric is None:
            return
        report = emulated.report
        report.metric = metric.name
        report.host_value = evaluation.score_outputs(metric, model.graph, samples, trial.expected)
        report.emulator_value = evaluation.score_outputs(
            metric, model.graph, samples, emulated.outputs
        )

    def build_edge_tpu(self, model: Int8Model) -> None:
        """Rewrites, predicts, and calls the Edge TPU's compiler."""
        folder = self.directory / "edge_tpu"
        report, error = edge_tpu.build(model, folder, self.settings.edge_tpu, self.listener)
        report.layer_rewrites = self._layer_rewrites
        self.report.edge_tpu = report
        for text in report.warnings:
            self._warn(text)
        self.error = error

    def finish(self) -> Result:
        """Writes the report and the manifest."""
        self.report.write(self.directory / "report.json")
        write_manifest(
            self.directory / "manifest.json",
            settings=self.settings,
            inputs=self._inputs,
            outputs=self._outputs(),
            tools={tool.name: tool.version for tool in tool_statuses() if tool.found},
        )
        return Result(self.report, self.directory, self.error)

    def _outputs(self) -> list[Path]:
        folders = [self.directory / "mcu" / name for name in ("aot", "tflm")]
        folders.append(self.directory / "edge_tpu")
        files = [file for folder in folders for file in sorted(folder.glob("*"))]
        return [self.source.int8_file(self.settings.build_directory), *files]

    def _warn(self, text: str) -> None:
        self.report.warnings.append(text)
        self.listener.warn(text)

    def _mismatch_error(self, where: str) -> TidepoolError:
        return TidepoolError(
            f"{self.source.name} on {where} differs from the reference",
            hint="'tidepool emulate ... --debug-tensors' names the first tensor that differs; "
            "please report it with the model",
            exit_code=ExitCode.MISMATCH,
        )
