"""Scripts that run on a board by themselves: they are copied there, and import nothing of ours."""

from __future__ import annotations

from pathlib import Path

RUN_ON_DEVICE = Path(__file__).with_name("run_on_device.py")
"""The script that runs a compiled model on a board; its docstring is its manual."""
