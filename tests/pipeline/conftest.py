"""Fixtures of the tests of whole runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.digits_recipe import REPOSITORY


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, trained for long enough that its batch norms have settled."""
    out = tmp_path_factory.mktemp("digits") / "digits.keras"
    script = REPOSITORY / "examples" / "digits" / "train.py"
    subprocess.run([sys.executable, script, "--out", out, "--epochs", "25"], check=True)
    return out
