"""The ahead-of-time code generator: an int8 graph in, portable C11 out.

One op is one file in ``ops/`` (what it accepts, and the call it becomes) beside its kernel in
``kernels/``; one graph transformation is one file in ``passes/``; ``planner`` packs the arena.
"""

from device_runners.cgen.full_trace import full_trace
from device_runners.cgen.host_build import HostBuild
from device_runners.cgen.isa import CORES_OF, Isa
from device_runners.cgen.memory_picture import memory_picture
from device_runners.cgen.optimize import Optimize
from device_runners.cgen.runner import build, check, run

__all__ = [
    "CORES_OF",
    "HostBuild",
    "Isa",
    "Optimize",
    "build",
    "check",
    "full_trace",
    "memory_picture",
    "run",
]
