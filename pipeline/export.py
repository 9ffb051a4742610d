"""The export verb: an int8 model as a library of the ecosystem that a firmware is written in."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from converters.errors import ExitCode, TidepoolError
from converters.tflite import read_graph
from converters.tflite.graph import Array
from converters.tflite.verify import check_full_integer
from device_runners import cgen, exports, tflm
from device_runners.exports import Identity, Package, Runtime, SelfTest
from device_runners.runner import Artifacts, Int8Model
from pipeline.comparison import compare_outputs, reference_outputs
from pipeline.fixed_input import SEED, fixed_samples
from pipeline.listener import Listener
from pipeline.settings import McuSettings, Settings
from pipeline.source import Source, converted_file
from pipeline.stages.mcu import isa_of, output_crc32

_HOST_COMPILER = "cc"


@dataclass(frozen=True)
class ExportReport:
    """What an export came to.

    Attributes:
        model: The model's name.
        format: The ecosystem's format.
        runtime: ``aot`` or ``tflm``.
        directory: Where it is.
        files: The files in it, relative to the folder.
        kernels_for: The cores that the kernels are written for; empty with ``tflm``.
        arena_bytes: RAM for the model's tensors.
        data_bytes: Flash for its weights (``aot``) or its flatbuffer (``tflm``).
        output_crc32: The reference's result for the example's input, eight hexadecimal digits.
        ran: Where the exported sources gave that result already; empty for nowhere.
    """

    model: str
    format: str
    runtime: str
    directory: str
    files: tuple[str, ...]
    kernels_for: str
    arena_bytes: int
    data_bytes: int
    output_crc32: str
    ran: str

    def to_json(self) -> str:
        """The report for machines."""
        return json.dumps(asdict(self), indent=2)

    def rows(self) -> list[tuple[str, str]]:
        """The report for people: what, and its value."""
        return [
            ("folder", self.directory),
            ("files", ", ".join(file for file in self.files if "/" not in file)),
            ("runtime", self.runtime),
            *([("kernels for", self.kernels_for)] if self.kernels_for else []),
            ("arena", f"{self.arena_bytes} bytes of RAM"),
            ("data", f"{self.data_bytes} bytes of flash"),
            ("self-test", f"CRC-32 {self.output_crc32}"),
            ("proven", self.ran or "nowhere yet: run the example on the board"),
        ]


def export(
    source: Source,
    settings: Settings,
    format_name: str,
    runtime: Runtime | str,
    out: Path | None,
    listener: Listener,
    *,
    identity: Identity | None = None,
) -> ExportReport:
    """Exports a full-integer model: builds its sources, tries them, lays them out.

    Args:
        source: MODEL; one that was converted before, or a .tflite file.
        settings: For ``build_directory``, and the core that kernels are written for.
        format_name: A key of ``device_runners.exports.FORMATS``.
        runtime: ``aot`` or ``tflm``.
        out: The folder to write; None for ``build/<model>/export/<format>-<runtime>``.
        listener: Hears of the stages.
        identity: Version, vendor and home page in the ecosystem's manifest.

    Raises:
        TidepoolError: There is no int8 model, the runtime can't run it, ``out`` holds something
            else, or (``ExitCode.MISMATCH``) the sources compute something else than the reference.
    """
    layout = exports.find_format(format_name)
    runtime = _runtime(runtime)
    directory = out or _default_directory(source, settings, layout.name, runtime)
    exports.refuse_foreign(directory)
    model = _read_model(source, settings)
    with tempfile.TemporaryDirectory(prefix="tidepool-export-") as scratch:
        package = _package(model, runtime, settings.mcu, Path(scratch), listener, identity)
        with listener.stage(f"writing {directory}"):
            written = exports.write_export(package, layout.name, directory)
    return ExportReport(
        model=model.name,
        format=layout.name,
        runtime=str(runtime),
        directory=str(written.directory),
        files=written.files,
        kernels_for=package.kernels_for,
        arena_bytes=package.arena_bytes,
        data_bytes=package.data_bytes,
        output_crc32=f"{package.self_test.crc32:08x}",
        ran=package.self_test.ran,
    )


def _runtime(name: str) -> Runtime:
    try:
        return Runtime(name)
    except ValueError:
        raise TidepoolError(
            f"there is no runtime '{name}'", hint=f"runtimes: {', '.join(Runtime)}"
        ) from None


def _default_directory(source: Source, settings: Settings, layout: str, runtime: Runtime) -> Path:
    return source.directory(settings.build_directory) / "export" / f"{layout}-{runtime}"


def _read_model(source: Source, settings: Settings) -> Int8Model:
    file = converted_file(source, settings.build_directory)
    graph = read_graph(file)
    check_full_integer(graph)
    return Int8Model(source.name, file.read_bytes(), graph)


def _package(
    model: Int8Model,
    runtime: Runtime,
    settings: McuSettings,
    scratch: Path,
    listener: Listener,
    identity: Identity | None,
) -> Package:
    isa = isa_of(settings.core)
    with listener.stage("computing the reference (LiteRT, BUILTIN_REF) of the self-test") as done:
        samples = fixed_samples(model.graph, 1)
        expected = reference_outputs(model.content, samples, done)
    with listener.stage(f"building and trying the sources ({runtime})"):
        if runtime is Runtime.AOT:
            artifacts = cgen.build(model, scratch / "aot", isa, settings.optimize)
            ran = _try_aot(model, artifacts, samples, expected, listener)
        else:
            artifacts = tflm.build(model, scratch / "tflm")
            _compare(model, expected, [tflm.run(artifacts, samples[0])], "TFLM on this machine")
            ran = "TFLM on the machine that exported it gave the self-test's expected result"
    return exports.package_of(
        model,
        artifacts,
        runtime,
        self_test=SelfTest(SEED, int(output_crc32(expected[0]), 16), ran),
        generator=f"tidepool {version('tidepool')}",
        identity=identity,
        kernels_for=cgen.CORES_OF[isa] if runtime is Runtime.AOT else "",
    )


def _try_aot(
    model: Int8Model,
    artifacts: Artifacts,
    samples: Sequence[Sequence[Array]],
    expected: Sequence[Sequence[Array]],
    listener: Listener,
) -> str:
    """Runs the generated C here; says where it ran, nothing when there is no compiler."""
    if shutil.which(_HOST_COMPILER) is None:
        listener.warn(f"no C compiler '{_HOST_COMPILER}': the exported sources were not tried")
        return ""
    with cgen.HostBuild(artifacts, compiler=_HOST_COMPILER) as host:
        _compare(model, expected, host.run_many(samples), "generated C on this machine")
    return "its C, on the machine that exported it, gave the self-test's expected result"


def _compare(
    model: Int8Model,
    expected: Sequence[Sequence[Array]],
    actual: Sequence[Sequence[Array]],
    where: str,
) -> None:
    if compare_outputs(model.graph, expected, actual) is not None:
        raise TidepoolError(
            f"{model.name} as {where} differs from the reference",
            hint="'tidepool emulate MODEL --debug-tensors' names the first tensor that differs; "
            "please report it with the model",
            exit_code=ExitCode.MISMATCH,
        )
