from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.models import int8_model

from converters.errors import TidepoolError
from converters.tflite.builder import GraphBuilder
from converters.tflite.options import AddOptions
from device_runners.cgen import HostBuild, build, run
from device_runners.cgen.host_build import SANITIZER_FLAGS
from device_runners.runner import Artifacts


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    b = GraphBuilder("sum")
    x, y = b.input((2, 3), 0.1, 0), b.input((3,), 0.1, 0)
    z = b.op("ADD", [x, y], AddOptions(), shape=(2, 3), scale=0.1, zero_point=0, version=2)
    b.output(z)
    return build(int8_model(b.graph()), tmp_path / "aot")


def test_run_takes_and_returns_arrays_in_their_shapes(artifacts: Artifacts) -> None:
    x, y = np.arange(6, dtype=np.int8).reshape(2, 3), np.array([10, 20, 30], np.int8)
    (output,) = run(artifacts, [x, y])
    np.testing.assert_array_equal(output, x + y)
    assert output.dtype == np.int8


def test_many_samples_in_one_process(artifacts: Artifacts) -> None:
    samples = [[np.full((2, 3), i, np.int8), np.full(3, 1, np.int8)] for i in range(50)]
    with HostBuild(artifacts, flags=SANITIZER_FLAGS) as host:
        results = host.run_many(samples)
    assert [int(result[0][0, 0]) for result in results] == list(range(1, 51))


def test_trace_holds_inputs_and_outputs(artifacts: Artifacts) -> None:
    x, y = np.ones((2, 3), np.int8), np.ones(3, np.int8)
    with HostBuild(artifacts) as host:
        tensors = host.run_traced([x, y])
    assert sorted(tensors) == [0, 1, 2]
    np.testing.assert_array_equal(tensors[2], np.full((2, 3), 2))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([np.ones((2, 3), np.int8)], "has 2 inputs, but 1 are given"),
        ([np.ones((2, 3), np.float32), np.ones(3, np.int8)], r"but float32 \[2, 3\] is given"),
        ([np.ones((3, 2), np.int8), np.ones(3, np.int8)], r"input 0 of sum is int8 \[2, 3\]"),
    ],
)
def test_inputs_that_do_not_fit(
    artifacts: Artifacts, inputs: list[np.ndarray], message: str
) -> None:
    with HostBuild(artifacts) as host, pytest.raises(TidepoolError, match=message):
        host.run(inputs)


def test_a_missing_compiler(artifacts: Artifacts) -> None:
    with pytest.raises(TidepoolError, match="'no-such-cc' is not installed"):
        HostBuild(artifacts, compiler="no-such-cc")


def test_sources_that_do_not_compile(artifacts: Artifacts) -> None:
    (artifacts.directory / "sum.c").write_text("#error broken\n")
    with HostBuild(artifacts) as host, pytest.raises(TidepoolError, match="refuses the sources"):
        host.run([np.ones((2, 3), np.int8), np.ones(3, np.int8)])


def test_the_sanitizers_see_an_access_outside_of_the_arena(artifacts: Artifacts) -> None:
    header = artifacts.directory / "sum.h"
    size = artifacts.figures["arena_bytes"]
    header.write_text(header.read_text().replace(f"({size})", "(16)"))
    flags = SANITIZER_FLAGS
    with HostBuild(artifacts, flags=flags) as host, pytest.raises(TidepoolError, match="overflow"):
        host.run([np.ones((2, 3), np.int8), np.ones(3, np.int8)])


def test_a_failed_build_leaves_the_old_one(artifacts: Artifacts) -> None:
    b = GraphBuilder("bad")
    b.output(b.op("COS", [b.input((4,), 0.1, 0)], None, shape=(4,), scale=0.1, zero_point=0))
    with pytest.raises(TidepoolError):
        build(int8_model(b.graph()), artifacts.directory)
    assert (artifacts.directory / "sum.c").exists()
