"""Firmware on the emulator: outputs, counts, stack, faults, hangs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.aot_folder import INT8, NEGATE, int8_layout, random_samples, write_aot_folder

from converters.errors import TidepoolError
from device_runners.cortex_m import (
    CORES,
    CountMethod,
    Firmware,
    Qemu,
    TensorLayout,
    build_firmware,
    find_board,
    run_firmware,
)
from device_runners.cortex_m.counting import Counter
from device_runners.cortex_m.emulation_run import read_trace

every_core = pytest.mark.parametrize("core", CORES)

# `ldr r0, =arena; bl <model>_invoke` before the inference and `bl tidepool_count_end` after it.
CALL_INSTRUCTIONS = 3
# Return address and one register for alignment that runtime_invoke() pushes.
CALL_STACK_BYTES = 8

NAKED = "__attribute__((naked)) void toy_invoke(uint8_t *arena);"
# The first input byte n: ldrb, n times subs and bne, bx: 2 n + 2 instructions.
COUNT_DOWN = (
    '__asm__ volatile(".syntax unified\\n ldrb r1, [r0]\\n1: subs r1, #1\\n bne 1b\\n bx lr");'
)


def toy(directory: Path, core: str, invoke: str, *, trace: bool = False, **layout) -> Firmware:
    write_aot_folder(directory, invoke, **layout)
    return build_firmware(directory, "toy", find_board(core), trace=trace)


@every_core
def test_outputs_of_every_sample_come_back(tmp_path, core) -> None:
    samples = random_samples(5, 8)
    seen: list[tuple[int, int | None]] = []
    result = run_firmware(
        toy(tmp_path, core, NEGATE),
        samples,
        [int8_layout(8)],
        progress=lambda done, total: seen.append((done, total)),
    )
    for outputs, inputs in zip(result.outputs, samples, strict=True):
        np.testing.assert_array_equal(outputs[0], -inputs[0])
        assert outputs[0].dtype == INT8
    assert result.arena_bytes == 32
    assert seen[0] == (0, 5)
    assert seen[-1] == (5, 5)
    assert seen == sorted(seen)


@every_core
def test_several_inputs_and_outputs_keep_their_order_and_types(tmp_path, core) -> None:
    invoke = """
    for (uint32_t i = 0; i < 3u; i++) {
        arena[32u + i] = arena[i];
        arena[48u + 4u * i] = (uint8_t)(arena[16u + i] & 0x7Fu);
        arena[49u + 4u * i] = 0u;
        arena[50u + 4u * i] = 0u;
        arena[51u + 4u * i] = 0u;
    }
    """
    firmware = toy(
        tmp_path,
        core,
        invoke,
        inputs=((0, 3), (16, 5)),
        outputs=((48, 12), (32, 3)),
        arena_bytes=64,
    )
    samples = random_samples(4, 3, 5)
    layouts = [TensorLayout((3, 1), np.dtype("<i4")), TensorLayout((1, 3), INT8)]
    result = run_firmware(firmware, samples, layouts)
    for outputs, (first, second) in zip(result.outputs, samples, strict=True):
        expected = (second[0, :3].astype(np.int32) & 0x7F).reshape(3, 1)
        np.testing.assert_array_equal(outputs[0], expected)
        np.testing.assert_array_equal(outputs[1], first)


@every_core
def test_the_plugin_counts_a_known_loop_to_the_instruction(tmp_path, core) -> None:
    firmware = toy(tmp_path, core, COUNT_DOWN, declarations=NAKED)
    rounds = [1, 2, 77, 127, 1]
    samples = [[np.full((1, 8), n, np.int8)] for n in rounds]
    first = run_firmware(firmware, samples, [int8_layout(8)])
    again = run_firmware(firmware, samples, [int8_layout(8)])
    assert first.count_method is CountMethod.PLUGIN, first.count_note
    assert first.instructions == tuple(2 * n + 2 + CALL_INSTRUCTIONS for n in rounds)
    assert first.instructions == again.instructions


@every_core
def test_systick_agrees_with_the_plugin_within_its_resolution(tmp_path, core) -> None:
    board = find_board(core)
    loop = (
        '__asm__ volatile(".syntax unified\\n ldr r1, =100000\\n1: subs r1, #1\\n bne 1b\\n'
        ' bx lr\\n.ltorg");'
    )
    firmware = toy(tmp_path, core, loop, declarations=NAKED)
    samples = random_samples(2, 8)
    exact = run_firmware(firmware, samples, [int8_layout(8)])
    coarse = Qemu(counter=Counter(CountMethod.ICOUNT, None, "asked for")).run(
        firmware, samples, [int8_layout(8)]
    )
    assert exact.instructions == (200_002 + CALL_INSTRUCTIONS,) * 2
    assert coarse.count_method is CountMethod.ICOUNT
    assert coarse.count_note == "asked for"
    assert coarse.instructions is not None
    # Reading and writing SysTick takes some instructions more than the inference itself.
    for count in coarse.instructions:
        assert abs(count - exact.instructions[0]) <= 2 * 1e9 / board.clock_hz


def test_a_count_past_systick_is_an_error_not_a_wrong_number(tmp_path) -> None:
    loop = '__asm__ volatile("ldr r1, =340000000\\n1: subs r1, #1\\n bne 1b\\n bx lr\\n.ltorg");'
    firmware = toy(tmp_path, "cortex-m4", loop, declarations=NAKED)
    emulator = Qemu(counter=Counter(CountMethod.ICOUNT, None, "no compiler"))
    with pytest.raises(TidepoolError, match="671088640 instructions") as error:
        emulator.run(firmware, random_samples(1, 8), [int8_layout(8)])
    assert "no compiler" in error.value.hint


@every_core
def test_stack_is_measured_to_the_word(tmp_path, core) -> None:
    invoke = (
        '__asm__ volatile("sub sp, #504\\n str r0, [sp]\\n ldrb r1, [r0]\\n cmp r1, #0\\n'
        ' beq 1f\\n sub sp, #256\\n str r0, [sp]\\n add sp, #256\\n1: add sp, #504\\n bx lr");'
    )
    firmware = toy(tmp_path, core, invoke, declarations=NAKED)
    shallow, deep = np.zeros((1, 8), np.int8), np.ones((1, 8), np.int8)
    result = run_firmware(firmware, [[shallow]], [int8_layout(8)])
    assert result.stack_bytes == CALL_STACK_BYTES + 504
    result = run_firmware(firmware, [[shallow], [deep], [shallow]], [int8_layout(8)])
    assert result.stack_bytes == CALL_STACK_BYTES + 504 + 256


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55"])
def test_fpu_and_mve_are_on_before_the_model_runs(tmp_path, core) -> None:
    invoke = """
    volatile float half = 0.5f;
    for (uint32_t i = 0; i < 8u; i++) {
        arena[16u + i] = (uint8_t)((float)arena[i] * half);
    }
