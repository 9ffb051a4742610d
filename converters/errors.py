"""The one exception that users see, and the exit codes of the command line."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the ``tidepool`` command.

    Scripts may rely on them; they are documented in ``docs/cli.md``.
    """

    OK = 0
    ERROR = 1
    """Something is wrong with the input or the environment; the message says what."""
    USAGE = 2
    """The command line itself is wrong (an unknown option, a missing argument)."""
    GATE = 3
    """The model lost more of its metric than the gate allows."""
    COMPILER_MISSING = 4
    """Everything up to the Edge TPU compiler is built; the compiler isn't installed."""
    MISMATCH = 5
    """The device (or its emulator) computed something else than the reference."""
    BUDGET = 6
    """The model takes more than its budget, or more than the baseline did."""


class TidepoolError(Exception):
    """An error in the user's terms: what is wrong and where, and what to do next.

    Args:
        message: What is wrong, naming the file, layer, op or tensor.
        hint: The next step, in one or two sentences.
        exit_code: What the command line ends with.
    """

    def __init__(
        self, message: str, *, hint: str = "", exit_code: ExitCode = ExitCode.ERROR
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = exit_code

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message
