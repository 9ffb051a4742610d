"""Every format's files through a compiler, with its ecosystem's flags; two models at a time."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support.export_packages import (
    CORTEX_M4,
    SECTIONS,
    STANDARDS,
    WARNINGS,
    Library,
    compile_objects,
    library_of,
    package_for,
)
from support.models import int8_model
from support.recurrent_layers import svdf_graph

from device_runners.exports import FORMATS, Runtime, write_export

every_format = pytest.mark.parametrize("name", FORMATS)
needs_arm = pytest.mark.skipif(
    shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed"
)
BOTH_SELF_TESTS = """
#include "one_self_test.h"
#include "two_self_test.h"
int main(void)
{
    uint32_t one = 0;
    uint32_t two = 0;
    if (one_self_test(&one) == NULL || two_self_test(&two) == NULL) {
        return 1;
    }
    return (one == ONE_SELF_TEST_CRC32 && two == TWO_SELF_TEST_CRC32) ? 0 : 2;
}
"""


def exported(packages, name: str, model: str, runtime: Runtime, folder: Path) -> Library:
    write_export(packages[model, runtime], name, folder / model)
    return library_of(name, model, folder / model)


def two_models(packages, name: str, folder: Path, flags, *, prefix: str = "") -> list[Path]:
    """Objects of two exports, each compiled with its own include path, and of their caller."""
    objects: list[Path] = []
    examples = []
    for model in ("one", "two"):
        library = exported(packages, name, model, Runtime.AOT, folder)
        objects += compile_objects(
            [*library.sources, library.self_test],
            folder / f"{model}.o",
            [*flags, f"-I{library.include}"],
            prefix=prefix,
        )
        examples.append(library.example)
    main = folder / "main.c"
    main.write_text(BOTH_SELF_TESTS)
    includes = [f"-I{example}" for example in examples]
    return objects + compile_objects([main], folder / "main.o", [*flags, *includes], prefix=prefix)


@every_format
def test_two_exports_in_one_program_give_the_references_results(tmp_path, packages, name) -> None:
    objects = two_models(packages, name, tmp_path, ["-O2", *WARNINGS])
    program = tmp_path / "program"
    subprocess.run(["gcc", *objects, "-o", program], check=True)
    assert subprocess.run([program]).returncode == 0


@needs_arm
@every_format
def test_two_exports_in_one_image_hold_each_kernel_once(tmp_path, packages, name) -> None:
    flags = [*CORTEX_M4, "-Os", *SECTIONS, *WARNINGS]
    objects = two_models(packages, name, tmp_path, flags, prefix="arm-none-eabi-")
    image = tmp_path / "image.elf"
    link = ["arm-none-eabi-gcc", *CORTEX_M4, "--specs=nosys.specs", "-Wl,--gc-sections"]
    # nosys.specs warns of its own stubs; nothing else may be said.
    result = subprocess.run(
        [*link, "-Wl,-Map", tmp_path / "map", *objects, "-o", image],
        check=True,
        capture_output=True,
        text=True,
    )
    assert "multiple" not in result.stderr
    kernels = _kernel_sections(tmp_path / "map")
    assert any(kernel.startswith(".text.tidepool_conv_2d_") for kernel in kernels)
    assert len(kernels) == len(set(kernels))
    copies = [obj for obj in objects if obj.stem.startswith("tidepool_")]
    assert len(copies) == 2 * len(kernels)


# A kernel's name ends with the version; those of its helpers don't.
_KERNEL_SECTION = re.compile(r" \.text\.tidepool_\w+_[0-9a-f]{8}")


def _kernel_sections(map_file: Path) -> list[str]:
    """The sections of kernels that made it into the image (those at 0 were dropped)."""
    _, _, used = map_file.read_text().partition("Linker script and memory map")
    lines = used.splitlines()
    return [
        line.strip()
        for line, following in itertools.pairwise(lines)
        if _KERNEL_SECTION.fullmatch(line) and int(following.split()[0], 16) != 0
    ]


@every_format
def test_sources_compile_with_every_standard_of_the_ecosystem(tmp_path, packages, name) -> None:
    standards, _ = STANDARDS[name]
    library = exported(packages, name, "one", Runtime.AOT, tmp_path)
    for standard in standards:
        flags = [f"-std={standard}", "-Os", *WARNINGS, f"-I{library.include}"]
        compile_objects([*library.sources, library.self_test], tmp_path / standard, flags)


@needs_arm
@every_format
def test_model_data_compiles_with_every_standard_of_the_ecosystem(tmp_path, packages, name) -> None:
    _, standards = STANDARDS[name]
    library = exported(packages, name, "one", Runtime.TFLM, tmp_path)
    for standard, prefix in itertools.product(standards, ("", "arm-none-eabi-")):
        target = CORTEX_M4 if prefix else ()
        flags = [f"-std={standard}", *target, "-Os", *WARNINGS, f"-I{library.include}"]
        compile_objects(library.sources, tmp_path / standard, flags, prefix=prefix)


@every_format
def test_headers_of_generated_c_are_valid_cpp(tmp_path, packages, name) -> None:
    library = exported(packages, name, "one", Runtime.AOT, tmp_path)
    source = tmp_path / "application.cc"
    source.write_text('#include "one.h"\nint8_t *input(uint8_t *a) { return one_input_0(a); }\n')
    for standard in STANDARDS[name][1]:
        flags = [f"-std={standard}", *WARNINGS, f"-I{library.include}"]
        compile_objects([source], tmp_path / standard, flags)


@pytest.mark.parametrize("name", ["c-array", "cmake", "esp-idf", "cmsis-pack"])
def test_the_examples_main_compiles(tmp_path, packages, name) -> None:
    library = exported(packages, name, "one", Runtime.AOT, tmp_path)
    compile_objects([library.example / "main.c"], tmp_path / "o", ["-O2", *WARNINGS])


def test_the_c_arrays_example_runs_as_its_readme_says(tmp_path, packages) -> None:
    write_export(packages["one", Runtime.AOT], "c-array", tmp_path / "one")
    readme = (tmp_path / "one" / "README.md").read_text()
    (command,) = [line for line in readme.splitlines() if line.startswith("The example: `cc ")]
    result = subprocess.run(
        command.split("`")[1], shell=True, cwd=tmp_path / "one", capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    crc = f"{packages['one', Runtime.AOT].self_test.crc32:08x}"
    assert f"CRC-32 {crc}: bit-exact" in result.stdout


def test_a_wrong_result_is_called_wrong(tmp_path, packages) -> None:
    write_export(packages["one", Runtime.AOT], "c-array", tmp_path / "one")
    header = tmp_path / "one" / "example" / "one_self_test.h"
    crc = f"0x{packages['one', Runtime.AOT].self_test.crc32:08x}"
    header.write_text(header.read_text().replace(crc, "0x00000001"))
    command = "cc -std=c11 -I. *.c example/*.c -o example/self_test && example/self_test"
    result = subprocess.run(
        command, shell=True, cwd=tmp_path / "one", capture_output=True, text=True
    )
    assert result.returncode == 1
    assert "DIFFERS" in result.stdout


def test_the_platformio_example_runs_without_a_framework(tmp_path, packages) -> None:
    library = exported(packages, "platformio", "one", Runtime.AOT, tmp_path)
    flags = ["-O2", *WARNINGS, f"-I{library.include}"]
    sources = [*library.sources, library.self_test, library.example / "main.cpp"]
    objects = compile_objects(sources, tmp_path / "o", flags)
    subprocess.run(["g++", *objects, "-o", tmp_path / "program"], check=True)
    result = subprocess.run([tmp_path / "program"], capture_output=True, text=True)
    assert (result.returncode, "bit-exact" in result.stdout) == (0, True)


# Only what the sketches use: it shows that they are valid C++, not that they run on a board.
ARDUINO_STAND_IN = """
#pragma once
#include <stdint.h>
#include <stddef.h>
enum { HEX = 16 };
struct Stream {
  void begin(long);
  template <typename T> void print(T);
  template <typename T> void print(T, int);
  void println(const char *);
};
extern Stream Serial;
void delay(unsigned long);
void setup();
void loop();
"""


@pytest.mark.parametrize("name", ["arduino", "platformio"])
def test_sketches_are_valid_for_an_arduino_core(tmp_path, packages, name) -> None:
    library = exported(packages, name, "one", Runtime.AOT, tmp_path)
    (tmp_path / "core").mkdir()
    (tmp_path / "core" / "Arduino.h").write_text(ARDUINO_STAND_IN)
    sketch = library.example / ("SelfTest.ino" if name == "arduino" else "main.cpp")
    for standard in STANDARDS[name][1]:
        command = ["g++", f"-std={standard}", "-Wall", "-Wextra", "-fsyntax-only", "-x", "c++"]
        command += ["-DARDUINO=10819", "-include", "Arduino.h", f"-I{tmp_path / 'core'}"]
        subprocess.run([*command, f"-I{library.include}", str(sketch)], check=True)


def mix_versions(library: Library) -> None:
    """Turns an export's kernels into another version, with other parameters."""
    folder = library.sources[0].parent
    header = folder / "tidepool_kernels.h"
    text = header.read_text()
    version = text.partition("TIDEPOOL_KERNELS_VERSION 0x")[2][:8]
    first, second = "    int32_t batches;\n", "    int32_t input_depth;\n"
    dense = header.with_name("tidepool_dense.h")
    assert first + second in dense.read_text()
    dense.write_text(dense.read_text().replace(first + second, second + first))
    for path in folder.iterdir():
        if path.is_file():
            path.write_text(path.read_text().replace(version, "0ddba115"))


