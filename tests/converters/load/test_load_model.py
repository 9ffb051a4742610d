"""Loading: every kind of source gives the same model back, and every bad one is one clear error."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.keras_models import small_cnn

from converters.errors import TidepoolError
from converters.load import SourceKind, load_model

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def original() -> Any:
    return small_cnn()


@pytest.fixture
def keras_file(original: Any, tmp_path: Path) -> Path:
    path = tmp_path / "small.keras"
    original.save(path)
    return path


def assert_same(left: Any, right: Any, shape: tuple[int, ...] = (8, 8, 1)) -> None:
    x = np.random.default_rng(1).uniform(0, 1, (5, *shape)).astype(np.float32)
    np.testing.assert_allclose(left.predict_on_batch(x), right.predict_on_batch(x), atol=1e-6)


def test_keras_file(original: Any, keras_file: Path) -> None:
    loaded = load_model(keras_file)
    assert (loaded.name, loaded.kind) == ("small", SourceKind.KERAS)
    assert_same(original, loaded.model)


def test_h5_file_of_keras_3(original: Any, tmp_path: Path) -> None:
    original.save(tmp_path / "small.h5")
    loaded = load_model(tmp_path / "small.h5")
    assert loaded.kind is SourceKind.H5
    assert_same(original, loaded.model)


def test_recipe_and_the_folder_that_holds_it(tmp_path: Path) -> None:
    folder = tmp_path / "gadget"
    folder.mkdir()
    (folder / "parts.py").write_text("UNITS = 3\n")
    (folder / "model.py").write_text(
        "import keras\nfrom parts import UNITS\n"
        "def build_model():\n"
        "    x = keras.Input((4,))\n"
        "    return keras.Model(x, keras.layers.Dense(UNITS)(x))\n"
    )
    by_folder = load_model(folder)
    by_file = load_model(folder / "model.py")
    assert by_folder.name == by_file.name == "gadget"
    assert by_folder.kind is SourceKind.RECIPE
    assert "build_model()" in by_folder.notes[0]
    # Initial weights and automatic names are the same for every run.
    assert [layer.name for layer in by_folder.model.layers] == [
        layer.name for layer in by_file.model.layers
    ]
    assert_same(by_folder.model, by_file.model, (4,))


@pytest.mark.parametrize(
    ("file", "shape", "classes"),
    [
        ("ad01.h5", (640,), 640),
        ("ic_resnet8.h5", (32, 32, 3), 10),
        ("vww_mobilenet.h5", (96, 96, 3), 2),
    ],
)
def test_h5_files_of_keras_2(
    mlperf_tiny: Path, file: str, shape: tuple[int, ...], classes: int
) -> None:
    import h5py

    model = load_model(mlperf_tiny / file).model
    assert model.input_shape == (None, *shape)
    assert model.output_shape == (None, classes)
    with h5py.File(mlperf_tiny / file) as stored:
        weights = {}
        stored["model_weights"].visititems(
            lambda name, item: weights.__setitem__(name, item) if hasattr(item, "dtype") else None
        )
        assert len(weights) == len(model.weights)
        total = sum(float(np.abs(item[()]).sum()) for item in weights.values())
    loaded = sum(float(np.abs(np.asarray(weight)).sum()) for weight in model.weights)
    assert loaded == pytest.approx(total, rel=1e-6)


def test_keras_2_depthwise_convolutions_become_stock_layers(mlperf_tiny: Path) -> None:
    import keras

    model = load_model(mlperf_tiny / "vww_mobilenet.h5").model
    kinds = {type(layer) for layer in model.layers if "depthwise" in layer.name}
    assert kinds == {keras.layers.DepthwiseConv2D}


def run_saved_model(folder: Path, x: np.ndarray) -> np.ndarray:
    """What TensorFlow itself computes with the SavedModel's own graph."""
    import tensorflow as tf

    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.compat.v1.saved_model.load(session, ["serve"], str(folder))
        return session.run("StatefulPartitionedCall:0", {"serving_default_input_1:0": x})


def test_saved_model_computes_what_its_own_graph_does(mlperf_tiny: Path) -> None:
    folder = mlperf_tiny / "kws_dscnn_saved_model"
    stored = np.load(mlperf_tiny / "kws_inputs.npz")
    x = (stored["x"].astype(np.float32) - 83) * np.float32(0.5847029)
    loaded = load_model(folder)
    assert loaded.kind is SourceKind.SAVED_MODEL
    outputs = loaded.model.predict_on_batch(x)
    np.testing.assert_allclose(outputs, run_saved_model(folder, x), atol=1e-5)
    assert np.mean(outputs.argmax(1) == stored["y"]) > 0.9


