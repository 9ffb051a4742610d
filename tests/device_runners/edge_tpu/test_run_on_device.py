"""The stand-alone script for boards, run as a user runs it, with interpreters that stand in."""

from __future__ import annotations

import ast
import json
import os
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
from device_runners.host.oracle import Oracle

# An interpreter of one int8 input [1, 8] and one output, the input plus one; it writes down how
# it was made. {trouble} is what happens when tensors are allocated.
INTERPRETER = """
import json, os, signal, sys, time
import numpy as np

DETAIL = {{"index": 0, "name": "x", "shape": np.array([1, 8]), "dtype": np.int8,
           "quantization": (0.5, 3)}}

def load_delegate(library, options=None):
    if library == "absent.so":
        raise ValueError("Failed to load delegate from absent.so")
    return [library, options]

def load_edgetpu_delegate(options=None):
    return ["pycoral", options]

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

def make_interpreter(model_path, device=None, delegate=None):
    return Interpreter(model_path, [delegate])
"""

TOO_NEW = "Package requires runtime version (14), which is newer than this runtime version (13)."


class Board:
    """A folder of stand-in packages that the script finds before the real ones."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.packages = folder / "packages"
        self.programs = folder / "programs"
        self.made_of = folder / "made_of.json"
        for place in (self.packages, self.programs):
            place.mkdir()
        # What is installed on this machine is not on the board.
        (self.packages / "sitecustomize.py").write_text(
            "import importlib.util, sys\n"
            "find_spec = importlib.util.find_spec\n"
            "def spec(name, package=None):\n"
            "    found = find_spec(name, package)\n"
            "    ours = found is not None and str(found.origin).startswith(sys.path[1])\n"
            "    return found if ours or name == 'numpy' else None\n"
            "importlib.util.find_spec = spec\n"
        )
        self.model = folder / "net_edgetpu.tflite"
        self.model.write_bytes(minimal_model())

    def install(self, package: str, version: str, trouble: str = "pass") -> None:
        top = self.packages / package.split(".", maxsplit=1)[0]
        top.mkdir()
        if not (self.packages / "numpy").exists():
            self.install_numpy("1.26.4")
        (top / "__init__.py").write_text("")
        (self.packages / f"{top.name}-{version}.dist-info").mkdir()
        source = INTERPRETER.format(trouble=trouble)
        if top.name == "pycoral":
            (top / "utils").mkdir()
            (top / "utils" / "__init__.py").write_text("")
            (top / "utils" / "edgetpu.py").write_text(source)
        else:
            source = source.replace("load_edgetpu_delegate", "_unused")
            (top / "interpreter.py").write_text(source)

    def install_numpy(self, version: str) -> None:
        """Makes the script see another version of NumPy than there is."""
        real = Path(np.__file__).parent
        for name in ("numpy", "numpy.libs"):
            (self.packages / name).symlink_to(real.with_name(name))
        (self.packages / f"numpy-{version}.dist-info").mkdir()

    def install_libedgetpu(self, version: str) -> None:
        query = self.programs / "dpkg-query"
        query.write_text(f"#!/bin/sh\nprintf '{version}\\n'\n")
        query.chmod(0o755)

    def run(self, *arguments: object, model: Path | None = None) -> Any:
        return subprocess.run(
            [sys.executable, str(SCRIPT), str(model or self.model), *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=120,
            env={
                "PATH": f"{self.programs}:/bin:/usr/bin",
                "PYTHONPATH": str(self.packages),
                "MADE_OF": str(self.made_of),
                "HOME": os.environ.get("HOME", "/"),
            },
        )

    def report(self, *arguments: object, model: Path | None = None) -> dict[str, Any]:
        done = self.run("--runs", 5, "--warm-up", 1, *arguments, model=model)
        assert done.returncode == 0, done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        return report

    def error(self, *arguments: object, model: Path | None = None) -> str:
        done = self.run("--runs", 1, "--warm-up", 0, *arguments, model=model)
        assert done.returncode == 1, done.stderr
        assert done.stdout == ""
        assert "Traceback" not in done.stderr
        assert "hint: " in done.stderr
        return str(done.stderr)

    def array(self, name: str, values: Any) -> Path:
        path = self.folder / f"{name}.npy"
        np.save(path, values)
        return path


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return Board(tmp_path)


def test_syntax_of_old_and_new_pythons() -> None:
    source = SCRIPT.read_text()
    for minor in range(7, 14):
        ast.parse(source, feature_version=(3, minor))
    subprocess.run([sys.executable, "-m", "py_compile", str(SCRIPT)], check=True)


def test_needs_only_numpy_and_the_standard_library() -> None:
    imported = set()
    for node in ast.walk(ast.parse(SCRIPT.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").split(".")[0])
    assert imported - set(sys.stdlib_module_names) == {"numpy"}


def test_latency_and_differences(board: Board) -> None:
    board.install("tflite_runtime", "2.5.0.post1")
    x = np.arange(24, dtype=np.int8).reshape(3, 8)
    expected = x + np.int8(1)
    expected[2, 7] -= 4
    outputs = board.folder / "outputs.npz"
    report = board.report(
        *("--inputs", board.array("x", x), "--expected", board.array("y", expected)),
        *("--outputs", outputs),
    )
    assert report["interpreter"] == "tflite_runtime.interpreter"
    assert report["samples"] == 3
    assert report["differences"] == [{"output": "y", "unit": "LSB", "max": 4.0, "mean": 4 / 24}]
    latency = report["latency_ms"]
    assert (latency["runs"], latency["warm_up"]) == (5, 1)
    assert 0 <= latency["min"] <= latency["p50"] <= latency["p99"] <= latency["max"]
    assert "tflite_runtime 2.5.0.post1" in report["versions"]
    assert np.load(outputs)["output_0"].shape == (3, 1, 8)
    assert json.loads(board.made_of.read_text())[1] == [["libedgetpu.so.1", {}]]


def test_differences_are_not_wrapped(board: Board) -> None:
    board.install("tflite_runtime", "2.5.0.post1")
    x, y = np.full((1, 8), 126, np.int8), np.full((1, 8), -128, np.int8)
    report = board.report("--inputs", board.array("x", x), "--expected", board.array("y", y))
    assert report["differences"][0]["max"] == 255


@pytest.mark.parametrize(("limit", "code"), [(3, 5), (4, 0)])
def test_gate_on_the_difference(board: Board, limit: int, code: int) -> None:
    board.install("tflite_runtime", "2.5.0.post1")
    x, y = np.zeros((1, 8), np.int8), np.full((1, 8), 5, np.int8)
    arrays = ("--inputs", board.array("x", x), "--expected", board.array("y", y))
    assert board.run(*arrays, "--max-difference", limit).returncode == code


@pytest.mark.parametrize("device", ["usb", "pci", "usb:1", ":0"])
def test_options_of_the_delegate(board: Board, device: str) -> None:
    board.install("ai_edge_litert", "1.2.0")
    extra = ("--performance", "Max") if ":" in device else ()
    board.report("--device", device, *extra)
    options = {"device": device} | ({"Performance": "Max"} if extra else {})
    assert json.loads(board.made_of.read_text()) == [
        "ai_edge_litert.interpreter",
        [["libedgetpu.so.1", options]],
    ]


def test_googles_pycoral_comes_first(board: Board) -> None:
    board.install("pycoral.utils", "2.0.0")
    board.install("ai_edge_litert", "1.2.0")
    assert board.report("--device", "usb")["interpreter"] == "pycoral.utils.edgetpu"
    assert json.loads(board.made_of.read_text())[1] == [["pycoral", {"device": "usb"}]]


def test_the_other_pycoral_is_left_alone(board: Board) -> None:
    (board.packages / "pycoral").mkdir()
    (board.packages / "pycoral" / "__init__.py").write_text("raise SystemExit('not this one')")
    board.install("tflite_runtime", "2.5.0.post1")
    report = board.report()
    assert report["interpreter"] == "tflite_runtime.interpreter"
    assert report["notes"] == ["the installed pycoral is not Google's, and is not used"]


def test_numpy_2_with_tflite_runtime(board: Board) -> None:
    board.install_numpy("2.1.3")
    board.install("tflite_runtime", "2.14.0")
    message = board.error()
    assert "tflite_runtime 2.14.0 is built against NumPy 1, but NumPy 2.1.3" in message
    assert 'pip install "numpy<2"' in message


@pytest.mark.parametrize(
    ("package", "version"), [("tflite_runtime", "2.12.0"), ("ai_edge_litert", "1.2.0")]
)
def test_stock_libedgetpu_with_a_newer_interpreter(
    board: Board, package: str, version: str
) -> None:
    board.install(package, version)
    board.install_libedgetpu("16.0")
    message = board.error()
    assert f"libedgetpu 16.0 would crash here ({package} {version}" in message
    assert "tflite_runtime 2.5.0.post1" in message
    assert not board.made_of.exists()


@pytest.mark.parametrize(
    ("runtime", "library"), [("2.5.0.post1", "16.0"), ("2.14.0", "16.0tf2.17.1-1")]
)
def test_libraries_that_fit(board: Board, runtime: str, library: str) -> None:
    board.install("tflite_runtime", runtime)
    board.install_libedgetpu(library)
    assert board.report()["samples"] == 1


def test_crash_is_explained(board: Board) -> None:
    board.install("ai_edge_litert", "1.2.0", "os.kill(os.getpid(), signal.SIGSEGV)")
    message = board.error()
    assert "the interpreter crashed (SIGSEGV): ai_edge_litert 1.2.0" in message
    assert "stock libedgetpu 16.0" in message


@pytest.mark.parametrize(
    "trouble",
    [
        f"raise RuntimeError('{TOO_NEW}')",
        f"sys.stderr.write('{TOO_NEW}'); raise RuntimeError('Node 0 failed to prepare')",
        f"sys.stderr.write('{TOO_NEW}'); sys.stderr.flush(); os.abort()",
    ],
)
def test_package_newer_than_the_runtime(board: Board, trouble: str) -> None:
    board.install("ai_edge_litert", "1.2.0", trouble)
    message = board.error()
    assert "the package needs runtime version 14, but this libedgetpu has version 13" in message
    assert "edgetpu_compiler -m 13" in message


def test_hang_is_ended(board: Board) -> None:
    board.install("ai_edge_litert", "1.2.0", "time.sleep(100)")
    assert "did not finish within 2 seconds" in board.error("--timeout", 2)


def test_inference_that_fails(board: Board) -> None:
    noise = "print('native noise', file=sys.stderr)"
    failing = "type(self).invoke = lambda self: (_ for _ in ()).throw(RuntimeError('Node 0'))"
    board.install("ai_edge_litert", "1.2.0", f"{noise}; {failing}")
    message = board.error()
    assert message.startswith("error: running on the device 'auto' failed: Node 0\nhint: ")


def test_output_of_native_libraries_is_kept_apart(board: Board) -> None:
    noise = "os.write(1, b'native noise'); os.write(2, b'more of it')"
    board.install("ai_edge_litert", "1.2.0", noise)
    assert board.report()["samples"] == 1


def test_error_that_nobody_foresaw(board: Board) -> None:
    board.install("ai_edge_litert", "1.2.0", "raise LookupError('surprise')")
    done = board.run()
    assert done.returncode == 1
    assert "ended with exit code 1" in done.stderr
    assert "LookupError: surprise" in done.stderr


def test_outputs_that_can_not_be_written(board: Board) -> None:
    board.install("ai_edge_litert", "1.2.0")
    absent = board.folder / "absent" / "y.npz"
    assert "y.npz can't be written" in board.error("--outputs", absent)


def test_device_that_is_not_there(board: Board) -> None:
    board.install("ai_edge_litert", "1.2.0")
    message = board.error("--library", "absent.so", "--device", "usb")
    assert "loading on the device 'usb' failed: Failed to load delegate" in message
    assert "lsusb" in message


def test_board_without_an_interpreter(board: Board) -> None:
    assert "no interpreter is installed here" in board.error()


def test_compiled_model_on_the_cpu(board: Board) -> None:
    assert "can't run on the CPU" in board.error("--device", "cpu")


def test_model_that_is_not_compiled(board: Board, tmp_path: Path) -> None:
    model = tmp_path / "net_int8.tflite"
    model.write_bytes(_relu())
    assert "is not compiled for the Edge TPU" in board.error(model=model)


def test_cpu_runs_the_model_before_compilation(tmp_path: Path) -> None:
    """With the real interpreter: the same outputs as the reference kernels'."""
    model = tmp_path / "net_int8.tflite"
    model.write_bytes(_relu())
    x = np.arange(-12, 12, dtype=np.int8).reshape(3, 1, 8)
    oracle = Oracle(model)
    y = np.stack([oracle.run([sample])[0] for sample in x])
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    arrays = ["--inputs", str(tmp_path / "x.npy"), "--expected", str(tmp_path / "y.npy")]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(model), "--device", "cpu", "--runs", "3", *arrays],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["notes"][0] == "ran on this machine's CPU, without an Edge TPU"
    assert report["differences"][0]["max"] == 0
    assert report["samples"] == 3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((1, 8), np.float32), r"quantize it: round(x / 0.5) + 3, clipped to int8"),
        (np.zeros((1, 9), np.int8), "has the shape [1, 9], but 'x' has [1, 8]"),
        (np.array([object()]), "is no .npy file"),
    ],
)
def test_inputs_that_do_not_fit(board: Board, values: Any, message: str) -> None:
    board.install("tflite_runtime", "2.5.0.post1")
    assert message in board.error("--inputs", board.array("x", values))


def test_number_of_files(board: Board) -> None:
    board.install("tflite_runtime", "2.5.0.post1")
    x = board.array("x", np.zeros((1, 8), np.int8))
    assert "the model has 1 inputs, but 2 files are given" in board.error("--inputs", x, x)
    assert "1 outputs, but 2 files" in board.error("--inputs", x, "--expected", x, x)
    two = board.array("two", np.zeros((2, 8), np.int8))
    assert "has 2 samples, but the inputs have 1" in board.error("--inputs", x, "--expected", two)
    assert "absent.npy does not exist" in board.error("--inputs", board.folder / "absent.npy")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--device", "gpu"),
        ("--device", "usb", "--performance", "Max"),
        ("--runs", "0"),
        ("--max-difference", "1"),
        ("--expected", "y.npy"),
    ],
)
def test_wrong_command_lines(board: Board, arguments: tuple[str, ...]) -> None:
    done = board.run(*arguments)
    assert done.returncode == 2
    assert "usage:" in done.stderr


def _relu() -> bytes:
    builder = GraphBuilder("relu")
    x = builder.input((1, 8), 0.5, 0)
    builder.output(builder.op("RELU", [x], None, shape=(1, 8), scale=0.5, zero_point=0))
    return write_graph(builder.graph())