@every_format
def test_kernels_of_two_versions_live_side_by_side(tmp_path, packages, name) -> None:
    objects: list[Path] = []
    includes = []
    for model in ("one", "two"):
        library = exported(packages, name, model, Runtime.AOT, tmp_path)
        if model == "two":
            mix_versions(library)
        flags = ["-O2", *WARNINGS, f"-I{library.include}"]
        sources = [*library.sources, library.self_test]
        objects += compile_objects(sources, tmp_path / f"{model}.o", flags)
        includes.append(f"-I{library.example}")
    (tmp_path / "main.c").write_text(BOTH_SELF_TESTS)
    objects += compile_objects([tmp_path / "main.c"], tmp_path / "main.o", includes)
    subprocess.run(["gcc", *objects, "-o", tmp_path / "program"], check=True)
    assert subprocess.run([tmp_path / "program"]).returncode == 0


def test_files_of_two_versions_in_one_folder_do_not_compile(tmp_path, packages) -> None:
    library = exported(packages, "c-array", "one", Runtime.AOT, tmp_path)
    header = library.include / "tidepool_kernels.h"
    text = header.read_text()
    version = text.partition("TIDEPOOL_KERNELS_VERSION 0x")[2][:8]
    header.write_text(text.replace(version, "0ddba115"))
    command = ["gcc", "-std=c11", "-fsyntax-only", str(library.include / "one.c")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode != 0
    assert "give each model a folder of its own" in result.stderr


def _tflm_includes() -> list[str]:
    if "TFLM_ROOT" not in os.environ:
        pytest.skip("TFLM_ROOT is not set: TensorFlow Lite Micro's headers are in no registry")
    root = Path(os.environ["TFLM_ROOT"])
    downloads = root / "tensorflow" / "lite" / "micro" / "tools" / "make" / "downloads"
    folders = [root, downloads / "flatbuffers" / "include", downloads / "gemmlowp"]
    return [flag for folder in [*folders, downloads / "ruy"] for flag in ("-isystem", str(folder))]


@needs_arm
@pytest.mark.slow
@pytest.mark.parametrize("name", ["c-array", "arduino"])  # two texts; the other formats share them
def test_the_tflm_example_compiles_with_upstreams_headers(tmp_path, packages, name) -> None:
    includes = _tflm_includes()
    library = exported(packages, name, "one", Runtime.TFLM, tmp_path)
    flags = ["-std=c++17", *CORTEX_M4, "-O2", *WARNINGS, "-fno-rtti", "-fno-exceptions"]
    flags += ["-DTF_LITE_STATIC_MEMORY", *includes, f"-I{library.include}"]
    compile_objects([library.self_test], tmp_path / "o", flags, prefix="arm-none-eabi-")


def test_the_self_test_of_a_model_with_state_resets_it(tmp_path: Path) -> None:
    package = package_for(int8_model(svdf_graph(8), "one"), Runtime.AOT, tmp_path / "scratch")
    write_export(package, "c-array", tmp_path / "one")
    library = library_of("c-array", "one", tmp_path / "one")
    twice = "int main(void)\n{\n    uint32_t crc32 = 0;\n"
    twice += "    (void)one_self_test(&crc32);\n    (void)one_self_test(&crc32);\n"
    twice += "    return (crc32 == ONE_SELF_TEST_CRC32) ? 0 : 1;\n}\n"
    main = tmp_path / "main.c"
    main.write_text(f'#include "one_self_test.h"\n{twice}')
    flags = ["-O1", *WARNINGS, f"-I{library.include}", f"-I{library.example}"]
    sources = [*library.sources, library.self_test, main]
    objects = compile_objects(sources, tmp_path / "o", flags)
    program = tmp_path / "program"
    subprocess.run(["gcc", *objects, "-o", program], check=True)
    assert subprocess.run([program]).returncode == 0
    assert "one_reset(arena)" in (tmp_path / "one" / "README.md").read_text()
