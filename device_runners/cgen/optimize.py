"""What generated code is optimized for."""

from __future__ import annotations

from enum import StrEnum


class Optimize(StrEnum):
    """What decides between kernels, and how they are compiled.

    - ``size``: the least flash of the whole model, code of kernels and constants together, for at
      most a quarter more instructions; ``-Os``.
    - ``balanced``: the fewest instructions of each layer, by kernels whose packed weights are not
      much larger than the model's; ``-O2``.
    - ``speed``: the fewest instructions, whatever the weights take; ``-O3``, but no loops prepared
      for vectors, which takes more instructions than it saves here.
    """

    SIZE = "size"
    BALANCED = "balanced"
    SPEED = "speed"

    @property
    def compiler_flag(self) -> str:
        return {"size": "-Os", "balanced": "-O2", "speed": "-O3 -fno-tree-loop-vectorize"}[self]
