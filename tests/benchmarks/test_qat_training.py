from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qat_training import Data, Schedule, batches, fit, step_seconds

from converters.load.keras_runtime import import_keras


@pytest.fixture(scope="module")
def keras() -> Any:
    return import_keras()


def _data() -> Data:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(70, 4)).astype(np.float32)
    return Data(x, x.argmax(-1))


def _model(keras: Any) -> Any:
    keras.utils.set_random_seed(3)
    return keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(4)])


def _trained(keras: Any, seed: int) -> list[np.ndarray]:
    model = _model(keras)
    fit(keras, model, _data(), Schedule(2, 0.01, 32, seed), lambda: None)
    weights: list[np.ndarray] = model.get_weights()
    return weights


def test_training_follows_its_seed(keras: Any) -> None:
    first, again, other = _trained(keras, 7), _trained(keras, 7), _trained(keras, 8)
    np.testing.assert_array_equal(first[0], again[0])
    assert not np.array_equal(first[0], other[0])


def test_training_learns(keras: Any) -> None:
    model = _model(keras)
    before = model.get_weights()[0]
    fit(keras, model, _data(), Schedule(60, 0.1, 32, 0), lambda: None)
    data = _data()
    after = model.get_weights()[0]
    assert not np.array_equal(before, after)
    assert np.mean(model.predict(data.x, verbose=0).argmax(-1) == data.y) > 0.9


def test_each_epoch_is_reported_and_takes_only_full_batches(keras: Any) -> None:
    model = _model(keras)
    done: list[int] = []
    fit(
        keras,
        model,
        _data(),
        Schedule(3, 0.01, 32, 0),
        lambda: done.append(int(model.optimizer.iterations.numpy())),
    )
    assert done == [2, 4, 6]


def test_batches_are_full_and_in_order() -> None:
    data = _data()
    found = list(batches(data, 32))
    assert [len(batch) for batch in found] == [32, 32]
    np.testing.assert_array_equal(np.concatenate(found), data.x[:64])


def test_a_heavier_step_takes_longer(keras: Any) -> None:
    wide = keras.Sequential(
        [keras.layers.Input((4,)), *[keras.layers.Dense(1500) for _ in range(3)]]
    )
    seconds = step_seconds(keras, {"small": _model(keras), "large": wide}, _data(), 32)
    assert 0 < seconds["small"] < seconds["large"]
