"""A Zephyr module with Kconfig and a sample."""

from __future__ import annotations

from device_runners.exports.layout import Format, Tree, library_files, render, self_test_files
from device_runners.exports.package import Package, Runtime


def _lay_out(package: Package, readme: bytes) -> Tree:
    sample = "samples/self_test"
    return {
        **library_files(package),
        **self_test_files(package, f"{sample}/src"),
        f"{sample}/src/main.c": render("self_test/main.c.j2", package, system="zephyr"),
        f"{sample}/CMakeLists.txt": render("zephyr/sample_CMakeLists.txt.j2", package),
        f"{sample}/prj.conf": render("zephyr/prj.conf.j2", package),
        f"{sample}/sample.yaml": render("zephyr/sample.yaml.j2", package),
        "zephyr/module.yml": render("zephyr/module.yml.j2", package),
        "zephyr/CMakeLists.txt": render("zephyr/CMakeLists.txt.j2", package),
        "zephyr/Kconfig": render("zephyr/Kconfig.j2", package),
    }


FORMAT = Format(
    name="zephyr",
    ecosystem="Zephyr",
    summary="a module with Kconfig, CMake and a sample",
    lay_out=_lay_out,
    usage="zephyr/usage.md.j2",
    checked={
        Runtime.AOT: (
            "module.yml has only keys of Zephyr's schema; Kconfig with kconfiglib where that is "
            "installed",
            "the sources compile with gcc as C17, the standard of Zephyr",
        ),
        Runtime.TFLM: (
            "module.yml has only keys of Zephyr's schema; Kconfig with kconfiglib where that is "
            "installed",
            "the array compiles with arm-none-eabi-g++",
        ),
    },
    unchecked={
        Runtime.AOT: ("'west build' in a Zephyr workspace", "real boards"),
        Runtime.TFLM: (
            "'west build' in a Zephyr workspace with its module tflite-micro",
            "real boards",
        ),
    },
)
