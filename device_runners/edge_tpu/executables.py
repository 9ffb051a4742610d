"""The executables in an Edge TPU package: what the runtime sends to the device, and its layers.

The format is described by ``executable/executable.fbs`` of libedgetpu (Apache-2.0); the numbers
of the fields are their order there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from converters.errors import TidepoolError
from device_runners.edge_tpu.flatbuffer import Table, WorkLimit, root_table


class ExecutableType(StrEnum):
    """What an executable is for."""

    STAND_ALONE = "STAND_ALONE"
    """All of an inference; its parameters are streamed."""
    PARAMETER_CACHING = "PARAMETER_CACHING"
    """Loads parameters into the on-chip memory, once."""
    EXECUTION_ONLY = "EXECUTION_ONLY"
    """An inference with cached parameters; its own parameters, if any, are streamed."""


_TYPES = tuple(ExecutableType)

# DataType of the schema.
_DATA_TYPES = {
    0: "uint8",
    1: "uint16",
    2: "int32",
    3: "bfloat16",
    4: "float16",
    5: "float32",
    8: "int8",
    9: "int16",
}


class _Field(IntEnum):
    """Fields of the table Executable."""

    VERSION = 0
    NAME = 1
    BATCH_SIZE = 3
    SCRATCH_SIZE_BYTES = 4
    INSTRUCTION_BITSTREAMS = 5
    PARAMETERS = 6
    INPUT_LAYERS = 8
    OUTPUT_LAYERS = 9
    CHIP = 10
    ESTIMATED_CYCLES = 11
    USED_NARROW_MEMORY = 12
    TYPE = 13
    PARAMETER_CACHING_TOKEN = 14
    ESTIMATED_CYCLES_64BIT = 16


class _LayerField(IntEnum):
    """Fields of the table Layer."""

    NAME = 0
    SIZE_BYTES = 1
    Y = 2
    X = 3
    Z = 4
    NUMERICS = 5
    DATA_TYPE = 6
    EXECUTION_COUNT = 9
    SHAPE = 11


@dataclass(frozen=True)
class Layer:
    """An input or an output of an executable.

    Attributes:
        name: The tensor's name; what is not printable is escaped.
        shape: Its dimensions, outermost first: those that the file gives, else (y, x, z).
        size_bytes: Bytes in memory, padding included, for a batch of one.
        data_type: ``uint8``, ``int8``, ``int16``, ...
        zero_point: As the file gives it: of unsigned integers, so that it is 128 more than the
            tensor's for int8, and 32,768 more for int16.
        dequantization_factor: The tensor's scale; None when it is absent, zero or not finite.
        execution_count: How many times an inference runs it.
    """

    name: str
    shape: tuple[int, ...]
    size_bytes: int
    data_type: str
    zero_point: int
    dequantization_factor: float | None
    execution_count: int


@dataclass(frozen=True)
class Executable:
    """A program for the Edge TPU.

    Attributes:
        type: What it is for.
        version: Version of the format.
        name: The model's name, mostly empty.
        chip: The chip that it is made for; empty when the file doesn't say.
        batch_size: Inferences per run.
        parameter_bytes: Its parameters: cached or streamed, see ``cached_bytes``.
        scratch_bytes: Scratch memory on the host, for a batch of one.
        instruction_bytes: Bytes of each chunk of instructions.
        narrow_memory_bytes_per_tile: Narrow memory (activations) used in each tile.
        parameter_caching_token: Executables with the same one share the cache; 0 for none.
        estimated_cycles: Of an inference; None when the compiler didn't write it (16.0 never
            does).
        inputs: The input layers.
        outputs: The output layers.
    """

    type: ExecutableType
    version: int
    name: str
    chip: str
    batch_size: int
    parameter_bytes: int
    scratch_bytes: int
    instruction_bytes: tuple[int, ...]
    narrow_memory_bytes_per_tile: int
    parameter_caching_token: int
    estimated_cycles: int | None
    inputs: tuple[Layer, ...]
    outputs: tuple[Layer, ...]

    @property
    def is_caching(self) -> bool:
        """Whether it runs once, to fill the on-chip memory, rather than for every inference."""
        return self.type is ExecutableType.PARAMETER_CACHING

    @property
    def cached_bytes(self) -> int:
        """Parameters that stay in the on-chip memory."""
        return self.parameter_bytes if self.is_caching else 0

    @property
    def streamed_bytes(self) -> int:
        """Parameters that are sent to the device for every inference."""
        return self.parameter_bytes - self.cached_bytes


def read_executable(data: memoryview, limit: WorkLimit) -> Executable:
    """Reads a serialized Executable.

    Args:
        data: The flatbuffer.
        limit: How much of it may be read.

    Raises:
        TidepoolError: It is corrupt, or of an unknown type.
    """
    table = root_table(data, limit)
    kind = table.i16(_Field.TYPE)
    if not 0 <= kind < len(_TYPES):
        raise TidepoolError(f"an executable has the unknown type {kind}")
    cycles = table.i64(_Field.ESTIMATED_CYCLES_64BIT) or table.i32(_Field.ESTIMATED_CYCLES)
    return Executable(
        type=_TYPES[kind],
        version=table.i32(_Field.VERSION),
        name=table.text(_Field.NAME),
        chip=table.text(_Field.CHIP),
        batch_size=_size(table, _Field.BATCH_SIZE),
        parameter_bytes=len(table.bytes(_Field.PARAMETERS)),
        scratch_bytes=_size(table, _Field.SCRATCH_SIZE_BYTES),
        instruction_bytes=tuple(
            len(chunk.bytes(0)) for chunk in table.tables(_Field.INSTRUCTION_BITSTREAMS)
        ),
        narrow_memory_bytes_per_tile=_size(table, _Field.USED_NARROW_MEMORY),
        parameter_caching_token=table.u64(_Field.PARAMETER_CACHING_TOKEN),
        estimated_cycles=cycles if cycles > 0 else None,
        inputs=tuple(_layer(layer) for layer in table.tables(_Field.INPUT_LAYERS)),
        outputs=tuple(_layer(layer) for layer in table.tables(_Field.OUTPUT_LAYERS)),
    )


def _layer(table: Table) -> Layer:
    data_type = table.i16(_LayerField.DATA_TYPE)
    numerics = table.table(_LayerField.NUMERICS)
    factor = None if numerics is None else numerics.f32(1)
    return Layer(
        name=table.text(_LayerField.NAME),
        shape=tuple(_shape(table)),
        size_bytes=_size(table, _LayerField.SIZE_BYTES),
        data_type=_DATA_TYPES.get(data_type, f"type {data_type}"),
        zero_point=0 if numerics is None else numerics.i32(0),
        dequantization_factor=factor if factor and abs(factor) < float("inf") else None,
        execution_count=_size(table, _LayerField.EXECUTION_COUNT, default=1),
    )


def _shape(table: Table) -> Iterator[int]:
    shape = table.table(_LayerField.SHAPE)
    if shape is None:
        for field in (_LayerField.Y, _LayerField.X, _LayerField.Z):
            yield _size(table, field)
        return
    for start, end in shape.i32_pairs(0):  # both inclusive
        if not 0 <= start <= end:
            raise TidepoolError(f"a layer's dimension runs from {start} to {end}")
        yield end - start + 1


def _size(table: Table, field: IntEnum, default: int = 0) -> int:
    value = table.i32(field, default)
    if value < 0:
        raise TidepoolError(f"{field.name.lower()} is {value}")
    return value
