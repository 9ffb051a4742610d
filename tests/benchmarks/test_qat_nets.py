from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import qat_nets

from converters.load.keras_runtime import import_keras


@pytest.fixture(scope="module")
def keras() -> Any:
    return import_keras()


@pytest.fixture(scope="module")
def separable(keras: Any) -> Any:
    """With weights and statistics as after a training: no batch norm is the identity."""
    keras.utils.set_random_seed(1)
    net = qat_nets.build(keras, "normal")
    rng = np.random.default_rng(1)
    net.set_weights([w + rng.uniform(0.1, 0.5, w.shape) for w in net.get_weights()])
    return net


def _images() -> np.ndarray:
    return np.random.default_rng(2).uniform(0, 1, (16, 20, 20, 1)).astype(np.float32)


def test_imbalanced_weights_compute_the_same_function(keras: Any, separable: Any) -> None:
    other = qat_nets.build(keras, "imbalanced")
    other.set_weights(qat_nets.imbalanced(separable, seed=5))
    expected = separable.predict(_images(), verbose=0)
    found = other.predict(_images(), verbose=0)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_imbalanced_weights_spread_the_channels_of_every_hidden_layer(separable: Any) -> None:
    gammas = [
        position
        for position, weight in enumerate(separable.weights)
        if weight.path.endswith("_norm/gamma")
    ]
    before = separable.get_weights()
    after = qat_nets.imbalanced(separable, seed=5)
    for position in gammas[:-1]:
        ratio = after[position] / before[position]
        assert ratio.max() / ratio.min() > 30
    # What the head reads stays: global average pooling isn't a stage of the chain.
    np.testing.assert_array_equal(after[gammas[-1]], before[gammas[-1]])


def test_imbalance_follows_its_seed(separable: Any) -> None:
    first, again, other = (qat_nets.imbalanced(separable, seed) for seed in (5, 5, 6))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_the_trained_network_is_left_as_it_was(separable: Any) -> None:
    before = separable.get_weights()
    qat_nets.imbalanced(separable, seed=5)
    for a, b in zip(before, separable.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", list(qat_nets.NETS))
def test_every_network_gives_ten_logits(keras: Any, name: str) -> None:
    assert qat_nets.build(keras, name).output_shape == (None, 10)


@pytest.mark.parametrize("name", list(qat_nets.NETS))
def test_starting_weights_fit_the_network(keras: Any, name: str) -> None:
    net = qat_nets.build(keras, name)
    net.set_weights(qat_nets.NETS[name].start(net, 0))


def test_networks_of_one_origin_have_one_architecture_and_data() -> None:
    kinds: dict[str, set[tuple[Any, ...]]] = {}
    for net in qat_nets.NETS.values():
        kinds.setdefault(net.origin, set()).add((net.architecture, net.recipe, net.dress))
    assert all(len(kind) == 1 for kind in kinds.values())


def test_any_exposure_dims_each_image_by_itself_over_eight_stops() -> None:
    x = np.full((50, 8, 8, 1), 0.5, np.float32)
    dressed, labels = qat_nets.at_any_exposure((x, np.arange(50)), seed=1)
    assert dressed.shape == (400, 8, 8, 1)
    assert dressed.dtype == np.float32
    np.testing.assert_array_equal(labels, np.repeat(np.arange(50), 8))
    flat = dressed.reshape(400, -1)
    assert (flat.min(axis=1) == flat.max(axis=1)).all()
    stops = np.log2(flat[:, 0] / 0.5)
    assert -8 <= stops.min() < -7.5
    assert -0.5 < stops.max() <= 0


def test_exposures_follow_their_seed() -> None:
    data = (np.ones((4, 8, 8, 1), np.float32), np.arange(4))
    first, again, other = (qat_nets.at_any_exposure(data, seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
