"""What every verb does: resolve the settings, show the result, end with the right code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converters.errors import TidepoolError
from pipeline.settings import Settings, load_settings
from pipeline.source import Source

if TYPE_CHECKING:
    from pipeline.ci_output import CiOutput


def settings_of(
    source: Source, config: Path | None, overrides: dict[str, Any], samples: str | None = None
) -> Settings:
    """The settings: the file's, overridden by what the command line gives.

    Raises:
        TidepoolError: A value is not valid.
    """
    values = dict(overrides)
    if samples is not None and samples != "all":
        if not samples.isdecimal() or int(samples) < 1:
            raise TidepoolError(
                f"--samples is '{samples}'", hint="give a number from 1 on, or 'all'"
            )
        values["mcu.samples"] = int(samples)
    settings = load_settings(config or source.config, values)
    if samples == "all":
        everything = settings.mcu.model_copy(update={"samples": None})
        settings = settings.model_copy(update={"mcu": everything})
    return settings


@contextmanager
def ci_output(source: Source, junit: Path | None, summary: Path | None) -> Iterator[CiOutput]:
    """The files for a CI server; an error that ends the run is written to them, too."""
    from pipeline.ci_output import CiOutput

    output = CiOutput(junit, summary)
    try:
        yield output
    except TidepoolError as error:
        output.write_error(source.name, error)
        raise


def finish(result: Any, *, json: bool) -> None:
    """Shows the report, then the error that the run ended with, if it did."""
    from pipeline import display

    if json:
        display.show_json(result.report.model_dump_json(indent=2))
    else:
        display.show_report(result.report, str(result.directory))
    if result.error is not None:
        raise result.error
