"""The Coral target of a run: rewritten, predicted and kept, with and without its compiler."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from converters.errors import ExitCode
from converters.tflite import Graph, TensorType, read_graph, write_graph
from converters.tflite.builder import GraphBuilder
from converters.tflite.options import ArgMaxOptions, Conv2DOptions
from pipeline.listener import Silent
from pipeline.run import Result, deploy, predict_edge_tpu
from pipeline.settings import Settings, Target, load_settings
from pipeline.source import resolve


def convolution_with_arg_max() -> Graph:
    """A convolution that maps, and an ARG_MAX that doesn't."""
    b = GraphBuilder("net")
    rng = np.random.default_rng(0)
    x = b.input((1, 4, 4, 8), 0.05, 3)
    w = b.constant(rng.integers(-127, 128, (8, 1, 1, 8)).astype(np.int8), scales=[0.01])
    bias = b.constant(np.zeros(8, np.int32), scales=[0.0005])
    options = Conv2DOptions()
    y = b.op(
        "CONV_2D",
        [x, w, bias],
        options,
        shape=(1, 4, 4, 8),
        scale=0.05,
        zero_point=0,
        version=3,
    )
    axis = b.constant(np.array(-1, np.int32))
    z = b.op(
        "ARG_MAX",
        [y, axis],
        ArgMaxOptions(),
        shape=(1, 4, 4),
        scale=1,
        zero_point=0,
        type=TensorType.INT32,
        version=2,
    )
    b.output(z)
    return b.graph()


@pytest.fixture(autouse=True)
def no_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDGETPU_COMPILER", str(tmp_path / "nowhere"))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "net_int8.tflite"
    path.write_bytes(write_graph(convolution_with_arg_max()))
    return path


def settings_in(folder: Path, **edge_tpu: object) -> Settings:
    values = {f"edge_tpu.{key}": value for key, value in edge_tpu.items()}
    return load_settings(None, {"build_directory": folder / "build", **values})


def deployed(model: Path, settings: Settings) -> Result:
    return deploy(resolve(model), Target.EDGE_TPU, settings, Silent())


def test_unmappable_tail_is_cut_off_and_written_for_the_host(model: Path, tmp_path: Path) -> None:
    result = deployed(model, settings_in(tmp_path))
    assert result.error is not None and result.error.exit_code is ExitCode.COMPILER_MISSING
    report = result.report.edge_tpu
    assert report is not None
    assert (report.mapped_before_rewrites, report.operators_before_rewrites) == (1, 2)
    assert [one.name for one in report.rewrites] == ["cut_tail"]
    assert report.rewrite_difference == 0
    assert report.preflight["mapped_ops"] == report.preflight["total_ops"] == 1
    folder = tmp_path / "build" / "net" / "edge_tpu"
    head, tail = (read_graph(folder / f"net_{end}.tflite") for end in ("int8", "host_tail"))
    assert [op.opcode for op in head.operators] == ["CONV_2D"]
    assert [op.opcode for op in tail.operators] == ["ARG_MAX"]
    summary = json.loads((folder / "net_rewrites.json").read_text())
    assert summary["outputs"] == [{"part": "tail", "position": 0}]


@pytest.mark.parametrize("edge_tpu", [{"rewrite": "off"}, {"skip_rewrites": ["cut_tail"]}])
def test_rewriting_can_be_left_out(
    model: Path, tmp_path: Path, edge_tpu: dict[str, object]
) -> None:
    report = deployed(model, settings_in(tmp_path, **edge_tpu)).report.edge_tpu
    assert report is not None and report.rewrites == [] and report.rewrite_difference is None
    assert (report.preflight["mapped_ops"], report.preflight["total_ops"]) == (1, 2)
    kept = tmp_path / "build" / "net" / "edge_tpu" / "net_int8.tflite"
    assert kept.read_bytes() == model.read_bytes()


def test_check_predicts_the_model_as_it_is_and_as_it_will_be_compiled(
    model: Path, tmp_path: Path
) -> None:
    found = json.loads(predict_edge_tpu(resolve(model), settings_in(tmp_path)).to_json())
    assert [op["mapped"] for op in found["ops"]] == [True, False]
    assert (found["mapped_ops"], found["total_ops"]) == (1, 2)
    after = found["after_rewrites"]
    assert (after["mapped_ops"], after["total_ops"]) == (1, 1)
    assert after["tail"]["operators"] == ["ARG_MAX"]


@pytest.mark.slow
def test_layers_that_do_not_map_are_replaced_before_conversion(tmp_path: Path) -> None:
    import keras

    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(8, 3, activation="gelu")(image)
    x = keras.layers.LeakyReLU(0.1)(keras.layers.Conv2D(8, 3)(x))
    x = keras.layers.Dense(4)(keras.layers.Flatten()(x))
    path = tmp_path / "net.keras"
    keras.Model(image, x).save(path)

    def run(rewrite: str) -> Result:
        overrides = {"dataset.source": "random", "build_directory": tmp_path / rewrite}
        settings = load_settings(None, overrides | {"edge_tpu.rewrite": rewrite})
        return deployed(path, settings)

    report = run("all").report.edge_tpu
    assert report is not None
    assert report.preflight["mapped_ops"] == report.preflight["total_ops"]
    by_name = {one.name: one for one in report.layer_rewrites}
    assert by_name["leaky_relu"].exact and not by_name["gelu"].exact
    assert 0 < by_name["gelu"].max_error < 0.03
    exact = run("exact").report.edge_tpu
    assert exact is not None and [one.name for one in exact.layer_rewrites] == ["leaky_relu"]
    assert exact.preflight["mapped_ops"] == 0  # GELU makes the compiler refuse the file
