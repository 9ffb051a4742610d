"""The stand-alone script for boards, run as a user runs it, with interpreters that stand in."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.edge_tpu_board import SCRIPT, STOCK, Board, stand_in_library
from support.edge_tpu_package import compiled_model, minimal_model, options, package

from converters.tflite.builder import GraphBuilder
from converters.tflite.writer import write_graph
from device_runners.edge_tpu.package import read_package
from device_runners.edge_tpu.standalone.run_on_device import (
    Library,
    device_trouble,
    difference,
    is_stock,
    package_runtime,
    usage_trouble,
)
from device_runners.host.oracle import Oracle

TOO_NEW = "Package requires runtime version (14), which is newer than this runtime version (13)."


@pytest.fixture(scope="session")
def libedgetpu(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stand_in_library(tmp_path_factory.mktemp("libedgetpu"))


@pytest.fixture
def board(tmp_path: Path, libedgetpu: Path) -> Board:
    return Board(tmp_path, libedgetpu)


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
    assert report["differences"] == [
        {"output": "y", "unit": "LSB", "max": 4.0, "mean": 4 / 24, "equal": 23 / 24}
        | {"same_argmax": 2 / 3}
    ]
    latency = report["latency_ms"]
    assert (latency["runs"], latency["warmup"]) == (5, 1)
    assert 0 <= latency["min"] <= latency["p50"] <= latency["p90"] <= latency["p99"]
    assert latency["p99"] <= latency["max"]
    assert latency["min"] <= latency["mean"] <= latency["max"]
    assert report["first_ms"] >= 0
    assert "perf_counter" in report["clock"]
    assert report["runtime"].endswith("RuntimeVersion(14)")
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
    extra = ("--option", "Performance=Max", "--option", "Usb.MaxBulkInQueueLength=8")
    board.report("--device", device, *(extra if ":" in device else ()))
    options = {"device": device}
    if ":" in device:
        options |= {"Performance": "Max", "Usb.MaxBulkInQueueLength": "8"}
    assert json.loads(board.made_of.read_text()) == [
        "ai_edge_litert.interpreter",
        [["libedgetpu.so.1", options]],
    ]


def test_googles_pycoral_comes_first(board: Board) -> None:
    board.install_pycoral()
    board.install("tflite_runtime", "2.5.0.post1")
    board.install("ai_edge_litert", "1.2.0")
    assert board.report("--device", "usb")["interpreter"] == "pycoral.utils.edgetpu"
    assert json.loads(board.made_of.read_text()) == [
        "tflite_runtime.interpreter",
        [["pycoral", {"device": "usb"}]],
    ]


def test_named_library(board: Board) -> None:
    """Google's pycoral knows the standard name only, so the library is loaded without its help."""
    board.install_pycoral()
    board.install("tflite_runtime", "2.5.0.post1")
    board.report("--library", board.library)
    assert json.loads(board.made_of.read_text())[1] == [[str(board.library), {}]]
    board.environment["EDGETPU_LIBRARY"] = str(board.library)
    del board.environment["LD_LIBRARY_PATH"]
    board.report()
    assert json.loads(board.made_of.read_text())[1] == [[str(board.library), {}]]


def test_the_other_pycoral_is_left_alone(board: Board) -> None:
    board.install_other_pycoral()
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


def test_numpy_2_that_nobody_foresaw(board: Board) -> None:
    board.install(
        "ai_edge_litert",
        "1.2.0",
        "print('AttributeError: _ARRAY_API not found', file=sys.stderr); raise SystemError('?')",
    )
    message = board.error()
    assert "the interpreter is built against NumPy 1, but NumPy 1.26.4 is installed" in message
    assert 'pip install "numpy<2"' in message


@pytest.mark.parametrize(
    ("package", "version"), [("tflite_runtime", "2.12.0"), ("ai_edge_litert", "1.2.0")]
)
def test_stock_libedgetpu_with_a_newer_interpreter(
    board: Board, package: str, version: str
) -> None:
    board.install(package, version)
    board.environment["STAND_IN_VERSION"] = STOCK
    message = board.error()
    assert f"{package} {version} would crash with this libedgetpu" in message
    assert STOCK in message
    assert "tflite_runtime 2.5.0.post1" in message
    assert not board.made_of.exists()


def test_interpreter_that_fits_is_preferred(board: Board) -> None:
    board.install("ai_edge_litert", "1.2.0")
    board.install("tflite_runtime", "2.5.0.post1")
    board.environment["STAND_IN_VERSION"] = STOCK
    report = board.report()
    assert report["interpreter"] == "tflite_runtime.interpreter"
    assert report["notes"][0].startswith("ai_edge_litert 1.2.0 would crash with this libedgetpu")


