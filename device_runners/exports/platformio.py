"""A PlatformIO library with library.json."""

from __future__ import annotations

import json

from device_runners.exports.layout import (
    Format,
    Tree,
    for_arduino,
    library_files,
    render,
    self_test_files,
)
from device_runners.exports.package import Package, Runtime, bounded_name

_LONGEST_NAME = 100


def _lay_out(package: Package, readme: bytes) -> Tree:
    example = "examples/self_test"
    files = {
        f"{example}/platformio.ini": render("platformio/platformio.ini.j2", package),
        f"{example}/src/main.cpp": render("platformio/main.cpp.j2", package),
        **self_test_files(package, f"{example}/src"),
    }
    library = {name: for_arduino(content) for name, content in library_files(package).items()}
    return {
        **library,
        **files,
        "library.json": _manifest(package, example, sorted(files)),
    }


def _manifest(package: Package, example: str, files: list[str]) -> bytes:
    content = {
        "name": bounded_name(f"{package.identity.vendor.lower()}_{package.name}", _LONGEST_NAME),
        "version": package.identity.version,
        "description": package.title,
        "keywords": ["machine-learning", "neural-network", "tinyml", "int8"],
        "homepage": package.identity.url,
        "authors": [{"name": package.identity.vendor}],
        "headers": sorted(package.headers),
        "frameworks": "*",
        "platforms": "*",
        "examples": [
            {
                "name": "Self-test",
                "base": example,
                "files": [name.removeprefix(f"{example}/") for name in files],
            }
        ],
    }
    return (json.dumps(content, indent=2) + "\n").encode()


FORMAT = Format(
    name="platformio",
    ecosystem="PlatformIO",
    summary="a library folder with library.json",
    lay_out=_lay_out,
    usage="platformio/usage.md.j2",
    checked={
        Runtime.AOT: (
            "'pio pkg pack' accepts the library and 'pio project config' the example, where "
            "PlatformIO Core is installed",
            "the example without a framework gives the expected result on the host",
        ),
        Runtime.TFLM: (
            "'pio pkg pack' accepts the library and 'pio project config' the example, where "
            "PlatformIO Core is installed",
            "the array compiles with arm-none-eabi-g++",
        ),
    },
    unchecked={
        Runtime.AOT: ("'pio run': it downloads the platforms", "real boards"),
        Runtime.TFLM: (
            "'pio run': it downloads the platforms and TensorFlow Lite Micro",
            "real boards",
        ),
    },
)
