"""``tidepool compile``: int8 models to files that the Edge TPU's runtime loads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from device_runners.edge_tpu import SearchMode
from pipeline.cli import options
from pipeline.settings import load_settings


def compile_models(
    models: Annotated[
        list[Path],
        typer.Argument(
            metavar="MODEL",
            help="Full-integer .tflite files, or models that were converted before. Several are "
            "compiled together: they share the parameter memory, the first one has first right.",
        ),
    ],
    num_segments: Annotated[
        int | None,
        typer.Option(
            "--num-segments",
            "--segments",
            metavar="N",
            help="Cut the model into N files, for a pipeline of N Edge TPUs.",
        ),
    ] = None,
    search_delegate: Annotated[
        SearchMode | None,
        typer.Option(
            "--search-delegate",
            help="Search for a part of the model that compiles: on; off; auto: after a failure "
            "because of large activations.",
        ),
    ] = None,
    delegate_search_step: Annotated[
        int | None,
        typer.Option("--delegate-search-step", metavar="N", help="Operators left out each try."),
    ] = None,
    intermediate_tensors: Annotated[
        str | None,
        typer.Option(
            "--intermediate-tensors",
            metavar="A,B",
            help="Names of the tensors where the Edge TPU's part ends.",
        ),
    ] = None,
    min_runtime_version: Annotated[
        int | None,
        typer.Option(
            "--min-runtime-version", metavar="N", help="Oldest runtime that must run it, 10 to 14."
        ),
    ] = None,
    timeout_sec: Annotated[
        int | None,
        typer.Option("--timeout-sec", metavar="N", help="The compiler's limit for one attempt."),
    ] = None,
    enable_multiple_subgraphs: Annotated[
        bool | None,
        typer.Option(
            "--enable-multiple-subgraphs",
            help="Map every supported part (experimental; users measured slowdowns).",
        ),
    ] = None,
    retries: Annotated[
        int | None,
        typer.Option("--retries", metavar="N", help="Retries after the random internal error."),
    ] = None,
    container: Annotated[
        str | None,
        typer.Option(
            "--container", metavar="IMAGE", help="A container image that has the compiler."
        ),
    ] = None,
    config: options.Config = None,
    build_directory: options.BuildDirectory = None,
    json: options.Json = False,
) -> None:
    """Compile full-integer models for the Edge TPU, as they are: no rewriting, no dataset.

    Every flag of compiler 16.0 has its own name here and in [edge_tpu] of the settings. Exit code 4
    when the compiler is missing.
    """
    from rich.markup import escape

    from pipeline import compile as compilation
    from pipeline import display

    names = None if intermediate_tensors is None else tuple(intermediate_tensors.split(","))
    settings = load_settings(
        config,
        {
            "edge_tpu.num_segments": num_segments,
            "edge_tpu.search_delegate": search_delegate,
            "edge_tpu.delegate_search_step": delegate_search_step,
            "edge_tpu.intermediate_tensors": names,
            "edge_tpu.min_runtime_version": min_runtime_version,
            "edge_tpu.timeout_sec": timeout_sec,
            "edge_tpu.enable_multiple_subgraphs": enable_multiple_subgraphs,
            "edge_tpu.retries": retries,
            "edge_tpu.container": container,
            "build_directory": build_directory,
        },
    )
    summary = compilation.compile_models(models, settings, display.Terminal())
    if json:
        display.show_json(summary.to_json())
    else:
        rows = [(escape(label), escape(value)) for label, value in summary.rows()]
        title = ", ".join(model.name for model in summary.models)
        display.show_rows(f"{title} → edge-tpu", ("what", "value"), rows)
