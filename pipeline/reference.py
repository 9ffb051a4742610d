"""Reference pages that are generated from the code, so that they can't drift from it.

``make docs`` writes them; a test fails when a page differs from what would be written.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel

from converters.files import write_atomic
from device_runners.cgen.registry import op_modules
from device_runners.cortex_m import boards_page
from device_runners.edge_tpu.keras_rewrites import activations_page
from device_runners.edge_tpu.ops_page import edge_tpu_ops_page
from device_runners.edge_tpu.rewrites.page import edge_tpu_rewrites_page
from pipeline.settings import Settings

_DOCS = Path(__file__).resolve().parents[1] / "docs"


def settings_page() -> str:
    """``docs/settings.md``: every key, its type, default and meaning."""
    lines = [
        "# Settings",
        "",
        "`tidepool.toml`, given by `CONFIG=...` or `--config`; a project folder's own is used "
        "when none is given.",
        "The command line's options override it. Unknown keys are refused. The resolved settings "
        "of a run are in its `manifest.json`.",
        "",
        "| key | default | meaning |",
        "| --- | --- | --- |",
    ]
    for name, field in Settings.model_fields.items():
        default = field.get_default()
        if isinstance(default, BaseModel):
            for key, inner in type(default).model_fields.items():
                value = _toml(inner.get_default())
                lines.append(f"| `{name}.{key}` | {value} | {inner.description} |")
        else:
            lines.append(f"| `{name}` | {_toml(default)} | {field.description} |")
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, int | float):
        return f"`{value:g}`"
    return f'`"{value}"`'


def aot_ops_page() -> str:
    """``docs/aot_ops.md``: the ops of the ahead-of-time code generator."""
    lines = [
        "# Ops of the ahead-of-time code generator",
        "",
        "All int8, with int8 weights (int4 ones included) and int32 biases, and where the "
        "third column says so for int16 activations with int8 weights and int64 biases, too; "
        "ARG_MAX and ARG_MIN give integers, DEQUANTIZE a float output. `tidepool check MODEL` says "
        "for each operator of a model what stands in its way, if anything does.",
        "",
        "| op | versions | int16 | what |",
        "| --- | --- | --- | --- |",
    ]
    for module in op_modules():
        opcode, versions = module.OP.opcode, module.OP.versions
        text = " ".join((module.__doc__ or "").split("\n\n")[0].split()).replace("``", "`")
        text = text.removeprefix(opcode).lstrip(",:. ")
        wide = "yes" if module.OP.int16 else ""
        lines.append(f"| {opcode} | 1 to {versions} | {wide} | {text} |")
    return "\n".join(lines) + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "settings.md": settings_page,
    "aot_ops.md": aot_ops_page,
    "boards.md": boards_page,
    "edge_tpu_ops.md": edge_tpu_ops_page,
    "edge_tpu_rewrites.md": edge_tpu_rewrites_page,
    "edge_tpu_activations.md": activations_page,
}
"""Name of the page in ``docs/`` -> what writes it."""


def write_pages(folder: Path = _DOCS) -> None:
    """Writes every generated page."""
    for name, page in PAGES.items():
        write_atomic(folder / name, page())


if __name__ == "__main__":
    write_pages()
