"""What loading returns, and what every loaded model must be."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from converters.errors import TidepoolError


class SourceKind(StrEnum):
    """Where a Keras model came from."""

    KERAS = "keras"
    H5 = "h5"
    SAVED_MODEL = "saved_model"
    RECIPE = "recipe"


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A Keras model, ready to be traced.

    Attributes:
        model: The ``keras.Model``: functional or sequential, built, with fixed inputs.
        name: The name that its results are filed under: a C identifier.
        kind: The kind of source.
        path: The file or folder it was read from.
        notes: What a user should know about how it was loaded, one sentence each.
    """

    model: Any
    name: str
    kind: SourceKind
    path: Path
    notes: tuple[str, ...] = ()


def check_traceable(model: Any, source: str) -> None:
    """Refuses what can't be traced: a model without symbolic inputs and outputs.

    Args:
        model: What the loader or the recipe returned.
        source: The name of the file, for the message.
    """
    import keras

    if not isinstance(model, keras.Model):
        raise TidepoolError(
            f"{source}: build_model() returned {type(model).__name__}, not a keras.Model",
            hint="return the Keras model itself",
        )
    if isinstance(model, keras.Sequential) and not model.built:
        raise TidepoolError(
            f"{source}: the Sequential model '{model.name}' has no input shape",
            hint="start it with keras.Input(shape=(...))",
        )
    # A subclassed model keeps its forward pass in Python code: it has no symbolic tensors.
    if not getattr(model, "inputs", None) or not getattr(model, "outputs", None):
        raise TidepoolError(
            f"{source}: '{model.name}' is a subclassed model ({type(model).__name__}): "
            "its inputs aren't known, so it can't be traced",
            hint="wrap it in a recipe: x = keras.Input(shape=(...)); "
            "return keras.Model(x, model(x))",
        )
