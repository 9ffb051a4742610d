"""Hand-made ahead-of-time folders: tiny models with a known behaviour, for the firmware's tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from device_runners.cortex_m import TensorLayout

NEGATE = """
    for (uint32_t i = 0; i < 8u; i++) {
        arena[16u + i] = (uint8_t)(0u - arena[i]);
    }
"""

INT8 = np.dtype(np.int8)


def write_aot_folder(
    mcu_directory: Path,
    invoke: str,
    *,
    model: str = "toy",
    inputs: Sequence[tuple[int, int]] = ((0, 8),),
    outputs: Sequence[tuple[int, int]] = ((16, 8),),
    arena_bytes: int = 32,
    declarations: str = "",
) -> Path:
    """Writes ``<mcu>/aot/`` with a model whose ``<model>_invoke`` has this body.

    Args:
        mcu_directory: Where ``aot/`` goes.
        invoke: Statements of ``void <model>_invoke(uint8_t *arena)``.
        model: The model's name.
        inputs: Offset in the arena and bytes of each input.
        outputs: Likewise of each output.
        arena_bytes: Size of the arena.
        declarations: Text before the function.

    Returns:
        ``mcu_directory``.
    """
    upper = model.upper()
    defines = [
        f"#define {upper}_ARENA_BYTES ({arena_bytes})",
        f"#define {upper}_ARENA_ALIGNMENT (16)",
        f"#define {upper}_INPUT_COUNT ({len(inputs)})",
        f"#define {upper}_OUTPUT_COUNT ({len(outputs)})",
    ]
    for kind, ranges in (("INPUT", inputs), ("OUTPUT", outputs)):
        for k, (offset, size) in enumerate(ranges):
            defines.append(f"#define {upper}_{kind}_{k}_OFFSET ({offset})")
            defines.append(f"#define {upper}_{kind}_{k}_BYTES ({size})")
    aot = mcu_directory / "aot"
    aot.mkdir(parents=True, exist_ok=True)
    header = "\n".join(
        [
            f"#ifndef {upper}_H",
            f"#define {upper}_H",
            "#include <stdint.h>",
            *defines,
            f"void {model}_invoke(uint8_t *arena);",
            "#endif",
        ]
    )
    (aot / f"{model}.h").write_text(header + "\n")
    source = f"""#include "{model}.h"
#ifdef TIDEPOOL_TRACE
extern void tidepool_trace(uint32_t tensor_index, const void *data, uint32_t bytes);
#endif
{declarations}
void {model}_invoke(uint8_t *arena)
{{
{invoke}
}}
"""
    (aot / f"{model}.c").write_text(source)
    return mcu_directory


def int8_layout(size: int) -> TensorLayout:
    return TensorLayout((1, size), INT8)


def random_samples(count: int, *sizes: int, seed: int = 1) -> list[list[np.ndarray]]:
    """For each sample an int8 array for each size."""
    generator = np.random.default_rng(seed)
    return [
        [generator.integers(-128, 128, (1, size), dtype=np.int8) for size in sizes]
        for _ in range(count)
    ]
