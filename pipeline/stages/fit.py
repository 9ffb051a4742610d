"""Which boards a model fits."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from device_runners import cgen, cortex_m, tflm
from device_runners.runner import Int8Model
from pipeline.listener import Listener


def fit_boards(
    model: Int8Model,
    boards: Sequence[cortex_m.Board],
    runtime: cortex_m.RuntimeKind,
    listener: Listener,
) -> cortex_m.FitReport:
    """Generates the model's sources, links them for the boards' cores, compares with the boards.

    Leaves no files.

    Raises:
        TidepoolError: The runtime can't run the model, or nothing can be linked.
    """
    with tempfile.TemporaryDirectory(prefix="tidepool-") as name:
        mcu = Path(name)
        with listener.stage("generating the sources"):
            if runtime is cortex_m.RuntimeKind.AOT:
                cgen.build(model, mcu / "aot")
            else:
                tflm.build(model, mcu / "tflm")
        with listener.stage("linking for every kind of core") as progress:
            return cortex_m.fit(mcu, model.name, boards, runtime, progress=progress)
