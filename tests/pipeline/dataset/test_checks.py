"""Checks of a dataset against a model: errors for what can't work, warnings for the suspicious."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from converters.errors import TidepoolError
from converters.tflite import Quantization, Tensor, TensorType, read_graph
from pipeline.dataset import (
    Dataset,
    DatasetKind,
    DatasetReport,
    InputSpec,
    Split,
    SplitName,
    WarningCode,
    check_dataset,
    graph_inputs,
    keras_inputs,
    load_dataset,
    quantized_inputs,
    real_inputs,
)
from pipeline.dataset.rows import array_rows
from pipeline.dataset.splits import rows_split

IMAGE = InputSpec("image", (4, 4, 1))
QUANTIZED = InputSpec(
    "image",
    (4, 4, 1),
    Tensor(0, "image", (1, 4, 4, 1), TensorType.INT8, Quantization((1 / 255,), (-128,))),
)


def split(name: SplitName, x: np.ndarray, y: np.ndarray | None = None) -> Split:
    labels = None if y is None else array_rows(y, "y")
    return rows_split(name, (array_rows(x, "x"),), labels)


def images(count: int = 100, scale: float = 1.0, seed: int = 0) -> np.ndarray:
    x = np.random.default_rng(seed).uniform(0, scale, (count, 4, 4, 1))
    return x.astype(np.float32)


def dataset(
    calibration: np.ndarray | None = None,
    test: np.ndarray | None = None,
    y: np.ndarray | None = None,
    kind: DatasetKind = DatasetKind.ARRAYS,
) -> Dataset:
    return Dataset(
        "d",
        kind,
        calibration=split(
            SplitName.CALIBRATION, images(seed=1) if calibration is None else calibration
        ),
        test=split(SplitName.TEST, images() if test is None else test, y),
        classes=("zero", "one", "two"),
    )


def codes(report: DatasetReport) -> list[WarningCode]:
    return [warning.code for warning in report.warnings]


@pytest.mark.parametrize("spec", [IMAGE, QUANTIZED])
def test_good_data_has_no_warnings(spec: InputSpec) -> None:
    report = check_dataset(dataset(y=np.arange(100) % 3), [spec], classes=3)
    assert report.warnings == ()
    statistics = report.statistics[SplitName.TEST]
    assert statistics.samples == 100
    assert statistics.labels == {0: 34, 1: 33, 2: 33}
    assert statistics.ranges[0] == pytest.approx((images().min(), images().max()))


@pytest.mark.parametrize(
    ("shape", "hint"),
    [
        ((4, 4), "channel axis"),
        ((1, 4, 4, 1), "without a batch"),
        ((4, 4, 1, 1), "drop the last axis"),
        ((1, 4, 4), "channels have to come last"),
        ((16,), r"reshape\(-1, 4, 4, 1\)"),
        ((9, 9, 1), "resize the images to 4x4"),
        ((7,), "in the shape of the model's input"),
    ],
)
def test_a_wrong_shape_names_both_and_the_way_out(shape: tuple[int, ...], hint: str) -> None:
    with pytest.raises(TidepoolError) as caught:
        check_dataset(dataset(test=np.ones((5, *shape))), [IMAGE])
    assert f"test sample 0 has shape {shape}" in caught.value.message
    assert "'image' takes (4, 4, 1)" in caught.value.message
    assert re.search(hint, caught.value.hint)


def test_the_number_of_inputs() -> None:
    with pytest.raises(TidepoolError, match=r"1 array\(s\), but the model has 2 inputs"):
        check_dataset(dataset(), [IMAGE, IMAGE])


@pytest.mark.parametrize(("value", "what"), [(np.nan, "NaN"), (np.inf, "infinite")])
def test_values_that_are_no_numbers(value: float, what: str) -> None:
    x = images()
    x[7, 1, 1, 0] = value
    with pytest.raises(TidepoolError, match=f"test sample 7 has {what}"):
        check_dataset(dataset(test=x), [IMAGE])


def test_quantized_data_for_a_float_model() -> None:
    with pytest.raises(TidepoolError, match=r"is int8, but .* takes float32"):
        check_dataset(dataset(test=np.zeros((5, 4, 4, 1), np.int8)), [IMAGE])


def test_pixels_given_to_a_model_of_0_to_1_before_and_after_conversion() -> None:
    for spec in (IMAGE, QUANTIZED):
        report = check_dataset(dataset(test=images(scale=255)), [spec])
        (warning,) = report.warnings
        assert warning.code is WarningCode.RANGE
        assert "calibrated on" in warning.message
        assert "divide the images by 255" in warning.hint


def test_uint8_pixels_given_to_a_model_of_0_to_1() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (100, 4, 4, 1), np.uint8)
    report = check_dataset(dataset(test=pixels), [QUANTIZED])
    assert codes(report) == [WarningCode.RANGE]


def test_small_values_given_to_a_model_of_pixels() -> None:
    report = check_dataset(dataset(calibration=images(scale=255)), [IMAGE])
    (warning,) = report.warnings
    assert warning.code is WarningCode.RANGE
    assert "0.39% of the quantized steps" in warning.message


def test_ranges_apart() -> None:
    report = check_dataset(dataset(test=images() + 5), [IMAGE])
    assert "don't overlap" in report.warnings[0].message


def test_an_outlier_is_no_other_scale() -> None:
    x = images()
    x[0, 0, 0, 0] = 1.5
    assert check_dataset(dataset(test=x), [IMAGE]).warnings == ()


def test_data_in_the_integers_of_the_model_are_measured_in_real_units() -> None:
    x = np.random.default_rng(0).integers(-128, 128, (100, 4, 4, 1), np.int8)
    report = check_dataset(dataset(test=x), [QUANTIZED])
    assert report.warnings == ()
    assert report.statistics[SplitName.TEST].ranges[0] == pytest.approx((0, 1))


def test_a_missing_class_is_named() -> None:
    report = check_dataset(dataset(y=np.arange(100) % 2), [IMAGE], classes=3)
    (warning,) = report.warnings
    assert warning.code is WarningCode.MISSING_CLASS
    assert "no sample of class 2 (two)" in warning.message


def test_one_hot_labels_are_classes() -> None:
    report = check_dataset(dataset(y=np.eye(3)[np.arange(100) % 2]), [IMAGE], classes=3)
    assert codes(report) == [WarningCode.MISSING_CLASS]


def test_a_label_out_of_range() -> None:
    with pytest.raises(TidepoolError, match=r"label 3 in the test split .*labels are 0 to 2"):
        check_dataset(dataset(y=np.arange(100) % 4), [IMAGE], classes=3)
    check_dataset(dataset(y=np.arange(100) % 2), [IMAGE], classes=1)  # one output, two classes
    with pytest.raises(TidepoolError, match="label -1"):
        check_dataset(dataset(y=np.arange(100) % 3 - 1), [IMAGE], classes=3)


def test_constant_and_identical_samples() -> None:
    x = images()
    x[3:5] = 0.5
    (warning,) = check_dataset(dataset(test=x), [IMAGE]).warnings
    assert warning.code is WarningCode.CONSTANT_SAMPLES
    assert warning.message.startswith("2 of 100")
    x[:] = images()[0]
    assert codes(check_dataset(dataset(calibration=x), [IMAGE])) == [WarningCode.IDENTICAL_SAMPLES]


def test_too_few_samples() -> None:
    report = check_dataset(dataset(calibration=images(99), test=images(20)), [IMAGE])
    assert codes(report) == [WarningCode.TOO_FEW_SAMPLES] * 2
    assert "5.0 percentage points" in report.warnings[1].hint


def test_noise_is_not_too_little() -> None:
    report = check_dataset(dataset(images(10), images(10), kind=DatasetKind.RANDOM), [IMAGE])
    assert report.warnings == ()


def test_an_empty_split_and_no_splits() -> None:
    with pytest.raises(TidepoolError, match="the test split is empty"):
        check_dataset(dataset(test=images(0)), [IMAGE])
    with pytest.raises(TidepoolError, match="neither calibration nor test"):
        check_dataset(Dataset("d", DatasetKind.ARRAYS), [IMAGE])


def test_integer_samples_are_used_as_they_are_and_real_ones_are_quantized(
    mlperf_tiny: Path,
) -> None:
    """The keyword-spotting inputs, and their real values, give the published 90%."""
    from device_runners.host.oracle import Oracle

    file = mlperf_tiny / "kws_dscnn_int8.tflite"
    graph = read_graph(file)
    inputs = graph_inputs(graph)
    source = load_dataset(str(mlperf_tiny / "kws_inputs.npz"), inputs, calibrate=False)
    report = check_dataset(source, inputs, classes=12)
    assert WarningCode.RANGE not in codes(report)
    assert source.test is not None
    oracle = Oracle(file)
    right = 0
    for sample in source.test:
        (raw,) = quantized_inputs(sample.inputs, graph)
        np.testing.assert_array_equal(raw[0], sample.inputs[0])
        real = (sample.inputs[0].astype(np.float32) - 83) * np.float32(graph.input_tensors[0].scale)
        np.testing.assert_array_equal(quantized_inputs([real], graph)[0], raw)
        right += int(oracle.run([raw])[0].argmax() == sample.label)
    assert 0.88 < right / 500 < 0.93


def test_inputs_of_a_keras_model() -> None:
    import keras

    x = keras.Input((3, 2), name="series")
    (spec,) = keras_inputs(keras.Model(x, keras.layers.ReLU()(x)))
    assert (spec.name, spec.shape, spec.range) == ("series", (3, 2), None)
    (ready,) = real_inputs([np.arange(6, dtype=np.uint8).reshape(3, 2)], [spec])
    assert ready.dtype == np.float32
    open_ended = keras.Input((None, 2), name="series")
    with pytest.raises(TidepoolError, match="no fixed shape"):
        keras_inputs(keras.Model(open_ended, keras.layers.ReLU()(open_ended)))
