"""Cortex-M: builds firmware around generated sources and runs it on QEMU.

board = find_board("cortex-m4")
firmware = build_firmware(Path("build/kws/mcu"), "kws", board)
result = run_firmware(firmware, samples, layouts_of(graph.output_tensors))
sizes = measure_sizes(firmware)
"""

from __future__ import annotations

from device_runners.cortex_m.board import CORES, Board, all_boards, find_board
from device_runners.cortex_m.counting import CountMethod, instruction_counter
from device_runners.cortex_m.emulator import EmulationResult, Emulator, TensorLayout
from device_runners.cortex_m.firmware import (
    Firmware,
    RuntimeKind,
    build_firmware,
    write_firmware,
)
from device_runners.cortex_m.runner import layouts_of, run_firmware
from device_runners.cortex_m.sizes import Sizes, measure_sizes
from device_runners.cortex_m.tools import ToolStatus, require_tools, tool_status, tool_statuses

__all__ = [
    "CORES",
    "Board",
    "CountMethod",
    "EmulationResult",
    "Emulator",
    "Firmware",
    "RuntimeKind",
    "Sizes",
    "TensorLayout",
    "ToolStatus",
    "all_boards",
    "build_firmware",
    "find_board",
    "instruction_counter",
    "layouts_of",
    "measure_sizes",
    "require_tools",
    "run_firmware",
    "tool_status",
    "tool_statuses",
    "write_firmware",
]
