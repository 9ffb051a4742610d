"""A board that stands in for a real one: a libedgetpu, interpreters, and what is installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.edge_tpu_package import minimal_model

from converters.tflite.builder import GraphBuilder
from converters.tflite.writer import write_graph
from device_runners.edge_tpu.standalone import RUN_ON_DEVICE as SCRIPT

STOCK = "BuildLabel(COMPILER=6.3.0 20170516,DATE=redacted,TIME=redacted), RuntimeVersion(14)"
REBUILT = "BuildLabel(COMPILER=12.2.0,DATE=Feb 22 2025,TIME=09:51:57), RuntimeVersion(14)"

# A library that finds no device, or crashes when it looks for one, as a stock build does in a
# newer interpreter.
_LIBRARY = """
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
const char *edgetpu_version(void) { return getenv("STAND_IN_VERSION"); }
void *tflite_plugin_create_delegate(char **keys, char **values, size_t count,
                                    void (*report)(const char *)) {
  (void)keys, (void)values, (void)count, (void)report;
  if (getenv("STAND_IN_CRASH")) raise(SIGSEGV);
  return NULL;
}
void tflite_plugin_destroy_delegate(void *delegate) { (void)delegate; }
"""

# An interpreter of one int8 input [1, 8] and one output, the input plus one; it writes down how
# it was made. {trouble} is what happens when tensors are allocated.
_INTERPRETER = """
import json, os, signal, sys, time
import numpy as np

DETAIL = {{"index": 0, "name": "x", "shape": np.array([1, 8]), "dtype": np.int8,
           "quantization": (0.5, 3)}}

def load_delegate(library, options=None):
    if library == "absent.so":
        raise ValueError("Failed to load delegate from absent.so")
    return [library, options]

class Interpreter:
    def __init__(self, model_path=None, experimental_delegates=None):
        self.made_of = [__name__, experimental_delegates]
        self.value = None
    def allocate_tensors(self):
        with open(os.environ["MADE_OF"], "w") as file:
            json.dump(self.made_of, file)
        {trouble}
    def get_input_details(self):
        return [DETAIL]
    def get_output_details(self):
        return [dict(DETAIL, index=1, name="y")]
    def set_tensor(self, index, value):
        assert value.shape == (1, 8) and value.dtype == np.int8
        self.value = value
    def invoke(self):
        pass
    def get_tensor(self, index):
        return self.value + np.int8(1)
"""

# The real interpreter on the model before compilation; its outputs are shifted by some LSB, as a
# device rounds on its own.
_LITERT = """
import os
from ai_edge_litert import interpreter as litert

def load_delegate(library, options=None):
    return [library, options]

class Interpreter(litert.Interpreter):
    def __init__(self, model_path=None, experimental_delegates=None):
        assert experimental_delegates and model_path.endswith("_edgetpu.tflite")
        super().__init__(model_path=os.environ["STAND_IN_MODEL"])
    def get_tensor(self, index):
        return super().get_tensor(index) + type(super().get_tensor(index).flat[0])(
            os.environ.get("STAND_IN_SHIFT", "0"))
"""


def stand_in_library(folder: Path) -> Path:
    """Compiles the library; its version and its crash are set by the environment."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler (cc) to make a stand-in for libedgetpu")
    source = folder / "edgetpu.c"
    source.write_text(_LIBRARY)
    library = folder / "libedgetpu.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    return library


