"""The export verb: from an int8 model to a folder that a firmware takes in."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.export_packages import expected_crc32, small_graph
from support.models import int8_model

from converters.errors import ExitCode, TidepoolError
from converters.tflite import write_graph
from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import TensorType
from device_runners import cgen
from device_runners.exports import FORMATS, Identity, Runtime
from device_runners.exports.package import read_files
from pipeline import export as stage
from pipeline.export import export
from pipeline.listener import Silent
from pipeline.settings import Settings, load_settings
from pipeline.source import Source, resolve


class Heard(Silent):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    path = tmp_path / "Small Net_int8.tflite"
    path.write_bytes(write_graph(small_graph(3)))
    return resolve(path)


def settings(tmp_path: Path) -> Settings:
    return Settings(build_directory=tmp_path / "build")


@pytest.mark.parametrize("runtime", Runtime)
def test_a_tflite_file_is_exported_and_tried(tmp_path, source, runtime) -> None:
    report = export(source, settings(tmp_path), "c-array", runtime, None, Silent())
    folder = tmp_path / "build" / "small_net" / "export" / f"c-array-{runtime}"
    assert Path(report.directory) == folder
    assert set(report.files) == set(read_files(folder))
    assert report.model == "small_net"
    assert report.output_crc32 == f"{expected_crc32(int8_model(small_graph(3), 'x')):08x}"
    assert "expected result" in report.ran
    assert report.ran in (folder / "README.md").read_text()
    assert json.loads(report.to_json())["arena_bytes"] == report.arena_bytes > 0
    assert dict(report.rows())["runtime"] == runtime


def test_a_converted_model_is_found_in_the_build_folder(tmp_path, source) -> None:
    converted = tmp_path / "build" / "net" / "net_int8.tflite"
    converted.parent.mkdir(parents=True)
    converted.write_bytes(source.given.read_bytes())
    keras = tmp_path / "net.keras"
    keras.touch()
    report = export(resolve(keras), settings(tmp_path), "cmake", "aot", tmp_path / "out", Silent())
    assert report.model == "net"
    assert (tmp_path / "out" / "include" / "net.h").is_file()


def test_a_model_that_was_not_converted_is_refused(tmp_path) -> None:
    keras = tmp_path / "net.keras"
    keras.touch()
    with pytest.raises(TidepoolError, match="was not converted yet"):
        export(resolve(keras), settings(tmp_path), "cmake", "aot", None, Silent())


def test_a_float_model_is_refused_by_name(tmp_path) -> None:
    b = GraphBuilder("float")
    x = b.input((1, 4), 0.1, 0, TensorType.FLOAT32)
    b.output(b.op("RELU", [x], None, shape=(1, 4), scale=1, zero_point=0, type=TensorType.FLOAT32))
    path = tmp_path / "float.tflite"
    path.write_bytes(write_graph(b.graph()))
    for runtime in Runtime:
        with pytest.raises(TidepoolError, match="FLOAT32"):
            export(resolve(path), settings(tmp_path), "zephyr", runtime, None, Silent())
    assert not (tmp_path / "build").exists()


def test_ops_without_generated_c_point_to_the_other_runtime(tmp_path) -> None:
    b = GraphBuilder("places")
    x = b.input((4, 3), 0.1, 0)
    places = b.constant(np.array([[2], [0]], np.int32))
    b.output(b.op("GATHER_ND", [x, places], None, shape=(2, 3), scale=0.1, zero_point=0))
    path = tmp_path / "places.tflite"
    path.write_bytes(write_graph(b.graph()))
    with pytest.raises(TidepoolError, match="GATHER_ND") as raised:
        export(resolve(path), settings(tmp_path), "cmake", "aot", None, Silent())
    assert "TFLM" in raised.value.hint
    assert export(resolve(path), settings(tmp_path), "cmake", "tflm", None, Silent()).files


def test_unknown_formats_and_runtimes_list_the_known_ones(tmp_path, source) -> None:
    with pytest.raises(TidepoolError, match="'mbed'") as raised:
        export(source, settings(tmp_path), "mbed", "aot", None, Silent())
    assert all(name in raised.value.hint for name in FORMATS)
    with pytest.raises(TidepoolError, match="'tvm'") as raised:
        export(source, settings(tmp_path), "cmake", "tvm", None, Silent())
    assert "aot, tflm" in raised.value.hint


def test_a_foreign_folder_is_refused_before_anything_is_built(
    tmp_path, source, monkeypatch
) -> None:
    monkeypatch.setattr(cgen, "build", lambda *_: pytest.fail("built first"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.c").touch()
    with pytest.raises(TidepoolError, match="is not an export"):
        export(source, settings(tmp_path), "cmake", "aot", tmp_path / "out", Silent())


def test_a_wrong_result_writes_nothing(tmp_path, source, monkeypatch) -> None:
    def wrong(model, samples, progress):
        return [[np.zeros(t.shape, np.int8) for t in small_graph(3).output_tensors]]

    monkeypatch.setattr(stage, "reference_outputs", wrong)
    for runtime in Runtime:
        with pytest.raises(TidepoolError, match="differs from the reference") as raised:
            export(source, settings(tmp_path), "cmake", runtime, tmp_path / "out", Silent())
        assert raised.value.exit_code is ExitCode.MISMATCH
    assert not (tmp_path / "out").exists()


def test_without_a_compiler_the_readme_claims_no_trial(tmp_path, source, monkeypatch) -> None:
    monkeypatch.setattr(stage.shutil, "which", lambda _: None)
    heard = Heard()
    report = export(source, settings(tmp_path), "cmake", "aot", tmp_path / "out", heard)
    assert report.ran == ""
    assert "not tried" in heard.warnings[0]
    assert "Checked on this model" not in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize(
    ("core", "kernel", "words"),
    [
        ("cortex-m3", "tidepool_conv_2d.c", "cores without the DSP extension"),
        ("cortex-m4", "tidepool_conv_2d_dsp.c", "cores with the DSP extension"),
        ("nrf52840dk", "tidepool_conv_2d_dsp.c", "cores with the DSP extension"),
    ],
)
def test_kernels_are_those_of_the_core_and_the_readme_says_so(
    tmp_path, source, core, kernel, words
) -> None:
    chosen = load_settings(None, {"mcu.core": core, "build_directory": tmp_path / "build"})
    report = export(source, chosen, "c-array", "aot", tmp_path / "out", Silent())
    names = {path.name for path in (tmp_path / "out").rglob("*.c")}
    assert {name for name in names if name.startswith("tidepool_conv_2d")} == {kernel}
    assert report.kernels_for.startswith(words)
    assert dict(report.rows())["kernels for"] == report.kernels_for
    readme = (tmp_path / "out" / "README.md").read_text()
    assert f"are for {report.kernels_for}" in readme


def test_an_export_for_tflm_names_no_core(tmp_path, source) -> None:
    report = export(source, settings(tmp_path), "c-array", "tflm", tmp_path / "out", Silent())
    assert "kernels for" not in dict(report.rows())
    assert (
        "Kernels and the order of the weights" not in (tmp_path / "out" / "README.md").read_text()
    )


def test_the_identity_names_the_package(tmp_path, source) -> None:
    identity = Identity("0.2.0", "Acme", "https://acme.example/")
    report = export(source, settings(tmp_path), "arduino", "aot", None, Silent(), identity=identity)
    assert "Acme_small_net-0.2.0.zip" in report.files


def test_mlperf_tiny_models_export_with_the_known_checksum(tmp_path, mlperf_tiny) -> None:
    model = resolve(mlperf_tiny / "ad01_int8.tflite")
    report = export(model, settings(tmp_path), "cmsis-pack", "aot", None, Silent())
    assert report.output_crc32 == "f9fb5916"
