"""The CMake project: written, built, understood and moved by hand."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from support.aot_folder import NEGATE, int8_layout, random_samples, write_aot_folder

from converters.errors import TidepoolError
from device_runners.cortex_m import (
    CORES,
    all_boards,
    build_firmware,
    find_board,
    run_firmware,
    write_firmware,
)
from device_runners.cortex_m.firmware import TEMPLATES

M4 = find_board("cortex-m4")

TRACED = f"""
#ifdef TIDEPOOL_TRACE
    tidepool_trace(0u, arena, 8u);
#endif
{NEGATE}
"""


def cmake(directory: Path, *settings: str) -> subprocess.CompletedProcess[str]:
    """Configures a project by hand, the way its README says."""
    return subprocess.run(
        [
            *("cmake", "-B", "build", "-G", "Ninja"),
            *("-DCMAKE_TOOLCHAIN_FILE=cmake/arm-none-eabi.cmake", *settings),
        ],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )


def build(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["cmake", "--build", "build", *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )


def files(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize(
    ("core", "trace", "optimization"),
    [
        *((core, "ON", "-O2") for core in CORES),
        ("cortex-m4", "OFF", "-O2"),
        ("cortex-m4", "ON", "-O0"),
    ],
)
def test_our_c_has_no_warning(tmp_path, core, trace, optimization) -> None:
    project = write_firmware(write_aot_folder(tmp_path, TRACED), "toy", find_board(core))
    settings = [f"-DTIDEPOOL_TRACE={trace}", "-DCMAKE_C_FLAGS=-Werror"]
    if optimization == "-O0":
        text = (project / "CMakeLists.txt").read_text()
        (project / "CMakeLists.txt").write_text(text.replace("-O2", "-O0"))
    configured = cmake(project, *settings)
    assert configured.returncode == 0, configured.stderr
    assert "CMake Warning" not in configured.stderr
    built = build(project)
    assert built.returncode == 0, built.stdout
    assert "warning:" not in built.stdout
    flags = (project / "build" / "build.ninja").read_text()
    assert "-Werror" in flags
    assert "-Wall -Wextra -Wconversion" in flags


def test_the_readme_leads_to_a_run_by_hand(tmp_path) -> None:
    project = write_firmware(write_aot_folder(tmp_path, NEGATE), "toy", M4)
    assert "-DCMAKE_TOOLCHAIN_FILE=cmake/arm-none-eabi.cmake" in (project / "README.md").read_text()
    assert cmake(project).returncode == 0
    assert build(project).returncode == 0
    samples = random_samples(2, 8)
    inputs = b"".join(sample[0].tobytes() for sample in samples)
    (project / "build" / "inputs.bin").write_bytes(inputs)
    run = build(project, "--target", "run")
    assert run.returncode == 0, run.stdout
    summary = json.loads(next(line for line in run.stdout.splitlines() if line.startswith("{")))
    assert summary["samples"] == 2
    outputs = np.frombuffer((project / "build" / "outputs.bin").read_bytes(), np.int8)
    np.testing.assert_array_equal(outputs, -np.frombuffer(inputs, np.int8))


@pytest.mark.parametrize(
    ("invoke", "printed"),
    [
        ('(void)arena; __asm__ volatile("udf #0");', "FAULT UsageFault CFSR=0x00010000"),
        (NEGATE, "ERROR can't open inputs.bin"),
    ],
    ids=["fault", "no-inputs"],
)
def test_a_failed_run_by_hand_prints_why_and_does_not_end_with_0(tmp_path, invoke, printed) -> None:
    project = write_firmware(write_aot_folder(tmp_path, invoke), "toy", M4)
    assert cmake(project).returncode == 0
    assert build(project).returncode == 0
    if "FAULT" in printed:
        (project / "build" / "inputs.bin").write_bytes(bytes(8))
    run = build(project, "--target", "run")
    assert run.returncode != 0
    assert printed in run.stdout


def test_the_project_moves_with_its_siblings(tmp_path) -> None:
    write_firmware(write_aot_folder(tmp_path / "here", NEGATE), "toy", M4)
    moved = shutil.move(tmp_path / "here", tmp_path / "some where else")
    project = Path(moved) / "firmware"
    assert cmake(project).returncode == 0
    assert build(project).returncode == 0


def test_the_same_inputs_give_the_same_image_wherever_it_is_built(tmp_path) -> None:
    images = []
    for name in ("first", "second folder"):
        firmware = build_firmware(write_aot_folder(tmp_path / name, NEGATE), "toy", M4)
        raw = tmp_path / "raw.bin"
        subprocess.run(["arm-none-eabi-objcopy", "-O", "binary", firmware.elf, raw], check=True)
        images.append(raw.read_bytes())
    assert images[0] == images[1]


def test_every_template_arrives_and_every_board_is_in_the_project(tmp_path) -> None:
    project = write_firmware(write_aot_folder(tmp_path, NEGATE), "toy", M4)
    written = files(project)
    for path in TEMPLATES.rglob("*"):
        if path.is_file() and path.suffix != ".j2":
            name = str(path.relative_to(TEMPLATES))
            assert written[name] == path.read_bytes()
    for board in all_boards():
        assert f"boards/{board.name}/linker.ld" in written
    assert "src/runtime_aot.c" in written
    assert "src/runtime_tflm.cc" not in written, "there is no folder tflm"
    assert not any(b"{{" in content or b"{%" in content for content in written.values())


def test_another_board_is_one_setting_away(tmp_path) -> None:
    project = write_firmware(write_aot_folder(tmp_path, NEGATE), "toy", M4)
    assert cmake(project, "-DBOARD=mps3-an547").returncode == 0
    assert build(project).returncode == 0
    report = subprocess.run(
        ["arm-none-eabi-readelf", "-A", project / "build" / "firmware.elf"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Tag_MVE_arch" in report.stdout


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("-DBOARD=nucleo", "there is no folder boards/nucleo"),
        ("-DRUNTIME=torch", "choose aot or tflm"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path, setting, message) -> None:
    project = write_firmware(write_aot_folder(tmp_path, NEGATE), "toy", M4)
    configured = cmake(project, setting)
    assert configured.returncode != 0
    assert message in configured.stderr


def test_an_error_of_the_compiler_reaches_the_user_with_its_first_lines(tmp_path) -> None:
    write_aot_folder(tmp_path, "arena[16] = undeclared_thing;")
    with pytest.raises(TidepoolError, match="doesn't build") as error:
        build_firmware(tmp_path, "toy", M4)
    assert "undeclared_thing" in error.value.message
    assert "toy.c" in error.value.message
    assert len(error.value.message.splitlines()) <= 13


def test_a_model_too_large_for_the_board_is_named_by_the_linker(tmp_path) -> None:
    write_aot_folder(tmp_path, NEGATE, arena_bytes=5_000_000)
    with pytest.raises(TidepoolError, match=r"RAM.* overflowed|will not fit in region .RAM"):
        build_firmware(tmp_path, "toy", M4)


def test_missing_sources_leave_nothing_behind(tmp_path) -> None:
    with pytest.raises(TidepoolError, match=r"neither aot/toy.h nor tflm/toy_model_data.h"):
        build_firmware(tmp_path, "toy", M4)
    assert list(tmp_path.iterdir()) == []


def test_a_header_without_its_macros_leaves_the_old_project(tmp_path) -> None:
    project = write_firmware(write_aot_folder(tmp_path, NEGATE), "toy", M4)
    before = files(project)
    header = tmp_path / "aot" / "toy.h"
    header.write_text(header.read_text().replace("TOY_OUTPUT_COUNT", "TOY_OUTPUTS"))
    with pytest.raises(TidepoolError, match="TOY_OUTPUT_COUNT"):
        write_firmware(tmp_path, "toy", M4)
    assert files(project) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["aot", "firmware"]


def test_missing_build_tools_are_one_error_and_nothing_is_written(tmp_path, monkeypatch) -> None:
    write_aot_folder(tmp_path, NEGATE)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TidepoolError, match="arm-none-eabi-gcc, cmake, ninja") as error:
        build_firmware(tmp_path, "toy", M4)
    assert "libnewlib-arm-none-eabi" in error.value.hint
    assert not (tmp_path / "firmware").exists()


def test_flags_for_programs_of_the_host_do_not_reach_the_firmware(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("CFLAGS", "-march=native")
    monkeypatch.setenv("LDFLAGS", "-fuse-ld=gold")
    build_firmware(write_aot_folder(tmp_path, NEGATE), "toy", M4)


def test_a_firmware_stays_usable_after_one_for_another_board(tmp_path) -> None:
    write_aot_folder(tmp_path, NEGATE)
    first = build_firmware(tmp_path, "toy", M4)
    second = build_firmware(tmp_path, "toy", find_board("cortex-m55"))
    samples = random_samples(1, 8)
    for firmware in (first, second):
        result = run_firmware(firmware, samples, [int8_layout(8)])
        np.testing.assert_array_equal(result.outputs[0][0], -samples[0][0])


def test_a_new_build_uses_the_new_sources_however_old_they_look(tmp_path) -> None:
    import os

    build_firmware(write_aot_folder(tmp_path, NEGATE), "toy", M4)
    write_aot_folder(tmp_path, NEGATE.replace("0u - arena[i]", "arena[i]"))
    for path in (tmp_path / "aot").iterdir():
        os.utime(path, (0, 0))
    samples = random_samples(1, 8)
    result = run_firmware(build_firmware(tmp_path, "toy", M4), samples, [int8_layout(8)])
    np.testing.assert_array_equal(result.outputs[0][0], samples[0][0])
