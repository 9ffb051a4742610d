"""What a format is, and the tools that formats share: templates, and archives."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import jinja2

from device_runners.exports.package import Package, Runtime

Tree = dict[str, bytes]
"""Files of an export: path with forward slashes -> content."""

# The oldest time stamp that a zip archive can hold: the same bytes whenever it is written.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_FILE_MODE = 0o100644
# The TFLM libraries of the Arduino world are of 2023 and 2024: they lack some of upstream's
# registrations for int8 alone. The general one has the same kernels, and those of other types.
_NARROW_REGISTRATION = re.compile(rb"tflite::Register_\w+_INT8\(\)")


@dataclass(frozen=True)
class Format:
    """One ecosystem's way to take in a library.

    Attributes:
        name: What users ask for.
        ecosystem: Its name.
        summary: What comes out, in one line.
        lay_out: Makes the export's files, without its README.
        usage: Template of the README's section on how to use it.
        readme: Where in the export the README goes too, beside the top of the folder.
        checked: What tidepool's own tests prove about the format, by runtime.
        unchecked: What nobody has tried, by runtime.
    """

    name: str
    ecosystem: str
    summary: str
    lay_out: Callable[[Package, bytes], Tree]
    usage: str
    checked: Mapping[Runtime, tuple[str, ...]]
    unchecked: Mapping[Runtime, tuple[str, ...]]


def render(template: str, package: Package, **values: object) -> bytes:
    """A file from one of our templates; ``p`` is the package, ``M`` its name in upper case."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("device_runners.exports", "templates"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,
    )
    text = environment.get_template(template).render(p=package, M=package.name.upper(), **values)
    return text.encode()


def placed(files: Mapping[str, bytes], folder: str) -> Tree:
    """The files in a folder."""
    return {f"{folder}/{name}": content for name, content in files.items()}


def library_files(package: Package, include: str = "include", source: str = "src") -> Tree:
    """Public headers in one folder, everything else in another."""
    return {
        **placed(package.headers, include),
        **placed(package.private_headers, source),
        **placed(package.sources, source),
    }


def self_test_files(package: Package, folder: str) -> Tree:
    """The example's header and source, which run the model on the fixed input."""
    suffix = "cc" if package.is_tflm else "c"
    name = f"{package.name}_self_test"
    return {
        f"{folder}/{name}.h": render("self_test/self_test.h.j2", package),
        f"{folder}/{name}.{suffix}": render(f"self_test/self_test.{suffix}.j2", package),
    }


def for_arduino(content: bytes) -> bytes:
    """A source for TFLM as Arduino's libraries and compilers take it, which are older."""
    general = _NARROW_REGISTRATION.sub(b"", content)
    # Inline variables came with C++17; a constexpr is local to its file without the word, too.
    return general.replace(b"inline constexpr ", b"constexpr ")


def zip_archive(files: Mapping[str, bytes]) -> bytes:
    """A zip archive whose bytes depend on nothing but the files: sorted, without times."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = _FILE_MODE << 16
            entry.create_system = 3  # Unix, wherever this runs
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return stream.getvalue()
