"""What every export is made of: a model's sources, and what a firmware has to know of them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

from converters.errors import TidepoolError
from converters.tflite.graph import Tensor, TensorType
from device_runners.runner import Artifacts, Int8Model

_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
_VENDOR = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_URL = re.compile(r"https?://[^\s<>\"&]+")
_INTEGERS = frozenset({TensorType.INT8, TensorType.UINT8, TensorType.INT16, TensorType.INT32})


class Runtime(StrEnum):
    """What executes the model in the firmware."""

    AOT = "aot"
    """C that was generated ahead of time."""
    TFLM = "tflm"
    """TensorFlow Lite Micro's interpreter, which the firmware gets from its ecosystem."""


@dataclass(frozen=True)
class Identity:
    """How a package presents itself to the ecosystem's tools.

    Attributes:
        version: Semantic version, three numbers.
        vendor: Who publishes it: a word that begins with a letter.
        url: Its home page; several manifests can't do without.

    Raises:
        TidepoolError: One of them is malformed.
    """

    version: str = "1.0.0"
    vendor: str = "Tidepool"
    url: str = "https://example.com/"

    def __post_init__(self) -> None:
        if not _VERSION.fullmatch(self.version):
            raise TidepoolError(
                f"the package's version '{self.version}' is not three numbers",
                hint="give a semantic version such as 1.0.0",
            )
        if not _VENDOR.fullmatch(self.vendor):
            raise TidepoolError(
                f"the vendor '{self.vendor}' is not a word",
                hint="give a letter, followed by letters, digits, '-' and '_'",
            )
        if self.vendor.lower().startswith("arduino"):
            raise TidepoolError(
                f"the vendor '{self.vendor}' begins with 'Arduino'",
                hint="Arduino reserves names that begin so for its own libraries",
            )
        if not _URL.fullmatch(self.url):
            raise TidepoolError(
                f"the package's URL '{self.url}' is not valid",
                hint="give an address that begins with https://",
            )


@dataclass(frozen=True)
class Port:
    """An input or an output of the model.

    Attributes:
        shape: Its dimensions.
        type: Its element type.
        bytes: Its size.
        scale: Of its quantization; 0 when it has none (an index).
        zero_point: Of its quantization.
    """

    shape: tuple[int, ...]
    type: TensorType
    bytes: int
    scale: float
    zero_point: int

    @property
    def shape_text(self) -> str:
        return " x ".join(map(str, self.shape)) or "scalar"

    @property
    def c_type(self) -> str:
        return f"{self.type.lower()}_t"


@dataclass(frozen=True)
class SelfTest:
    """What the example's run of the fixed input has to give.

    Attributes:
        seed: State that the xorshift32 generator starts with; it fills the inputs in order.
        crc32: CRC-32 over the bytes of all outputs in order, by the reference interpreter.
        ran: Where the exported sources gave it already, for the README; empty for nowhere.
    """

    seed: int
    crc32: int
    ran: str = ""