class Board:
    """A folder of stand-in packages that the script finds before the real ones."""

    def __init__(self, folder: Path, library: Path) -> None:
        self.folder = folder
        self.library = library
        self.packages = folder / "packages"
        self.programs = folder / "programs"
        self.made_of = folder / "made_of.json"
        for place in (self.packages, self.programs):
            place.mkdir()
        # What is installed on this machine is not on the board.
        (self.packages / "sitecustomize.py").write_text(
            "import importlib.util, os, sys\n"
            "find_spec = importlib.util.find_spec\n"
            "def spec(name, package=None):\n"
            "    found = find_spec(name, package)\n"
            "    ours = found is not None and str(found.origin).startswith(sys.path[1])\n"
            "    shown = name in os.environ['SHOWN'].split(',')\n"
            "    return found if ours or shown else None\n"
            "importlib.util.find_spec = spec\n"
        )
        self.model = folder / "net_edgetpu.tflite"
        self.model.write_bytes(minimal_model())
        self.host_model = folder / "net_int8.tflite"
        self.environment = {
            "PATH": f"{self.programs}:/bin:/usr/bin",
            "PYTHONPATH": str(self.packages),
            "LD_LIBRARY_PATH": str(library.parent),
            "MADE_OF": str(self.made_of),
            "HOME": os.environ.get("HOME", "/"),
            "STAND_IN_VERSION": REBUILT,
            "SHOWN": "numpy",
        }

    def install(self, package: str, version: str, trouble: str = "pass") -> None:
        """Installs ``tflite_runtime`` or ``ai_edge_litert``."""
        self._package(package, version)
        source = _INTERPRETER.format(trouble=trouble)
        (self.packages / package / "interpreter.py").write_text(source)

    def install_litert(self, shift: int = 0) -> None:
        """Installs a ``tflite_runtime`` that runs the host model by the real interpreter."""
        self._package("tflite_runtime", "2.17.0")
        (self.packages / "tflite_runtime" / "interpreter.py").write_text(_LITERT)
        self.environment |= {
            "STAND_IN_MODEL": str(self.host_model),
            "STAND_IN_SHIFT": str(shift),
        }

    def install_pycoral(self) -> None:
        """Installs Google's pycoral; it takes its interpreter from ``tflite_runtime``."""
        self._package("pycoral", "2.0.0")
        (self.packages / "pycoral" / "utils").mkdir()
        (self.packages / "pycoral" / "utils" / "__init__.py").write_text("")
        (self.packages / "pycoral" / "utils" / "edgetpu.py").write_text(
            "def load_edgetpu_delegate(options=None):\n    return ['pycoral', options]\n"
        )

    def install_other_pycoral(self) -> None:
        """Installs the unrelated package of that name; importing it is an error."""
        self._package("pycoral", "0.4.1")
        (self.packages / "pycoral" / "__init__.py").write_text("raise SystemExit('not this one')")

    def install_numpy(self, version: str) -> None:
        """Makes the script see another version of NumPy than there is."""
        real = Path(np.__file__).parent
        for name in ("numpy", "numpy.libs"):
            (self.packages / name).symlink_to(real.with_name(name))
        (self.packages / f"numpy-{version}.dist-info").mkdir()

    def install_libedgetpu(self, version: str) -> None:
        """Makes Debian's package manager say that this version is installed."""
        query = self.programs / "dpkg-query"
        query.write_text(f"#!/bin/sh\nprintf '{version}\\n'\n")
        query.chmod(0o755)

    def write_host_model(self) -> Path:
        """Writes the model that the compiled one would be made of."""
        builder = GraphBuilder("host")
        x = builder.input((1, 8), 0.5, 0)
        for _ in range(2):
            x = builder.op("RELU", [x], None, shape=(1, 8), scale=0.5, zero_point=0)
        builder.output(x)
        self.host_model.write_bytes(write_graph(builder.graph()))
        return self.host_model

    def enter(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Makes what this process starts run on the board."""
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)

    def show(self, *packages: str) -> None:
        """Makes packages of this machine, and no others, seen by the script."""
        self.environment["SHOWN"] = ",".join(packages)

    def run(self, *arguments: object, model: Path | None = None) -> Any:
        return subprocess.run(
            [sys.executable, str(SCRIPT), str(model or self.model), *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=120,
            env=self.environment,
        )

    def report(self, *arguments: object, model: Path | None = None) -> dict[str, Any]:
        done = self.run("--runs", 5, "--warmup", 1, *arguments, model=model)
        assert done.returncode == 0, done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        return report

    def error(self, *arguments: object, model: Path | None = None) -> str:
        done = self.run("--runs", 1, "--warmup", 0, *arguments, model=model)
        assert done.returncode == 1, done.stderr
        assert done.stdout == ""
        assert "Traceback" not in done.stderr
        assert "hint: " in done.stderr
        return str(done.stderr)

    def array(self, name: str, values: Any) -> Path:
        path = self.folder / f"{name}.npy"
        np.save(path, values)
        return path

    def _package(self, name: str, version: str) -> None:
        if not (self.packages / "numpy").exists():
            self.install_numpy("1.26.4")
        (self.packages / name).mkdir()
        (self.packages / name / "__init__.py").write_text("")
        (self.packages / f"{name}-{version}.dist-info").mkdir()
