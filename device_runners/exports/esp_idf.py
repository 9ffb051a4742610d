"""An ESP-IDF component with idf_component.yml and an example project."""

from __future__ import annotations

from device_runners.exports.layout import (
    Format,
    Tree,
    library_files,
    placed,
    render,
    self_test_files,
)
from device_runners.exports.package import Package, Runtime


def _lay_out(package: Package, readme: bytes) -> Tree:
    example = "examples/self_test"
    component = {
        **library_files(package),
        "README.md": readme,
        "CMakeLists.txt": render("esp_idf/CMakeLists.txt.j2", package),
        "idf_component.yml": render("esp_idf/idf_component.yml.j2", package),
        f"{example}/CMakeLists.txt": render("esp_idf/example_CMakeLists.txt.j2", package),
        f"{example}/main/CMakeLists.txt": render("esp_idf/main_CMakeLists.txt.j2", package),
        f"{example}/main/idf_component.yml": render("esp_idf/main_idf_component.yml.j2", package),
        f"{example}/main/main.c": render("self_test/main.c.j2", package, system="esp-idf"),
        **self_test_files(package, f"{example}/main"),
    }
    # The folder's name is the component's.
    return placed(component, package.name)


FORMAT = Format(
    name="esp-idf",
    ecosystem="ESP-IDF",
    summary="a component with idf_component.yml",
    lay_out=_lay_out,
    usage="esp_idf/usage.md.j2",
    checked={
        Runtime.AOT: (
            "idf_component.yml with the validator of idf-component-manager, where it is installed",
            "the sources compile with gcc as gnu17, the standard of ESP-IDF",
        ),
        Runtime.TFLM: (
            "idf_component.yml with the validator of idf-component-manager, where it is installed",
            "the array compiles with g++ as gnu++2b; by hand, the example with the headers of "
            "esp-tflite-micro 1.4.0",
        ),
    },
    unchecked={
        Runtime.AOT: ("'idf.py build', and Espressif's compilers", "real boards"),
        Runtime.TFLM: (
            "'idf.py build', and the link with espressif/esp-tflite-micro",
            "real boards",
        ),
    },
)
