"""The runners that turn a model into something for a device, by the name that users give."""

from __future__ import annotations

from typing import cast

from device_runners import cgen, edge_tpu, tflm
from device_runners.runner import Runner

RUNNERS: dict[str, Runner] = {
    "aot": cast(Runner, cgen),
    "tflm": cast(Runner, tflm),
    "edge-tpu": cast(Runner, edge_tpu),
}
"""Name -> package. A new target is a new package and one line here."""
