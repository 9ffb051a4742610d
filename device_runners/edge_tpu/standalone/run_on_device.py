#!/usr/bin/env python3
"""Runs a compiled model on a Coral Edge TPU: latency, and the difference from expected outputs.

Copy this file to the board. It needs NumPy and the board's own interpreter (Google's pycoral,
ai_edge_litert or tflite_runtime, with libedgetpu), and Python 3.7 or later:

    python3 run_on_device.py net_edgetpu.tflite --inputs x.npy --expected y.npy

Arrays have a tensor's shape and dtype; several samples are stacked along a new first dimension,
or along the batch. The report is JSON on standard output:

- ``model``, ``device``, ``inputs``, ``samples``: what ran, where, and on what;
- ``interpreter``, ``versions``, ``runtime`` (what libedgetpu says it is), ``notes``;
- ``first_ms``: the first inference, which also sends the parameters to the device;
- ``latency_ms``: min, mean, p50, p90, p99, max of the inferences after warm-up, and ``clock``,
  what measured them;
- with ``--expected``, ``differences`` for each output: ``max`` and ``mean`` in ``unit`` (``LSB``,
  or ``value`` for an output that isn't quantized), ``equal``, the share of equal elements, and
  ``same_argmax``, the share of samples (of an image's pixels) with the same argmax along the
  last axis; null for indices, and where that axis has one element.

A run that would crash, since versions don't fit, is refused before, and one that crashes all the
same is explained. Exit codes: 0, or 1 for an error, 2 for a wrong command line, 5 for a
difference above --max-difference.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib
import importlib.util
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

CUSTOM_OP = b"edgetpu-custom-op"
PACKAGE = b"DWN1"
DEVICE = re.compile(r"cpu|auto|usb|pci|(usb|pci)?:\d+")
TOO_NEW = re.compile(
    r"requires runtime version \((\d+)\), which is newer than this runtime version \((\d+)\)"
)
LIBRARIES = {"darwin": "libedgetpu.1.dylib", "win32": "edgetpu.dll"}
STANDARD_LIBRARY = LIBRARIES.get(sys.platform, "libedgetpu.so.1")
LIBRARY_VARIABLE = "EDGETPU_LIBRARY"
# libedgetpu passes them on only when the device has an index.
DELEGATE_OPTIONS = {
    "Performance": ("Low", "Medium", "High", "Max"),
    "Usb.AlwaysDfu": ("True", "False"),
    "Usb.MaxBulkInQueueLength": tuple(str(length) for length in range(256)),
}
# A USB stick changes its identity once its firmware is loaded.
USB_IDENTITIES = (("1a6e", "089a"), ("18d1", "9302"))
PCI_IDENTITY = ("0x1ac1", "0x089a")
MISMATCH = 5
STOCK_HINT = (
    "stock libedgetpu 16.0 is built on TensorFlow 2.5 and crashes with tflite_runtime 2.12 and "
    "later and with ai_edge_litert: install tflite_runtime 2.5.0.post1 (Python 3.9 at most), or a "
    "libedgetpu rebuilt on the interpreter's TensorFlow"
)
LIBRARY_HINT = (
    "install libedgetpu1-std from Coral's package repository (or a rebuild of it), or name the "
    f"file with --library or {LIBRARY_VARIABLE}"
)


class RunError(Exception):
    """What is wrong, and what to do about it."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class Library(NamedTuple):
    """A libedgetpu that could be loaded, and what it says about itself."""

    name: str
    version: str


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line in a child process, since a wrong libedgetpu crashes its process."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    options = parse(arguments)
    if options.in_process:
        return answer_parent(options)
    try:
        check(options)
        return run_child(options, arguments)
    except RunError as error:
        print(f"error: {error}\nhint: {error.hint}", file=sys.stderr)
        return 1


def answer_parent(options: argparse.Namespace) -> int:
    """In the child process: prints the report, or the error, as the last line of its output."""
    try:
        report = run(options)
    except RunError as error:
        print("\n" + json.dumps({"error": str(error), "hint": error.hint}))
        return 1
    print("\n" + json.dumps(report))
    return MISMATCH if report.get("exceeds_max_difference") else 0


