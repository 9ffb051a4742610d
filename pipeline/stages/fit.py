"""Which boards a model fits."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from device_runners import cgen, cortex_m, tflm
from device_runners.runner import Int8Model
from pipeline.listener import Listener
from pipeline.stages.mcu import isa_of


def fit_boards(
    model: Int8Model,
    boards: Sequence[cortex_m.Board],
    runtime: cortex_m.RuntimeKind,
    listener: Listener,
    optimize: cgen.Optimize = cgen.Optimize.BALANCED,
) -> cortex_m.FitReport:
    """Generates the model's sources, links them for the boards' cores, compares with the boards.

    Ahead-of-time code is generated once for each instruction-set level among the boards, as
    ``deploy`` would for them. Leaves no files.

    Raises:
        TidepoolError: The runtime can't run the model, or nothing can be linked.
    """
    with tempfile.TemporaryDirectory(prefix="tidepool-") as name:
        mcu = Path(name)
        with listener.stage("generating the sources"):
            if runtime is cortex_m.RuntimeKind.AOT:
                for isa in {isa_of(board.name) for board in boards}:
                    cgen.build(model, mcu / isa / "aot", isa, optimize)
            else:
                tflm.build(model, mcu / "tflm")

        def sources(board: cortex_m.Board) -> Path:
            return mcu / isa_of(board.name) if runtime is cortex_m.RuntimeKind.AOT else mcu

        with listener.stage("linking for every kind of core") as progress:
            return cortex_m.fit(
                sources,
                model.name,
                boards,
                runtime,
                optimize=optimize.compiler_flag,
                progress=progress,
            )
