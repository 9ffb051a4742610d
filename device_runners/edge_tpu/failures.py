"""Why a whole run of the Edge TPU compiler fails, and what to do about it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from converters.errors import TidepoolError
from device_runners.edge_tpu.versions import NEWER_VERSION_FIXES

_SMALLER = (
    "use a smaller input or fewer channels in the widest layers, or cut the model's head off and "
    "compute it on the host"
)


@dataclass(frozen=True)
class Failure:
    """A message of the compiler or of the runtime.

    Attributes:
        pattern: A regular expression that finds the message.
        cause: What it means.
        fix: What to do.
    """

    pattern: str
    cause: str
    fix: str


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
        r"due to large activation tensors in model",
        "the model's activations don't fit the Edge TPU's memory",
        _SMALLER,
    ),
    Failure(
        r"Compilation timeout\.",
        "the compiler gave up after its own time limit, usually because of large activations",
        _SMALLER,
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
        r"Internal compiler error",
        "the compiler failed inside; it sometimes does so at random",
        "try again; if it fails again, shrink or replace layers until it passes",
    ),
    Failure(
        r"Package requires runtime version \((?P<needed>\d+)\), which is newer than this runtime "
        r"version \((?P<found>\d+)\)",
        "the compiled model needs Edge TPU runtime {needed}, and the device has {found}",
        "install a newer Edge TPU runtime on the device",
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
)


def explain(output: str) -> TidepoolError | None:
    """Finds a known failure in the compiler's output; None when there is none."""
    for failure in FAILURES:
        found = re.search(failure.pattern, output)
        if found:
            groups = found.groupdict()
            fix = NEWER_VERSION_FIXES.get(groups.get("op", ""), failure.fix)
            cause = failure.cause.format(**groups)
            line = _line_around(output, found)
            return TidepoolError(f"the Edge TPU compiler failed: {cause} ('{line}')", hint=fix)
    return None


def _line_around(text: str, found: re.Match[str]) -> str:
    start = text.rfind("\n", 0, found.start()) + 1
    end = text.find("\n", found.end())
    return text[start : end if end >= 0 else len(text)].strip()
