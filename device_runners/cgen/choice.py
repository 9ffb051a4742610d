"""Which kernel an operator takes: the first of its candidates that is exact on it.

A candidate is a kernel for a level of the instruction set, with weights packed for it. The code
generator must prove it exact on the operator's own weights; where it can't, the next one is tried,
and behind all of them stands the portable kernel, which needs no proof.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from device_runners.cgen.elementwise import operand_arrays
from device_runners.cgen.isa import Isa
from device_runners.cgen.operation import ConstantArray, Emission, KernelCall, OpContext


@dataclass(frozen=True)
class Packed:
    """A call of a kernel, the arrays that it refers to, and its scratch."""

    call: KernelCall
    constants: tuple[ConstantArray, ...]
    scratch_bytes: int
    in_place: tuple[int, ...] = ()
    """Inputs whose memory the output may take over."""


@dataclass(frozen=True)
class Candidate:
    """A kernel that an operator might take.

    Attributes:
        isa: The lowest level that it is for.
        make: Packs the operator for it; None where it does not apply, or can't be proven exact.
        reason: Why it was taken.
        refusal: Why it may not have been.
    """

    isa: Isa
    make: Callable[[OpContext], Packed | None]
    reason: str
    refusal: str


def choose(
    context: OpContext, candidates: tuple[Candidate, ...], portable: Callable[[], Emission]
) -> Emission:
    """The emission of the first candidate of the context's level or below that is exact.

    Args:
        context: The operator.
        candidates: The fastest first.
        portable: The emission with the portable kernel. Its summary and its multiply-accumulates
            are those of the operator, whatever kernel is taken.
    """
    allowed = [candidate for candidate in candidates if candidate.isa.included_in(context.isa)]
    plain = portable()
    for candidate in allowed:
        packed = candidate.make(context)
        if packed is not None:
            return Emission(
                kernel=packed.call.kernel,
                calls=(packed.call,),
                summary=plain.summary,
                constants=(*packed.constants, *operand_arrays(context, 0)),
                macs=plain.macs,
                in_place=packed.in_place,
                scratch_bytes=packed.scratch_bytes,
                reason=candidate.reason,
            )
    if not allowed:
        return plain
    return replace(plain, reason=f"portable: {allowed[-1].refusal}")
