"""Which kernel an operator takes: of those that are exact on it, the one that costs least.

A candidate is a kernel for a level of the instruction set, with weights packed for it. The code
generator must prove it exact on the operator's own weights; behind all of them stands the portable
kernel, which needs no proof. What they cost is estimated by ``costs``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from converters.tflite.graph import TensorType
from device_runners.cgen.c_text import rodata_bytes
from device_runners.cgen.costs import instructions, text_bytes
from device_runners.cgen.elementwise import operand_arrays
from device_runners.cgen.isa import Isa
from device_runners.cgen.operation import ConstantArray, Emission, KernelCall, OpContext
from device_runners.cgen.optimize import Optimize

_CHANNEL_BYTES = 16
"""What the model has for a channel: bias, scale and zero point, of 4, 4 and 8 bytes."""
_ALLOWANCE = 256
"""Bytes by which a layer's constants may exceed the model's: of few weights much is padding."""

_SLOWER = 1.25
"""What a model optimized for size may take, over the instructions of the fastest kernels."""


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
        refusal: Why it may not have been; empty if that goes without saying.
    """

    isa: Isa
    make: Callable[[OpContext], Packed | None]
    reason: str
    refusal: str


def choose(
    context: OpContext,
    candidates: tuple[Candidate, ...],
    portable: Callable[[], Emission],
    four_bits: tuple[Candidate, ...] = (),
) -> Emission:
    """The emission with the fewest estimated instructions, the others as its alternatives.

    Args:
        context: The operator.
        candidates: Those of a higher level than the context's are left out.
        portable: The emission with the portable kernel. Its summary and its multiply-accumulates
            are those of the operator, whatever kernel is taken.
        four_bits: More of them, for weights that the model has in four bits. Unless only speed
            counts, they come before those whose constants are larger than the model's.
    """
    plain = portable()
    unpacks = bool(four_bits) and context.input(1).packed_type is TensorType.INT4
    emissions, refusals = [], []
    for candidate in (*four_bits, *candidates) if unpacks else candidates:
        if not candidate.isa.included_in(context.isa):
            continue
        packed = candidate.make(context)
        if packed is None:
            refusals += [candidate.refusal] if candidate.refusal else []
            continue
        emissions.append(
            replace(
                plain,
                kernel=packed.call.kernel,
                calls=(packed.call,),
                constants=(*packed.constants, *operand_arrays(context, 0)),
                in_place=packed.in_place,
                scratch_bytes=packed.scratch_bytes,
                reason=candidate.reason,
            )
        )
    why = "; ".join(dict.fromkeys(refusals))
    emissions.append(replace(plain, reason=f"portable: {why}" if why else ""))
    best, *others = sorted(emissions, key=_small_first(context) if unpacks else _instructions)
    if best.calls[0].function == plain.calls[0].function and len(emissions) > 1:
        best = replace(best, reason="portable: the fewest instructions by the cost model")
    return replace(best, alternatives=tuple(others))


def _small_first(context: OpContext) -> Callable[[Emission], tuple[int, float]]:
    """Constants that are larger than the model's come last, unless only speed counts."""
    weights = context.input(1)
    limit = weights.packed_bytes + _CHANNEL_BYTES * weights.shape[0] + _ALLOWANCE

    def key(one: Emission) -> tuple[int, float]:
        size = 0 if context.optimize is Optimize.SPEED else _constant_bytes(one)
        return (size if size > limit else 0), _instructions(one)

    return key


def smallest(emissions: Mapping[int, Emission]) -> dict[int, Emission]:
    """Exchanges kernels for alternatives so that kernels and constants take the least flash.

    Tries every set of kernels that may be the smallest; a kernel's code counts once, however many
    layers take it. Sets whose estimated instructions exceed the fastest ones' by more than a
    quarter are left out.

    Args:
        emissions: Operator index -> the fastest emission, and its alternatives.
    """
    options = {
        index: (replace(emission, alternatives=()), *emission.alternatives)
        for index, emission in emissions.items()
        if emission.alternatives
    }
    size = {id(one): _constant_bytes(one) for each in options.values() for one in each}
    taken_by = {id(one): _instructions(one) for each in options.values() for one in each}
    kernels = sorted({one.calls[0].function for each in options.values() for one in each})
    most = _SLOWER * sum(taken_by[id(each[0])] for each in options.values())
    least = sum(min(size[id(one)] for one in each) for each in options.values())
    best: tuple[int, dict[int, Emission]] | None = None
    for count in range(1, len(kernels) + 1):
        for allowed in itertools.combinations(kernels, count):
            text = sum(map(text_bytes, allowed))
            if best is not None and text + least >= best[0]:
                continue
            taken = {
                index: min(fitting, key=lambda one: size[id(one)])
                for index, each in options.items()
                if (fitting := [one for one in each if one.calls[0].function in allowed])
            }
            speed = sum(taken_by[id(one)] for one in taken.values())
            if len(taken) < len(options) or speed > most:
                continue
            flash = sum(size[id(one)] for one in taken.values()) + text
            if best is None or flash < best[0]:
                best = flash, taken
    if best is None:
        return dict(emissions)
    return {**emissions, **{index: _for_size(one) for index, one in best[1].items()}}


def _for_size(emission: Emission) -> Emission:
    return replace(emission, reason=f"{emission.reason}; the least flash".removeprefix("; "))


def _instructions(emission: Emission) -> float:
    """Estimated; a kernel without a model is the last one to take."""
    total = 0.0
    for call in emission.calls:
        estimate = instructions(call)
        total += float("inf") if estimate is None else estimate
    return total


def _constant_bytes(emission: Emission) -> int:
    return sum(rodata_bytes(array) for array in emission.constants)