@pytest.mark.parametrize(
    ("version", "stock"),
    [
        (STOCK, True),
        ("BuildLabel(COMPILER=5.4.0 20160609,DATE=redacted,TIME=redacted)", True),
        ("BuildLabel(COMPILER=MSVC 192528612,DATE=Jul 20 2021,TIME=14:30:22)", True),
        ("BuildLabel(COMPILER=Apple LLVM 12.0.0 (clang),DATE=Jul  9 2021,TIME=1:1:1)", True),
        ("BuildLabel(COMPILER=14.2.0,DATE=Feb 22 2026,TIME=09:51:57)", False),
        ("BuildLabel(COMPILER=14.2.0,DATE=redacted,TIME=redacted)", False),
        ("BuildLabel(N/A)", False),
        ("", False),
    ],
)
def test_builds_of_libedgetpu(version: str, stock: bool) -> None:
    assert is_stock(Library("/somewhere/libedgetpu.so.1", version)) is stock


def test_debian_knows_where_the_library_does_not(board: Board) -> None:
    board.install("tflite_runtime", "2.14.0")
    board.environment["STAND_IN_VERSION"] = "BuildLabel(N/A), RuntimeVersion(14)"
    board.install_libedgetpu("16.0tf2.17.1-1")
    assert board.report()["samples"] == 1
    board.install_libedgetpu("16.0")
    assert "tflite_runtime 2.14.0 would crash" in board.error()


def test_package_newer_than_the_library_is_refused_before_it_is_loaded(board: Board) -> None:
    board.install("tflite_runtime", "2.5.0.post1")
    board.environment["STAND_IN_VERSION"] = STOCK.replace("(14)", "(12)")
    message = board.error()
    assert "the package needs runtime version 13, but this libedgetpu has version 12" in message
    assert "edgetpu_compiler -m 12" in message
    assert not board.made_of.exists()


def test_runtime_version_of_real_packages(edge_tpu_pairs: Path) -> None:
    files = sorted(edge_tpu_pairs.glob("*_edgetpu.tflite"))
    assert files
    for file in files:
        expected = read_package(file).min_runtime_version
        assert package_runtime(file.read_bytes()) == expected > 0, file.name


def test_runtime_version_of_several_packages() -> None:
    versions = [package(f0=("i32", version)) for version in (10, 14, 12)]
    model = compiled_model(*(options({"1": 0, "4": content}) for content in versions))
    assert package_runtime(model) == 14


def test_runtime_version_in_damaged_files() -> None:
    content = minimal_model()
    assert package_runtime(b"") == package_runtime(b"DWN1") == package_runtime(b"weights") == 0
    generator = np.random.default_rng(0)
    for length in range(0, len(content), 7):
        package_runtime(content[:length])
    for _ in range(300):
        damaged = bytearray(content)
        at = damaged.index(b"DWN1")
        damaged[at - 4 : at] = generator.bytes(4)
        damaged[at + 4 : at + 24] = generator.bytes(20)
        assert 0 <= package_runtime(bytes(damaged)) < 1000


def test_crash_is_explained(board: Board) -> None:
    board.install("ai_edge_litert", "1.2.0", "os.kill(os.getpid(), signal.SIGSEGV)")
    message = board.error()
    assert "the interpreter crashed (SIGSEGV): Python 3" in message
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


def test_library_that_is_not_there(board: Board) -> None:
    board.install("ai_edge_litert", "1.2.0")
    message = board.error("--library", "absent.so")
    assert "libedgetpu can't be loaded: absent.so" in message
    assert "EDGETPU_LIBRARY" in message
    assert "libc.so.6 is no libedgetpu" in board.error("--library", "libc.so.6")


def test_interpreter_that_can_not_be_imported(board: Board) -> None:
    board.install("ai_edge_litert", "1.2.0")
    (board.packages / "ai_edge_litert" / "interpreter.py").write_text("import absent_module")
    assert "ai_edge_litert.interpreter can't be imported: No module named" in board.error()


def test_real_interpreter_without_a_device(board: Board) -> None:
    if device_trouble("auto") is None:
        pytest.skip("an Edge TPU is attached here")
    board.show("numpy", "ai_edge_litert")
    message = board.error()
    assert message.startswith(f"error: {device_trouble('auto')}")


def test_real_interpreter_that_crashes(board: Board) -> None:
    """The library crashes when the interpreter asks it for a delegate, as a stock build does."""
    board.show("numpy", "ai_edge_litert")
    board.environment["STAND_IN_CRASH"] = "1"
    message = board.error()
    assert "the interpreter crashed (SIGSEGV)" in message
    assert "ai_edge_litert " in message
    assert "rebuilt on the interpreter's TensorFlow" in message


def test_board_without_an_interpreter(board: Board) -> None:
    assert "no interpreter is installed here" in board.error()


def test_board_without_numpy(board: Board) -> None:
    board.show()
    assert "NumPy is not installed here" in board.error()


