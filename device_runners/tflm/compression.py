"""Weights as lookup tables, in the format of TFLM's own compression tool (the tflite-micro wheel).

A tensor with few distinct values is stored as packed indices of 1 to 7 bits and a table of values
for each channel. A ``TFLM_DECODE`` operator before its consumer writes the weights into the arena,
at each inference: flash is paid for with RAM (the largest tensor so stored), with instructions, and
with the decoder's code. Nothing is lost. A model whose weights have too many values is clustered
first (``converters.tflite.cluster``), which does lose.

What a table belongs to follows the weights' quantization, because TFLM's decoder takes it from
there (``decode_state_lut.cc``): one table a channel along its axis, or one for a tensor with one
scale. A file with tables of another kind runs, and computes something else.
"""

from __future__ import annotations

import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from converters.errors import TidepoolError
from converters.tflite.cluster import MAX_BITS, table_slices, weights_of
from converters.tflite.graph import Tensor
from converters.tflite.reader import read_graph
from device_runners.runner import Int8Model
from device_runners.tflm.ops import DECODE_OP


@dataclass(frozen=True)
class CompressedTensor:
    """One tensor that is stored as indices.

    Attributes:
        index: Its index in the uncompressed model.
        name: Its name.
        bits: Bits of an index.
        bytes_before: Its weights as they were.
        saved_bytes: What the whole file loses by it: tables, the operator and its tensors are
            counted in.
    """

    index: int
    name: str
    bits: int
    bytes_before: int
    saved_bytes: int


@dataclass(frozen=True, eq=False)
class Compression:
    """A model whose weights are stored as lookup tables.

    Attributes:
        model: The compressed model, for TFLM only: no other runtime has its operator.
        tensors: What is compressed.
        bytes_before: The model's file as it was.
        bytes_after: The compressed file.
    """

    model: Int8Model
    tensors: tuple[CompressedTensor, ...]
    bytes_before: int
    bytes_after: int

    @property
    def saved_bytes(self) -> int:
        return self.bytes_before - self.bytes_after


def compress(model: Int8Model) -> Compression:
    """Stores every weights tensor as a lookup table by which the file gets smaller.

    Args:
        model: An int8 model.

    Raises:
        TidepoolError: The wheel isn't installed or its tool fails; or no tensor gets smaller,
            because its channels have too many distinct values or it is too small for a table.
    """
    plain = len(_rebuilt(model.content, []))
    chosen = []
    for tensor in weights_of(model.graph):
        bits = _index_bits(tensor)
        if bits > MAX_BITS or _table_bytes(tensor, bits) >= tensor.bytes:
            continue
        saved = plain - len(_rebuilt(model.content, [_spec(tensor, bits)]))
        if saved > 0:
            chosen.append(CompressedTensor(tensor.index, tensor.name, bits, tensor.bytes, saved))
    if not chosen:
        raise TidepoolError(
            f"no weights of {model.name} get smaller as lookup tables",
            hint="their channels have too many distinct values: cluster them first, for example "
            "to 4 bits",
        )
    specs = [_spec(model.graph.tensor(each.index), each.bits) for each in chosen]
    content = _rebuilt(model.content, specs)
    compressed = Int8Model(model.name, content, read_graph(content))
    return Compression(compressed, tuple(chosen), len(model.content), len(content))


def _index_bits(tensor: Tensor) -> int:
    """Bits that tell the values of the channel with the most of them apart."""
    values = max(np.unique(part).size for part in table_slices(tensor))
    return max(1, int(values - 1).bit_length())


def _table_bytes(tensor: Tensor, bits: int) -> int:
    """Indices and tables, without what the file needs besides to refer to them."""
    parts = table_slices(tensor)
    longest = max(np.unique(part).size for part in parts)
    return (tensor.elements * bits + 7) // 8 + len(parts) * longest


def _spec(tensor: Tensor, bits: int) -> Any:
    tool = _tool()
    quantization = tensor.quantization
    mode = (
        tool.spec.PerChannel(quantization.axis)
        if quantization is not None and quantization.per_channel
        else tool.spec.PerTensor()
    )
    method = tool.spec.LookUpTableCompression(bits, mode)
    return tool.spec.Tensor(subgraph=0, tensor=tensor.index, compression=[method])


@dataclass(frozen=True)
class _Tool:
    """The modules of the wheel that this needs."""

    compress: Any
    compressor: Any
    spec: Any
    editor: Any
    align: Any


def _tool() -> _Tool:
    try:
        from tflite_micro.tensorflow.lite.micro.compression import (
            compress,
            compressor,
            model_editor,
            spec,
        )
        from tflite_micro.tensorflow.lite.micro.tools import tflite_flatbuffer_align_wrapper
    except ImportError as error:
        raise TidepoolError(
            "TFLM's compression tool is not installed",
            hint="install the Python package 'tflite-micro' (a dependency of tidepool)",
        ) from error
    return _Tool(compress, compressor, spec, model_editor, tflite_flatbuffer_align_wrapper)


def _rebuilt(content: bytes, specs: list[Any]) -> bytes:
    """The file as the tool writes it, with these tensors compressed."""
    tool = _tool()
    if specs:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a tensor that grows isn't taken
                content = bytes(tool.compress(content, specs))
        except tool.compressor.CompressionError as error:
            raise TidepoolError(f"TFLM's compression tool refuses the model: {error}") from error
    model = tool.editor.read(content)
    for subgraph in model.subgraphs:
        for operator in subgraph.operators:
            if operator.custom_code == DECODE_OP:
                for indices in operator.inputs[::2]:
                    # The tool sets this to None itself, which its builder takes for "unchanged":
                    # the weights' scales would stay on their packed indices, unread.
                    indices.quantization = indices._fb.quantization = None
    return _aligned(bytes(model.build()), tool)


def _aligned(content: bytes, tool: _Tool) -> bytes:
    """The flatbuffer with the alignments of its schema, which Python's builder ignores."""
    with tempfile.TemporaryDirectory(prefix="tidepool_") as folder:
        source, target = Path(folder) / "in.tflite", Path(folder) / "out.tflite"
        source.write_bytes(content)
        tool.align.align_tflite_model(str(source), str(target))
        return target.read_bytes()
