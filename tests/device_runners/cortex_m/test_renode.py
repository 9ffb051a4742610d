"""Renode: its files, the driver with a stand-in for it, and Renode itself where it is installed."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from support.aot_folder import NEGATE, int8_layout, random_samples, write_aot_folder

from converters.errors import TidepoolError
from device_runners.cortex_m import (
    CountMethod,
    EmulatorKind,
    Qemu,
    Renode,
    all_boards,
    build_firmware,
    find_board,
    make_emulator,
    run_firmware,
    write_firmware,
)
from device_runners.cortex_m.renode_files import (
    BESIDE,
    PLATFORM,
    SCRIPT,
    renode_platform,
    renode_script,
)

EXPECTED = Path(__file__).parent / "expected"
STAND_IN = Path(__file__).parents[2] / "support" / "renode_stand_in.py"
MACHINES = {"mps2-an386": "mps2-an386", "nucleo_f446re": "netduinoplus2"}

every_board = pytest.mark.parametrize("board", all_boards(), ids=lambda board: board.name)


@pytest.fixture
def stand_in(tmp_path, monkeypatch) -> Path:
    """``renode`` on the PATH is the stand-in; returns the file that gets its process's id."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "renode"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {STAND_IN} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("STAND_IN_PID", str(tmp_path / "pid"))
    monkeypatch.setenv("STAND_IN_MACHINE", "mps2-an386")
    return tmp_path / "pid"


def toy(tmp_path: Path, invoke: str = NEGATE, board: str = "mps2-an386", *, trace: bool = False):
    mcu = write_aot_folder(tmp_path / "mcu", invoke)
    return build_firmware(mcu, "toy", find_board(board), trace=trace)


def is_running(pid_file: Path) -> bool:
    try:
        os.kill(int(pid_file.read_text()), 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("name", ["rpi_pico2", "stm32f746g_disco"])
def test_the_platform_is_the_recorded_one(name) -> None:
    assert renode_platform(find_board(name)) == (EXPECTED / f"{name}.repl").read_text()


def test_the_script_is_the_recorded_one() -> None:
    expected = (EXPECTED / "rpi_pico2.resc").read_text()
    assert renode_script(find_board("rpi_pico2"), BESIDE) == expected


@every_board
def test_the_platform_has_the_boards_core_and_all_its_memory(board) -> None:
    platform = renode_platform(board)
    assert f'cpuType: "{board.core}"' in platform
    assert f"systickFrequency: {board.clock_hz}\n" in platform
    found = re.findall(
        r"^(\w+): Memory\.MappedMemory @ sysbus (\w+)\n    size: (\w+)$", platform, re.MULTILINE
    )
    assert [(name, int(origin, 16), int(size, 16)) for name, origin, size in found] == [
        (region.name, region.origin, region.length) for region in board.regions
    ]
    # Renode maps memory by pages, and a name is used once.
    assert all(region.origin % 0x1000 == region.length % 0x1000 == 0 for region in board.regions)
    names = re.findall(r"^(\w+): ", platform, re.MULTILINE)
    assert len(names) == len(set(names))
    assert f"VectorTableOffset 0x{board.memory.vectors.origin:08X}\n" in renode_script(
        board, BESIDE
    )


def test_the_project_holds_the_files_of_every_board(tmp_path) -> None:
    project = write_firmware(write_aot_folder(tmp_path, NEGATE), "toy", find_board("nucleo_l4r5zi"))
    for board in all_boards():
        folder = project / "boards" / board.name
        assert (folder / PLATFORM).read_text() == renode_platform(board)
        script = (folder / SCRIPT).read_text()
        paths = re.findall(r"\$ORIGIN/(\S+)", script)
        assert {
            str((folder / path).resolve().relative_to(project.resolve())) for path in paths
        } == {
            f"boards/{board.name}/{PLATFORM}",
            "build",
            "build/console.txt",
            "build/firmware.elf",
        }


@pytest.mark.parametrize(("board", "machine"), MACHINES.items())
def test_outputs_and_counts_of_every_sample_come_back(
    tmp_path, stand_in, monkeypatch, board, machine
) -> None:
    monkeypatch.setenv("STAND_IN_MACHINE", machine)
    firmware = toy(tmp_path, board=board)
    samples = random_samples(4, 8)
    seen: list[tuple[int, int | None]] = []
    result = run_firmware(
        firmware,
        samples,
        [int8_layout(8)],
        emulator="renode",
        progress=lambda done, total: seen.append((done, total)),
    )
    for outputs, inputs in zip(result.outputs, samples, strict=True):
        np.testing.assert_array_equal(outputs[0], -inputs[0])
    assert result.emulator is EmulatorKind.RENODE
    assert result.machine == board
    # Ten executed from marker to marker, less the return from the first one.
    assert result.instructions == (9,) * 4
    assert result.count_method is CountMethod.RENODE
    assert "not compared" in result.count_note
    assert (seen[0], seen[-1]) == ((0, 4), (4, 4))
    assert not is_running(stand_in), "it doesn't end by itself"


def test_stack_and_arena_are_those_of_qemu(tmp_path, stand_in) -> None:
    firmware = toy(tmp_path)
    samples = random_samples(1, 8)
    ours = Renode().run(firmware, samples, [int8_layout(8)])
    theirs = Qemu().run(firmware, samples, [int8_layout(8)])
    assert (ours.stack_bytes, ours.arena_bytes) == (theirs.stack_bytes, theirs.arena_bytes)
    assert ours.console == theirs.console


def test_a_trace_comes_back(tmp_path, stand_in) -> None:
    invoke = f"{NEGATE}\n#ifdef TIDEPOOL_TRACE\n    tidepool_trace(7u, arena, 8u);\n#endif\n"
    samples = random_samples(2, 8)
    result = Renode().run(toy(tmp_path, invoke, trace=True), samples, [int8_layout(8)])
    assert result.trace == {(k, 7): sample[0].tobytes() for k, sample in enumerate(samples)}
    assert result.instructions is None


def test_a_fault_is_told_as_with_qemu(tmp_path, stand_in) -> None:
    firmware = toy(tmp_path, '(void)arena; __asm__ volatile("udf #0");')
    with pytest.raises(TidepoolError, match=r"UsageFault \(UNDEFINSTR"):
        Renode().run(firmware, random_samples(1, 8), [int8_layout(8)])
    assert not is_running(stand_in)


def test_a_hang_ends_by_the_time_limit_and_so_does_the_emulator(tmp_path, stand_in) -> None:
    firmware = toy(tmp_path, "for (;;) { arena[16]++; }")
    with pytest.raises(TidepoolError, match="hangs: sample 0 took more than 2 s"):
        run_firmware(firmware, random_samples(1, 8), [int8_layout(8)], emulator="renode", timeout=2)
    assert not is_running(stand_in)


def test_samples_of_another_size_are_refused(tmp_path, stand_in) -> None:
    with pytest.raises(TidepoolError, match=r"ended with code 2: ERROR inputs\.bin has 15 bytes"):
        Renode().run(toy(tmp_path), random_samples(3, 5), [int8_layout(8)])


def test_a_renode_without_files_over_semihosting_is_named(tmp_path, stand_in, monkeypatch) -> None:
    monkeypatch.setenv("STAND_IN_REFUSE", "SemihostingHandler")
    with pytest.raises(TidepoolError, match="refuses the script of toy on mps2-an386") as error:
        Renode(sample_seconds=30).run(toy(tmp_path), random_samples(1, 8), [int8_layout(8)])
    assert "Could not resolve type: 'CPU.SemihostingHandler'" in error.value.message
    assert "after release 1.16.1" in error.value.hint
    assert not is_running(stand_in)


def test_a_renode_that_ends_early_is_an_error(tmp_path, monkeypatch) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "renode").write_text("#!/bin/sh\necho '[ERROR] no license to emulate'\nexit 1\n")
    (folder / "renode").chmod(0o755)
    firmware = toy(tmp_path)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    with pytest.raises(TidepoolError, match=r"ended without an exit code: .*no license"):
        Renode().run(firmware, random_samples(1, 8), [int8_layout(8)])