def test_compiled_model_on_the_cpu(board: Board) -> None:
    message = board.error("--device", "cpu")
    assert "can't run on the CPU" in message
    assert str(board.folder / "net_int8.tflite") in message
    (board.folder / "net.tflite").write_bytes(_relu())
    assert str(board.folder / "net.tflite") in board.error("--device", "cpu")


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
    none = board.array("none", np.zeros((0, 1, 8), np.int8))
    assert "the inputs have no samples" in board.error("--inputs", none)
    two = board.array("two", np.zeros((2, 8), np.int8))
    assert "has 2 samples, but the inputs have 1" in board.error("--inputs", x, "--expected", two)
    assert "absent.npy does not exist" in board.error("--inputs", board.folder / "absent.npy")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--device", "gpu"),
        ("--device", "usb", "--option", "Performance=Max"),
        ("--device", "usb:0", "--option", "Performance=Fast"),
        ("--device", "usb:0", "--option", "Usb.MaxBulkInQueueLength=256"),
        ("--device", "usb:0", "--option", "Speed"),
        ("--runs", "0"),
        ("--max-difference", "1"),
        ("--expected", "y.npy"),
    ],
)
def test_wrong_command_lines(board: Board, arguments: tuple[str, ...]) -> None:
    done = board.run(*arguments)
    assert done.returncode == 2
    assert "usage:" in done.stderr


def test_wrong_option_names_the_right_ones() -> None:
    assert "Low, Medium, High, Max" in usage_trouble("usb:0", ["Performance=1"], 1, 0)
    assert "0 to 255" in usage_trouble("usb:0", ["Usb.MaxBulkInQueueLength=x"], 1, 0)
    assert usage_trouble("usb:0", ["Usb.AlwaysDfu=True"], 1, 0) == ""


def test_argmax_of_indices_means_nothing() -> None:
    labels = np.arange(8).reshape(1, 8)
    found = difference("ArgMax", labels, labels, quantized=False)
    assert (found["unit"], found["equal"], found["same_argmax"]) == ("value", 1.0, None)


class Machine:
    """What Linux shows of the devices, in a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def file(self, path: str, text: str = "") -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def usb(self, name: str, vendor: str, product: str, number: int) -> Path:
        texts = {"idVendor": vendor, "idProduct": product, "busnum": 2, "devnum": number}
        for key, value in texts.items():
            self.file(f"sys/bus/usb/devices/{name}/{key}", f"{value}\n")
        return self.file(f"dev/bus/usb/002/{number:03}")

    def trouble(self, device: str) -> str:
        error = device_trouble(device, self.root)
        return "" if error is None else f"{error}; {error.hint}"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize(
    ("device", "kind"), [("auto", "Edge TPU"), ("usb:0", "USB Edge TPU"), ("pci", "PCIe Edge TPU")]
)
def test_no_device(machine: Machine, device: str, kind: str) -> None:
    machine.usb("1-1", "1d6b", "0002", 1)  # a hub
    assert machine.trouble(device).startswith(f"no {kind} is attached")


@pytest.mark.parametrize(("vendor", "product"), [("1a6e", "089a"), ("18d1", "9302")])
def test_usb_stick(machine: Machine, vendor: str, product: str) -> None:
    machine.usb("2-1", vendor, product, 7)
    for device in ("auto", "usb", "usb:0", ":0"):
        assert machine.trouble(device) == ""
    assert machine.trouble("pci").startswith("no PCIe Edge TPU")
    assert "'usb:1' is not there: 1 of its kind" in machine.trouble("usb:1")


def test_pci_module(machine: Machine) -> None:
    machine.file("sys/bus/pci/devices/0000:01:00.0/vendor", "0x1ac1\n")
    machine.file("sys/bus/pci/devices/0000:01:00.0/device", "0x089a\n")
    assert "its driver is not loaded; install gasket-dkms" in machine.trouble("pci")
    assert machine.trouble("usb").startswith("no USB Edge TPU")
    machine.file("dev/apex_0")
    assert machine.trouble("pci:0") == machine.trouble("auto") == ""


def test_device_that_may_not_be_opened(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    # The test may run as root, who may open everything.
    monkeypatch.setattr("os.access", lambda path, mode: False)
    machine.usb("2-1", "18d1", "9302", 7)
    message = machine.trouble("usb")
    assert message.startswith("this user may not open /dev/bus/usb/002/007")
    assert "udev" in message and "plugdev" in message


def test_device_in_use(machine: Machine) -> None:
    machine.file("dev/apex_0")
    machine.file("dev/apex_1")
    machine.file("proc/4711/comm", "frigate\n")
    (machine.root / "proc/4711/fd").mkdir()
    (machine.root / "proc/4711/fd/5").symlink_to("/dev/apex_1")
    assert "in use by process 4711 (frigate)" in machine.trouble("pci:1")
    assert machine.trouble("pci:0") == ""


def test_device_that_the_container_does_not_see(machine: Machine) -> None:
    machine.usb("2-1", "18d1", "9302", 7).unlink()
    assert "there is no /dev/bus/usb/002/007 here; a container" in machine.trouble("usb")


def _relu() -> bytes:
    builder = GraphBuilder("relu")
    x = builder.input((1, 8), 0.5, 0)
    builder.output(builder.op("RELU", [x], None, shape=(1, 8), scale=0.5, zero_point=0))
    return write_graph(builder.graph())
