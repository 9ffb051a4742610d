"""Loading datasets: every kind gives the same stream of samples, bad ones are one clear error."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from converters.errors import TidepoolError
from converters.tflite import Quantization, Tensor, TensorType
from pipeline.dataset import Dataset, DatasetKind, InputSpec, Sample, Split, load_dataset

IMAGE = (InputSpec("image", (8, 8, 1)),)
VECTOR = (InputSpec("x", (4,)),)
REPOSITORY = Path(__file__).resolve().parents[3]


def labels_of(split: Split | None) -> list[int]:
    assert split is not None
    return [int(sample.label) for sample in split if sample.label is not None]


def stacked(split: Split | None) -> np.ndarray:
    assert split is not None
    return np.stack([sample.inputs[0] for sample in split])


def load_recipe(folder: Path, code: str, **options: Any) -> Dataset:
    path = folder / "recipe.py"
    path.write_text("import numpy as np\n" + code)
    return load_dataset(str(path), VECTOR, **options)


def test_the_digits_recipe() -> None:
    dataset = load_dataset(str(REPOSITORY / "datasets" / "digits.py"), IMAGE)
    assert dataset.kind is DatasetKind.RECIPE
    assert dataset.classes == tuple("0123456789")
    assert [split.length for split in dataset.splits] == [1257, 180, 360]
    images = [stacked(split) for split in dataset.splits]
    for split, x in zip(dataset.splits, images, strict=True):
        assert x.shape[1:] == (8, 8, 1)
        assert x.dtype == np.float32
        assert (x.min(), x.max()) == (0, 1)
        shares = np.bincount(labels_of(split), minlength=10) / len(x)
        assert shares.min() > 0.08
    # Nothing is in two splits: together they are all the images of the set.
    distinct = {image.tobytes() for x in images for image in x}
    assert len(distinct) == 1797


def test_a_recipe_with_arrays_and_one_with_a_generator_give_the_same(tmp_path: Path) -> None:
    arrays = load_recipe(
        tmp_path, "def test():\n    return np.eye(3, 4, dtype='f'), np.arange(3)\n"
    )
    generated = load_recipe(
        tmp_path,
        "def test():\n    for i in range(3):\n        yield np.eye(3, 4, dtype='f')[i], i\n",
    )
    for dataset in (arrays, generated):
        for _ in range(2):  # a split can be iterated again
            np.testing.assert_array_equal(stacked(dataset.test), np.eye(3, 4))
            assert labels_of(dataset.test) == [0, 1, 2]
    assert arrays.test is not None
    assert arrays.test.length == 3
    assert generated.test is not None
    assert generated.test.length is None


def test_a_recipe_without_labels_and_one_with_several_inputs(tmp_path: Path) -> None:
    dataset = load_recipe(tmp_path, "def test():\n    return np.ones((2, 4))\n")
    assert dataset.test is not None
    assert [sample.label for sample in dataset.test] == [None, None]
    dataset = load_recipe(
        tmp_path, "def test():\n    return (np.ones((2, 4)), np.zeros((2, 3))), None\n"
    )
    assert dataset.test is not None
    assert [[x.shape for x in sample.inputs] for sample in dataset.test] == [[(4,), (3,)]] * 2


def test_calibration_is_taken_from_train_when_there_is_none(tmp_path: Path) -> None:
    code = "def train():\n    return np.arange(4000.0).reshape(1000, 4)\n"
    dataset = load_recipe(tmp_path, code)
    first = stacked(dataset.calibration)
    assert len(np.unique(first[:, 0])) == 500
    assert (stacked(load_recipe(tmp_path, code, seed=0).calibration) == first).all()
    assert (stacked(load_recipe(tmp_path, code, seed=1).calibration) != first).any()
    code = "def train():\n    for i in range(1000):\n        yield np.full(4, i)\n"
    dataset = load_recipe(tmp_path, code)
    assert dataset.calibration is not None
    assert dataset.calibration.name == "calibration"
    assert stacked(dataset.calibration)[:, 0].tolist() == list(range(500))


def test_a_recipe_brings_its_metric_and_classes(tmp_path: Path) -> None:
    dataset = load_recipe(
        tmp_path,
        "METRIC = 'worst'\nHIGHER_IS_BETTER = False\nCLASSES = ('no', 'yes')\n"
        "def metric(outputs, targets):\n    return np.abs(outputs - targets).max()\n"
        "def test():\n    return np.ones((2, 4))\n",
    )
    assert dataset.metric is not None
    assert (dataset.metric.name, dataset.metric.higher_is_better) == ("worst", False)
    assert dataset.metric.fn(np.array([1.0, 5.0]), np.array([1.0, 2.0])) == 3
    assert dataset.classes == ("no", "yes")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("x = 1\n", r"neither train\(\), calibration\(\) nor test\(\)"),
        ("def test():\n    return 'abc'\n", "has dtype|returned str"),
        ("def test():\n    return 7\n", r"test\(\) returned int"),
        ("def test():\n    return 1, 2, 3\n", "tuple of 3"),
        ("def test():\n    return np.ones((3, 4)), np.ones(2)\n", "3 samples, but .* has 2"),
        ("def test():\n    return np.array([['a']])\n", "not numbers"),
        ("def test():\n    return {}['key']\n", r"recipe\.py:3: KeyError"),
        ("METRIC = 'f1'\ndef test():\n    return np.ones((2, 4))\n", r"METRIC = 'f1' without"),
    ],
)
def test_bad_recipes(tmp_path: Path, code: str, message: str) -> None:
    with pytest.raises(TidepoolError, match=message) as caught:
        stacked(load_recipe(tmp_path, code).test)
    assert caught.value.hint


def test_an_error_within_a_generator_names_the_line(tmp_path: Path) -> None:
    dataset = load_recipe(tmp_path, "def test():\n    yield np.ones(4)\n    yield 1 / 0\n")
    with pytest.raises(TidepoolError, match=r"recipe\.py:4: ZeroDivisionError"):
        stacked(dataset.test)


@pytest.mark.parametrize("compressed", [False, True])
def test_an_npz_with_splits(tmp_path: Path, compressed: bool) -> None:
    arrays = {
        f"{axis}_{split}": np.full((5, 4) if axis == "x" else 5, number, dtype)
        for number, split in enumerate(("train", "calibration", "test"))
        for axis, dtype in (("x", np.float32), ("y", np.int64))
    }
    (np.savez_compressed if compressed else np.savez)(tmp_path / "d.npz", **arrays)
    dataset = load_dataset(str(tmp_path / "d.npz"), VECTOR)
    assert [labels_of(split) for split in dataset.splits] == [[0] * 5, [1] * 5, [2] * 5]
    for number, split in enumerate(dataset.splits):
        np.testing.assert_array_equal(stacked(split), np.full((5, 4), number))


def test_a_single_array_is_split_by_seed(tmp_path: Path) -> None:
    x = np.arange(400.0).reshape(100, 4)
    np.savez(tmp_path / "d.npz", x=x, y=np.arange(100))
    source = str(tmp_path / "d.npz")
    dataset = load_dataset(source, VECTOR)
    calibration, test = labels_of(dataset.calibration), labels_of(dataset.test)
    assert (len(calibration), len(test)) == (20, 80)
    assert sorted(calibration + test) == list(range(100))
    np.testing.assert_array_equal(stacked(dataset.test), x[test])
    assert labels_of(load_dataset(source, VECTOR, seed=0).test) == test
    assert labels_of(load_dataset(source, VECTOR, seed=1).test) != test
    everything = load_dataset(source, VECTOR, calibrate=False)
    assert everything.calibration is None
    assert labels_of(everything.test) == list(range(100))


def test_an_npz_stored_by_columns(tmp_path: Path) -> None:
    x = np.asfortranarray(np.arange(40.0).reshape(10, 4))
    np.savez(tmp_path / "d.npz", x=x)
    dataset = load_dataset(str(tmp_path / "d.npz"), VECTOR, calibrate=False)
    np.testing.assert_array_equal(stacked(dataset.test), x)


@pytest.mark.parametrize("kind", ["npy", "npz"])
def test_arrays_are_streamed(tmp_path: Path, kind: str) -> None:
    """Going through 64 MB takes a few rows of memory."""
    x = np.zeros((64, 1 << 18), np.float32)
    path = tmp_path / f"d.{kind}"
    if kind == "npy":
        np.save(path, x)
    else:
        np.savez(path, x=x)
    del x
    dataset = load_dataset(str(path), (InputSpec("x", (1 << 18,)),), calibrate=False)
    assert dataset.test is not None
    tracemalloc.start()
    count = sum(1 for _ in dataset.test)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 64
    assert peak < 8 << 20


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": np.ones((3, 4))}, "'images' has no known name"),
        ({"y_test": np.ones(3)}, "'y_test' has no 'x_test'"),
        ({"x": np.ones((3, 4)), "x_test": np.ones((3, 4))}, "both 'x' and splits"),
        ({"x": np.ones((3, 4)), "y": np.ones(2)}, "3 samples, but .* has 2"),
        ({"x": np.float32(1)}, "single number"),
        ({"x": np.ones((1, 4))}, "can't be split"),
        ({"x": np.array(["a", "b"])}, "not numbers"),
    ],
)
def test_bad_npz_files(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "d.npz", **arrays)
    with pytest.raises(TidepoolError, match=message) as caught:
        load_dataset(str(tmp_path / "d.npz"), VECTOR)
    assert caught.value.hint


def test_pickled_objects_are_not_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "d.npy", np.array([{}, {}], dtype=object))
    with pytest.raises(TidepoolError, match="not a NumPy file"):
        load_dataset(str(tmp_path / "d.npy"), VECTOR)


@pytest.mark.parametrize("name", ["d.npz", "d.npy"])
def test_damaged_array_files(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"nonsense" * 20)
    with pytest.raises(TidepoolError, match="not a NumPy file, or damaged"):
        load_dataset(str(tmp_path / name), VECTOR)


def make_images(folder: Path, counts: dict[str, int], size: tuple[int, int] = (10, 6)) -> None:
    for number, (name, count) in enumerate(counts.items()):
        (folder / name).mkdir(parents=True)
        for index in range(count):
            color = (255, 0, 0) if number == 0 else (index, index, index)
            Image.new("RGB", size, color).save(folder / name / f"{index:03}.png")


def test_a_folder_of_images_by_class(tmp_path: Path) -> None:
    make_images(tmp_path, {"cat": 10, "dog": 15})
    inputs = (InputSpec("image", (4, 5, 3)),)
    dataset = load_dataset(str(tmp_path), inputs, image_range=(-1, 1))
    assert dataset.classes == ("cat", "dog")
    assert len(labels_of(dataset.calibration)) == 5
    assert len(labels_of(dataset.test)) == 20
    assert dataset.test is not None
    sample = next(s for s in dataset.test if s.label == 0)
    assert sample.inputs[0].dtype == np.float32
    np.testing.assert_allclose(sample.inputs[0], np.broadcast_to([1, -1, -1], (4, 5, 3)))


def test_images_follow_the_splits_of_their_folders_and_the_channels_of_the_model(
    tmp_path: Path,
) -> None:
    make_images(tmp_path / "train", {"a": 3, "b": 4})
    make_images(tmp_path / "test", {"a": 1, "b": 2})
    dataset = load_dataset(str(tmp_path), IMAGE, image_range=(0, 255))
    assert labels_of(dataset.train) == [0] * 3 + [1] * 4
    assert labels_of(dataset.test) == [0, 1, 1]
    assert sorted(labels_of(dataset.calibration)) == [0] * 3 + [1] * 4
    # Red in grey is 76: ITU-R 601-2 luma, 0.299 * 255.
    assert set(stacked(dataset.test)[0].ravel()) == {76.0}
    without_axis = load_dataset(str(tmp_path), (InputSpec("i", (8, 8)),), image_range=(0, 1))
    assert stacked(without_axis.test).shape == (3, 8, 8)


def test_bad_folders_of_images(tmp_path: Path) -> None:
    with pytest.raises(TidepoolError, match="no folders of classes"):
        load_dataset(str(tmp_path), IMAGE, image_range=(0, 1))
    (tmp_path / "cat").mkdir()
    with pytest.raises(TidepoolError, match="no images"):
        load_dataset(str(tmp_path), IMAGE, image_range=(0, 1))
    for name in ("a.png", "b.png"):
        (tmp_path / "cat" / name).write_bytes(b"no image")
    with pytest.raises(TidepoolError, match="image_range") as caught:
        load_dataset(str(tmp_path), IMAGE)
    assert "[0, 1]" in caught.value.hint
    with pytest.raises(TidepoolError, match="not one image"):
        load_dataset(str(tmp_path), VECTOR, image_range=(0, 1))
    dataset = load_dataset(str(tmp_path), IMAGE, image_range=(0, 1))
    with pytest.raises(TidepoolError, match=r"[ab]\.png: not an image"):
        stacked(dataset.test)


def test_random_data(tmp_path: Path) -> None:
    dataset = load_dataset("random:-2,3", VECTOR, seed=5)
    assert dataset.kind is DatasetKind.RANDOM
    x = stacked(dataset.calibration)
    assert x.shape == (100, 4)
    assert -2 <= x.min() < -1.8
    assert 2.8 < x.max() <= 3
    np.testing.assert_array_equal(
        x, stacked(load_dataset("random:-2,3", VECTOR, seed=5).calibration)
    )
    assert (x != stacked(dataset.test)).all()
    for bad in ("random:", "random:1", "random:3,2", "random:a,b", "random:0,inf"):
        with pytest.raises(TidepoolError, match="random:LOW,HIGH"):
            load_dataset(bad, VECTOR)


def test_random_data_covers_the_range_of_a_quantized_input() -> None:
    tensor = Tensor(0, "x", (1, 4), TensorType.INT8, Quantization((0.5,), (-28,)))
    x = stacked(load_dataset("random", (InputSpec("x", (4,), tensor),)).test)
    assert -50 <= x.min() < -48
    assert 75 < x.max() <= 77.5


@pytest.mark.parametrize(
    ("name", "message"), [("nothing.npz", "does not exist"), ("data.csv", "unknown kind '.csv'")]
)
def test_sources_that_are_none(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "data.csv").write_text("1,2\n")
    with pytest.raises(TidepoolError, match=message) as caught:
        load_dataset(str(tmp_path / name), VECTOR)
    assert "recipe .py" in caught.value.hint


def test_take() -> None:
    dataset = load_dataset("random", VECTOR)
    assert dataset.test is not None
    few = dataset.test.take(3)
    assert few.length == 3
    np.testing.assert_array_equal(stacked(few), stacked(dataset.test)[:3])
    assert isinstance(next(iter(few)), Sample)
