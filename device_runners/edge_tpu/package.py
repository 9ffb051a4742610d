"""What a model compiled for the Edge TPU holds: executables, memory, layers, and the CPU's ops.

The compiler replaces what it maps by custom ops whose options are a FlexBuffer map; one of its
values is a package of executables in a format of libedgetpu (``executable/executable.fbs``,
Apache-2.0). Nothing in the file is trusted: offsets and lengths are checked, and a file that
unfolds into more than a compiler would ever write is refused.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converters.errors import TidepoolError
from converters.tflite.graph import Graph, Operator
from converters.tflite.reader import read_graph
from device_runners.edge_tpu.executables import Executable, read_executable
from device_runners.edge_tpu.flatbuffer import (
    TEXT_UNIT,
    Table,
    WorkLimit,
    printable,
    root_table,
)
from device_runners.edge_tpu.flexbuffer import FlexMap, read_map
from device_runners.edge_tpu.mapping import CUSTOM_OP

PACKAGE_IDENTIFIER = b"DWN1"
"""The file identifier of a package."""

WORK_LIMIT = 50_000
"""Tables, elements and text (see ``WorkLimit``) in one file's packages; real ones have hundreds."""

_CPU_LIMIT = 1_000_000  # the same, for the operators on the CPU and their names

# Keys of the custom op's options.
_VERSION, _CHIP_NAME, _CACHING_PACKAGE, _PACKAGE = "1", "2", "3", "4"
_PREFERENCE, _CHIPS, _ADDITIONAL = "5", "6", "7"


@dataclass(frozen=True)
class ChipPackage:
    """The executables for one chip.

    Attributes:
        key: The key of the custom op's options that held it, ``4`` as a rule; ``7`` for an
            additional package, taken to serve another chip instead of the first one (an
            inference: key ``6`` lists the chips, and no file seen had any).
        min_runtime_version: The oldest runtime that takes it.
        compiler_version: What the compiler wrote there, which is not its version (``cl/``).
        virtual_chip_id: Its place among several chips; 0 for one chip, -1 for a bundle.
        model_identifier: Mostly empty.
        executables: In the order of the file.
    """

    key: str
    min_runtime_version: int
    compiler_version: str
    virtual_chip_id: int
    model_identifier: str
    executables: tuple[Executable, ...]


@dataclass(frozen=True)
class EdgeTpuOp:
    """A part of the graph that runs on the Edge TPU in one piece.

    Attributes:
        operator: Index of the custom op in the compiled graph.
        version: Version of the options' format.
        chip_name: The chip, in old files; empty otherwise.
        chips: The enumeration values of the chips that the packages are for.
        execution_preference: As the compiler wrote it; -1 for none.
        packages: One for a single chip; more for several, or in old files.
    """

    operator: int
    version: int
    chip_name: str
    chips: tuple[int, ...]
    execution_preference: int
    packages: tuple[ChipPackage, ...]

    @property
    def executables(self) -> tuple[Executable, ...]:
        """The executables of all packages but the additional ones, which are alternatives."""
        return tuple(
            executable
            for package in self.packages
            if package.key != _ADDITIONAL
            for executable in package.executables
        )


@dataclass(frozen=True)
class CpuOperator:
    """An operator that stayed on the CPU.

    Attributes:
        operator: Its index in the compiled graph.
        opcode: Its opcode, with the name of a custom op.
        output: The name of its first output.
    """

    operator: int
    opcode: str
    output: str