#ifdef __ARM_FEATURE_MVE
    __asm__ volatile("vmov.i8 q0, #1\\n vadd.i8 q0, q0, q0" ::: "q0");
#endif
    """
    samples = random_samples(2, 8)
    result = run_firmware(toy(tmp_path, core, invoke), samples, [int8_layout(8)])
    for outputs, inputs in zip(result.outputs, samples, strict=True):
        np.testing.assert_array_equal(
            outputs[0].view(np.uint8), (inputs[0].view(np.uint8) / 2).astype(np.uint8)
        )


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m55"])
def test_the_arena_is_not_zero_at_the_start(tmp_path, core) -> None:
    # Generated code must not rely on what it didn't write: the harness gives it a pattern.
    invoke = "for (uint32_t i = 0; i < 8u; i++) { arena[16u + i] = arena[24u + i]; }"
    result = run_firmware(toy(tmp_path, core, invoke), random_samples(1, 8), [int8_layout(8)])
    assert result.outputs[0][0].tobytes() == b"\xa5" * 8


@every_core
@pytest.mark.parametrize(
    ("invoke", "name", "cause"),
    [
        ('(void)arena; __asm__ volatile("udf #0");', "UsageFault", "UNDEFINSTR"),
        ("arena[16] = *(volatile uint8_t *)0xF0000000u;", "BusFault", "at address 0xf0000000"),
        ("((void (*)(void))(uintptr_t)(arena - arena + 0x400))();", "UsageFault", "INVSTATE"),
    ],
    ids=["undefined", "no-memory", "not-thumb"],
)
def test_a_fault_names_its_cause_its_place_and_the_registers(
    tmp_path, core, invoke, name, cause
) -> None:
    firmware = toy(tmp_path, core, invoke)
    with pytest.raises(TidepoolError) as error:
        run_firmware(firmware, random_samples(1, 8), [int8_layout(8)])
    message = error.value.message
    assert name in message
    assert cause in message
    assert f"toy on {firmware.board.name}" in message
    for register in ("CFSR=0x", "HFSR=0x", "MMFAR=0x", "BFAR=0x", "PC=0x", "LR=0x"):
        assert register in message
    if cause != "INVSTATE":
        assert "in toy_invoke" in message


@every_core
def test_a_stack_overflow_is_reported_and_overwrites_nothing(tmp_path, core) -> None:
    declarations = """
    static uint32_t dig(volatile uint8_t *from, uint32_t depth) {
        volatile uint8_t hole[256];
        hole[depth & 0xFFu] = from[0];
        return depth == 0u ? from[0] : dig(hole, depth - 1u) + hole[depth & 0x7Fu];
    }"""
    invoke = "arena[16] = (uint8_t)dig(arena, 1000u);"
    firmware = toy(tmp_path, core, invoke, declarations=declarations)
    with pytest.raises(TidepoolError, match="the stack overflowed") as error:
        run_firmware(firmware, random_samples(1, 8), [int8_layout(8)])
    assert "CFSR=0x" in error.value.message


@every_core
def test_a_hang_ends_by_the_time_limit(tmp_path, core) -> None:
    firmware = toy(tmp_path, core, "if (arena[0] != 0u) { for (;;) { arena[16]++; } }")
    samples = [[np.zeros((1, 8), np.int8)], [np.ones((1, 8), np.int8)]]
    with pytest.raises(TidepoolError, match="hangs: sample 1 took more than 1 s"):
        run_firmware(firmware, samples, [int8_layout(8)], timeout=1)


@every_core
def test_trace_records_hold_every_tensor_of_every_sample(tmp_path, core) -> None:
    invoke = f"""
