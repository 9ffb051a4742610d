"""Cortex-M: builds firmware around generated sources and runs it on an emulator.

board = find_board("cortex-m4")
firmware = build_firmware(Path("build/kws/mcu"), "kws", board)
result = run_firmware(firmware, samples, layouts_of(graph.output_tensors))
sizes = measure_sizes(firmware)
"""

from __future__ import annotations

from device_runners.cortex_m.board import (
    CORES,
    Board,
    Mve,
    all_boards,
    emulated_board,
    find_board,
)
from device_runners.cortex_m.counting import CountMethod, instruction_counter
from device_runners.cortex_m.emulator import (
    EmulationResult,
    Emulator,
    EmulatorKind,
    TensorLayout,
)
from device_runners.cortex_m.firmware import (
    Firmware,
    Measured,
    RuntimeKind,
    TflmOptions,
    build_firmware,
    vary_firmware,
    write_firmware,
)
from device_runners.cortex_m.fit import FIT_HEADINGS, BoardFit, FitReport, Footprint, fit
from device_runners.cortex_m.flash import (
    BoardResult,
    FlashPlan,
    check_ready,
    flash_and_run,
    plan_flash,
    write_inputs,
)
from device_runners.cortex_m.listing import (
    BOARD_HEADINGS,
    board_details,
    board_json,
    board_rows,
    boards_page,
)
from device_runners.cortex_m.probes import FlashToolKind, choose_tool, find_program
from device_runners.cortex_m.qemu import Qemu
from device_runners.cortex_m.renode import Renode
from device_runners.cortex_m.runner import layouts_of, make_emulator, run_firmware
from device_runners.cortex_m.sizes import Sizes, measure_sizes
from device_runners.cortex_m.tflm_arena import ArenaMeasurement, measure_arena
from device_runners.cortex_m.tflm_library import TflmKernels, TflmLibrary, built_kernels, tflm_root
from device_runners.cortex_m.tools import ToolStatus, require_tools, tool_status, tool_statuses

__all__ = [
    "BOARD_HEADINGS",
    "CORES",
    "FIT_HEADINGS",
    "ArenaMeasurement",
    "Board",
    "BoardFit",
    "BoardResult",
    "CountMethod",
    "EmulationResult",
    "Emulator",
    "EmulatorKind",
    "Firmware",
    "FitReport",
    "FlashPlan",
    "FlashToolKind",
    "Footprint",
    "Measured",
    "Mve",
    "Qemu",
    "Renode",
    "RuntimeKind",
    "Sizes",
    "TensorLayout",
    "TflmKernels",
    "TflmLibrary",
    "TflmOptions",
    "ToolStatus",
    "all_boards",
    "board_details",
    "board_json",
    "board_rows",
    "boards_page",
    "build_firmware",
    "built_kernels",
    "check_ready",
    "choose_tool",
    "emulated_board",
    "find_board",
    "find_program",
    "fit",
    "flash_and_run",
    "instruction_counter",
    "layouts_of",
    "make_emulator",
    "measure_arena",
    "measure_sizes",
    "plan_flash",
    "require_tools",
    "run_firmware",
    "tflm_root",
    "tool_status",
    "tool_statuses",
    "vary_firmware",
    "write_firmware",
    "write_inputs",
]