@dataclass(frozen=True)
class Package:
    """A model's sources, and all that the formats say about them.

    Attributes:
        name: The model's name, a C identifier.
        runtime: What executes it.
        identity: Version, vendor and home page.
        generator: What wrote it, with its version.
        headers: Public headers and their contents: what an application includes.
        private_headers: Headers that only the sources include; they belong beside them.
        sources: C or C++ files and their contents.
        arena_bytes: RAM for tensors, which the application provides.
        data_bytes: Constant data: the weights, or the flatbuffer.
        inputs: Its inputs.
        outputs: Its outputs.
        self_test: The fixed input's expected result.
        model_sha256: Digest of the TFLite file, in hexadecimal.
        kernels_for: The cores that the kernels are written for, in words; empty with TFLM.
        has_state: Whether the model has variables: the application has to reset them.
    """

    name: str
    runtime: Runtime
    identity: Identity
    generator: str
    headers: Mapping[str, bytes]
    private_headers: Mapping[str, bytes]
    sources: Mapping[str, bytes]
    arena_bytes: int
    data_bytes: int
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    self_test: SelfTest
    model_sha256: str
    kernels_for: str = ""
    has_state: bool = False
    files: Mapping[str, bytes] = field(init=False)
    """Headers, private headers and sources."""

    def __post_init__(self) -> None:
        files = {**self.headers, **self.private_headers, **self.sources}
        object.__setattr__(self, "files", MappingProxyType(files))

    @property
    def title(self) -> str:
        """One line that says what it is."""
        what = "generated C" if self.runtime is Runtime.AOT else "for TensorFlow Lite Micro"
        wide = any(port.type is TensorType.INT16 for port in (*self.inputs, *self.outputs))
        return f"The {'16-bit' if wide else 'int8'} neural network {self.name}, {what}"

    @property
    def is_tflm(self) -> bool:
        return self.runtime is Runtime.TFLM

    @property
    def header(self) -> str:
        """The header that an application includes first."""
        return f"{self.name}.h" if not self.is_tflm else f"{self.name}_model_data.h"


def package_of(
    model: Int8Model,
    artifacts: Artifacts,
    runtime: Runtime,
    *,
    self_test: SelfTest,
    generator: str,
    identity: Identity | None = None,
    kernels_for: str = "",
) -> Package:
    """Collects what a code generator's build left behind.

    Args:
        model: The model that was built.
        artifacts: What the build returned; its files are read here.
        runtime: Which code generator it was.
        self_test: What the reference computes for the fixed input.
        generator: What to say wrote it, with its version.
        identity: Version, vendor and home page; the defaults when it is None.
        kernels_for: The cores that the kernels are written for, in words; empty with TFLM.

    Raises:
        TidepoolError: An input or output has a type that the self-test can't handle.
    """
    contents = {name: (artifacts.directory / name).read_bytes() for name in sorted(artifacts.files)}
    headers = {name: content for name, content in contents.items() if name.endswith(".h")}
    # What every model shares begins with "tidepool_"; no model is called so.
    public = {name: text for name, text in headers.items() if not name.startswith("tidepool_")}
    is_tflm = runtime is Runtime.TFLM
    figures, graph = artifacts.figures, model.graph
    return Package(
        name=model.name,
        runtime=runtime,
        identity=identity or Identity(),
        generator=generator,
        headers=public,
        private_headers={name: text for name, text in headers.items() if name not in public},
        sources={name: text for name, text in contents.items() if name not in headers},
        arena_bytes=figures["tensor_arena_bytes" if is_tflm else "arena_bytes"],
        data_bytes=figures["model_bytes" if is_tflm else "weights_bytes"],
        inputs=tuple(_port(tensor) for tensor in model.graph.input_tensors),
        outputs=tuple(_port(tensor) for tensor in model.graph.output_tensors),
        self_test=self_test,
        model_sha256=hashlib.sha256(model.content).hexdigest(),
        kernels_for=kernels_for,
        has_state=any(
            graph.tensor(index).is_variable
            for operator in graph.operators
            for index in operator.inputs
            if index >= 0
        ),
    )


def _port(tensor: Tensor) -> Port:
    if tensor.type not in _INTEGERS:
        raise TidepoolError(
            f"the model's input or output '{tensor.name}' is {tensor.type}, not an integer",
            hint="convert the model to full-integer int8: 'tidepool convert MODEL'",
        )
    quantized = tensor.quantization is not None
    return Port(
        tensor.shape,
        tensor.type,
        tensor.bytes,
        tensor.scale if quantized else 0.0,
        tensor.zero_point if quantized else 0,
    )


def bounded_name(name: str, limit: int) -> str:
    """A name that fits a manifest's limit: cut, with a digest of what was cut."""
    if len(name) <= limit:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: limit - 9]}_{digest}"


def read_files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path in it."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
