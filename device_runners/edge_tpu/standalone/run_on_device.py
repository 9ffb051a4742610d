#!/usr/bin/env python3
"""Runs a compiled model on a Coral Edge TPU: latency, and the difference from expected outputs.

Copy this file to the board. It needs NumPy and the board's own interpreter (Google's pycoral,
ai_edge_litert or tflite_runtime, with libedgetpu), and Python 3.7 or later:

    python3 run_on_device.py net_edgetpu.tflite --inputs x.npy --expected y.npy

Arrays have a tensor's shape and dtype; several samples are stacked along a new first dimension,
or along the batch. The report is JSON on standard output: ``model``, ``device``, ``interpreter``,
``versions``, ``notes``, ``inputs``, ``first_ms`` (the first run, which loads the parameters),
``latency_ms`` (of invoke() after warm-up) and, with ``--expected``, ``differences`` for each
output: ``max``, ``mean`` and their ``unit`` (``LSB``, or ``value`` for a float output).

Exit codes: 0, or 1 for an error, 2 for a wrong command line, 5 for a difference above
--max-difference.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

CUSTOM_OP = b"edgetpu-custom-op"
DEVICE = re.compile(r"(cpu|auto|(usb|pci)?:\d+|usb|pci)")
TOO_NEW = re.compile(
    r"requires runtime version \((\d+)\), which is newer than this runtime version \((\d+)\)"
)
LIBRARIES = {"darwin": "libedgetpu.1.dylib", "win32": "edgetpu.dll"}
DEFAULT_LIBRARY = LIBRARIES.get(sys.platform, "libedgetpu.so.1")
MISMATCH = 5
STOCK_HINT = (
    "stock libedgetpu 16.0 is built on TensorFlow 2.5 and crashes with tflite_runtime 2.12 and "
    "later and with ai_edge_litert: install tflite_runtime 2.5.0.post1 (Python 3.9 at most), or a "
    "libedgetpu rebuilt on the interpreter's TensorFlow"
)


class RunError(Exception):
    """What is wrong, and what to do about it."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


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
        "--performance",
        choices=["Low", "Medium", "High", "Max"],
        help="clock of the Edge TPU; for a device with an index (63, 125, 250, 500 MHz)",
    )
    parser.add_argument("--library", default=DEFAULT_LIBRARY)
    parser.add_argument("--warm-up", type=int, default=10, help="runs that are not timed")
    parser.add_argument("--runs", type=int, default=100, help="runs that are timed")
    parser.add_argument("--timeout", type=float, default=300, help="seconds for all of it")
    parser.add_argument("--in-process", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if not DEVICE.fullmatch(options.device):
        parser.error("--device is auto, cpu, usb, pci, :N, usb:N or pci:N")
    if options.performance and ":" not in options.device:
        parser.error("--performance needs a device with an index, such as usb:0")
    if options.runs < 1 or options.warm_up < 0:
        parser.error("--runs is at least 1, and --warm-up at least 0")
    if options.max_difference is not None and not options.expected:
        parser.error("--max-difference needs --expected")
    if options.expected and not options.inputs:
        parser.error("--expected needs --inputs")
    return options


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
            "give the model that it was compiled from (X_int8.tflite) with --device cpu",
        )
    if options.device != "cpu" and not compiled:
        raise RunError(
            f"{options.model} is not compiled for the Edge TPU",
            "compile it with edgetpu_compiler, or run it with --device cpu",
        )


