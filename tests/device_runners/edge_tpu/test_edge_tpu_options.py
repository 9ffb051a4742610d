"""The compiler's options: what it is told, and what is refused before it is called."""

from __future__ import annotations

from typing import Any

import pytest
from support.edge_tpu_compiled import relu_chain

from converters.errors import TidepoolError
from device_runners.edge_tpu import CompilerOptions, SearchMode
from device_runners.runner import Int8Model

NET = Int8Model("net", b"", relu_chain("net"))


def test_what_is_not_set_is_left_to_the_compiler() -> None:
    assert CompilerOptions().arguments(search=False) == ["--show_operations", "--out_dir", "."]


def test_every_option_has_the_name_that_the_compiler_gives_it() -> None:
    options = CompilerOptions(
        min_runtime_version=13,
        timeout_sec=360,
        num_segments=2,
        delegate_search_step=5,
        intermediate_tensors=("a", "b;c"),
        enable_multiple_subgraphs=True,
    )
    assert options.arguments(search=True)[3:] == [
        "--min_runtime_version",
        "13",
        "--timeout_sec",
        "360",
        "--num_segments",
        "2",
        "--search_delegate",
        "--delegate_search_step",
        "5",
        "--intermediate_tensors",
        "a,b;c",
        "--enable_multiple_subgraphs",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_runtime_version": 9}, "min_runtime_version is 9"),
        ({"min_runtime_version": 15}, "min_runtime_version is 15"),
        ({"timeout_sec": 0}, "timeout_sec is 0"),
        ({"num_segments": 0}, "num_segments is 0"),
        ({"delegate_search_step": -1}, "delegate_search_step is -1"),
    ],
)
def test_values_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(TidepoolError, match=message) as error:
        CompilerOptions(**options).check([NET])
    assert error.value.hint


@pytest.mark.parametrize(
    ("options", "models", "message"),
    [
        ({"intermediate_tensors": ("net/t1",), "num_segments": 2}, 1, "and num_segments exclude"),
        (
            {"intermediate_tensors": ("net/t1",), "search_delegate": SearchMode.ON},
            1,
            "and search_delegate = on exclude",
        ),
        ({"num_segments": 2}, 2, "2 models can't be compiled together and cut"),
        ({"intermediate_tensors": ("net/t1",)}, 2, "needs one model"),
    ],
)
def test_options_that_exclude_each_other(
    options: dict[str, Any], models: int, message: str
) -> None:
    with pytest.raises(TidepoolError, match=message):
        CompilerOptions(**options).check([NET] * models)


def test_intermediate_tensors_of_the_model_pass() -> None:
    CompilerOptions(intermediate_tensors=("net/t1", "net/t3")).check([NET])


def test_unknown_intermediate_tensor_names_the_nearest_one() -> None:
    with pytest.raises(TidepoolError, match="no tensor 'net/t33'") as error:
        CompilerOptions(intermediate_tensors=("net/t33",)).check([NET])
    assert "'net/t3'" in error.value.hint


def test_input_is_no_intermediate_tensor() -> None:
    with pytest.raises(TidepoolError, match="'net/t0' is not computed"):
        CompilerOptions(intermediate_tensors=("net/t0",)).check([NET])


@pytest.mark.parametrize("name", ["StatefulPartitionedCall:0", "a,b"])
def test_names_that_the_command_line_cannot_say_are_refused(name: str) -> None:
    with pytest.raises(TidepoolError, match="can't be given to the compiler") as error:
        CompilerOptions(intermediate_tensors=(name,)).check([NET])
    assert "search_delegate" in error.value.hint
