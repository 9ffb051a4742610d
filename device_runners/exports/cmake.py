"""A relocatable CMake package: installed and found, or added as a subdirectory."""

from __future__ import annotations

from device_runners.exports.layout import Format, Tree, library_files, render, self_test_files
from device_runners.exports.package import Package, Runtime


def _lay_out(package: Package, readme: bytes) -> Tree:
    return {
        **library_files(package),
        **self_test_files(package, "example"),
        "example/main.c": render("self_test/main.c.j2", package, system="stdio"),
        "CMakeLists.txt": render("cmake/CMakeLists.txt.j2", package),
        f"cmake/{package.name}Config.cmake.in": render("cmake/Config.cmake.in.j2", package),
    }


FORMAT = Format(
    name="cmake",
    ecosystem="CMake",
    summary="a folder that installs as a package for find_package, or is added as a subdirectory",
    lay_out=_lay_out,
    usage="cmake/usage.md.j2",
    checked={
        Runtime.AOT: (
            "CMake configures, builds, tests and installs it; a project that finds two installed "
            "packages after they were moved, and one that has them as subdirectories, give the "
            "expected results",
        ),
        Runtime.TFLM: ("CMake builds and installs the library, and a project finds it",),
    },
    unchecked={
        Runtime.AOT: ("generators other than Ninja and Makefiles", "real boards"),
        Runtime.TFLM: ("the example's link with TensorFlow Lite Micro", "real boards"),
    },
)
