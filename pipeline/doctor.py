"""What is installed, what is missing, and how to get it."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from converters.errors import TidepoolError
from device_runners.cortex_m import CountMethod, instruction_counter, tool_statuses
from device_runners.edge_tpu.compiler import compiler_version, find_compiler

HEADINGS = ("", "what", "version", "for", "how to get it")
_PACKAGES = {
    "tensorflow": "conversion",
    "keras": "conversion",
    "ai-edge-litert": "the reference interpreter",
    "tflite-micro": "TFLM on this machine",
    "numpy": "everything",
}


@dataclass(frozen=True)
class Symptom:
    """One thing that was looked for.

    Attributes:
        name: What it is.
        found: Whether it is there and usable.
        version: Its version, or where it is; empty when it isn't there.
        needed_for: What doesn't work without it.
        hint: How to get it; empty when it is there.
        required: Whether the Cortex-M target needs it.
    """

    name: str
    found: bool
    version: str
    needed_for: str
    hint: str = ""
    required: bool = True


@dataclass(frozen=True)
class Diagnosis:
    """Everything that was looked for."""

    symptoms: tuple[Symptom, ...]

    @property
    def healthy(self) -> bool:
        """Whether all that the Cortex-M target needs is there."""
        return all(symptom.found for symptom in self.symptoms if symptom.required)

    def rows(self) -> list[tuple[str, ...]]:
        """A row each, marked up for ``rich``, under ``HEADINGS``."""
        missing = {True: "[red]✗[/]", False: "[yellow]-[/]"}
        return [
            (
                "[green]✓[/]" if each.found else missing[each.required],
                each.name,
                each.version or "missing",
                each.needed_for if each.required else f"{each.needed_for} (optional)",
                each.hint,
            )
            for each in self.symptoms
        ]

    def to_json(self) -> str:
        content = {"healthy": self.healthy, "symptoms": [asdict(each) for each in self.symptoms]}
        return json.dumps(content, indent=2)


def examine() -> Diagnosis:
    """Looks for every package and program that Tidepool uses."""
    return Diagnosis(
        (
            Symptom("Python", True, platform.python_version(), "everything"),
            *_packages(),
            *_programs(),
            _instruction_counter(),
            _tflm_library(),
            _edge_tpu_compiler(),
            _pycoral(),
        )
    )


def _packages() -> Iterator[Symptom]:
    for package, purpose in _PACKAGES.items():
        try:
            yield Symptom(package, True, version(package), purpose)
        except PackageNotFoundError:
            yield Symptom(package, False, "", purpose, f"pip install {package}")


def _programs() -> Iterator[Symptom]:
    for tool in tool_statuses():
        purpose = "the emulator" if tool.name.startswith("qemu") else "firmware"
        yield Symptom(tool.name, tool.found, tool.version, purpose, tool.hint)


def _instruction_counter() -> Symptom:
    counter = instruction_counter()
    exact = counter.method is CountMethod.PLUGIN
    return Symptom(
        "counting plugin",
        exact,
        "builds and loads" if exact else "",
        "exact instruction counts",
        counter.reason,
        required=False,
    )


def _tflm_library() -> Symptom:
    root = os.environ.get("TFLM_ROOT", "")
    found = bool(root) and any(
        Path(root).glob("gen/cortex_m_generic_*/lib/libtensorflow-microlite.a")
    )
    hint = "" if found else "build it with upstream's Makefile and set TFLM_ROOT=<its tree>"
    return Symptom(
        "TFLM's library", found, root if found else "", "RUNTIME=tflm", hint, required=False
    )


def _edge_tpu_compiler() -> Symptom:
    purpose = "the Edge TPU"
    try:
        return Symptom(
            "edgetpu_compiler", True, compiler_version(find_compiler()), purpose, required=False
        )
    except TidepoolError as error:
        return Symptom("edgetpu_compiler", False, "", purpose, error.hint, required=False)


def _pycoral() -> Symptom:
    # PyPI has an unrelated package of this name: only Google's has this module.
    purpose = "running on a Coral device"
    if find_spec("pycoral") is None:
        hint = "from Coral's own package index (the one on PyPI is unrelated)"
        return Symptom("pycoral", False, "", purpose, hint, required=False)
    if find_spec("pycoral.utils") is None or find_spec("pycoral.utils.edgetpu") is None:
        hint = "an unrelated package of this name is installed: pip uninstall pycoral"
        return Symptom("pycoral", False, "", purpose, hint, required=False)
    return Symptom("pycoral", True, version("pycoral"), purpose, required=False)
