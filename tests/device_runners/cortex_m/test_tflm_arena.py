"""TFLM's arena is measured where it lies: on the emulated core."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from support.aot_folder import int8_layout, random_samples
from support.tflm_tree import NEEDED_BYTES, USED_BYTES, write_toy_model, write_toy_tree

from converters.errors import TidepoolError
from device_runners.cortex_m import (
    Measured,
    TflmKernels,
    TflmOptions,
    build_firmware,
    find_board,
    measure_arena,
    run_firmware,
    vary_firmware,
)
from device_runners.cortex_m.board import Board, MemoryRegion

M4 = find_board("cortex-m4")
SMALLEST = NEEDED_BYTES + -NEEDED_BYTES % 16


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_tree(tmp_path_factory.mktemp("tflm"), M4, "cmsis_nn", "")


@pytest.fixture(scope="module")
def mcu(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_model(tmp_path_factory.mktemp("mcu"))


def with_ram(size: int) -> Board:
    memory = M4.memory.model_copy(
        update={"ram": MemoryRegion(origin=M4.memory.ram.origin, length=size)}
    )
    return M4.model_copy(update={"memory": memory})


@pytest.mark.slow
def test_the_smallest_arena_is_found_above_what_stays_in_use(root: Path, mcu: Path) -> None:
    sample = random_samples(1, 8)[0]
    found = measure_arena(
        mcu, "toy", M4, TflmOptions(root), sample, [int8_layout(8)], trial_bytes=2000
    )
    assert found.used_bytes == USED_BYTES
    assert found.smallest_bytes == SMALLEST
    assert found.library.kernels is TflmKernels.CMSIS_NN
    # A large arena, then a binary search over its 70 granules.
    assert found.runs <= 9


@pytest.mark.slow
def test_a_trial_that_is_too_small_is_followed_by_all_ram(root: Path, mcu: Path) -> None:
    sample = random_samples(1, 8)[0]
    found = measure_arena(
        mcu,
        "toy",
        with_ram(0x20000),
        TflmOptions(root, TflmKernels.REFERENCE),
        sample,
        [int8_layout(8)],
        trial_bytes=NEEDED_BYTES - 100,
    )
    assert found.smallest_bytes == SMALLEST
    assert found.library.kernels is TflmKernels.REFERENCE


def test_a_model_for_which_no_arena_is_enough_is_an_error(root: Path, mcu: Path) -> None:
    sample = random_samples(1, 8)[0]
    with pytest.raises(TidepoolError, match="AllocateTensors failed"):
        measure_arena(
            mcu,
            "toy",
            with_ram(0x10400),  # a kilobyte more than what the trial leaves for other things
            TflmOptions(root),
            sample,
            [int8_layout(8)],
            trial_bytes=512,
        )


def test_a_firmware_is_varied_in_place_and_back(root: Path, mcu: Path) -> None:
    """Setup and inference are counted by the same markers, one at a time."""
    samples = random_samples(2, 8)
    firmware = build_firmware(mcu, "toy", M4, "tflm", tflm=TflmOptions(root))
    inference = run_firmware(firmware, samples, [int8_layout(8)])
    np.testing.assert_array_equal(inference.outputs[1][0], -samples[1][0])
    setup_firmware = vary_firmware(firmware, measured=Measured.SETUP)
    setup = run_firmware(setup_firmware, samples[:1], [int8_layout(8)])
    assert inference.instructions is not None
    assert setup.instructions is not None
    assert setup.instructions != inference.instructions[:1]
    assert 0 < setup.instructions[0] < 500
    again = vary_firmware(setup_firmware, measured=Measured.INFERENCE)
    assert again == firmware
    repeated = run_firmware(again, samples, [int8_layout(8)])
    assert repeated.instructions == inference.instructions
    assert dataclasses.replace(again, measured=Measured.SETUP) == setup_firmware
