"""The Edge TPU compiler's options, under the names that its command line gives them (16.0).

What excludes what follows Coral's documentation and its maintainers' answers in public issue
threads (google-coral/edgetpu 671 and 778).
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from converters.errors import TidepoolError
from converters.tflite.graph import Graph
from device_runners.runner import Int8Model

RUNTIME_VERSIONS = range(10, 15)
"""The runtime versions that compiler 16.0 can compile for."""

OLD_RUNTIMES = range(10, 12)
"""Runtimes before signed 8-bit: a model of int8 compiles for them, and stays on the CPU."""

DEFAULT_TIMEOUT_SEC = 180
"""Seconds that the compiler itself gives to one attempt when it isn't told otherwise."""


class SearchMode(StrEnum):
    """When the compiler searches for a part of the graph that it can compile (``-d``)."""

    AUTO = "auto"
    """After a failure because of large activations."""
    ON = "on"
    OFF = "off"


@dataclass(frozen=True)
class CompilerOptions:
    """What the compiler is told beside ``--out_dir`` and ``--show_operations``.

    Attributes:
        min_runtime_version: The oldest runtime that must run the result, 10 to 14; None for the
            compiler's choice.
        timeout_sec: Seconds for one attempt; None for the compiler's 180.
        num_segments: Into how many files to cut the model, one for each Edge TPU of a pipeline.
        search_delegate: When to search for a part of the graph that compiles.
        delegate_search_step: By how many operators each try of that search is smaller.
        intermediate_tensors: Names of the tensors where the Edge TPU's part ends; what follows
            them stays on the CPU.
        enable_multiple_subgraphs: Map every supported part of the graph, not only one
            (experimental in the compiler; users measured slowdowns).
    """

    min_runtime_version: int | None = None
    timeout_sec: int | None = None
    num_segments: int = 1
    search_delegate: SearchMode = SearchMode.AUTO
    delegate_search_step: int = 1
    intermediate_tensors: tuple[str, ...] = ()
    enable_multiple_subgraphs: bool = False

    def check(self, models: Sequence[Int8Model]) -> None:
        """Refuses values that the compiler would refuse, or take for something else.

        Raises:
            TidepoolError: A value is out of range, two options exclude each other, or a tensor
                is not in the model.
        """
        self._check_ranges()
        self._check_combinations(len(models))
        for name in self.intermediate_tensors:
            _check_tensor(models[0].graph, name)

    def arguments(self, *, search: bool) -> list[str]:
        """The command line's options; those that are not set are left to the compiler.

        Args:
            search: Whether this attempt searches for a part that compiles.
        """
        arguments = ["--show_operations", "--out_dir", "."]
        if self.min_runtime_version is not None:
            arguments += ["--min_runtime_version", str(self.min_runtime_version)]
        if self.timeout_sec is not None:
            arguments += ["--timeout_sec", str(self.timeout_sec)]
        if self.num_segments > 1:
            arguments += ["--num_segments", str(self.num_segments)]
        if search:
            arguments += ["--search_delegate"]
            arguments += ["--delegate_search_step", str(self.delegate_search_step)]
        if self.intermediate_tensors:
            arguments += ["--intermediate_tensors", ",".join(self.intermediate_tensors)]
        if self.enable_multiple_subgraphs:
            arguments += ["--enable_multiple_subgraphs"]
        return arguments

    def _check_ranges(self) -> None:
        version = self.min_runtime_version
        if version is not None and version not in RUNTIME_VERSIONS:
            raise TidepoolError(
                f"min_runtime_version is {version}",
                hint=f"the compiler takes {RUNTIME_VERSIONS[0]} to {RUNTIME_VERSIONS[-1]}",
            )
        for name in ("timeout_sec", "num_segments", "delegate_search_step"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise TidepoolError(f"{name} is {value}", hint="give a number from 1 on")

    def _check_combinations(self, models: int) -> None:
        if self.intermediate_tensors and self.num_segments > 1:
            raise TidepoolError(
                "intermediate_tensors and num_segments exclude each other",
                hint="the compiler takes no intermediate tensors when it cuts a model into "
                "segments: use search_delegate, which works with segments",
            )
        if self.intermediate_tensors and self.search_delegate is SearchMode.ON:
            raise TidepoolError(
                "intermediate_tensors and search_delegate = on exclude each other",
                hint="the search finds such tensors itself: leave one of the two out",
            )
        if models > 1 and self.num_segments > 1:
            raise TidepoolError(
                f"{models} models can't be compiled together and cut into segments",
                hint="models that are compiled together share one Edge TPU, segments spread one "
                "model over several: compile each model by itself",
            )
        if models > 1 and self.intermediate_tensors:
            raise TidepoolError(
                "intermediate_tensors needs one model, since it names tensors of one",
                hint="compile the model by itself",
            )


def _check_tensor(graph: Graph, name: str) -> None:
    if "," in name or ":" in name:
        raise TidepoolError(
            f"the intermediate tensor '{name}' can't be given to the compiler: on its command "
            "line a comma separates tensors and a colon separates models",
            hint="name the tensor before or after it, or use search_delegate = on",
        )
    computed = {t.name for op in graph.operators for t in graph.outputs_of(op)}
    if name in computed:
        return
    nearest = difflib.get_close_matches(name, sorted(computed), n=1, cutoff=0.0)
    known = f"the nearest one is '{nearest[0]}'" if nearest else "the model computes none"
    if any(tensor.name == name for tensor in graph.tensors):
        raise TidepoolError(
            f"the intermediate tensor '{name}' is not computed: it is an input or a constant",
            hint=f"name an operator's output; {known}",
        )
    raise TidepoolError(f"the model has no tensor '{name}'", hint=known)
