from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from support.rewriting import (
    all_map,
    assert_every_common_tensor_is_equal,
    opcodes,
    rewritten_by,
    the_pass,
)

from converters.tflite.builder import GraphBuilder
from converters.tflite.graph import Graph, TensorType


class Chain:
    """RELU, and what the test puts behind it."""

    def __init__(self, shape: Sequence[int], type: TensorType = TensorType.INT8) -> None:
        self.b = GraphBuilder("chain")
        self.type = type
        x = self.b.input(shape, 0.1, 3, type)
        self.shape = tuple(shape)
        self.last = self._op("RELU", [x], self.shape, 2)

    def _op(self, opcode: str, inputs: list[int], shape: Sequence[int], version: int) -> int:
        return self.b.op(
            opcode,
            inputs,
            None,
            shape=shape,
            scale=0.1,
            zero_point=3,
            type=self.type,
            version=version,
        )

    def reshape(self, *shape: int) -> Chain:
        constant = self.b.constant(np.array(shape, np.int32))
        self.last, self.shape = self._op("RESHAPE", [self.last, constant], shape, 1), shape
        return self

    def tile(self, *multiples: int) -> Chain:
        shape = tuple(a * b for a, b in zip(self.shape, multiples, strict=True))
        constant = self.b.constant(np.array(multiples, np.int32))
        version = 3 if self.type is TensorType.INT8 else 1
        self.last = self._op("TILE", [self.last, constant], shape, version)
        self.shape = shape
        return self

    def broadcast(self, *shape: int) -> Chain:
        constant = self.b.constant(np.array(shape, np.int32))
        self.last, self.shape = self._op("BROADCAST_TO", [self.last, constant], shape, 3), shape
        return self

    def graph(self) -> Graph:
        self.b.output(self.last)
        return self.b.graph()


CHAINS = {
    "rows, then columns": lambda: (
        Chain((1, 4, 5, 3))
        .reshape(1, 4, 1, 5, 3)
        .tile(1, 1, 2, 1, 1)
        .reshape(1, 8, 5, 1, 3)
        .tile(1, 1, 1, 3, 1)
        .reshape(1, 8, 15, 3)
    ),
    "both at once": lambda: (
        Chain((1, 4, 5, 3)).reshape(1, 4, 1, 5, 1, 3).tile(1, 1, 2, 1, 2, 1).reshape(1, 8, 10, 3)
    ),
    "rows alone": lambda: (
        Chain((1, 4, 5, 3)).reshape(1, 4, 1, 15).tile(1, 1, 3, 1).reshape(1, 12, 5, 3)
    ),
    "broadcast": lambda: (
        Chain((1, 4, 5, 3))
        .reshape(1, 4, 1, 5, 1, 3)
        .broadcast(1, 4, 2, 5, 2, 3)
        .reshape(1, 8, 10, 3)
    ),
    "from a single pixel": lambda: Chain((1, 1, 1, 8)).tile(1, 6, 7, 1),
    "a sequence": lambda: Chain((1, 10, 6)).reshape(1, 10, 1, 6).tile(1, 1, 4, 1).reshape(1, 40, 6),
}


@pytest.mark.parametrize("name", CHAINS)
def test_the_resize_gives_the_same(name: str) -> None:
    graph = CHAINS[name]().graph()
    after = rewritten_by("upsampling", graph)
    assert_every_common_tensor_is_equal(graph, after, np.random.default_rng(0))
    assert opcodes(after).count("RESIZE_NEAREST_NEIGHBOR v2") == 1
    assert not any("TILE" in op or "BROADCAST" in op for op in opcodes(after))
    assert all_map(after)
    assert not all_map(graph)


@pytest.mark.parametrize("factor", range(2, 65))
def test_factors_for_which_the_kernel_finds_the_row_that_was_repeated(factor: int) -> None:
    """The kernel's float32 arithmetic is checked by the kernel itself."""
    graph = (
        Chain((1, 7, 1, 1)).reshape(1, 7, 1, 1).tile(1, 1, factor, 1).reshape(1, 7 * factor, 1, 1)
    )
    before = graph.graph()
    change = the_pass("upsampling").run(before)
    if change is not None:
        assert_every_common_tensor_is_equal(before, change.graph, np.random.default_rng(0), 1)
    elif factor < 40:
        pytest.fail("a common factor is not replaced")


@pytest.mark.parametrize(
    "chain",
    [
        lambda: Chain((1, 4, 5, 3)).tile(1, 2, 1, 1),  # the image itself, twice
        lambda: Chain((1, 4, 5, 3)).tile(1, 1, 1, 2),
        lambda: Chain((1, 4, 5, 3)).reshape(1, 4, 1, 5, 3).tile(1, 1, 2, 1, 1),  # not an image
        lambda: Chain((1, 4, 5, 3)).reshape(1, 12, 5, 1).tile(1, 1, 1, 2).reshape(1, 24, 5, 1),
        lambda: Chain((1, 4, 6, 3)).reshape(1, 8, 9, 1),
    ],
)
def test_what_is_no_upsampling_stays(chain: object) -> None:
    assert callable(chain)
    assert the_pass("upsampling").run(chain().graph()) is None


def test_a_tile_that_maps_stays() -> None:
    graph = Chain((1, 1, 1, 8), TensorType.UINT8).tile(1, 6, 7, 1).graph()
    assert all_map(graph)
    assert the_pass("upsampling").run(graph) is None


def test_what_others_read_in_between_is_kept() -> None:
    chain = Chain((1, 4, 5, 3)).reshape(1, 4, 1, 5, 3).tile(1, 1, 2, 1, 1)
    chain.b.output(chain.last)
    graph = chain.reshape(1, 8, 5, 3).graph()
    after = rewritten_by("upsampling", graph)
    assert opcodes(after) == ["RELU v2", "RESHAPE v1", "TILE v3", "RESIZE_NEAREST_NEIGHBOR v2"]
    assert_every_common_tensor_is_equal(graph, after, np.random.default_rng(0))