@dataclass(frozen=True)
class Package:
    """A model compiled for the Edge TPU. All sizes are in bytes.

    Attributes:
        name: The file's name, or ``the model`` when read from memory.
        edge_tpu_ops: The parts that run on the Edge TPU, in the order of execution.
        cpu_operators: The operators that stayed on the CPU, in the order of execution.
    """

    name: str
    edge_tpu_ops: tuple[EdgeTpuOp, ...]
    cpu_operators: tuple[CpuOperator, ...]

    @property
    def executables(self) -> tuple[Executable, ...]:
        """Those that one inference uses: additional packages for other chips are left out."""
        return tuple(e for op in self.edge_tpu_ops for e in op.executables)

    @property
    def min_runtime_version(self) -> int:
        """The oldest runtime that takes all packages."""
        return max(p.min_runtime_version for op in self.edge_tpu_ops for p in op.packages)

    @property
    def chip_names(self) -> tuple[str, ...]:
        """The chips named anywhere in the file, each once."""
        names = [op.chip_name for op in self.edge_tpu_ops] + [e.chip for e in self.executables]
        return tuple(dict.fromkeys(name for name in names if name))

    @property
    def cached_bytes(self) -> int:
        """Parameters that stay in the on-chip memory."""
        return sum(e.cached_bytes for e in self.executables)

    @property
    def streamed_bytes(self) -> int:
        """Parameters that are sent to the device for every inference."""
        return sum(e.streamed_bytes for e in self.executables)

    @property
    def scratch_bytes(self) -> int:
        """Scratch memory on the host, over all executables."""
        return sum(e.scratch_bytes for e in self.executables)

    @property
    def instruction_bytes(self) -> int:
        """Instructions that are sent to the device for every inference."""
        return sum(sum(e.instruction_bytes) for e in self.executables if not e.is_caching)

    @property
    def caching_instruction_bytes(self) -> int:
        """Instructions that load the parameters into the on-chip memory, once."""
        return sum(sum(e.instruction_bytes) for e in self.executables if e.is_caching)

    @property
    def estimated_cycles(self) -> int | None:
        """The compiler's estimate for an inference; None when it made none."""
        cycles = [e.estimated_cycles for e in self.executables if e.estimated_cycles is not None]
        return sum(cycles) if cycles else None

    @property
    def parameter_caching_tokens(self) -> tuple[int, ...]:
        """The tokens of the executables, each once; empty when nothing is cached."""
        tokens = (e.parameter_caching_token for e in self.executables)
        return tuple(dict.fromkeys(token for token in tokens if token))

    def to_json(self) -> str:
        """The package as JSON text.

        Keys of the object: ``name``; ``min_runtime_version``; ``chip_names``; ``cached_bytes``,
        ``streamed_bytes``, ``scratch_bytes``, ``instruction_bytes``,
        ``caching_instruction_bytes`` (totals, as the properties of these names);
        ``estimated_cycles`` (null when unknown); ``parameter_caching_tokens`` (hexadecimal
        text, since 64 bits exceed what JSON's readers keep); ``edge_tpu_ops`` and
        ``cpu_operators``, with the attributes of ``EdgeTpuOp``, ``ChipPackage``,
        ``Executable``, ``Layer`` and ``CpuOperator`` as keys. Sizes are in bytes.
        """
        totals: dict[str, Any] = {
            "name": self.name,
            "min_runtime_version": self.min_runtime_version,
            "chip_names": self.chip_names,
            "cached_bytes": self.cached_bytes,
            "streamed_bytes": self.streamed_bytes,
            "scratch_bytes": self.scratch_bytes,
            "instruction_bytes": self.instruction_bytes,
            "caching_instruction_bytes": self.caching_instruction_bytes,
            "estimated_cycles": self.estimated_cycles,
            "parameter_caching_tokens": [_hex(t) for t in self.parameter_caching_tokens],
        }
        everything = totals | dataclasses.asdict(self)
        for op in everything["edge_tpu_ops"]:
            for package in op["packages"]:
                for executable in package["executables"]:
                    token = executable["parameter_caching_token"]
                    executable["parameter_caching_token"] = _hex(token)
        return json.dumps(everything, indent=2, allow_nan=False) + "\n"

    def rows(self) -> tuple[tuple[str, str], ...]:
        """What the package holds, as labels and values for a table of two columns."""
        return tuple(_rows(self))


def co_compiled(first: Package, second: Package) -> bool:
    """Whether two models share the parameter cache: they have a caching token in common."""
    return not set(first.parameter_caching_tokens).isdisjoint(second.parameter_caching_tokens)


def read_package(source: Path | bytes) -> Package:
    """Reads a model compiled for the Edge TPU.

    Args:
        source: An ``_edgetpu.tflite`` file, or the content of one.

    Raises:
        TidepoolError: The file is missing, is no TFLite model, is not compiled for the Edge TPU,
            or is corrupt.
    """
    name = source.name if isinstance(source, Path) else "the model"
    graph = read_graph(source)
    limit = WorkLimit(WORK_LIMIT)
    ops = [op for op in graph.operators if op.custom_code == CUSTOM_OP]
    if not ops:
        raise TidepoolError(
            f"{name} is not compiled for the Edge TPU: it has no operator {CUSTOM_OP}",
            hint="compile it with edgetpu_compiler and give the _edgetpu.tflite file",
        )
    try:
        edge_tpu_ops = tuple(_edge_tpu_op(op, limit) for op in ops)
        cpu_operators = tuple(_cpu_operators(graph, WorkLimit(_CPU_LIMIT)))
    except TidepoolError as error:
        raise TidepoolError(
            f"{name} is corrupt or truncated in its Edge TPU package: {error.message}",
            hint="compile the model again, or fetch the file again and compare its checksum",
        ) from error
    return Package(name, edge_tpu_ops, cpu_operators)


