"""Names of models are C identifiers whatever the file is called."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.naming import c_identifier, model_name


@given(st.text())
def test_any_text_becomes_a_valid_identifier(text: str) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*", c_identifier(text))


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("models/ad01_int8.tflite", "ad01"),
        ("Größe 7.keras", "gr_e_7"),
        ("2d.h5", "m_2d"),
        ("switch.keras", "m_switch"),
        ("main.keras", "m_main"),
        ("string.keras", "m_string"),  # its header would hide the C library's
        ("std.h5", "m_std"),
        ("tidepool_conv_2d.keras", "m_tidepool_conv_2d"),
        ("examples/digits", "digits"),
        ("examples/digits/model.py", "digits"),
        ("net.v2.tflite", "net_v2"),
    ],
)
def test_results_are_filed_under_the_stem(path: str, name: str) -> None:
    assert model_name(Path(path)) == name
