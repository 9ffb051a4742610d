"""FindTFLM.cmake: which library is taken, what is defined, and what is refused."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from converters.errors import TidepoolError
from device_runners.cortex_m import (
    Board,
    TflmKernels,
    TflmOptions,
    build_firmware,
    built_kernels,
    find_board,
    write_firmware,
)
from device_runners.cortex_m.tflm_library import make_command, tflm_root

M4 = find_board("cortex-m4")
HOW_TO_BUILD = "make -f tensorflow/lite/micro/tools/make/Makefile TARGET=cortex_m_generic"
CMSIS_NN = "int arm_convolve_wrapper_s8(void);\nint arm_convolve_wrapper_s8(void) { return 0; }\n"
NO_STATIC_MEMORY = (
    "void *TfLiteIntArrayCreate(int n);\nvoid *TfLiteIntArrayCreate(int n) { return (void *)n; }\n"
)
ERROR_STRINGS = "int DebugVsnprintf(void);\nint DebugVsnprintf(void) { return 0; }\n"


@pytest.fixture
def mcu(tmp_path: Path) -> Path:
    """A folder with the artifacts of a model for TFLM, as far as configuring looks at them."""
    tflm = tmp_path / "mcu" / "tflm"
    tflm.mkdir(parents=True)
    for name in ("model_data.h", "model_data.cc", "settings.h", "op_resolver.h"):
        (tflm / f"toy_{name}").write_text("")
    return tflm.parent


def tree(directory: Path) -> Path:
    """A tree of tflite-micro without a library."""
    header = directory / "tensorflow" / "lite" / "micro" / "micro_interpreter.h"
    header.parent.mkdir(parents=True)
    header.write_text("")
    downloads = directory / "tensorflow" / "lite" / "micro" / "tools" / "make" / "downloads"
    for name in ("flatbuffers/include", "gemmlowp", "ruy", "kissfft"):
        (downloads / name).mkdir(parents=True)
    return directory


def add_library(root: Path, name: str, source: str, *members: tuple[str, ...]) -> Path:
    """Puts a library where upstream's Makefile does, with one object for each set of flags."""
    library = root / "gen" / name / "lib" / "libtensorflow-microlite.a"
    library.parent.mkdir(parents=True)
    for number, flags in enumerate(members):
        part = f"part{number}"
        (root / f"{part}.c").write_text(source if number == 0 and source else f"int {part};\n")
        subprocess.run(
            ["arm-none-eabi-gcc", *flags, "-c", f"{part}.c", "-o", f"{part}.o"],
            cwd=root,
            check=True,
        )
        subprocess.run(["arm-none-eabi-ar", "rcs", library, f"{part}.o"], cwd=root, check=True)
    return library


