"""Co-compilation: several models that share the parameter memory of one Edge TPU.

Parameters of models that were compiled by themselves push each other out of the memory whenever the
models take turns. Compiled together they have their places in it, the first model first; the
runtime knows them by a token that they have in common.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from converters.errors import TidepoolError
from device_runners.edge_tpu.driver import Driver
from device_runners.edge_tpu.results import CompiledModel, call_figures, read_compiled
from device_runners.edge_tpu.runner import check, input_files, output_files, write_build
from device_runners.runner import Artifacts, Int8Model

TRANSCRIPT = "cocompiled"
"""What the file with the compiler's words is named after."""


def build_together(models: Sequence[Int8Model], out: Path, driver: Driver) -> Artifacts:
    """Compiles several models in one call, to share the parameter memory.

    Writes for each what ``runner.build`` writes for one, and ``cocompiled_edgetpu_compiler.txt``.

    Args:
        models: At least two, with different names, in the order of their right to the memory.
        out: The folder to write; what it held before is replaced.
        driver: How the compiler is found and called.

    Returns:
        Figures: ``models``, in the order given: ``name`` and what ``runner.build`` returns for
        one model; ``parameter_caching_token``, the one that they share (None when nothing is
        cached); ``not_cached``, the names of the models that got no room in the memory; and
        ``compiler_version``, ``attempts``, ``delegate_searches`` and ``compiler_warnings``.

    Raises:
        TidepoolError: As ``runner.build``; or the compiled models don't share the memory.
    """
    _check_models(models, driver)
    names = [model.name for model in models]
    compilation = driver.compile(models, [f"{name}_edgetpu.tflite" for name in names])
    files = input_files(models) | output_files(compilation, names, TRANSCRIPT)
    figures: dict[str, Any] = {}
    error = compilation.error
    if error is None:
        try:
            compiled = [read_compiled(model, compilation, driver.options) for model in models]
            figures = _figures(compiled) | call_figures(compilation)
            files |= {part.file: part.content for each in compiled for part in each.parts}
        except TidepoolError as caught:
            error = caught
    write_build(out, files, error, kept=f"{names[0]}_int8.tflite")
    return Artifacts(out, tuple(sorted(files)), figures)


def shared_token(compiled: Sequence[CompiledModel]) -> int | None:
    """The caching token that all models have which cache parameters; None when none does.

    Raises:
        TidepoolError: They have none in common.
    """
    tokens = {
        each.model.name: set(part.package.parameter_caching_tokens)
        for each in compiled
        for part in each.parts
        if part.package is not None and part.package.cached_bytes
    }
    if not tokens:
        return None
    common = set.intersection(*tokens.values())
    if not common:
        listed = "; ".join(
            f"{name}: {', '.join(f'0x{token:016x}' for token in sorted(each)) or 'none'}"
            for name, each in tokens.items()
        )
        raise TidepoolError(
            f"the compiled models don't share the parameter memory: their caching tokens differ "
            f"({listed})",
            hint="compile them again in one call; please report it with the models",
        )
    return min(common)


def _check_models(models: Sequence[Int8Model], driver: Driver) -> None:
    if len(models) < 2:
        raise TidepoolError(
            f"co-compilation needs at least two models, and {len(models)} was given",
            hint="give the other models too, or build the one by itself",
        )
    names = [model.name for model in models]
    for name in names:
        if names.count(name) > 1:
            raise TidepoolError(
                f"{names.count(name)} of the models to compile together are called '{name}'",
                hint="the compiler names its files after the models: rename one of the files",
            )
    for model in models:
        try:
            check(model.graph).raise_if_blocking()
        except TidepoolError as error:
            raise TidepoolError(f"{model.name}: {error.message}", hint=error.hint) from error
    driver.options.check(models)


def _figures(compiled: Sequence[CompiledModel]) -> dict[str, Any]:
    token = shared_token(compiled)
    models = [{"name": each.model.name} | each.figures() for each in compiled]
    return {
        "compiler_version": models[0]["compiler_version"],
        "models": models,
        "parameter_caching_token": None if token is None else f"0x{token:016x}",
        "not_cached": [
            each["name"]
            for each in models
            if not sum(part["cached_bytes"] for part in each["parts"])
        ],
    }
