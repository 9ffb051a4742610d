"""Why a whole run of the Edge TPU compiler fails, and what to do about it.

The messages come from public logs and issue threads; what they mean, from the threads' answers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from converters.errors import TidepoolError
from device_runners.edge_tpu.delegate_search import last_try
from device_runners.edge_tpu.versions import NEWER_VERSION_FIXES

_SMALLER = (
    "let the compiler search for a part that compiles (search_delegate), name the tensors where it "
    "should stop (intermediate_tensors), use a smaller input or fewer channels in the widest "
    "layers, or compute the model's head on the host"
)
_SEGMENTS_CRASH = (
    "the compiler is known to crash when it cuts models that TensorFlow's converter wrote into "
    "segments: compile without num_segments, or cut the model yourself and compile each part"
)


@dataclass(frozen=True)
class Failure:
    """A message of the compiler or of the runtime.

    Attributes:
        pattern: A regular expression that finds the message.
        cause: What it means.
        fix: What to do.
        random: Whether the same call may succeed when it is made again.
        activations: Whether large activations are the cause, so that a search for a part that
            compiles may help.
        segments_fix: What to do when the model is cut into segments, where that differs.
    """

    pattern: str
    cause: str
    fix: str
    random: bool = False
    activations: bool = False
    segments_fix: str = ""


# The particular ones before the general ones: a run often prints both.
FAILURES: tuple[Failure, ...] = (
    Failure(
        r"Didn't find op for builtin opcode '(?P<op>\w+)' version '(?P<version>\d+)'",
        "version {version} of {op} is newer than the compiler's TFLite",
        "replace the layer by one that converts to an older version of the op",
    ),
    Failure(
        r"Op builtin_code out of range: (?P<op>\d+)",
        "the compiler doesn't know builtin op number {op}",
        "replace the layer: the op is newer than the compiler",
    ),
    Failure(
        r"Attempting to use a delegate that only supports static-sized tensors",
        "the model has tensors of dynamic size",
        "convert it with the batch fixed at 1",
    ),
    Failure(
        r"Regular TensorFlow ops are not supported by this interpreter",
        "the model has ops of TensorFlow, which TFLite runs only with the Flex delegate",
        "convert without SELECT_TF_OPS: replace the layers that need it",
    ),
    Failure(
        r"Encountered unresolved custom op: (?P<name>[^\s.]+)",
        "the compiler doesn't know the custom op {name}",
        "cut the model before it and compute the rest on the host; of custom ops the compiler "
        "knows TFLite_Detection_PostProcess",
    ),
    Failure(
        r"per[- ]axis quantization is not supported",
        "an op has one scale for each channel where the compiler takes one for the whole tensor",
        "quantize that op's constant input with one scale for the tensor",
    ),
    Failure(
        r"no_integer_overflow_from_quantization was not true\.?"
        r"(?:\s+ERROR: Node number (?P<node>\d+) \((?P<op>\w+)\) failed to prepare)?",
        "the scale of an operator's output is too small for its activation function"
        " (operator {node}, {op})",
        "its outputs were all but zero during the calibration: calibrate on samples that reach "
        "it, or remove the layer",
    ),
    Failure(
        r"Node number (?P<node>\d+) \((?P<op>[^)]+)\) failed to prepare",
        "the compiler's TFLite, of 2021, can't set up operator {node}, {op}",
        "see that the model runs in the reference interpreter ('tidepool check MODEL'); change "
        "that layer's shapes or padding if it does",
    ),
    Failure(
        r"due to large activation tensors in model",
        "the model's activations don't fit the Edge TPU's memory",
        _SMALLER,
        activations=True,
    ),
    Failure(
        r"Compilation timeout\.",
        "the compiler gave up after its own time limit, usually because of large activations",
        f"raise timeout_sec; {_SMALLER}",
        activations=True,
    ),
    Failure(
        r"Model not quantized",
        "the model is not fully quantized",
        "convert it to full-integer int8: 'tidepool convert MODEL'",
    ),
    Failure(
        r"Did not get operators, tensors, or buffers",
        "the compiler finds no graph in the model",
        "convert the model again",
    ),
    Failure(
        r"number of lists given to intermediate_tensors doesn't match",
        "the compiler takes a colon in a tensor's name for the end of one model's list",
        "name other intermediate tensors, or use search_delegate",
    ),
    Failure(
        r"Error opening file for reading: (?P<name>\S+)",
        "the compiler can't open {name}",
        "when it runs in a container: the engine must see this machine's temporary folder "
        "(TMPDIR), so it can't run on another machine",
    ),
    Failure(
        r"Internal compiler error|Compilation failed: Internal error",
        "the compiler failed inside; it sometimes does so at random",
        "try again; if it fails again, shrink or replace layers until it passes",
        random=True,
    ),
    Failure(
        r"Segmentation fault",
        "the compiler crashed",
        "shrink or replace layers until it passes",
        segments_fix=_SEGMENTS_CRASH,
    ),
    Failure(
        r"Package requires runtime version \((?P<needed>\d+)\), which is newer than this runtime "
        r"version \((?P<found>\d+)\)",
        "the compiled model needs Edge TPU runtime {needed}, and the device has {found}",
        "install a newer Edge TPU runtime on the device, or compile with min_runtime_version = "
        "{found}",
    ),
    Failure(
        r"Model could not be parsed",
        "the compiler can't read the model",
        "convert the model again",
    ),
    Failure(
        r"Compilation failed: (?P<reason>.+)",
        "{reason}",
        "see the compiler's output, which is kept beside the model",
    ),
    Failure(
        r"Compilation failed!",
        "it gave no reason",
        "it does so for very large layers and for some recurrent ones: set search_delegate = on to "
        "find the part that compiles, and replace the layer where it ends",
    ),
)


@dataclass(frozen=True)
class Found:
    """A known failure in the compiler's output.

    Attributes:
        failure: Which one.
        error: The same in the user's terms.
    """

    failure: Failure
    error: TidepoolError


def find_failure(output: str, *, segments: int = 1) -> Found | None:
    """Finds a known failure in the compiler's output; None when there is none.

    After a search for a part that compiles, its last try counts.

    Args:
        output: What the compiler printed.
        segments: Into how many segments the model was cut.
    """
    tried = last_try(output)
    for text in dict.fromkeys((tried, output)):
        for failure in FAILURES:
            found = re.search(failure.pattern, text)
            if found:
                return Found(failure, _error(failure, found, text, segments))
    return None


def _error(failure: Failure, found: re.Match[str], text: str, segments: int) -> TidepoolError:
    groups = {name: value or "unknown" for name, value in found.groupdict().items()}
    fix = failure.segments_fix if segments > 1 and failure.segments_fix else failure.fix
    fix = NEWER_VERSION_FIXES.get(groups.get("op", ""), fix) if "version" in groups else fix
    return TidepoolError(
        f"the Edge TPU compiler failed: {failure.cause.format(**groups)} "
        f"('{_line_around(text, found)}')",
        hint=fix.format(**groups),
    )


def _line_around(text: str, found: re.Match[str]) -> str:
    start = text.rfind("\n", 0, found.start()) + 1
    end = text.find("\n", found.start())
    return text[start : end if end >= 0 else len(text)].strip()
