"""Instruction-set levels that code is generated for.

Weights are packed ahead of time into the order in which a kernel eats them, so that the level is
chosen when the code is generated. Every kernel also compiles as portable C with the same packed
data: code of a higher level is right, if slow, on any core.
"""

from __future__ import annotations

from enum import StrEnum


class Isa(StrEnum):
    """What the kernels are written for."""

    SCALAR = "scalar"
    """Portable C: any core, best without the DSP extension."""
    DSP = "dsp"
    """The DSP extension: Cortex-M4, M7, M33 and later."""
    MVE = "mve"
    """The vector extension for integers (Helium) beside it: Cortex-M55, M85."""

    def included_in(self, other: Isa) -> bool:
        """Whether a core of the other level runs kernels of this one."""
        levels = list(Isa)
        return levels.index(self) <= levels.index(other)


CORES_OF = {
    Isa.SCALAR: "cores without the DSP extension (Cortex-M0+, M3)",
    Isa.DSP: "cores with the DSP extension (Cortex-M4, M7, M33)",
    Isa.MVE: "cores with the vector extension (Cortex-M55, M85)",
}
"""The cores that each level is best for, in words. On others its code is right, but slower."""