def _move_metadata_out(folder: Path) -> None:
    """Turns the SavedModel into the form of TensorFlow 2.5 and later."""
    from tensorflow.core.protobuf import saved_model_pb2
    from tensorflow.python.keras.protobuf import saved_metadata_pb2

    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((folder / "saved_model.pb").read_bytes())
    beside = saved_metadata_pb2.SavedMetadata()
    for index, node in enumerate(saved.meta_graphs[0].object_graph_def.nodes):
        if node.user_object.metadata:
            beside.nodes.add(
                node_id=index,
                identifier=node.user_object.identifier,
                metadata=node.user_object.metadata,
            )
            node.user_object.metadata = ""
    (folder / "saved_model.pb").write_bytes(saved.SerializeToString())
    (folder / "keras_metadata.pb").write_bytes(beside.SerializeToString())


@pytest.fixture
def kws_copy(mlperf_tiny: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "kws"
    shutil.copytree(mlperf_tiny / "kws_dscnn_saved_model", folder)
    for entry in [folder, *folder.rglob("*")]:
        entry.chmod(0o755 if entry.is_dir() else 0o644)
    return folder


def test_saved_model_with_its_metadata_beside(mlperf_tiny: Path, kws_copy: Path) -> None:
    _move_metadata_out(kws_copy)
    original = load_model(mlperf_tiny / "kws_dscnn_saved_model").model
    assert_same(original, load_model(kws_copy).model, (49, 10, 1))


def test_saved_model_without_keras_is_refused(tmp_path: Path) -> None:
    import tensorflow as tf

    module = tf.Module()
    module.f = tf.function(lambda x: x * 2, input_signature=[tf.TensorSpec((1, 4))])
    tf.saved_model.save(module, str(tmp_path / "plain"))
    with pytest.raises(TidepoolError, match="a SavedModel without a Keras model"):
        load_model(tmp_path / "plain")


def test_damaged_saved_models_are_refused(kws_copy: Path) -> None:
    index = kws_copy / "variables" / "variables.index"
    index.unlink()
    with pytest.raises(TidepoolError, match=r"checkpoint.*missing or damaged"):
        load_model(kws_copy)
    graph = kws_copy / "saved_model.pb"
    graph.write_bytes(graph.read_bytes()[:1000])
    with pytest.raises(TidepoolError, match=r"saved_model\.pb: damaged"):
        load_model(kws_copy)


@pytest.fixture(params=["keras", "h5"])
def lambda_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    import keras

    x = keras.Input((4,))
    y = keras.layers.Lambda(lambda t: t * 2, output_shape=(4,), name="doubled")(x)
    path = tmp_path / f"with_lambda.{request.param}"
    keras.Model(x, y).save(path)
    return path


def test_a_lambda_needs_trust(lambda_file: Path) -> None:
    with pytest.raises(TidepoolError, match="layer 'doubled' holds a Lambda") as caught:
        load_model(lambda_file)
    assert "--trust" in caught.value.hint
    model = load_model(lambda_file, trust=True).model
    np.testing.assert_array_equal(model.predict_on_batch(np.ones((1, 4), np.float32)), [[2] * 4])


def test_a_lambda_is_not_run_without_trust(tmp_path: Path) -> None:
    """The bytecode of a Lambda that leaves a trace when it is loaded or called."""
    import keras

    trace = tmp_path / "trace"
    x = keras.Input((4,))
    source = f"lambda t: (__import__('pathlib').Path({str(trace)!r}).touch(), t)[1]"
    y = keras.layers.Lambda(eval(source))(x)
    keras.Model(x, y).save(tmp_path / "evil.keras")
    trace.unlink(missing_ok=True)
    with pytest.raises(TidepoolError):
        load_model(tmp_path / "evil.keras")
    assert not trace.exists()
    load_model(tmp_path / "evil.keras", trust=True)
    assert trace.exists()


CUSTOM = """
import keras

class Triple(keras.layers.Layer):
    def call(self, x):
        return x * 3
"""


def test_a_custom_object_needs_trust_and_its_module_is_not_imported_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tripling.py").write_text(CUSTOM)
    code = (
        "import keras, tripling; x = keras.Input((4,)); "
        "keras.Model(x, tripling.Triple(name='tripled')(x)).save('custom.keras')"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "KERAS_BACKEND": "tensorflow"}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)
    with pytest.raises(TidepoolError, match="layer 'tripled' holds the custom object 'Triple'"):
        load_model(tmp_path / "custom.keras")
    assert "tripling" not in sys.modules
    model = load_model(tmp_path / "custom.keras", trust=True).model
    np.testing.assert_array_equal(model.predict_on_batch(np.ones((1, 4), np.float32)), [[3] * 4])
    monkeypatch.delitem(sys.modules, "tripling")


def test_a_custom_object_without_a_module_asks_for_a_recipe(
    keras_file: Path, tmp_path: Path
) -> None:
    path = rewrite_config(keras_file, tmp_path / "renamed.keras")
    with pytest.raises(TidepoolError, match="doesn't say where to import it") as caught:
        load_model(path, trust=True)
    assert "recipe" in caught.value.hint


