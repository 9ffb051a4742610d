"""A model in several runtimes on the same emulated core: what each of them takes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum


class Runtime(StrEnum):
    """A way to run a model on a core, as it stands in a comparison."""

    AOT = "AOT"
    """C generated ahead of time."""
    TFLM_CMSIS_NN = "TFLM + CMSIS-NN"
    TFLM_REFERENCE = "TFLM, reference kernels"


@dataclass(frozen=True)
class RuntimeFigures:
    """One runtime's figures; bytes are of the runtime and the model, without start-up and harness.

    Attributes:
        runtime: Which one.
        bit_exact: Whether every output of every sample is the reference's.
        output_crc32: Checksum over all outputs of sample 0.
        instructions: Executed instructions of one inference (of sample 0); not cycles.
        setup_instructions: Executed instructions until it can infer: TFLM registers its ops,
            constructs the interpreter and allocates its tensors. Generated code needs nothing:
            what is left is the call of an empty function.
        text_bytes: Code.
        rodata_bytes: Constants: weights, tables, the flatbuffer.
        data_bytes: Initialized variables, in flash and in RAM.
        bss_bytes: Other variables, without the arena.
        arena_bytes: The arena, as it is reserved.
        arena_source: Where the arena's size comes from.
        stack_bytes: The deepest stack of setup and inference.
        library: ``libtensorflow-microlite.a``'s folder under ``gen``; empty without one.
        estimated_cycles: What ``instructions`` would take on a Cortex-M4; None if only counted.
    """

    runtime: Runtime
    bit_exact: bool
    output_crc32: str
    instructions: int
    setup_instructions: int
    text_bytes: int
    rodata_bytes: int
    data_bytes: int
    bss_bytes: int
    arena_bytes: int
    arena_source: str
    stack_bytes: int
    library: str
    estimated_cycles: int | None = None

    @property
    def flash_bytes(self) -> int:
        """Code, constants, and the initial values of variables."""
        return self.text_bytes + self.rodata_bytes + self.data_bytes

    @property
    def ram_bytes(self) -> int:
        """Arena, stack, variables."""
        return self.arena_bytes + self.stack_bytes + self.data_bytes + self.bss_bytes


@dataclass(frozen=True)
class RuntimeComparison:
    """One model on one core in every runtime that can be had.

    Attributes:
        model: The model's name.
        core: The core.
        board: The board that stands for it.
        samples: How many samples each runtime computed.
        count_method: How instructions were counted.
        runtimes: Their figures.
    """

    model: str
    core: str
    board: str
    samples: int
    count_method: str
    runtimes: tuple[RuntimeFigures, ...]

    HEADINGS = (
        "runtime",
        "instructions",
        "estimated cycles",
        "until ready",
        "flash",
        "of it code",
        "RAM",
        "arena",
        "stack",
        "output CRC-32",
        "bit-exact",
    )

    @property
    def bit_exact(self) -> bool:
        """Whether all of them compute what the reference computes."""
        return all(figures.bit_exact for figures in self.runtimes)

    def rows(self) -> list[tuple[str, ...]]:
        """The comparison as a table's cells, in the order of ``HEADINGS``."""
        return [
            (
                figures.runtime,
                f"{figures.instructions:,}",
                "" if figures.estimated_cycles is None else f"{figures.estimated_cycles:,}",
                f"{figures.setup_instructions:,}",
                f"{figures.flash_bytes:,}",
                f"{figures.text_bytes:,}",
                f"{figures.ram_bytes:,}",
                f"{figures.arena_bytes:,}",
                f"{figures.stack_bytes:,}",
                figures.output_crc32,
                "yes" if figures.bit_exact else "NO",
            )
            for figures in self.runtimes
        ]

    def to_json(self) -> str:
        """The comparison for machines; ``flash_bytes`` and ``ram_bytes`` are added up there too."""
        content = asdict(self)
        for figures, entry in zip(self.runtimes, content["runtimes"], strict=True):
            entry |= {"flash_bytes": figures.flash_bytes, "ram_bytes": figures.ram_bytes}
        return json.dumps(content, indent=2)
