"""The generated page of activations."""

from __future__ import annotations

import subprocess
import sys

from device_runners.edge_tpu.keras_rewrites import REWRITES, activations_page
from device_runners.edge_tpu.keras_rewrites.without_form import FUNCTIONS, LAYERS


def test_the_page_has_every_rewrite_and_what_has_none() -> None:
    page = activations_page()
    assert page.endswith("\n")
    for rewrite in REWRITES:
        assert f"| {rewrite.replaces} | `{rewrite.formula}` |" in page
    for name, reason in (FUNCTIONS | LAYERS).items():
        assert f"| {name} | {reason} |" in page
    rows = [line for line in page.splitlines() if line.startswith("| mish |")]
    assert "| 0.0065 |" in rows[0]


def test_every_function_of_keras_is_on_the_page() -> None:
    from converters.load.keras_runtime import import_keras

    activations = import_keras().activations
    page = activations_page()
    tools = {"deserialize", "get", "serialize"}
    names = {name for name in vars(activations) if not name.startswith("_")} - tools
    missing = [name for name in sorted(names) if name not in page]
    assert missing == []


def test_the_page_needs_no_keras() -> None:
    code = (
        "import sys; from device_runners.edge_tpu.keras_rewrites import activations_page; "
        "activations_page(); assert 'keras' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