#ifdef TIDEPOOL_TRACE
    tidepool_trace(3u, arena, 8u);
#endif
    {NEGATE}
#ifdef TIDEPOOL_TRACE
    tidepool_trace(70000u, &arena[16], 8u);
    tidepool_trace(1u, arena, 0u);
#endif
    """
    firmware = toy(tmp_path, core, invoke, trace=True)
    samples = random_samples(3, 8)
    result = run_firmware(firmware, samples, [int8_layout(8)])
    expected = {}
    for k, (inputs,) in enumerate(samples):
        expected[k, 3] = inputs.tobytes()
        expected[k, 70000] = (-inputs).tobytes()
        expected[k, 1] = b""
    assert result.trace == expected
    assert result.instructions is None, "a trace executes instructions of its own"


def test_samples_of_another_size_are_refused(tmp_path) -> None:
    firmware = toy(tmp_path, "cortex-m4", NEGATE)
    with pytest.raises(TidepoolError, match=r"15 bytes, which is no multiple of a sample's 8"):
        run_firmware(firmware, random_samples(3, 5), [int8_layout(8)])
    with pytest.raises(TidepoolError, match="read 1 samples where 2 were given"):
        run_firmware(firmware, random_samples(2, 4), [int8_layout(8)])
    with pytest.raises(TidepoolError, match="wrote 16 bytes of outputs for 2 samples, not 4"):
        run_firmware(firmware, random_samples(2, 8), [int8_layout(4)])
    with pytest.raises(TidepoolError, match="no sample"):
        run_firmware(firmware, [], [int8_layout(8)])


@pytest.mark.parametrize(
    ("code", "message"),
    [(0, "ended without its summary"), (9, "ended with code 9")],
)
def test_a_firmware_that_ends_early_is_an_error(tmp_path, code, message) -> None:
    # SYS_EXIT_EXTENDED from within the model, with "application exit" and this code.
    invoke = f"""
    const uint32_t block[2] = {{0x20026u, {code}u}};
    __asm__ volatile("mov r0, #0x20\\n mov r1, %0\\n bkpt 0xAB"
                     :: "r"(block), "m"(block) : "r0", "r1", "memory");
    arena[16] = 0u;
    """
    firmware = toy(tmp_path, "cortex-m4", invoke)
    with pytest.raises(TidepoolError, match=message):
        run_firmware(firmware, random_samples(1, 8), [int8_layout(8)])


@pytest.mark.parametrize("kept", [1, 11, 12, 19])
def test_a_trace_that_ends_within_a_record_is_an_error(tmp_path, kept) -> None:
    whole = np.array([0, 3, 8], "<u4").tobytes() + bytes(8)
    path = tmp_path / "trace.bin"
    path.write_bytes(whole + whole)
    assert read_trace(path) == {(0, 3): bytes(8)}
    path.write_bytes(whole + whole[:kept])
    with pytest.raises(TidepoolError, match=r"trace\.bin ends within a record, at byte 20"):
        read_trace(path)


def test_missing_qemu_is_one_error_with_the_line_that_installs_it(tmp_path, monkeypatch) -> None:
    firmware = toy(tmp_path, "cortex-m4", NEGATE)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TidepoolError, match="qemu-system-arm") as error:
        run_firmware(firmware, random_samples(1, 8), [int8_layout(8)])
    assert "sudo apt-get install qemu-system-arm" in error.value.hint