def rewrite_config(source: Path, target: Path) -> Path:
    """Copies a model with its first convolution turned into a class of a script."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "config.json":
                config = json.loads(content)
                layer = next(
                    one for one in config["config"]["layers"] if one["class_name"] == "Conv2D"
                )
                layer.update(module=None, class_name="Mine", registered_name="mine>Mine")
                content = json.dumps(config).encode()
            new.writestr(name, content)
    return target


def test_a_missing_file_names_the_nearest(keras_file: Path) -> None:
    with pytest.raises(TidepoolError, match="no such file") as caught:
        load_model(keras_file.with_name("smal.keras"))
    assert "small.keras" in caught.value.hint


@pytest.mark.parametrize("name", ["model.onnx", "model.pt", "model"])
def test_an_unknown_suffix(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(TidepoolError, match="unknown kind of model") as caught:
        load_model(tmp_path / name)
    assert ".keras" in caught.value.hint


def test_a_tflite_file_is_not_for_loading(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(b"x")
    with pytest.raises(TidepoolError, match="already a TFLite model"):
        load_model(tmp_path / "m.tflite")


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(TidepoolError, match="no model in it"):
        load_model(tmp_path)


@pytest.mark.parametrize("keep", [0, 100, 3000])
def test_a_truncated_keras_file(keras_file: Path, keep: int) -> None:
    keras_file.write_bytes(keras_file.read_bytes()[:keep])
    with pytest.raises(TidepoolError, match=r"not a \.keras file, or damaged"):
        load_model(keras_file)


def test_a_keras_file_with_damaged_weights(keras_file: Path) -> None:
    content = bytearray(keras_file.read_bytes())
    middle = content.index(b"\x89HDF") + 2000
    content[middle : middle + 64] = bytes(64)
    content[middle + 64 : middle + 128] = b"\xff" * 64
    keras_file.write_bytes(content)
    with pytest.raises(TidepoolError, match="damaged"):
        load_model(keras_file)


def test_a_zip_that_is_no_keras_file(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(TidepoolError, match=r"without config\.json"):
        load_model(tmp_path / "m.keras")


def test_a_corrupt_h5_file(tmp_path: Path) -> None:
    (tmp_path / "m.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(200))
    with pytest.raises(TidepoolError, match="not an HDF5 file, or damaged"):
        load_model(tmp_path / "m.h5")


def test_weights_without_a_model(original: Any, tmp_path: Path) -> None:
    original.save_weights(tmp_path / "only.weights.h5")
    with pytest.raises(TidepoolError, match="weights only") as caught:
        load_model(tmp_path / "only.weights.h5")
    assert "load_weights" in caught.value.hint


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("x = 1\n", r"no build_model\(\) in it"),
        ("def build_model():\n    return 3\n", r"returned int, not a keras\.Model"),
        ("def build_model():\n    return 1 / 0\n", r"recipe\.py:2: ZeroDivisionError"),
        ("import sys\nsys.exit(0)\n", r"recipe\.py:2: SystemExit"),
        ("def build_model(:\n", r"recipe\.py:1: SyntaxError"),
        ("import nowhere_to_be_found\n", r"recipe\.py:1: ModuleNotFoundError"),
        (
            "import keras\ndef build_model():\n"
            "    return keras.Sequential([keras.layers.Dense(2)], name='vague')\n",
            "'vague' has no input shape",
        ),
        (
            "import keras\nclass Mine(keras.Model):\n    def call(self, x):\n        return x\n"
            "def build_model():\n    return Mine(name='opaque')\n",
            "'opaque' is a subclassed model",
        ),
    ],
)
def test_bad_recipes(tmp_path: Path, code: str, message: str) -> None:
    (tmp_path / "recipe.py").write_text(code)
    with pytest.raises(TidepoolError, match=message) as caught:
        load_model(tmp_path / "recipe.py")
    assert caught.value.hint


def test_a_recipe_does_not_shadow_the_standard_library(tmp_path: Path) -> None:
    (tmp_path / "colorsys.py").write_text("raise RuntimeError('the wrong colorsys')\n")
    (tmp_path / "recipe.py").write_text(
        "import sys\nsys.modules.pop('colorsys', None)\nimport colorsys\nimport keras\n"
        "def build_model():\n"
        "    x = keras.Input((4,))\n"
        "    return keras.Model(x, keras.layers.ReLU()(x))\n"
    )
    assert load_model(tmp_path / "recipe.py").model.input_shape == (None, 4)


def test_importing_the_package_does_not_import_tensorflow() -> None:
    code = (
        "import sys, converters.load, converters.tflite.convert, converters.tflite.verify, "
        "pipeline.dataset; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True)
