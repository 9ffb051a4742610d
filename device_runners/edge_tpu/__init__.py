"""The Coral Edge TPU: check a graph for it, drive its compiler, read what the compiler made."""

from device_runners.edge_tpu.runner import build, check, run

__all__ = ["build", "check", "run"]
