"""The firmware's cycle counter, on registers that a program of this machine plays.

QEMU has no DWT: on the emulator only the way around it ever runs.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from device_runners.cortex_m.firmware import TEMPLATES

SOURCES = TEMPLATES / "src"

# Each access of CYCCNT takes three cycles, if the counter runs.
HARNESS = r"""
#include "measure.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t demcr, ctrl, cyccnt, lar, csr, rvr, cvr;
static int has_dwt, is_locked;

static int counts(void)
{
    return has_dwt && (!is_locked || lar == 0xC5ACCE55u) && (demcr >> 24 & 1) && (ctrl & 1);
}

volatile uint32_t *test_register(uint32_t address)
{
    static uint32_t nothing;
    nothing = 0;
    switch (address) {
    case 0xE000EDFCu: return &demcr;
    case 0xE0001FB0u: return &lar;
    case 0xE0001000u: return has_dwt && (demcr >> 24 & 1) ? &ctrl : &nothing;
    case 0xE0001004u: cyccnt += counts() ? 3 : 0; return has_dwt ? &cyccnt : &nothing;
    case 0xE000E010u: return &csr;
    case 0xE000E014u: return &rvr;
    case 0xE000E018u: return &cvr;
    default: fprintf(stderr, "access to 0x%08x\n", (unsigned)address); exit(2);
    }
}

int main(int count, char **arguments)
{
    if (count < 3) return 2;
    has_dwt = strcmp(arguments[1], "systick") != 0;
    is_locked = strcmp(arguments[1], "locked") == 0;
    const uint32_t passed = (uint32_t)strtoul(arguments[2], NULL, 0);
    demcr = 0x1u; /* the debugger's own bits stay */
    measure_ticks_start();
    if ((demcr & 1u) == 0u) return 3;
    if (counts()) {
        cyccnt += passed;
        if (csr != 0u) return 4;
    } else {
        if (csr != 5u || rvr != 0xFFFFFFu || cvr != 0u) return 5;
        cvr = (0x1000000u - passed % 0x1000000u) % 0x1000000u;
        csr |= passed > 0xFFFFFFu ? 1u << 16 : 0u;
    }
    printf("%u\n", (unsigned)measure_ticks_stop());
    return csr & 1u ? 6 : 0;
}
"""


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler for this machine")
    folder = tmp_path_factory.mktemp("ticks")
    (folder / "registers.h").write_text(
        "#include <stdint.h>\n"
        "volatile uint32_t *test_register(uint32_t address);\n"
        "#define REGISTER(address) (*test_register(address))\n"
    )
    (folder / "harness.c").write_text(HARNESS)
    program = folder / "ticks"
    command = [compiler, "-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
    command += ["-include", str(folder / "registers.h"), f"-I{SOURCES}"]
    command += [str(folder / "harness.c"), str(SOURCES / "ticks.c"), "-o", str(program)]
    subprocess.run(command, check=True)
    return program


def count(program: Path, core: str, passed: int) -> int:
    result = subprocess.run(
        [program, core, str(passed)], capture_output=True, text=True, check=True
    )
    return int(result.stdout)


@pytest.mark.parametrize("core", ["dwt", "locked"])
@pytest.mark.parametrize("passed", [0, 1000, 0x1000000, 0xFFFFFFF0])
def test_cyccnt_counts_32_bits(counter, core, passed) -> None:
    # The write that sets it to zero and the read at the end are accesses, too.
    assert 0 <= count(counter, core, passed) - passed <= 6


@pytest.mark.parametrize("passed", [0, 1, 1000, 0xFFFFFF])
def test_systick_counts_where_there_is_no_dwt(counter, passed) -> None:
    assert count(counter, "systick", passed) == passed


def test_a_wrap_of_systick_is_marked(counter) -> None:
    assert count(counter, "systick", 0x1000001) == 0xFFFFFFFF