def configure(mcu: Path, root: Path, *settings: str, board: Board = M4) -> str:
    """Configures by hand; returns CMake's output, or fails."""
    project = write_firmware(mcu, "toy", board)
    result = subprocess.run(
        [
            *("cmake", "-B", "build", "-G", "Ninja", "-DRUNTIME=tflm", f"-DTFLM_ROOT={root}"),
            *("-DCMAKE_TOOLCHAIN_FILE=cmake/arm-none-eabi.cmake", *settings),
        ],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout + (project / "build" / "build.ninja").read_text()


def refusal(
    mcu: Path, root: Path | None, board: Board = M4, kernels: TflmKernels | None = None
) -> str:
    with pytest.raises(TidepoolError, match="TFLM: ") as error:
        build_firmware(mcu, "toy", board, "tflm", tflm=TflmOptions(root, kernels))
    assert HOW_TO_BUILD in error.value.message
    assert f"TARGET_ARCH={board.tflm_target_arch} " in error.value.message
    assert "Call Stack" not in error.value.message
    return error.value.message


def test_an_unset_root_says_how_upstream_builds_the_library(mcu, monkeypatch) -> None:
    monkeypatch.delenv("TFLM_ROOT", raising=False)
    assert "TFLM_ROOT isn't set" in refusal(mcu, None)


def test_a_folder_that_is_no_tree_is_refused(mcu, tmp_path) -> None:
    assert "is no tree of tflite-micro" in refusal(mcu, tmp_path)


def test_a_tree_without_a_library_for_the_core_is_refused(mcu, tmp_path) -> None:
    root = tree(tmp_path / "tflm")
    add_library(root, "cortex_m_generic_cortex-m3_release_gcc", "", ("-mcpu=cortex-m3",))
    assert "no gen/cortex_m_generic_cortex-m4+fp_" in refusal(mcu, root)
    with pytest.raises(TidepoolError, match="no TFLM library for cortex-m4") as error:
        built_kernels(root, M4)
    assert make_command(M4, TflmKernels.CMSIS_NN) in error.value.hint


@pytest.mark.parametrize(
    ("flags", "tag", "found"),
    [
        (("-mcpu=cortex-m4", "-mfloat-abi=soft"), "Tag_ABI_VFP_args", "none"),
        (
            ("-mcpu=cortex-m4", "-mfloat-abi=softfp", "-mfpu=fpv4-sp-d16"),
            "Tag_ABI_VFP_args",
            "none",
        ),
        (("-mcpu=cortex-m7", "-mfloat-abi=hard", "-mfpu=fpv5-d16"), "Tag_FP_arch", "FPv5"),
        (("-mcpu=cortex-m33", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16"), "Tag_CPU_arch", "v8-M"),
        ((*M4.gcc_flags, "-fno-short-enums"), "Tag_ABI_enum_size", "int"),
    ],
    ids=["soft-float", "softfp", "m7", "m33", "enums"],
)
def test_a_library_for_another_core_or_float_abi_is_refused(
    mcu, tmp_path, flags, tag, found
) -> None:
    root = tree(tmp_path / "tflm")
    name = "cortex_m_generic_cortex-m4+fp_release_cmsis_nn_gcc"
    add_library(root, name, CMSIS_NN, ("-mthumb", *flags))
    message = refusal(mcu, root)
    assert "another core or float ABI" in message
    assert tag in message
    assert found in message


def test_all_that_differs_is_in_one_error(mcu, tmp_path) -> None:
    root = tree(tmp_path / "tflm")
    name = "cortex_m_generic_cortex-m4+fp_release_cmsis_nn_gcc"
    add_library(root, name, CMSIS_NN, ("-mcpu=cortex-m33", "-mthumb", "-mfloat-abi=soft"))
    message = refusal(mcu, root)
    for tag in ("Tag_CPU_arch", "Tag_FP_arch", "Tag_ABI_VFP_args"):
        assert f"{tag} is '" in message


def test_one_object_for_another_float_abi_is_enough_to_refuse_a_library(mcu, tmp_path) -> None:
    root = tree(tmp_path / "tflm")
    soft = ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=soft")
    name = "cortex_m_generic_cortex-m4+fp_release_cmsis_nn_gcc"
    add_library(root, name, CMSIS_NN, M4.gcc_flags, soft)
    assert "Tag_ABI_VFP_args is 'VFP registers, none'" in refusal(mcu, root)


def test_a_library_without_static_memory_is_refused(mcu, tmp_path) -> None:
    root = tree(tmp_path / "tflm")
    name = "cortex_m_generic_cortex-m4+fp_no_tf_lite_static_memory_cmsis_nn_gcc"
    add_library(root, name, CMSIS_NN + NO_STATIC_MEMORY, M4.gcc_flags)
    assert "was built without TF_LITE_STATIC_MEMORY" in refusal(mcu, root)


@pytest.mark.parametrize(
    ("source", "defined", "undefined"),
    [
        (CMSIS_NN, ["CMSIS_NN", "TF_LITE_STRIP_ERROR_STRINGS"], []),
        (CMSIS_NN + ERROR_STRINGS, ["CMSIS_NN"], ["TF_LITE_STRIP_ERROR_STRINGS"]),
        ("", ["TF_LITE_STRIP_ERROR_STRINGS"], ["CMSIS_NN"]),
    ],
    ids=["cmsis-nn", "with-error-strings", "reference"],
)
def test_definitions_follow_what_the_library_was_built_with(
    mcu, tmp_path, source, defined, undefined
) -> None:
    root = tree(tmp_path / "tflm")
    library = add_library(root, "cortex_m_generic_cortex-m4+fp_x_gcc", source, M4.gcc_flags)
    output = configure(mcu, root)
    assert str(library) in output
    for name in ["TF_LITE_STATIC_MEMORY", "NDEBUG", *defined]:
        assert f"-D{name}" in output
    for name in undefined:
        assert f"-D{name}" not in output


def test_headers_that_were_not_downloaded_are_named(mcu, tmp_path) -> None:
    root = tree(tmp_path / "tflm")
    add_library(root, "cortex_m_generic_cortex-m4+fp_x_gcc", CMSIS_NN, M4.gcc_flags)
    next(root.rglob("gemmlowp")).rmdir()
    assert "downloads/gemmlowp are missing" in refusal(mcu, root)


def test_a_release_with_cmsis_nn_is_preferred(mcu, tmp_path) -> None:
    root = tree(tmp_path / "tflm")
    for name in ("default_gcc", "no_tf_lite_static_memory_cmsis_nn_gcc", "release_cmsis_nn_gcc"):
        add_library(root, f"cortex_m_generic_cortex-m4+fp_{name}", CMSIS_NN, M4.gcc_flags)
    assert (
        "+fp_release_cmsis_nn_gcc/lib/libtensorflow-microlite.a (kernels: cmsis_nn)"
        in configure(mcu, root)
    )


def test_kernels_can_be_chosen(mcu, tmp_path) -> None:
    root = tree(tmp_path / "tflm")
    prefix = "cortex_m_generic_cortex-m4+fp"
    add_library(root, f"{prefix}_release_cmsis_nn_gcc", CMSIS_NN, M4.gcc_flags)
    assert built_kernels(root, M4) == (TflmKernels.CMSIS_NN,)
    message = refusal(mcu, root, kernels=TflmKernels.REFERENCE)
    assert "no library with the reference kernels for this board" in message
    assert "OPTIMIZED_KERNEL_DIR" not in message
    add_library(root, f"{prefix}_default_gcc", "", M4.gcc_flags)
    add_library(root, f"{prefix}_release_gcc", "", M4.gcc_flags)
    assert built_kernels(root, M4) == (TflmKernels.CMSIS_NN, TflmKernels.REFERENCE)
    output = configure(mcu, root, "-DTFLM_KERNELS=reference")
    assert "+fp_release_gcc/lib/libtensorflow-microlite.a (kernels: reference)" in output


def test_a_library_with_other_kernels_than_its_folder_says_is_refused(mcu, tmp_path) -> None:
    root = tree(tmp_path / "tflm")
    add_library(root, "cortex_m_generic_cortex-m4+fp_release_gcc", CMSIS_NN, M4.gcc_flags)
    message = refusal(mcu, root, kernels=TflmKernels.REFERENCE)
    assert "has the kernels cmsis_nn, TFLM_KERNELS=reference asks for others" in message


def test_a_root_that_is_not_set_is_one_error(monkeypatch) -> None:
    monkeypatch.delenv("TFLM_ROOT", raising=False)
    with pytest.raises(TidepoolError, match="TFLM_ROOT isn't set") as error:
        tflm_root(M4)
    assert HOW_TO_BUILD in error.value.hint


@pytest.mark.parametrize("core", ["cortex-m3", "cortex-m7", "cortex-m33", "cortex-m55"])
def test_a_library_for_the_boards_own_flags_fits(mcu, tmp_path, core) -> None:
    board = find_board(core)
    root = tree(tmp_path / "tflm")
    name = f"cortex_m_generic_{board.tflm_target_arch}_release_cmsis_nn_gcc"
    add_library(root, name, CMSIS_NN, board.gcc_flags)
    assert "(kernels: cmsis_nn)" in configure(mcu, root, board=board)


def test_a_trace_is_refused_with_the_interpreter(mcu, tmp_path) -> None:
    with pytest.raises(TidepoolError, match="TIDEPOOL_TRACE needs RUNTIME=aot"):
        build_firmware(mcu, "toy", M4, "tflm", trace=True, tflm=TflmOptions(tmp_path))
