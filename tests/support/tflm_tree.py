"""Trees of tflite-micro for tests: the real one when there is any, and one with a toy interpreter.

The toy is compiled, linked and run like the real thing. Its model negates eight bytes. It reports
``kUsed`` bytes of arena in use but refuses arenas below ``kNeeded``, as TFLM does whose planner
needs more than what stays.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from device_runners.cortex_m import Board

USED_BYTES = 900
NEEDED_BYTES = 1234

_MICRO = "tensorflow/lite/micro"
_INTERPRETER = """
#pragma once
#include <cstddef>
#include <cstdint>
enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };
union TfLitePtrUnion { uint8_t* uint8; };
struct TfLiteTensor { TfLitePtrUnion data; size_t bytes; };
namespace tflite {
struct Model {};
template <unsigned int n> struct MicroMutableOpResolver {};
class MicroInterpreter {
 public:
  template <class Resolver>
  MicroInterpreter(const Model*, const Resolver&, uint8_t* arena, size_t bytes)
      : bytes_(bytes), tensor_{{arena}, 8} {}
  TfLiteStatus AllocateTensors();
  TfLiteStatus Invoke();
  TfLiteStatus Reset() { return kTfLiteOk; }
  size_t inputs_size() const { return 1; }
  size_t outputs_size() const { return 1; }
  TfLiteTensor* input(size_t) { return &tensor_; }
  TfLiteTensor* output(size_t) { return &tensor_; }
  size_t arena_used_bytes() const { return %(used)d; }
 private:
  size_t bytes_;
  TfLiteTensor tensor_;
};
}  // namespace tflite
"""
_FILES = {
    "micro_interpreter.h": _INTERPRETER % {"used": USED_BYTES},
    "system_setup.h": "namespace tflite { inline void InitializeTarget() {} }\n",
    "cortex_m_generic/debug_log_callback.h": (
        "inline void RegisterDebugLogCallback(void (*)(const char*)) {}\n"
    ),
    "../schema/schema_generated.h": (
        "namespace tflite { inline const Model* GetModel(const void*) { return nullptr; } }\n"
    ),
}
_LIBRARY = """
#include "tensorflow/lite/micro/micro_interpreter.h"
TfLiteStatus tflite::MicroInterpreter::AllocateTensors() {
  return bytes_ < %(needed)d ? kTfLiteError : kTfLiteOk;
}
TfLiteStatus tflite::MicroInterpreter::Invoke() {
  for (size_t i = 0; i < tensor_.bytes; ++i) {
    tensor_.data.uint8[i] = static_cast<uint8_t>(-tensor_.data.uint8[i]);
  }
  return kTfLiteOk;
}
%(cmsis_nn)s
"""
_MODEL = {
    "model_data.h": "extern const unsigned char g_toy_model_data[];\n",
    "model_data.cc": (
        '#include "toy_model_data.h"\nalignas(16) const unsigned char g_toy_model_data[] = {0};\n'
    ),
    "op_resolver.h": (
        "namespace toy { using OpResolver = tflite::MicroMutableOpResolver<1>;\n"
        "inline TfLiteStatus RegisterOps(OpResolver&) { return kTfLiteOk; } }\n"
    ),
    "settings.h": (
        "#include <cstddef>\nnamespace toy { inline constexpr std::size_t kTensorArenaSize = "
        "4096; }\n"
    ),
}


def require_tflm_root() -> Path:
    """The real tree; skips the test where there is none."""
    root = os.environ.get("TFLM_ROOT")
    if not root:
        pytest.skip("TFLM_ROOT isn't set: TFLM's library is in no package registry")
    return Path(root)


def write_toy_tree(directory: Path, board: Board, *kernels: str) -> Path:
    """Writes a tree with a library of the toy interpreter for each of ``cmsis_nn``, ``""``."""
    for name, content in _FILES.items():
        path = directory / _MICRO / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    downloads = directory / _MICRO / "tools" / "make" / "downloads"
    for name in ("flatbuffers/include", "gemmlowp", "ruy", "kissfft"):
        (downloads / name).mkdir(parents=True)
    for kind in kernels:
        marker = 'extern "C" void arm_convolve_wrapper_s8() {}' if kind else ""
        (directory / "toy.cc").write_text(_LIBRARY % {"needed": NEEDED_BYTES, "cmsis_nn": marker})
        variant = f"{board.tflm_target_arch}_release_{kind}{'_' if kind else ''}gcc"
        library = directory / f"gen/cortex_m_generic_{variant}/lib/libtensorflow-microlite.a"
        library.parent.mkdir(parents=True)
        flags = [*board.gcc_flags, "-O2", "-fno-exceptions", "-fno-rtti", f"-I{directory}"]
        run = {"cwd": directory, "check": True}
        subprocess.run(["arm-none-eabi-g++", *flags, "-c", "toy.cc", "-o", "toy.o"], **run)
        subprocess.run(["arm-none-eabi-ar", "rcs", library, "toy.o"], **run)
    return directory


def write_toy_model(mcu: Path) -> Path:
    """Writes the artifacts of the model ``toy`` to ``mcu/tflm``."""
    folder = mcu / "tflm"
    folder.mkdir(parents=True)
    for name, content in _MODEL.items():
        (folder / f"toy_{name}").write_text(content)
    return mcu
