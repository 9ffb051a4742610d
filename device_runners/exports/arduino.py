"""An Arduino library, as the zip file that the IDE and arduino-cli install."""

from __future__ import annotations

from device_runners.exports.layout import (
    Format,
    Tree,
    for_arduino,
    placed,
    render,
    self_test_files,
    zip_archive,
)
from device_runners.exports.package import Package, Runtime, bounded_name

_LONGEST_NAME = 63


def library_name(package: Package) -> str:
    """The library's name and folder: letters, digits and '_', not longer than Arduino allows."""
    return bounded_name(f"{package.identity.vendor}_{package.name}", _LONGEST_NAME)


def _lay_out(package: Package, readme: bytes) -> Tree:
    example = "examples/SelfTest"
    # The IDE compiles .cpp, but not in every version .cc.
    sketch = {_cpp(name): content for name, content in self_test_files(package, example).items()}
    sources = {_cpp(name): for_arduino(content) for name, content in package.files.items()}
    library = {
        **placed(sources, "src"),
        **sketch,
        f"{example}/SelfTest.ino": render("arduino/SelfTest.ino.j2", package),
        "library.properties": render(
            "arduino/library.properties.j2", package, name=library_name(package)
        ),
        "README.md": readme,
    }
    name = library_name(package)
    archive = zip_archive(placed(library, name))
    return {f"{name}-{package.identity.version}.zip": archive}


def _cpp(name: str) -> str:
    return name.removesuffix(".cc") + ".cpp" if name.endswith(".cc") else name


FORMAT = Format(
    name="arduino",
    ecosystem="Arduino",
    summary="a .zip that the IDE and arduino-cli install as a library",
    lay_out=_lay_out,
    usage="arduino/usage.md.j2",
    checked={
        Runtime.AOT: (
            "library and sketch compile with gcc and the standards of Arduino's cores, gnu11 and "
            "gnu++11 to gnu++17 (the sketch with a stand-in for Arduino.h)",
            "two libraries in one image give the reference's results on an emulated Cortex-M4",
            "library.properties has what Arduino's specification demands; by hand, arduino-lint's "
            "schemas",
        ),
        Runtime.TFLM: (
            "the array compiles with arm-none-eabi-g++ as gnu++11 to gnu++17",
            "library.properties has what Arduino's specification demands; by hand, arduino-lint's "
            "schemas, and the example with the headers of Chirale_TensorFLowLite 2.0.0",
        ),
    },
    unchecked={
        Runtime.AOT: ("arduino-lint, arduino-cli and the IDE themselves", "real boards"),
        Runtime.TFLM: (
            "arduino-lint, arduino-cli and the IDE themselves",
            "the link with the TensorFlow Lite Micro library of the Library Manager",
            "real boards",
        ),
    },
)
