"""The CMake package: configured, tested, installed, moved, found, and added as a subdirectory."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from device_runners.exports import Runtime, write_export

pytestmark = pytest.mark.skipif(
    shutil.which("cmake") is None or shutil.which("ninja") is None,
    reason="cmake or ninja is not installed",
)
CONSUMER = """cmake_minimum_required(VERSION 3.16)
project(consumer LANGUAGES C CXX)
{find}
add_executable(consumer main.c {self_tests})
target_include_directories(consumer PRIVATE {examples})
target_link_libraries(consumer PRIVATE one::one two::two)
"""
MAIN = """#include "one_self_test.h"
#include "two_self_test.h"
int main(void)
{
    uint32_t one, two;
    return one_self_test(&one) == NULL || two_self_test(&two) == NULL ||
           one != ONE_SELF_TEST_CRC32 || two != TWO_SELF_TEST_CRC32;
}
"""


def cmake(*arguments: object) -> None:
    result = subprocess.run(
        ["cmake", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "CMake Warning" not in result.stderr


def install(source: Path, build: Path, prefix: Path) -> None:
    cmake("-S", source, "-B", build, "-G", "Ninja", f"-DCMAKE_INSTALL_PREFIX={prefix}")
    cmake("--build", build)
    cmake("--install", build)


def write_consumer(folder: Path, find: str, exports: list[Path]) -> Path:
    folder.mkdir()
    self_tests = [e / "example" / f"{e.name}_self_test.c" for e in exports]
    text = CONSUMER.format(
        find=find,
        self_tests=" ".join(map(str, self_tests)),
        examples=" ".join(str(e / "example") for e in exports),
    )
    (folder / "CMakeLists.txt").write_text(text)
    (folder / "main.c").write_text(MAIN)
    return folder


def build_and_run(consumer: Path, *options: str) -> int:
    cmake("-S", consumer, "-B", consumer / "build", "-G", "Ninja", *options)
    cmake("--build", consumer / "build")
    return subprocess.run([consumer / "build" / "consumer"], check=False).returncode


@pytest.fixture
def exports(tmp_path, packages) -> list[Path]:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        write_export(packages[folder.name, Runtime.AOT], "cmake", folder)
    return folders


def test_its_own_test_passes(tmp_path, exports) -> None:
    install(exports[0], tmp_path / "build", tmp_path / "prefix")
    subprocess.run(["ctest", "--test-dir", tmp_path / "build", "--no-tests=error"], check=True)


def test_two_packages_are_found_after_they_were_moved(tmp_path, exports) -> None:
    for export in exports:
        install(export, tmp_path / f"build-{export.name}", tmp_path / "prefix")
    (tmp_path / "prefix").rename(tmp_path / "elsewhere")
    find = "find_package(one 1.0 CONFIG REQUIRED)\nfind_package(two CONFIG REQUIRED)"
    consumer = write_consumer(tmp_path / "consumer", find, exports)
    assert build_and_run(consumer, f"-DCMAKE_PREFIX_PATH={tmp_path / 'elsewhere'}") == 0
    headers = {path.name for path in (tmp_path / "elsewhere" / "include").iterdir()}
    assert headers == {"one.h", "two.h"}


def test_a_version_that_does_not_fit_is_not_found(tmp_path, exports) -> None:
    install(exports[0], tmp_path / "build", tmp_path / "prefix")
    (tmp_path / "consumer").mkdir()
    (tmp_path / "consumer" / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\nproject(c C)\nfind_package(one 2.0 CONFIG REQUIRED)"
    )
    command = ["cmake", "-S", tmp_path / "consumer", "-B", tmp_path / "consumer" / "build"]
    command.append(f"-DCMAKE_PREFIX_PATH={tmp_path / 'prefix'}")
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert "1.0.0" in result.stderr


@pytest.mark.parametrize("unity", ["OFF", "ON"])
def test_two_packages_are_subdirectories(tmp_path, exports, unity) -> None:
    find = "\n".join(f"add_subdirectory({export} {export.name})" for export in exports)
    consumer = write_consumer(tmp_path / "consumer", find, exports)
    # The consumer's unity build must not reach into the packages.
    text = (consumer / "CMakeLists.txt").read_text()
    text += "set_target_properties(consumer PROPERTIES UNITY_BUILD OFF)\n"
    (consumer / "CMakeLists.txt").write_text(text)
    assert build_and_run(consumer, f"-DCMAKE_UNITY_BUILD={unity}") == 0


def test_the_tflm_package_is_found(tmp_path, packages) -> None:
    write_export(packages["one", Runtime.TFLM], "cmake", tmp_path / "one")
    install(tmp_path / "one", tmp_path / "build", tmp_path / "prefix")
    consumer = tmp_path / "consumer"
    consumer.mkdir()
    (consumer / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\nproject(consumer LANGUAGES C CXX)\n"
        "find_package(one CONFIG REQUIRED)\nadd_executable(consumer main.cc)\n"
        "target_link_libraries(consumer PRIVATE one::one)\n"
    )
    (consumer / "main.cc").write_text(
        '#include "one_model_data.h"\n#include "one_settings.h"\n'
        "int main() { return g_one_model_data_size > 8 && g_one_model_data[4] == 'T' &&\n"
        "  one::kTensorArenaSize > 0 ? 0 : 1; }\n"
    )
    assert build_and_run(consumer, f"-DCMAKE_PREFIX_PATH={tmp_path / 'prefix'}") == 0