def _cpu_operators(graph: Graph, limit: WorkLimit) -> Iterator[CpuOperator]:
    for op in graph.operators:
        if op.custom_code == CUSTOM_OP:
            continue
        output = graph.tensors[op.outputs[0]].name if op.outputs else ""
        # Operators may share one long name, which each of them would copy.
        limit.spend(1 + (len(op.custom_code) + len(output)) // TEXT_UNIT)
        yield CpuOperator(op.index, _shown(op.display_name), _shown(output))


def _edge_tpu_op(operator: Operator, limit: WorkLimit) -> EdgeTpuOp:
    options = read_map(operator.custom_options, limit)
    chip_name = options.content(_CHIP_NAME)
    return EdgeTpuOp(
        operator=operator.index,
        version=options.integer(_VERSION),
        chip_name=printable(bytes(chip_name[:64])) if chip_name is not None else "",
        chips=tuple(c for c in options.vectors.get(_CHIPS, ()) if isinstance(c, int)),
        execution_preference=options.integer(_PREFERENCE, -1),
        packages=tuple(_packages(options, limit)),
    )


def _packages(options: FlexMap, limit: WorkLimit) -> Iterator[ChipPackage]:
    main = options.content(_PACKAGE)
    if main is None:
        raise TidepoolError(f"the custom op's options have no package (key {_PACKAGE!r})")
    yield from _chip_packages(main, _PACKAGE, limit)
    caching = options.content(_CACHING_PACKAGE)
    if caching is not None and len(caching):
        yield from _chip_packages(caching, _CACHING_PACKAGE, limit)
    for additional in options.vectors.get(_ADDITIONAL, ()):
        if isinstance(additional, int):
            raise TidepoolError(f"an additional package is the integer {additional}")
        yield from _chip_packages(additional, _ADDITIONAL, limit)


def _chip_packages(data: memoryview, key: str, limit: WorkLimit) -> Iterator[ChipPackage]:
    """The packages in a buffer: one, or those of the bundle for several chips that it is."""
    root = root_table(data, limit, PACKAGE_IDENTIFIER)
    bundle = [entry.bytes(0) for entry in root.tables(6)]
    if not bundle or len(root.bytes(1)):
        yield _chip_package(root, key, limit)
    for member in bundle:
        inner = root_table(member, limit, PACKAGE_IDENTIFIER)
        if any(True for _ in inner.tables(6)):
            raise TidepoolError("a package for several chips holds another one")
        yield _chip_package(inner, key, limit)


def _chip_package(root: Table, key: str, limit: WorkLimit) -> ChipPackage:
    version = root.i32(0)
    if version < 0:
        raise TidepoolError(f"its minimum runtime version is {version}")
    serialized = root.bytes(1)
    if not len(serialized):
        raise TidepoolError("a package holds no executable")
    multiple = root_table(serialized, limit)
    executables = tuple(read_executable(data, limit) for data in multiple.strings(0))
    if not executables:
        raise TidepoolError("a package holds no executable")
    return ChipPackage(
        key=key,
        min_runtime_version=version,
        compiler_version=root.text(4),
        virtual_chip_id=root.i32(5),
        model_identifier=root.text(7),
        executables=executables,
    )


def _rows(package: Package) -> Iterator[tuple[str, str]]:
    tokens = package.parameter_caching_tokens
    cycles = package.estimated_cycles
    yield "Minimum runtime version", str(package.min_runtime_version)
    yield "Chip", ", ".join(package.chip_names) or "not named"
    yield "Parts on the Edge TPU", str(len(package.edge_tpu_ops))
    yield "Operators on the CPU", str(len(package.cpu_operators))
    yield "Parameters cached on the chip", _bytes(package.cached_bytes)
    yield "Parameters streamed per inference", _bytes(package.streamed_bytes)
    yield "Instructions per inference", _bytes(package.instruction_bytes)
    yield "Instructions to fill the cache", _bytes(package.caching_instruction_bytes)
    yield "Scratch memory", _bytes(package.scratch_bytes)
    yield "Parameter-caching token", ", ".join(map(_hex, tokens)) or "none"
    yield "Estimated cycles", "not written by the compiler" if cycles is None else f"{cycles:,}"
    for executable in package.executables:
        kind = "cached" if executable.is_caching else "streamed"
        yield (
            f"Executable {executable.type}",
            f"{executable.parameter_bytes:,} bytes of parameters {kind}, "
            f"{sum(executable.instruction_bytes):,} of instructions, "
            f"{executable.narrow_memory_bytes_per_tile:,} of narrow memory a tile",
        )
        for label, layers in (("Input", executable.inputs), ("Output", executable.outputs)):
            for layer in layers:
                times = f", {layer.execution_count} times" if layer.execution_count != 1 else ""
                yield (
                    f"{label} {layer.name}",
                    f"{layer.data_type} {list(layer.shape)}, {layer.size_bytes:,} bytes, "
                    f"zero point {layer.zero_point}, scale {layer.dequantization_factor}{times}",
                )
    for op in package.cpu_operators:
        yield f"CPU {op.opcode}", op.output


def _bytes(count: int) -> str:
    return f"{count:,} bytes"


def _hex(token: int) -> str:
    return f"0x{token:016x}"


def _shown(text: str) -> str:
    return printable(text.encode("utf-8", errors="surrogatepass"))
