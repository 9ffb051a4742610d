"""The Coral Edge TPU: check a graph for it, drive its compiler, read what the compiler made."""

from device_runners.edge_tpu.compiler_options import CompilerOptions, SearchMode
from device_runners.edge_tpu.driver import Driver
from device_runners.edge_tpu.rewrites import NAMES as REWRITE_NAMES
from device_runners.edge_tpu.runner import build, check, run
from device_runners.edge_tpu.together import build_together

__all__ = [
    "REWRITE_NAMES",
    "CompilerOptions",
    "Driver",
    "SearchMode",
    "build",
    "build_together",
    "check",
    "run",
]