def run_child(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    """Runs this script again, and explains how it ended if it crashed or hung."""
    command = [sys.executable, str(Path(__file__).resolve()), *arguments, "--in-process"]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=options.timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise RunError(
            f"the model did not finish within {options.timeout:g} seconds",
            "unplug the device and plug it in again, use fewer --runs or a longer --timeout",
        ) from error
    explain_runtime(done.stderr)
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


def explain_runtime(text: str) -> None:
    """Raises if the text says that the package is too new for the runtime."""
    found = TOO_NEW.search(text)
    if found:
        raise RunError(
            "the package needs runtime version {}, but this libedgetpu has version {}".format(
                *found.groups()
            ),
            f"compile with edgetpu_compiler -m {found[2]}, or install a newer libedgetpu",
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


def is_googles_pycoral(spec: Any) -> bool:
    """Whether a package named pycoral is Coral's; PyPI has an unrelated one of that name."""
    folders = spec.submodule_search_locations or []
    return any((Path(folder) / "utils" / "edgetpu.py").is_file() for folder in folders)


def versions_text(options: argparse.Namespace) -> Iterator[str]:
    """What takes part in a run, with versions."""
    for package in ("pycoral", "tflite_runtime", "ai_edge_litert", "numpy"):
        version = installed_version(package)
        if version:
            yield f"{package} {version}"
    if options.device != "cpu":
        yield options.library


def choose_interpreter(device: str) -> tuple[str, list[str]]:
    """The module to take the interpreter from, and remarks; raises if none works here."""
    notes: list[str] = []
    if device == "cpu":
        notes.append("ran on this machine's CPU, without an Edge TPU")
        notes.append("optimized CPU kernels may differ from the reference kernels by an LSB")
    elif importlib.util.find_spec("pycoral") is not None:
        if is_googles_pycoral(importlib.util.find_spec("pycoral")):
            check_numpy()
            return "pycoral.utils.edgetpu", notes
        notes.append("the installed pycoral is not Google's, and is not used")
    if importlib.util.find_spec("ai_edge_litert") is not None:
        return "ai_edge_litert.interpreter", notes
    if importlib.util.find_spec("tflite_runtime") is not None:
        check_numpy()
        return "tflite_runtime.interpreter", notes
    raise RunError(
        "; ".join(["no interpreter is installed here", *notes]),
        "install tflite-runtime (Python 3.9 to 3.11, with NumPy 1) or ai-edge-litert "
        "(Python 3.10 to 3.13), or Google's pycoral from Coral's own package index",
    )


def check_library(module_name: str, options: argparse.Namespace) -> None:
    """Raises if Debian's packages tell that a stock libedgetpu would meet a newer TFLite."""
    query = shutil.which("dpkg-query")
    if options.device == "cpu" or options.library != DEFAULT_LIBRARY or query is None:
        return
    runtime = version_of(installed_version("tflite_runtime"))
    if not module_name.startswith("ai_edge_litert") and runtime < (2, 12):
        return
    command = [query, "-W", "-f", "${Version}\\n", "libedgetpu1-std", "libedgetpu1-max"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    for version in done.stdout.split():
        # Rebuilds have the version of their TensorFlow in their own.
        if re.fullmatch(r"[\d.]+", version):
            used = ", ".join(versions_text(options))
            raise RunError(f"libedgetpu {version} would crash here ({used})", STOCK_HINT)


def check_numpy() -> None:
    """tflite_runtime is built against NumPy 1 and crashes when imported with NumPy 2."""
    numpy, runtime = installed_version("numpy"), installed_version("tflite_runtime")
    if numpy.startswith("2.") and runtime and version_of(runtime) <= (2, 14):
        raise RunError(
            f"tflite_runtime {runtime} is built against NumPy 1, but NumPy {numpy} is installed",
            'pip install "numpy<2"',
        )


def version_of(text: str) -> tuple[int, ...]:
    """Major and minor version; (0, 0) if unknown, which is taken for old."""
    found = re.match(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def make_interpreter(module_name: str, options: argparse.Namespace) -> Any:
    """The interpreter, with its tensors allocated."""
    try:
        interpreter = load(importlib.import_module(module_name), options)
        interpreter.allocate_tensors()
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        explain_runtime(str(error))
        hint = "check that the file is a TFLite model that this interpreter supports"
        if options.device != "cpu":
            hint = (
                f"check that {options.library} is installed, that the device shows in lsusb or as "
                "/dev/apex_0, and that this user may open it (group plugdev or apex)"
            )
        raise RunError(f"loading on the device '{options.device}' failed: {error}", hint) from error
    return interpreter


def load(module: Any, options: argparse.Namespace) -> Any:
    """The interpreter of a module, with libedgetpu as its delegate unless it runs on the CPU."""
    model = str(options.model)
    if options.device == "cpu":
        return module.Interpreter(model_path=model)
    settings = {}
    if options.device != "auto":
        settings["device"] = options.device
    if options.performance:
        settings["Performance"] = options.performance
    if hasattr(module, "load_edgetpu_delegate"):  # pycoral
        return module.make_interpreter(model, delegate=module.load_edgetpu_delegate(settings))
    delegate = module.load_delegate(options.library, settings)
    return module.Interpreter(model_path=model, experimental_delegates=[delegate])


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Loads the model, runs every sample, times it and compares the outputs."""
    module_name, notes = choose_interpreter(options.device)
    check_library(module_name, options)
    interpreter = make_interpreter(module_name, options)
    details, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    samples = load_samples(options.inputs, details)
    try:
        start = time.perf_counter()
        results = [infer(interpreter, sample, details, outputs) for sample in samples[:1]]
        first = (time.perf_counter() - start) * 1e3
        results += [infer(interpreter, sample, details, outputs) for sample in samples[1:]]
        times = latency(interpreter, options)
    except RuntimeError as error:
        explain_runtime(str(error))
        raise RunError(
            f"running on the device '{options.device}' failed: {error}",
            "unplug the device and plug it in again, with a cable and a port for USB 3",
        ) from error
    report = {
        "model": options.model.name,
        "device": options.device,
        "interpreter": module_name,
        "versions": list(versions_text(options)),
        "notes": notes,
        "inputs": [str(path) for path in options.inputs] or "random, from a fixed seed",
        "samples": len(samples),
        "first_ms": first,
        "latency_ms": times,
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


def infer(interpreter: Any, sample: Sequence[Any], details: Any, outputs: Any) -> list[Any]:
    """One inference; the outputs are copies."""
    for array, detail in zip(sample, details):  # noqa: B905 (Python 3.10)
        interpreter.set_tensor(detail["index"], array)
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]).copy() for detail in outputs]


def latency(interpreter: Any, options: argparse.Namespace) -> dict[str, float]:
    """Milliseconds of invoke(), on the inputs that are set, after warm-up."""
    import numpy as np

    for _ in range(options.warm_up):
        interpreter.invoke()
    times = []
    for _ in range(options.runs):
        start = time.perf_counter()
        interpreter.invoke()
        times.append((time.perf_counter() - start) * 1e3)
    result = {"runs": options.runs, "warm_up": options.warm_up, "mean": float(np.mean(times))}
    result.update({"min": min(times), "max": max(times)})
    for percent in (50, 90, 95, 99):
        result[f"p{percent}"] = float(np.percentile(times, percent))
    return result


def compare(paths: Sequence[Path], outputs: Any, results: Sequence[Any]) -> list[dict[str, Any]]:
    """Largest and mean absolute difference of each output from the expected one."""
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
        wide = np.float64 if found.dtype.kind == "f" else np.int64
        difference = np.abs(found.astype(wide) - expected.astype(wide))
        if not np.isfinite(difference).all():
            raise RunError(
                f"the output '{detail['name']}' or {path} holds values that are not finite",
                "compare outputs of samples for which the model gives numbers",
            )
        entries.append(
            {
                "output": str(detail["name"]),
                "unit": "value" if found.dtype.kind == "f" else "LSB",
                "max": float(difference.max()),
                "mean": float(difference.mean()),
            }
        )
    return entries


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
