"""How long an inference takes on the Edge TPU: a range, since nobody can know more beforehand."""

from __future__ import annotations

import math
from dataclasses import dataclass

MIB = 1 << 20

# A fit over 68 convolutional models of five layers, parameters cached, one host: 4.2 % mean error.
_BASE_MS = 0.51
_MS_PER_GMAC = 0.762
_MS_PER_SQRT_GMAC = 3.56

# Published figures of whole models that are all cached lie between 0.57 (Inception v1) and 0.97
# (MobileNet v2) of the fit: real models use the array better than five layers do. Widened, since
# these are few.
_LOW_FACTOR = 0.4
_HIGH_FACTOR = 1.25

# Low: Inception v4 and ResNet-50, published, over USB 3. High: the fit's family.
_STREAM_LOW_MS_PER_MIB = 1.5
_STREAM_HIGH_MS_PER_MIB = 13.5

# The CPU's part is an assumption, not a measurement: from no time at all to one core that runs
# reference kernels.
_CPU_MACS_PER_MS = 1e6
_CPU_ELEMENTS_PER_MS = 4e4


@dataclass(frozen=True)
class LatencyRange:
    """Milliseconds of one inference, once the parameters are loaded.

    Attributes:
        low_ms: The fastest that is plausible.
        high_ms: The slowest.
        source: Where the figures come from.
        error: What isn't in the range.
    """

    low_ms: float
    high_ms: float
    source: str
    error: str


def latency_range(
    tpu_macs: int, streamed_bytes: tuple[int, int], cpu_macs: int = 0, cpu_elements: int = 0
) -> LatencyRange:
    """Estimates the latency of one inference at the default clock, over USB 3 or PCIe.

    Args:
        tpu_macs: Multiply-accumulates on the Edge TPU.
        streamed_bytes: Parameter bytes that don't fit the cache, lowest and highest.
        cpu_macs: Multiply-accumulates of operators that stay on the CPU.
        cpu_elements: Elements that these operators write.
    """
    gmacs = tpu_macs / 1e9
    compute = _BASE_MS + _MS_PER_GMAC * gmacs + _MS_PER_SQRT_GMAC * math.sqrt(gmacs)
    low, high = (size / MIB for size in streamed_bytes)
    cpu = cpu_macs / _CPU_MACS_PER_MS + cpu_elements / _CPU_ELEMENTS_PER_MS
    error = (
        "one family of models on one host, widened to cover the published figures; a slower "
        "host, USB 2 or a reduced clock take longer"
    )
    if cpu:
        error += "; the CPU's part is assumed, not measured"
    return LatencyRange(
        low_ms=_LOW_FACTOR * compute + _STREAM_LOW_MS_PER_MIB * low,
        high_ms=_HIGH_FACTOR * compute + _STREAM_HIGH_MS_PER_MIB * high + cpu,
        source=(
            "0.51 + 0.762 GMAC + 3.56 sqrt(GMAC) ms, fitted to 68 models (4.2% mean error), "
            f"times {_LOW_FACTOR} to {_HIGH_FACTOR}; {_STREAM_LOW_MS_PER_MIB} to "
            f"{_STREAM_HIGH_MS_PER_MIB} ms per MiB streamed"
        ),
        error=error,
    )