def test_a_missing_renode_says_where_to_get_it(tmp_path, monkeypatch) -> None:
    firmware = toy(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TidepoolError, match="not installed: renode") as error:
        Renode().run(firmware, random_samples(1, 8), [int8_layout(8)])
    assert "renode.io" in error.value.hint
    assert "apt-get" not in error.value.hint


def test_a_folder_with_a_space_is_refused(tmp_path, stand_in, monkeypatch) -> None:
    firmware = toy(tmp_path)
    (tmp_path / "my files").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "my files"))
    with pytest.raises(TidepoolError, match="it has a space") as error:
        Renode().run(firmware, random_samples(1, 8), [int8_layout(8)])
    assert "TMPDIR" in error.value.hint


def test_a_kind_gives_its_emulator() -> None:
    assert make_emulator() == Qemu()
    assert make_emulator("renode", timeout=5) == Renode(sample_seconds=5)
    with pytest.raises(ValueError, match="simulator"):
        make_emulator("simulator")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("renode") is None, reason="renode isn't on the PATH")
@every_board
def test_renode_itself_computes_and_counts_what_qemu_does(tmp_path, board) -> None:
    loop = '__asm__ volatile("ldrb r1, [r0]\\n1: subs r1, #1\\n bne 1b\\n bx lr");'
    mcu = write_aot_folder(
        tmp_path, loop, declarations="__attribute__((naked)) void toy_invoke(uint8_t *arena);"
    )
    firmware = build_firmware(mcu, "toy", board)
    samples = [[np.full((1, 8), n, np.int8)] for n in (1, 77)]
    result = Renode().run(firmware, samples, [int8_layout(8)])
    # The same known loop as in the tests of QEMU's plugin.
    assert result.instructions == (2 * 1 + 2 + 3, 2 * 77 + 2 + 3)
