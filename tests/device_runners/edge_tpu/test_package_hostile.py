"""Files that lie: whatever the bytes, a package is read or refused with one error, soon."""

from __future__ import annotations

import json
import struct
import time
from datetime import timedelta
from functools import cache
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.edge_tpu_package import (
    EXECUTION,
    LAYER,
    compiled_model,
    flatbuffer,
    minimal_model,
    options,
    package,
)

from converters.errors import TidepoolError
from device_runners.edge_tpu import package as package_module
from device_runners.edge_tpu.flatbuffer import WorkLimit, root_table
from device_runners.edge_tpu.flexbuffer import read_map
from device_runners.edge_tpu.package import Package, read_package

# No example may read more than the work limit, which takes a second or two at most.
FUZZ = settings(
    max_examples=600,
    deadline=timedelta(seconds=5),
)

# Offsets to themselves, backwards (as unsigned) and just outside; lengths that promise too much.
WORDS = st.one_of(
    st.sampled_from([0, 1, 2, 4, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0xFFFF_FFFC, 1 << 16]),
    st.integers(-64, -1).map(lambda value: value & 0xFFFF_FFFF),
    st.integers(0, 1 << 13),
    st.integers(0, 0xFFFF_FFFF),
)


def _read(content: bytes) -> Package | None:
    """The package, shown in every way; None when it is refused in the user's terms."""
    try:
        read = read_package(content)
    except TidepoolError as error:
        assert error.message
        assert error.hint
        return None
    assert json.loads(read.to_json())["name"] == "the model"
    assert all(value.isprintable() for row in read.rows() for value in row)
    return read


def _overwrite(content: bytes, changes: list[tuple[float, int]]) -> bytes:
    """Writes words at places given as fractions of the content's length."""
    data = bytearray(content)
    for place, word in changes:
        at = int(place * (len(data) - 4))
        struct.pack_into("<I", data, at, word)
    return bytes(data)


PLACES = st.floats(0, 1, exclude_max=True)
CHANGES = st.lists(st.tuples(PLACES, WORDS), min_size=1, max_size=4)


@FUZZ
@given(CHANGES)
def test_changed_words_of_a_file(changes: list[tuple[float, int]]) -> None:
    _read(_overwrite(_minimal(), changes))


@FUZZ
@given(CHANGES, st.booleans())
def test_changed_words_of_a_package(changes: list[tuple[float, int]], nested: bool) -> None:
    # In a file that is otherwise right, so that the package's own reader is what meets them.
    if nested:
        execution = _overwrite(flatbuffer(EXECUTION), changes)
        multiple = flatbuffer({0: ("strings", [execution])})
        _read(compiled_model(options({"4": package(f1=("bytes", multiple))})))
    else:
        _read(compiled_model(options({"1": 0, "4": _overwrite(package(), changes)})))


@FUZZ
@given(CHANGES, PLACES)
def test_changed_words_of_the_options(changes: list[tuple[float, int]], cut: float) -> None:
    content = options({"1": 0, "4": package(), "6": [18, 19], "7": [b"x"], "8": 1 << 40})
    changed = _overwrite(content, [(0.99 + place / 101, word) for place, word in changes])
    for hostile in (changed, content[int(cut * len(content)) :], content[: int(cut * 64)]):
        _read(compiled_model(hostile))


@FUZZ
@given(st.binary(max_size=200))
def test_options_of_random_bytes(content: bytes) -> None:
    assert _read(compiled_model(content)) is None


@FUZZ
@given(changes=CHANGES)
def test_changed_words_of_a_real_file(
    edge_tpu_pairs: Path, changes: list[tuple[float, int]]
) -> None:
    _read(_overwrite(_real(edge_tpu_pairs), changes))


@settings(FUZZ, max_examples=300)
@given(cut=PLACES)
@example(cut=0.999999)
def test_truncated_real_file(edge_tpu_pairs: Path, cut: float) -> None:
    content = _real(edge_tpu_pairs).rstrip(b"\0")  # the end may be padding
    assert _read(content[: int(cut * len(content))]) is None


@pytest.mark.parametrize("word", [0, 1, 0x7FFF_FFFF, 0xFFFF_FFFF, 0xFFFF_FFFC])
def test_every_word_of_a_package(word: int) -> None:
    """Exhaustive: each word of a small package, changed alone."""
    content = package([EXECUTION])
    refused = 0
    for at in range(0, len(content) - 3):
        data = bytearray(content)
        struct.pack_into("<I", data, at, word)
        refused += _read(compiled_model(options({"4": bytes(data)}))) is None
    assert refused > 50


def test_every_truncation() -> None:
    content = _minimal()
    for length in range(len(content.rstrip(b"\0"))):  # the end is padding
        assert _read(content[:length]) is None


