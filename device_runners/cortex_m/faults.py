"""Turns the firmware's report of a fault into words."""

from __future__ import annotations

import re

from device_runners.cortex_m.image import Image

# Bits of the Configurable Fault Status Register (Armv7-M and Armv8-M Architecture Reference
# Manuals, "CFSR, Configurable Fault Status Register").
_CFSR_BITS = {
    0: ("IACCVIOL", "instruction fetch from a forbidden address"),
    1: ("DACCVIOL", "access to a forbidden address"),
    3: ("MUNSTKERR", "memory fault on return from an exception"),
    4: ("MSTKERR", "memory fault while stacking"),
    5: ("MLSPERR", "memory fault while saving the FPU's state"),
    8: ("IBUSERR", "bus error on an instruction fetch"),
    9: ("PRECISERR", "bus error: no memory at this address"),
    10: ("IMPRECISERR", "bus error, reported late"),
    11: ("UNSTKERR", "bus error on return from an exception"),
    12: ("STKERR", "bus error while stacking"),
    13: ("LSPERR", "bus error while saving the FPU's state"),
    16: ("UNDEFINSTR", "an instruction that this core doesn't have"),
    17: ("INVSTATE", "jump to an address without the Thumb bit"),
    18: ("INVPC", "invalid return from an exception"),
    19: ("NOCP", "FPU or MVE instruction, but the unit is absent or off"),
    20: ("STKOF", "the stack overflowed"),
    24: ("UNALIGNED", "unaligned access"),
    25: ("DIVBYZERO", "division by zero"),
}
_FAULT = re.compile(r"^FAULT (?P<name>[A-Za-z ]+?) (?P<registers>CFSR=.*)$", re.MULTILINE)
_BFAR_VALID = 1 << 15
_MMFAR_VALID = 1 << 7


def describe_fault(console: str, image: Image) -> str | None:
    """Describes the fault that a firmware reported.

    Args:
        console: All that the firmware printed.
        image: The firmware, for the names of functions.

    Returns:
        The fault's name and cause, where it happened, and all registers; None without a fault.
    """
    match = _FAULT.search(console)
    if match is None:
        return None
    registers = {
        name: int(value, 16) for name, value in re.findall(r"(\w+)=(0x[0-9a-f]+)", match[0])
    }
    cfsr = registers.get("CFSR", 0)
    causes = [f"{name}: {text}" for bit, (name, text) in _CFSR_BITS.items() if cfsr >> bit & 1]
    if cfsr & _BFAR_VALID:
        causes.append(f"at address 0x{registers['BFAR']:08x}")
    elif cfsr & _MMFAR_VALID:
        causes.append(f"at address 0x{registers['MMFAR']:08x}")
    if "STACK_OVERFLOW" in match["registers"]:
        causes.append("the stack overflowed")
    text = match["name"] + (f" ({', '.join(causes)})" if causes else "")
    if "PC" in registers:
        function = image.function_at(registers["PC"])
        text += f" in {function.name if function else 'no known function'}"
    return f"{text}\n{match['registers'].removesuffix('STACK_OVERFLOW').strip()}"
