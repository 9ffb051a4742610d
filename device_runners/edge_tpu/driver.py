"""Calls the compiler until it succeeds, or until calling it again is of no use.

Its random internal error is answered by another call, a failure because of large activations by a
search for a part of the graph that compiles; all within one time limit.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from converters.errors import TidepoolError
from device_runners.edge_tpu.compiler import Compiler, CompilerRun, find_compiler, run_compiler
from device_runners.edge_tpu.compiler_options import CompilerOptions, SearchMode
from device_runners.edge_tpu.delegate_search import DelegateSearch, parse_searches
from device_runners.edge_tpu.failures import Found, find_failure
from device_runners.edge_tpu.log import parse_version, parse_warnings
from device_runners.runner import Int8Model

DEFAULT_TIME_LIMIT = 600
"""Seconds for all attempts; the compiler's own limit, for one of them, is 180."""

DEFAULT_RETRIES = 2
"""How often the random internal error is answered by another call."""

_SEARCH_SINCE = 16  # the first version that has search_delegate
_SHORTEST_CALL = 1.0  # seconds; with less left another call is of no use

Note = Callable[[str], None]


def ignore(_text: str) -> None:
    """Hears nothing."""


@dataclass(frozen=True)
class Attempt:
    """One call of the compiler.

    Attributes:
        arguments: Its arguments.
        seconds: How long it took.
        failure: Why it failed; empty when it succeeded.
        output: What it printed.
    """

    arguments: tuple[str, ...]
    seconds: float
    failure: str
    output: str


@dataclass(frozen=True)
class Compilation:
    """What came of compiling.

    Attributes:
        attempts: Every call of the compiler, in order; none when there is no compiler.
        files: Name and content of what the last call wrote, failed or not.
        error: Why it failed in the end; None when it succeeded.
    """

    attempts: tuple[Attempt, ...]
    files: dict[str, bytes]
    error: TidepoolError | None

    @property
    def output(self) -> str:
        """What the last call printed."""
        return self.attempts[-1].output if self.attempts else ""

    @property
    def transcript(self) -> str:
        """What every call printed; with several calls, each after its arguments."""
        if len(self.attempts) == 1:
            return self.output
        return "".join(
            f"$ edgetpu_compiler {' '.join(each.arguments)}\n{each.output.rstrip()}\n\n"
            for each in self.attempts
        )

    @property
    def searches(self) -> tuple[DelegateSearch, ...]:
        """The last call's searches for a part that compiles."""
        return parse_searches(self.output)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the compiler warned of in its last call."""
        return parse_warnings(self.output)


@dataclass(frozen=True)
class Driver:
    """How the compiler is found and called.

    Attributes:
        options: What it is told.
        container: The container image that has it; None for one on this machine.
        retries: How often its random internal error is answered by another call.
        time_limit: Seconds for all calls together.
        note: Hears, in a sentence, of every call after the first one and why it is made.
    """

    options: CompilerOptions = field(default_factory=CompilerOptions)
    container: str | None = None
    retries: int = DEFAULT_RETRIES
    time_limit: float = DEFAULT_TIME_LIMIT
    note: Note = ignore

    def compile(self, models: Sequence[Int8Model], expected: Sequence[str]) -> Compilation:
        """Compiles models, together when there are several.

        Args:
            models: The models; the options were checked against them.
            expected: The files that a success leaves behind.
        """
        try:
            return _Loop(self, find_compiler(self.container), models, expected).run()
        except TidepoolError as error:
            return Compilation((), {}, error)


class _Loop:
    """The calls that one compilation takes."""

    def __init__(
        self,
        driver: Driver,
        compiler: Compiler,
        models: Sequence[Int8Model],
        expected: Sequence[str],
    ) -> None:
        self.driver = driver
        self.compiler = compiler
        self.models = models
        self.expected = expected
        self.attempts: list[Attempt] = []
        self.deadline = time.monotonic() + driver.time_limit
        self.retries = driver.retries
        self.searching = driver.options.search_delegate is SearchMode.ON

    def run(self) -> Compilation:
        while True:
            run = run_compiler(
                self.compiler,
                self.models,
                self.driver.options,
                search=self.searching,
                time_limit=max(self.deadline - time.monotonic(), _SHORTEST_CALL),
            )
            known, error = self._failure(run)
            message = "" if error is None else error.message
            self.attempts.append(Attempt(run.arguments, run.seconds, message, run.output))
            if error is None or not self._again(known, run.output):
                return Compilation(tuple(self.attempts), run.files, self._final(error))

    def _failure(self, run: CompilerRun) -> tuple[Found | None, TidepoolError | None]:
        """Why a call failed, and whether that is a known failure; nothing when it succeeded."""
        if run.returncode is None:
            return None, self._timed_out()
        missing = [name for name in self.expected if not run.files.get(name)]
        if run.returncode == 0 and not missing:
            return None, None
        segments = self.driver.options.num_segments
        known = find_failure(run.output, segments=segments)
        if known is None:
            return None, _unknown_failure(run, missing)
        if 0 < len(missing) < len(self.expected):
            error = known.error
            partly = TidepoolError(
                f"{error.message}; {len(missing)} of {len(self.expected)} compiled files are "
                f"missing: {', '.join(missing)}",
                hint=error.hint,
            )
            return known, partly
        return known, known.error

    def _again(self, known: Found | None, output: str) -> bool:
        """Whether another call may succeed, and which one."""
        if known is None or self.deadline - time.monotonic() < _SHORTEST_CALL:
            return False
        if known.failure.random and self.retries > 0:
            self.retries -= 1
            self.driver.note(f"{known.error.message}: calling it again")
            return True
        if known.failure.activations and self._may_search(output):
            self.searching = True
            self.driver.note(f"{known.error.message}: searching for a part that compiles")
            return True
        return False

    def _may_search(self, output: str) -> bool:
        options = self.driver.options
        if options.search_delegate is not SearchMode.AUTO or self.searching:
            return False
        if options.intermediate_tensors or len(self.models) > 1:
            return False
        return int(parse_version(output).split(".")[0]) >= _SEARCH_SINCE

    def _timed_out(self) -> TidepoolError:
        doing = "search for a part of the model that compiles" if self.searching else "compile"
        return TidepoolError(
            f"the Edge TPU compiler didn't finish within {self.driver.time_limit:g} seconds "
            f"(the last call was to {doing})",
            hint="raise edge_tpu.timeout_seconds or delegate_search_step, or use a smaller input "
            "or fewer channels in the widest layers",
        )

    def _final(self, error: TidepoolError | None) -> TidepoolError | None:
        if error is None or len(self.attempts) == 1:
            return error
        return TidepoolError(
            f"{error.message} ({len(self.attempts)} attempts)",
            hint=error.hint,
            exit_code=error.exit_code,
        )


def _unknown_failure(run: CompilerRun, missing: Sequence[str]) -> TidepoolError:
    lines = [line.strip() for line in run.output.splitlines() if line.strip()]
    said = f"; its last words: '{lines[-1]}'" if lines else ""
    code = run.returncode or 0
    if code == 0:
        ended = f"ended without {', '.join(missing)}"
    elif code < 0:
        ended = f"was killed by {_signal_name(-code)}"
    else:
        # A shell that runs the compiler ends with 128 and the signal's number.
        by_signal = f" ({_signal_name(code - 128)})" if code > 128 else ""
        ended = f"ended with code {code}{by_signal}"
    return TidepoolError(
        f"the Edge TPU compiler {ended}{said}",
        hint="run edgetpu_compiler by hand on the int8 model; it is kept",
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
