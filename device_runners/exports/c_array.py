"""The files as they are, in one folder, to drop into any project."""

from __future__ import annotations

from device_runners.exports.layout import Format, Tree, render, self_test_files
from device_runners.exports.package import Package, Runtime


def _lay_out(package: Package, readme: bytes) -> Tree:
    return {
        **package.files,
        **self_test_files(package, "example"),
        "example/main.c": render("self_test/main.c.j2", package, system="stdio"),
    }


FORMAT = Format(
    name="c-array",
    ecosystem="any C or C++ project",
    summary="a folder with the sources and an example",
    lay_out=_lay_out,
    usage="c_array/usage.md.j2",
    checked={
        Runtime.AOT: (
            "the example gives the expected result on the host",
            "two models in one image give the reference's results on an emulated Cortex-M4",
        ),
        Runtime.TFLM: (
            "the array compiles without a warning with arm-none-eabi-g++ as C++11, C++14 and C++17",
            "the example compiles with upstream's TensorFlow Lite Micro where TFLM_ROOT names it; "
            "by hand, two models in one image gave the expected results with it and CMSIS-NN on an "
            "emulated Cortex-M4",
        ),
    },
    unchecked={
        Runtime.AOT: ("compilers other than gcc and clang", "real boards"),
        Runtime.TFLM: ("real boards",),
    },
)