# The command line.


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("model", type=Path, help="the compiled model, X_edgetpu.tflite")
    parser.add_argument("--inputs", type=Path, nargs="+", default=[], help="a .npy for each input")
    parser.add_argument("--expected", type=Path, nargs="+", default=[], help=".npy for each output")
    parser.add_argument("--max-difference", type=float, help="exit with 5 above this")
    parser.add_argument("--outputs", type=Path, help="an .npz file to write the outputs to")
    parser.add_argument(
        "--device",
        default="auto",
        help="auto, usb, pci, :N, usb:N, pci:N; or cpu for a model that is not compiled",
    )
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an option of libedgetpu, for a device with an index: Performance=Low, Medium, High "
        "or Max (63, 125, 250, 500 MHz); Usb.AlwaysDfu; Usb.MaxBulkInQueueLength",
    )
    parser.add_argument(
        "--library",
        default=os.environ.get(LIBRARY_VARIABLE) or STANDARD_LIBRARY,
        help=f"libedgetpu; {LIBRARY_VARIABLE} sets it too (default: {STANDARD_LIBRARY})",
    )
    parser.add_argument("--warmup", type=int, default=10, help="inferences that are not timed")
    parser.add_argument("--runs", type=int, default=100, help="inferences that are timed")
    parser.add_argument("--timeout", type=float, default=300, help="seconds for all of it")
    parser.add_argument("--in-process", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.max_difference is not None and not options.expected:
        parser.error("--max-difference needs --expected")
    if options.expected and not options.inputs:
        parser.error("--expected needs --inputs")
    trouble = usage_trouble(options.device, options.option, options.runs, options.warmup)
    if trouble:
        parser.error(trouble)
    return options


def usage_trouble(device: str, delegate_options: Sequence[str], runs: int, warmup: int) -> str:
    """What is wrong with the values of these options; nothing is best."""
    if not DEVICE.fullmatch(device):
        return f"--device is auto, cpu, usb, pci, :N, usb:N or pci:N, not '{device}'"
    for option in delegate_options:
        name, _, value = option.partition("=")
        if name not in DELEGATE_OPTIONS:
            return f"--option {option}: libedgetpu knows " + ", ".join(DELEGATE_OPTIONS)
        if value not in DELEGATE_OPTIONS[name]:
            values = DELEGATE_OPTIONS[name]
            known = ", ".join(values) if len(values) < 5 else f"{values[0]} to {values[-1]}"
            return f"--option {option}: the values of {name} are {known}"
    if delegate_options and ":" not in device:
        return "--option needs a device with an index, such as usb:0: libedgetpu ignores it else"
    if runs < 1 or warmup < 0:
        return "--runs is at least 1, and --warmup at least 0"
    return ""


def check(options: argparse.Namespace) -> None:
    """Refuses what can't work, before anything native is loaded."""
    if importlib.util.find_spec("numpy") is None:
        raise RunError("NumPy is not installed here", "install the distribution's python3-numpy")
    for path in [options.model, *options.inputs, *options.expected]:
        if not path.is_file():
            raise RunError(f"{path} does not exist", "check the path")
    compiled = CUSTOM_OP in options.model.read_bytes()
    if options.device == "cpu" and compiled:
        raise RunError(
            f"{options.model} is compiled for the Edge TPU and can't run on the CPU",
            "with --device cpu give the model that it was compiled from: "
            f"{before_compilation(options.model)}",
        )
    if options.device != "cpu" and not compiled:
        raise RunError(
            f"{options.model} is not compiled for the Edge TPU",
            "compile it with edgetpu_compiler, or run it with --device cpu",
        )


def before_compilation(model: Path) -> Path:
    """The model that a compiled one was made of: the one beside it, or where it would be."""
    stem = re.sub("_edgetpu$", "", model.stem)
    usual, plain = (model.with_name(stem + ending) for ending in ("_int8.tflite", ".tflite"))
    return plain if plain != model and plain.is_file() and not usual.is_file() else usual


def run_child(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    """Runs this script again, and explains how it ended if it crashed or hung."""
    command = [sys.executable, str(Path(__file__).resolve()), *arguments, "--in-process"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=options.timeout, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise RunError(
            f"the model did not finish within {options.timeout:g} seconds",
            "unplug the device and plug it in again, use fewer --runs or a longer --timeout",
        ) from error
    if done.returncode not in (0, MISMATCH):
        explain(done.stderr)
    if done.returncode < 0 or done.returncode > 128:
        raise RunError(
            "the interpreter crashed ({}): {}".format(
                signal_name(done.returncode), ", ".join(versions_text(options))
            ),
            "try another interpreter" if options.device == "cpu" else STOCK_HINT,
        )
    # Native libraries write to both streams, and more so after an error: it would bury the answer.
    try:
        answer = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        raise RunError(
            f"the interpreter ended with exit code {done.returncode}: {done.stderr.strip()}",
            "this is an error of the script: report it with this message",
        ) from None
    if "error" in answer:
        raise RunError(answer["error"], answer["hint"])
    print(json.dumps(answer, indent=2))
    return done.returncode


def signal_name(code: int) -> str:
    """The signal in a process's return code; Windows and shells have codes of their own."""
    number = -code if code < 0 else code - 128
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"exit code {code}"


# What is installed, and whether it fits together.


def explain(text: str) -> None:
    """Raises if the text, from a native library, has a cause that is known."""
    found = TOO_NEW.search(text)
    if found:
        raise too_new(int(found[1]), int(found[2]))
    if "_ARRAY_API not found" in text:
        raise RunError(
            f"the interpreter is built against NumPy 1, but NumPy {installed_version('numpy')} is "
            "installed",
            'pip install "numpy<2"',
        )


def too_new(package: int, runtime: int) -> RunError:
    """The error of a package that needs a newer runtime."""
    return RunError(
        f"the package needs runtime version {package}, but this libedgetpu has version {runtime}",
        f"compile with edgetpu_compiler -m {runtime}, or install a newer libedgetpu",
    )


def installed_version(package: str) -> str:
    """The version of an installed package, found without importing it; empty if unknown."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        return ""
    for folder in spec.submodule_search_locations or []:
        for metadata in sorted(Path(folder).parent.glob(package + "-*-info")):
            version = metadata.name[len(package) + 1 :].split("-")[0]
            return re.sub(r"\.(dist|egg)$", "", version)
        source = Path(folder) / "__init__.py"
        found = source.is_file() and re.search(
            r"__version__\s*=\s*['\"]([^'\"]+)", source.read_text("utf-8")
        )
        if found:
            return found[1]
    return "unknown"


def version_of(text: str) -> tuple[int, ...]:
    """Major and minor version; (0, 0) if unknown, which is taken for old."""
    found = re.match(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def versions_text(options: argparse.Namespace) -> Iterator[str]:
    """What takes part in a run, with versions."""
    yield "Python {}.{}.{}".format(*sys.version_info[:3])
    for package in ("pycoral", "tflite_runtime", "ai_edge_litert", "numpy"):
        version = installed_version(package)
        if version:
            yield f"{package} {version}"
    if options.device != "cpu":
        yield str(options.library)


def is_googles_pycoral(spec: Any) -> bool:
    """Whether a package named pycoral is Coral's; PyPI has an unrelated one of that name."""
    folders = spec.submodule_search_locations or []
    return any((Path(folder) / "utils" / "edgetpu.py").is_file() for folder in folders)


def choose_interpreter(device: str, library: Library | None) -> tuple[str, list[str]]:
    """The first interpreter here that works with this libedgetpu, and remarks.

    It is named by its module. Raises if there is none, or none that would not crash.
    """
    notes: list[str] = []
    candidates = ["ai_edge_litert.interpreter", "tflite_runtime.interpreter"]
    if device == "cpu":
        notes.append("ran on this machine's CPU, without an Edge TPU")
        notes.append("optimized CPU kernels round differently from the reference kernels")
    elif importlib.util.find_spec("pycoral") is not None:
        if is_googles_pycoral(importlib.util.find_spec("pycoral")):
            candidates.insert(0, "pycoral.utils.edgetpu")
        else:
            notes.append("the installed pycoral is not Google's, and is not used")
    refused: list[RunError] = []
    for name in candidates:
        if importlib.util.find_spec(name.split(".")[0]) is None:
            continue
        trouble = numpy_trouble(name) or stock_trouble(name, library)
        if trouble is None:
            return name, notes + [f"{error}: it was passed over" for error in refused]
        refused.append(trouble)
    if refused:
        raise refused[0]
    raise RunError(
        "; ".join(["no interpreter is installed here", *notes]),
        "install tflite-runtime (Python 3.9 to 3.11, with NumPy 1) or ai-edge-litert "
        "(Python 3.10 to 3.13), or Google's pycoral from Coral's own package index",
    )


def numpy_trouble(module_name: str) -> RunError | None:
    """The tflite_runtime that pycoral uses as well is built against NumPy 1, up to 2.14."""
    numpy, runtime = installed_version("numpy"), installed_version("tflite_runtime")
    if module_name.startswith("ai_edge_litert") or version_of(numpy) < (2, 0):
        return None
    if not runtime or version_of(runtime) > (2, 14):
        return None
    return RunError(
        f"tflite_runtime {runtime} is built against NumPy 1, but NumPy {numpy} is installed",
        'pip install "numpy<2"',
    )


def stock_trouble(module_name: str, library: Library | None) -> RunError | None:
    """Stock libedgetpu crashes in an interpreter of TensorFlow 2.12 or later."""
    package = "ai_edge_litert" if module_name.startswith("ai_edge_litert") else "tflite_runtime"
    version = installed_version(package)
    old = package == "tflite_runtime" and version_of(version) < (2, 12)
    if library is None or old or not is_stock(library):
        return None
    return RunError(
        f"{package} {version} would crash with this libedgetpu, which is built on an older "
        f"TensorFlow ({library.version})",
        STOCK_HINT,
    )


def is_stock(library: Library) -> bool:
    """Whether a libedgetpu can't be built on TensorFlow 2.12 or later.

    That is C++17, which GCC before 7 doesn't know, and of 2023. Coral's own builds are by GCC 5
    and 6, or of 2021. Where neither shows, Debian's package tells: rebuilds have the version of
    their TensorFlow in their own, as in 16.0tf2.17.1.
    """
    compiler = re.search(r"COMPILER=(\d+)\.\d+\.\d+", library.version)
    year = re.search(r"DATE=\w+ +\d+ (\d{4})", library.version)
    if (compiler and int(compiler[1]) < 7) or (year and int(year[1]) < 2023):
        return True
    query = shutil.which("dpkg-query")
    if compiler or year or query is None or library.name != STANDARD_LIBRARY:
        return False
    command = [query, "-W", "-f", "${Version}\\n", "libedgetpu1-std", "libedgetpu1-max"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return any(re.fullmatch(r"[\d.]+", version) for version in done.stdout.split())


def open_library(name: str) -> Library:
    """Loads libedgetpu by itself, without an interpreter: that doesn't crash with a wrong one."""
    try:
        library = ctypes.CDLL(name)
        version = library.edgetpu_version
    except OSError as error:
        raise RunError(f"libedgetpu can't be loaded: {error}", LIBRARY_HINT) from error
    except AttributeError as error:
        raise RunError(f"{name} is no libedgetpu: {error}", LIBRARY_HINT) from error
    version.restype = ctypes.c_char_p
    return Library(name, (version() or b"").decode("utf-8", "replace"))


def check_runtime(library: Library, model: bytes) -> None:
    """Raises if the model's packages need a newer runtime than libedgetpu is."""
    found = re.search(r"RuntimeVersion\((\d+)\)", library.version)
    needed = package_runtime(model)
    if found and needed > int(found[1]):
        raise too_new(needed, int(found[1]))


def package_runtime(model: bytes) -> int:
    """The oldest runtime that takes all packages in a compiled model; 0 if there are none.

    A package is a FlatBuffer; the first field of its root is that version.
    """
    needed = 0
    for found in re.finditer(PACKAGE, model):
        start = found.start() - 4
        try:
            root = start + struct.unpack_from("<I", model, start)[0]
            table = root - struct.unpack_from("<i", model, root)[0]
            size, _, field = struct.unpack_from("<HHH", model, table)
            if min(start, table) < 0 or size < 6 or field == 0:
                continue
            version = struct.unpack_from("<i", model, root + field)[0]
        except struct.error:
            continue  # these four bytes were something else
        if version < 1000:
            needed = max(needed, version)
    return needed


# The device.


def device_trouble(device: str, root: Path = Path("/")) -> RunError | None:
    """Why, by Linux's view of the devices, libedgetpu finds or opens none; None if it should.

    ``root`` is where /dev, /proc and /sys are.
    """
    kind, _, index = device.partition(":")
    nodes = [] if kind == "usb" else pci_nodes(root)
    nodes += [] if kind == "pci" else usb_nodes(root)
    if not nodes:
        return absence(kind, root)
    if index and int(index) >= len(nodes):
        return RunError(
            f"the device '{device}' is not there: {len(nodes)} of its kind are attached",
            "indices start at 0",
        )
    return access_trouble([nodes[int(index)]] if index else nodes, root)


def absence(kind: str, root: Path) -> RunError:
    """The error of a device that is not there."""
    if kind != "usb" and pci_without_driver(root):
        return RunError(
            "a PCIe Edge TPU is in this machine, but its driver is not loaded",
            "install gasket-dkms from Coral's package repository, then: sudo modprobe apex",
        )
    what = {"usb": "USB Edge TPU", "pci": "PCIe Edge TPU"}.get(kind, "Edge TPU")
    return RunError(
        f"no {what} is attached to this machine",
        "a USB stick shows in lsusb as 1a6e:089a or 18d1:9302, a PCIe module as /dev/apex_0; "
        "try another cable and port, or --device cpu with the model before compilation",
    )


def access_trouble(nodes: Sequence[str], root: Path) -> RunError | None:
    """Why none of these device files can be used; None if one can."""
    there = [node for node in nodes if (root / node).exists()]
    if not there:
        return RunError(
            f"an Edge TPU is attached, but there is no /{nodes[0]} here",
            "a container sees it when told to: docker run --device /dev/bus/usb (or /dev/apex_0)",
        )
    if not any(os.access(str(root / node), os.R_OK | os.W_OK) for node in there):
        return RunError(
            f"this user may not open /{there[0]}",
            "sudo usermod -aG plugdev,apex $USER, log in again, and check the udev rules: "
            'SUBSYSTEM=="apex", MODE="0660", GROUP="apex" for PCIe, and GROUP="plugdev" for '
            "the USB identities 1a6e:089a and 18d1:9302 (libedgetpu1-std installs these)",
        )
    users = list(processes_with(there, root))
    if users:
        return RunError(
            "the Edge TPU is in use by " + ", ".join(users),
            "end that process: one at a time can have the device",
        )
    return None


def pci_nodes(root: Path) -> list[str]:
    """The device files of PCIe modules, without the leading slash."""
    return [f"dev/{node.name}" for node in sorted((root / "dev").glob("apex_*"))]


def usb_nodes(root: Path) -> list[str]:
    """The device files of USB sticks, without the leading slash."""
    nodes = []
    for folder in sorted((root / "sys/bus/usb/devices").glob("*")):
        if (text_of(folder / "idVendor"), text_of(folder / "idProduct")) in USB_IDENTITIES:
            bus, number = text_of(folder / "busnum"), text_of(folder / "devnum")
            nodes.append(f"dev/bus/usb/{bus.zfill(3)}/{number.zfill(3)}")
    return nodes


def pci_without_driver(root: Path) -> bool:
    """Whether there is a PCIe module at all."""
    folders = (root / "sys/bus/pci/devices").glob("*")
    return any((text_of(f / "vendor"), text_of(f / "device")) == PCI_IDENTITY for f in folders)


def processes_with(nodes: Sequence[str], root: Path) -> Iterator[str]:
    """The processes that have one of the device files open, as far as this user may see them."""
    for folder in sorted((root / "proc").glob("[0-9]*")):
        if folder.name == str(os.getpid()):
            continue
        try:
            opened = [os.readlink(str(entry)) for entry in (folder / "fd").iterdir()]  # noqa: PTH115 (3.9)
        except OSError:
            continue  # of another user, or gone
        if any(f"/{node}" in opened for node in nodes):
            yield f"process {folder.name} ({text_of(folder / 'comm')})"


def text_of(path: Path) -> str:
    """What a small file holds; empty if it can't be read."""
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return ""


# One run.


def make_interpreter(module_name: str, options: argparse.Namespace) -> Any:
    """The interpreter, with its tensors allocated."""
    try:
        interpreter = load(module_name, options)
        interpreter.allocate_tensors()
    except ImportError as error:
        raise RunError(f"{module_name} can't be imported: {error}", "install it again") from error
    except (OSError, RuntimeError, ValueError) as error:
        explain(str(error))
        if options.device == "cpu":
            hint = "check that the file is a TFLite model that this interpreter supports"
        else:
            trouble = device_trouble(options.device) if sys.platform == "linux" else None
            if trouble is not None:
                raise trouble from error
            hint = (
                "the device is there: unplug it and plug it in again, and check with "
                "'sudo fuser -v' that nobody else uses it"
                if sys.platform == "linux"
                else "check that the device is attached and that no other program uses it"
            )
        reason = str(error).strip() or type(error).__name__
        raise RunError(
            f"loading on the device '{options.device}' failed: {reason}", hint
        ) from error
    return interpreter


def load(module_name: str, options: argparse.Namespace) -> Any:
    """The interpreter of a module, with libedgetpu as its delegate unless it runs on the CPU."""
    model = str(options.model)
    pycoral = module_name.startswith("pycoral")
    tflite = importlib.import_module("tflite_runtime.interpreter" if pycoral else module_name)
    if options.device == "cpu":
        return tflite.Interpreter(model_path=model)
    settings = dict(option.split("=", 1) for option in options.option)
    if options.device != "auto":
        settings["device"] = options.device
    if pycoral and options.library == STANDARD_LIBRARY:
        delegate = importlib.import_module(module_name).load_edgetpu_delegate(settings)
    else:
        delegate = tflite.load_delegate(options.library, settings)
    return tflite.Interpreter(model_path=model, experimental_delegates=[delegate])


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Loads the model, runs every sample, times it and compares the outputs."""
    library = None
    if options.device != "cpu":
        library = open_library(options.library)
        check_runtime(library, options.model.read_bytes())
    module_name, notes = choose_interpreter(options.device, library)
    interpreter = make_interpreter(module_name, options)
    details, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    samples = load_samples(options.inputs, details)
    try:
        set_inputs(interpreter, samples[0], details)
        first = invoke_ms(interpreter)
        results = []
        for sample in samples:
            set_inputs(interpreter, sample, details)
            interpreter.invoke()
            results.append([interpreter.get_tensor(d["index"]).copy() for d in outputs])
        times = latency(interpreter, options)
    except RuntimeError as error:
        explain(str(error))
        raise RunError(
            f"running on the device '{options.device}' failed: {error}",
            "unplug the device and plug it in again, with a cable and a port for USB 3",
        ) from error
    report = {
        "model": options.model.name,
        "device": options.device,
        "interpreter": module_name,
        "versions": list(versions_text(options)),
        "runtime": library.version if library else None,
        "notes": notes,
        "inputs": [str(path) for path in options.inputs] or "random, from a fixed seed",
        "samples": len(samples),
        "first_ms": first,
        "latency_ms": times,
        "clock": clock_text(),
    }
    if options.outputs:
        save(options.outputs, results)
    if options.expected:
        report["differences"] = compare(options.expected, outputs, results)
        if options.max_difference is not None:
            worst = max(entry["max"] for entry in report["differences"])
            report["exceeds_max_difference"] = worst > options.max_difference
    return report


def load_samples(paths: Sequence[Path], details: Sequence[dict[str, Any]]) -> list[list[Any]]:
    """The samples to run, each a list of one array for each input."""
    import numpy as np

    if not paths:
        generator = np.random.RandomState(0)
        return [[random_input(generator, detail) for detail in details]]
    if len(paths) != len(details):
        raise RunError(
            f"the model has {len(details)} inputs, but {len(paths)} files are given",
            "give a .npy file for each of: " + ", ".join(str(d["name"]) for d in details),
        )
    columns = [load_stack(path, detail) for path, detail in zip(paths, details)]  # noqa: B905
    if len({len(column) for column in columns}) != 1:
        raise RunError(
            "the inputs have {} samples".format(" and ".join(str(len(c)) for c in columns)),
            "give as many samples for each input",
        )
    if len(columns[0]) == 0:
        raise RunError("the inputs have no samples", "give at least one")
    return [list(sample) for sample in zip(*columns)]  # noqa: B905 (Python 3.10)


def random_input(generator: Any, detail: dict[str, Any]) -> Any:
    """An input for timing: uniform integers, or floats in [0, 1)."""
    import numpy as np

    dtype = np.dtype(detail["dtype"])
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        low, high = max(int(limits.min), -(1 << 15)), min(int(limits.max), 1 << 15)
        return generator.randint(low, high + 1, detail["shape"]).astype(dtype)
    return generator.uniform(size=detail["shape"]).astype(dtype)


def load_stack(path: Path, detail: dict[str, Any]) -> Any:
    """The samples in a file, stacked along a new first dimension."""
    import numpy as np

    try:
        array = np.load(str(path), allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise RunError(f"{path} is no .npy file: {error}", "write it with numpy.save") from error
    shape = tuple(int(size) for size in detail["shape"])
    dtype = np.dtype(detail["dtype"])
    if array.dtype != dtype:
        scale, zero_point = detail["quantization"]
        raise RunError(
            "{} has the dtype {}, but '{}' has {}".format(path, array.dtype, detail["name"], dtype),
            f"quantize it: round(x / {scale}) + {zero_point}, clipped to {dtype}"
            if scale
            else "convert it with astype",
        )
    if array.shape == shape:
        return array[np.newaxis]
    if array.shape[1:] == shape:
        return array
    if shape[:1] == (1,) and array.shape[1:] == shape[1:]:
        return array[:, np.newaxis]
    raise RunError(
        "{} has the shape {}, but '{}' has {}".format(
            path, list(array.shape), detail["name"], list(shape)
        ),
        "give one sample in the tensor's shape, or several along a new first dimension",
    )


def set_inputs(interpreter: Any, sample: Sequence[Any], details: Any) -> None:
    """Writes a sample to the inputs."""
    for array, detail in zip(sample, details):  # noqa: B905 (Python 3.10)
        interpreter.set_tensor(detail["index"], array)


def invoke_ms(interpreter: Any) -> float:
    """Milliseconds of one inference on the inputs that are set."""
    start = time.perf_counter()
    interpreter.invoke()
    return (time.perf_counter() - start) * 1e3


def clock_text() -> str:
    """What measures the latency."""
    clock = time.get_clock_info("perf_counter")
    return (
        f"Python's time.perf_counter ({clock.implementation}) on the host, around invoke(): with "
        "transfers to and from a device, and operators on the CPU"
    )


def latency(interpreter: Any, options: argparse.Namespace) -> dict[str, float]:
    """Milliseconds of invoke(), on the inputs that are set, after warm-up."""
    import numpy as np

    for _ in range(options.warmup):
        interpreter.invoke()
    times = [invoke_ms(interpreter) for _ in range(options.runs)]
    result = {"runs": options.runs, "warmup": options.warmup, "min": min(times)}
    result["mean"] = float(np.mean(times))
    for percent in (50, 90, 99):
        result[f"p{percent}"] = float(np.percentile(times, percent))
    result["max"] = max(times)
    return result


def compare(paths: Sequence[Path], outputs: Any, results: Sequence[Any]) -> list[dict[str, Any]]:
    """The difference of each output from the expected one."""
    import numpy as np

    if len(paths) != len(outputs):
        raise RunError(
            f"the model has {len(outputs)} outputs, but {len(paths)} files are expected",
            "give a .npy file for each of: " + ", ".join(str(d["name"]) for d in outputs),
        )
    entries = []
    for index, (path, detail) in enumerate(zip(paths, outputs)):  # noqa: B905 (Python 3.10)
        found = np.stack([result[index] for result in results])
        expected = load_stack(path, detail)
        if expected.shape != found.shape:
            raise RunError(
                f"{path} has {len(expected)} samples, but the inputs have {len(found)}",
                "give the expected outputs of the same samples",
            )
        quantized = bool(detail["quantization"][0])
        entries.append(difference(str(detail["name"]), found, expected, quantized))
    return entries


def difference(name: str, found: Any, expected: Any, quantized: bool) -> dict[str, Any]:
    """How far an output is from the expected one; samples are along the first dimension."""
    import numpy as np

    wide = np.float64 if found.dtype.kind == "f" else np.int64
    distance = np.abs(found.astype(wide) - expected.astype(wide))
    if not np.isfinite(distance).all():
        raise RunError(
            f"the output '{name}' or what is expected holds values that are not finite",
            "compare outputs of samples for which the model gives numbers",
        )
    same_argmax = None
    is_index = found.dtype.kind in "iu" and not quantized
    if found.ndim > 1 and found.shape[-1] > 1 and not is_index:
        same_argmax = float((found.argmax(axis=-1) == expected.argmax(axis=-1)).mean())
    return {
        "output": name,
        "unit": "LSB" if quantized else "value",
        "max": float(distance.max()),
        "mean": float(distance.mean()),
        "equal": float((distance == 0).mean()),
        "same_argmax": same_argmax,
    }


def save(path: Path, results: Sequence[Any]) -> None:
    """Writes the outputs of all samples as output_0, output_1, ... to an .npz file."""
    import numpy as np

    stacked = [np.stack(arrays) for arrays in zip(*results)]  # noqa: B905 (Python 3.10)
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as file:
            np.savez(file, **{f"output_{i}": array for i, array in enumerate(stacked)})
        temporary.replace(path)
    except OSError as error:
        raise RunError(f"{path} can't be written: {error}", "name another --outputs") from error


if __name__ == "__main__":
    sys.exit(main())
