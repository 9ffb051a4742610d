"""A CMSIS-Pack: description, archive, and a layer for csolution projects."""

from __future__ import annotations

from device_runners.exports.layout import (
    Format,
    Tree,
    library_files,
    render,
    self_test_files,
    zip_archive,
)
from device_runners.exports.package import Package, Runtime

_CATEGORIES = {".c": "sourceC", ".cc": "sourceCpp", ".h": "header"}


def _lay_out(package: Package, readme: bytes) -> Tree:
    identity = package.identity
    stem = f"{identity.vendor}.{package.name}"
    library = library_files(package)
    suffix = "cc" if package.is_tflm else "c"
    description = render(
        "cmsis_pack/package.pdsc.j2",
        package,
        files=[(_category(name), name) for name in sorted(library)],
    )
    layer = f"{package.name}.clayer.yml"
    archive = {
        **library,
        **self_test_files(package, "layer"),
        "layer/main.c": render("self_test/main.c.j2", package, system="stdio"),
        f"layer/{layer}": render("cmsis_pack/layer.clayer.yml.j2", package, suffix=suffix),
        "README.md": readme,
        f"{stem}.pdsc": description,
    }
    return {
        f"{stem}.pdsc": description,
        f"{stem}.{identity.version}.pack": zip_archive(archive),
    }


def _category(name: str) -> str:
    return _CATEGORIES[name[name.rindex(".") :]]


FORMAT = Format(
    name="cmsis-pack",
    ecosystem="CMSIS-Pack (Keil MDK, CMSIS-Toolbox and others)",
    summary="a .pack with its .pdsc",
    lay_out=_lay_out,
    usage="cmsis_pack/usage.md.j2",
    checked={
        Runtime.AOT: (
            "the .pdsc names every file of the pack; by hand, .pdsc and layer against the schemas "
            "of Open-CMSIS-Pack (PACK.xsd 1.7.60)",
            "the sources compile with arm-none-eabi-gcc as C11",
        ),
        Runtime.TFLM: (
            "the .pdsc names every file of the pack; by hand, .pdsc and layer against the schemas "
            "of Open-CMSIS-Pack (PACK.xsd 1.7.60)",
            "the array compiles with arm-none-eabi-g++",
        ),
    },
    unchecked={
        Runtime.AOT: ("packchk, cpackget, cbuild and Keil MDK", "Arm Compiler 6", "real boards"),
        Runtime.TFLM: (
            "packchk, cpackget, cbuild and Keil MDK",
            "the versions of the TensorFlow packs",
            "real boards",
        ),
    },
)
