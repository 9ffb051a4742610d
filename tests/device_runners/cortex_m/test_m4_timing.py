"""Estimated cycles: the plugin's table against assembled instructions, and loops on the emulator.

The expected figures are those of the Cortex-M4's Technical Reference Manual, worked out by hand.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from support.aot_folder import int8_layout, random_samples, write_aot_folder

from device_runners.cortex_m import CountMethod, Qemu, build_firmware, find_board
from device_runners.cortex_m.counting import Counter
from device_runners.cortex_m.tools import ARM_GCC

PLUGIN = Path(__file__).parents[3] / "device_runners/cortex_m/plugin"

# Sums up machine code from standard input, executed from its first byte to its last.
HARNESS = r"""
#include "m4_timing.h"
#include <stdio.h>

int main(void)
{
    static unsigned char code[65536];
    const size_t size = fread(code, 1, sizeof code, stdin);
    struct timing before = {0};
    int cycles = 0;
    for (size_t at = 0; at < size; at += before.bytes) {
        const struct timing next = timing_of((uint16_t)(code[at] | code[at + 1] << 8),
                                             (uint16_t)(code[at + 2] | code[at + 3] << 8));
        cycles += next.cycles + timing_between(&before, &next);
        before = next;
    }
    printf("%d %d\n", cycles, before.refill);
    return 0;
}
"""

STRAIGHT = {
    "nop": 1,
    "add r0, r1, r2": 1,
    "mul r0, r1, r2": 1,
    "mla r0, r1, r2, r3": 1,
    "smlad r0, r1, r2, r3": 1,
    "smull r0, r1, r2, r3": 1,
    "smmulr r0, r1, r2": 1,
    "ssat r0, #8, r1": 1,
    "udiv r0, r1, r2": 7,
    "sdiv r0, r1, r2": 7,
    # A load takes two cycles, one less behind another one that doesn't give its address.
    "ldr r0, [r1]": 2,
    "ldr r0, [r1]; ldr r1, [r2]": 3,
    "ldr r0, [r1, r5]; ldr r1, [r2]; ldr r2, [r3, #4]": 4,
    "ldr r0, [r1]; ldr r2, [r0]": 4,
    "ldr.w r0, [r1]; ldr.w r2, [r3, r0]": 4,
    "ldrsb r0, [r1, r2]; ldrb.w r4, [r3], #1": 3,
    "ldr r0, [r1]; nop; ldr r2, [r3]": 5,
    "ldr r0, [sp, #8]; ldr r1, [sp, #4]": 3,
    # Stores: one cycle with a constant offset; nothing is pipelined behind one.
    "str r0, [r1, #4]": 1,
    "strb.w r0, [r1], #1": 1,
    "str r0, [r1, r2]": 2,
    "ldr r0, [r1, r2]; str r0, [r3, #20]": 3,
    "ldr r0, [r1, r2]; str r1, [r3, r2]": 3,
    "str r0, [r1, #4]; ldr r2, [r3]": 3,
    # An address that was computed immediately before waits a cycle.
    "adds r1, #4; ldr r0, [r1]": 4,
    "adds r4, #4; ldr r0, [r1]": 3,
    "adds r1, #4; nop; ldr r0, [r1]": 4,
    "add.w r8, r8, #4; ldm r8, {r0-r2}": 6,
    "smull r0, r1, r2, r3; str r4, [r0]": 3,
    "cmp r1, #4; ldr r0, [r1]": 3,
    "tst.w r1, #4; ldr r0, [r1]": 3,
    # Several registers: one cycle, and one for each; never pipelined.
    "ldmia r0!, {r1-r3}": 4,
    "ldmia.w r8!, {r1-r7, r9}": 9,
    "stmdb r0!, {r1, r2, r3}": 4,
    "ldrd r0, r1, [r2]": 3,
    "strd r0, r1, [r2], #8": 3,
    "ldrd r0, r1, [r2]; ldr r3, [r4]": 5,
    "push {r4-r7, lr}": 6,
    "push.w {r4-r11, lr}": 10,
    "pop {r4-r7}": 5,
    # IT folds into an instruction of 16 bits before it.
    "cmp r0, #0; it eq; addeq r1, #1": 2,
    "cmp.w r0, #0x1000; it eq; addeq r1, #1": 3,
    # Floating point.
    "vldr s0, [r0]": 2,
    "vstr s0, [r0, #4]": 2,
    "vldr d0, [r0]": 3,
    "vldmia r0!, {s0-s7}": 9,
    "vpush {d8-d9}": 5,
    "vadd.f32 s0, s1, s2": 1,
    "vmul.f32 s0, s1, s2": 1,
    "vmla.f32 s0, s1, s2": 3,
    "vfma.f32 s0, s1, s2": 3,
    "vdiv.f32 s0, s1, s2": 14,
    "vsqrt.f32 s0, s1": 14,
    "vcvt.f32.s32 s0, s1": 1,
    "vmov s0, r0": 1,
    "vmov r0, r1, s0, s1": 2,
    "vmrs apsr_nzcv, fpscr": 1,
}

BRANCHES = {
    "b .": (1, 2),
    "b.w .": (1, 2),
    "beq .": (1, 2),
    "beq.w .": (1, 2),
    "bl .": (1, 2),
    "bx lr": (1, 2),
    "blx r3": (1, 2),
    "cbz r0, .+8": (1, 2),
    "mov pc, r0": (1, 2),
    "pop {r4-r7, pc}": (6, 3),
    "ldmia.w sp!, {r4-r11, pc}": (10, 3),
    "ldr pc, [r0]": (2, 3),
    "tbb [r0, r1]": (3, 3),
}

VECTORS = {
    "vldrw.u32 q0, [r0]": 2,
    "vstrb.8 q0, [r0], #16": 2,
    "vldrb.u32 q0, [r0, q1]": 2,
    "vmladava.s8 r0, q0, q1": 2,
    "vqrdmulh.s32 q0, q1, q2": 2,
    "vadd.i32 q0, q1, r2": 2,
    "dls lr, r0": 1,
    "1: le lr, 1b": 1,
}


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler for this machine")
    folder = tmp_path_factory.mktemp("timing")
    (folder / "harness.c").write_text(HARNESS)
    command = [compiler, "-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Werror", f"-I{PLUGIN}"]
    command += [str(folder / "harness.c"), str(PLUGIN / "m4_timing.c"), "-o", str(folder / "sum")]
    subprocess.run(command, check=True)
    return folder / "sum"


def estimate(harness: Path, code: str, core: str = "cortex-m4") -> tuple[int, int]:
    """Cycles of straight code, and the refill behind its last instruction."""
    fpu = ["-mfpu=fpv4-sp-d16"] if core == "cortex-m4" else []
    folder = harness.parent
    source, linked, image = (folder / f"code.{end}" for end in ("s", "elf", "bin"))
    source.write_text(f".syntax unified\n.thumb\n{code}\n".replace(";", "\n"))
    flags = [f"-mcpu={core}", "-mfloat-abi=hard", *fpu, "-nostdlib"]
    flags += ["-Wl,-e0", "-Wl,-Ttext=0"]
    subprocess.run([ARM_GCC, *flags, source, "-o", linked], check=True)
    objcopy = ARM_GCC.replace("gcc", "objcopy")
    command = [objcopy, "-O", "binary", "--only-section=.text", linked, image]
    subprocess.run(command, check=True)
    result = subprocess.run([harness], input=image.read_bytes(), capture_output=True, check=True)
    cycles, refill = map(int, result.stdout.split())
    return cycles, refill


@pytest.mark.parametrize("code", STRAIGHT)
def test_straight_code_takes_what_the_manual_says(harness, code) -> None:
    assert estimate(harness, code) == (STRAIGHT[code], 0)


@pytest.mark.parametrize("code", BRANCHES)
def test_a_branch_refills_the_pipeline(harness, code) -> None:
    assert estimate(harness, code) == BRANCHES[code]


@pytest.mark.parametrize("code", VECTORS)
def test_what_no_cortex_m4_has_is_weighed_too(harness, code) -> None:
    assert estimate(harness, code, "cortex-m55") == (VECTORS[code], 0)


NAKED = "__attribute__((naked)) void toy_invoke(uint8_t *arena);"


def run_code(directory: Path, code: str, core: str = "cortex-m4", **options):
    text = "".join(f'"{line.strip()}\\n"' for line in code.split(";"))
    write_aot_folder(directory, f"__asm__ volatile({text});", declarations=NAKED)
    firmware = build_firmware(directory, "toy", find_board(core))
    return Qemu(**options).run(firmware, random_samples(2, 8), [int8_layout(8)])


# `ldr r0, =arena` 2, `bl` 1 and its refill, the function, and `bl tidepool_count_end` likewise.
CALL = 2 + 3 + 3
RETURN = 3


def test_taken_branches_refill_and_others_don_t(tmp_path) -> None:
    result = run_code(tmp_path, "movs r1, #5; 1: subs r1, #1; bne 1b; bx lr")
    # Four branches taken, one not.
    assert result.estimated_cycles == (CALL + 1 + 5 + 4 * 3 + 1 + RETURN,) * 2
    assert result.instructions == (3 + 1 + 2 * 5 + 1,) * 2


def test_loads_in_a_loop_are_pipelined_within_a_round_only(tmp_path) -> None:
    code = "movs r1, #7; 1: ldrb r2, [r0]; ldrb r3, [r0, #1]; subs r1, #1; bne 1b; bx lr"
    # The arena's address comes from a load, two instructions before the first use.
    result = run_code(tmp_path, code)
    assert result.estimated_cycles == (CALL + 1 + 7 * (3 + 1 + 1) + 6 * 2 + RETURN,) * 2


def test_a_pair_that_lies_on_two_pages_of_the_emulator_is_a_pair_all_the_same(tmp_path) -> None:
    # Blocks end at pages of 1 KiB at the latest; 1,000 loads cross one, or more.
    loads = "ldrb r2, [r0];" * 1000
    result = run_code(tmp_path, loads + "bx lr")
    assert result.estimated_cycles == (CALL + 1 + 1000 + RETURN,) * 2


def test_estimates_are_the_same_on_every_run_and_for_every_core_s_common_code(tmp_path) -> None:
    code = "movs r1, #9; 1: ldr r2, [r0]; mul r3, r2, r1; str r3, [r0]; subs r1, #1; bne 1b; bx lr"
    found = {
        run_code(tmp_path / core, code, core).estimated_cycles
        for core in ("cortex-m3", "cortex-m4", "cortex-m55", "cortex-m4")
    }
    assert found == {(CALL + 1 + 9 * (2 + 1 + 1 + 1 + 1) + 8 * 2 + RETURN,) * 2}


def test_without_the_plugin_there_is_no_estimate(tmp_path) -> None:
    counter = Counter(CountMethod.ICOUNT, None, "asked for")
    assert run_code(tmp_path, "bx lr", counter=counter).estimated_cycles is None