def test_one_table_shared_by_all_entries_of_a_vector() -> None:
    """A hundred kilobytes that would unfold into 16,000 executables of 16,000 layers each."""
    executable = flatbuffer({8: ("shared tables", (LAYER, 16_000))})
    multiple = flatbuffer({0: ("shared strings", (executable, 16_000))})
    content = compiled_model(options({"4": package(f1=("bytes", multiple))}))
    assert len(content) < 150_000
    start = time.perf_counter()
    with pytest.raises(TidepoolError, match="unfolds into more than"):
        read_package(content)
    assert time.perf_counter() - start < 10


def test_long_name_shared_by_many_layers() -> None:
    """Names are copied: 1,000 layers of one name of a megabyte would take a gigabyte."""
    layer = LAYER | {0: ("text", "n" * 1_000_000)}
    executable = flatbuffer({8: ("shared tables", (layer, 1_000))})
    multiple = flatbuffer({0: ("strings", [executable])})
    with pytest.raises(TidepoolError, match="unfolds into more than"):
        read_package(compiled_model(options({"4": package(f1=("bytes", multiple))})))


def test_long_name_shared_by_many_operators(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package_module, "_CPU_LIMIT", 2)
    content = compiled_model(options({"4": package()}), cpu=["RELU"] * 3)
    with pytest.raises(TidepoolError, match="unfolds into more than"):
        read_package(content)


def test_real_files_stay_far_below_the_limit(
    edge_tpu_pairs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(package_module, "WORK_LIMIT", package_module.WORK_LIMIT // 50)
    for file in edge_tpu_pairs.glob("*_edgetpu.tflite"):
        assert read_package(file).executables


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "lie outside 0 bytes"),
        (struct.pack("<I", 0) + bytes(12), "the offset 0 at 0"),
        (struct.pack("<I", 0xFFFF_FFFF) + bytes(12), "leads out of 16 bytes"),
        # A table that is its own vtable; one whose vtable lies before the buffer, or after it.
        (struct.pack("<Ii", 4, 0) + bytes(8), "the vtable at 4 has 0 bytes"),
        (struct.pack("<Ii", 4, 100) + bytes(8), "2 bytes at -96"),
        (struct.pack("<Ii", 4, -100) + bytes(8), "2 bytes at 104"),
        (struct.pack("<IHHi", 8, 2, 4, 4), "the vtable at 4 has 2 bytes"),
        (struct.pack("<IHHi", 8, 5, 4, 4), "the vtable at 4 has 5 bytes"),
        (struct.pack("<IHHi", 8, 4000, 4, 4), "the vtable at 4 has 4000 bytes"),
    ],
)
def test_roots_that_lead_astray(content: bytes, message: str) -> None:
    with pytest.raises(TidepoolError, match=message):
        root_table(memoryview(content), WorkLimit(100))


@pytest.mark.parametrize("count", [0xFFFF_FFFF, 0x4000_0000, 100])
def test_vectors_that_promise_too_much(count: int) -> None:
    data = bytearray(flatbuffer({0: ("strings", [b"abc", b"def"])}))
    at = data.index(struct.pack("<I", 2))
    struct.pack_into("<I", data, at, count)
    table = root_table(memoryview(bytes(data)), WorkLimit(100))
    with pytest.raises(TidepoolError, match=f"a vector of {count} elements"):
        list(table.strings(0))


# {"a": 5}: the key, the vector of keys, the map's offset to it, its width and its size, the value
# and its type; then the offset to the map, its type and its width.
FLEX_MAP = b"a\x00\x01\x03\x01\x01\x01\x05\x04\x02\x24\x01"


def test_smallest_map() -> None:
    assert read_map(FLEX_MAP, WorkLimit(100)).values == {"a": 5}


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (2, 0, "a map has 0 keys, but 1 values"),
        (2, 200, "a vector of 200 elements"),
        (3, 0, "the offset 0 at 3"),
        (3, 4, "the offset 4 at 3"),
        (4, 255, "the offset 255 at 4"),
        (5, 0, "keys of the custom op's options are 0 bytes wide"),
        (6, 0, "a map has 1 keys, but 0 values"),
        (6, 200, "a vector of 200 elements"),
        (8, 5 << 2 | 1, "97 bytes at 2 exceed"),  # a string whose length is the key
        (8, 10 << 2 | 1, "a vector of 97 elements"),
        (9, 0, "the offset 0 at 9"),
        (9, 9, "1 bytes at -3 lie outside"),
        (10, 10 << 2, "no FlexBuffer map"),
        (10, 9 << 2 | 3, "8 bytes at -17 lie outside"),
        (11, 3, "no FlexBuffer map"),
    ],
)
def test_maps_that_lead_astray(at: int, value: int, message: str) -> None:
    data = bytearray(FLEX_MAP)
    data[at] = value
    with pytest.raises(TidepoolError, match=message):
        read_map(bytes(data), WorkLimit(100))


def test_keys_without_an_end() -> None:
    content = options({"4": b"x", "k" * 100: 5})
    with pytest.raises(TidepoolError, match="has no end"):
        read_map(content, WorkLimit(100))


@cache
def _minimal() -> bytes:
    return minimal_model()


@cache
def _real(pairs: Path) -> bytes:
    return (pairs / "split_concat_edgetpu.tflite").read_bytes()
