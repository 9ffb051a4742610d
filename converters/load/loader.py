"""``load_model``: finds out what a path holds and hands it to the module for that."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

from converters.errors import TidepoolError
from converters.load.h5_file import load_h5_file
from converters.load.keras_file import load_keras_file
from converters.load.model import LoadedModel, SourceKind, check_traceable
from converters.load.recipe import load_recipe
from converters.load.saved_model import load_saved_model
from converters.naming import model_name

_ACCEPTED = ".keras, .h5, a SavedModel directory, or a .py recipe with build_model()"
_H5_SUFFIXES = (".h5", ".hdf5")


def load_model(path: Path, trust: bool = False) -> LoadedModel:
    """Loads a Keras model.

    Args:
        path: A ``.keras`` or ``.h5`` file (of Keras 3 or Keras 2), a SavedModel directory that
            holds a Keras model, a ``.py`` recipe with ``build_model()``, or a folder that holds
            such a recipe as ``model.py``. A recipe is executed: it is the user's own code.
        trust: Whether to load Lambda layers and custom objects, which run code that the file
            carries or names.

    Raises:
        TidepoolError: The path holds no such model; the message names what is wrong with it.
    """
    path = Path(path)
    kind = source_kind(path)
    notes: tuple[str, ...] = ()
    model: Any
    if kind is SourceKind.RECIPE:
        recipe = path / "model.py" if path.is_dir() else path
        path = recipe
        model = load_recipe(recipe)
        notes = (f"ran build_model() of {recipe}; its weights are what that function set",)
    elif kind is SourceKind.SAVED_MODEL:
        model = load_saved_model(path)
        notes = ("rebuilt from the Keras 2 configuration and checkpoint of the SavedModel",)
    elif kind is SourceKind.H5:
        model = load_h5_file(path, trust)
    else:
        model = load_keras_file(path, trust)
    check_traceable(model, str(path))
    return LoadedModel(model, model_name(path), kind, path, notes)


def source_kind(path: Path) -> SourceKind:
    """Which kind of source a path is, by its suffix or its content if it is a directory.

    Raises:
        TidepoolError: It doesn't exist, or is none of them.
    """
    if not path.exists():
        raise TidepoolError(f"{path}: no such file or directory", hint=_nearest(path))
    if path.is_dir():
        return _directory_kind(path)
    suffix = path.suffix.lower()
    if suffix == ".keras":
        return SourceKind.KERAS
    if suffix in _H5_SUFFIXES:
        return SourceKind.H5
    if suffix == ".py":
        return SourceKind.RECIPE
    if suffix == ".pb":
        raise TidepoolError(f"{path}: a part of a SavedModel", hint="give the directory it is in")
    if suffix == ".tflite":
        raise TidepoolError(
            f"{path}: already a TFLite model, not a Keras model", hint="deploy it as it is"
        )
    raise TidepoolError(f"{path}: unknown kind of model '{suffix}'", hint=f"give {_ACCEPTED}")


def _directory_kind(path: Path) -> SourceKind:
    if (path / "saved_model.pb").is_file():
        return SourceKind.SAVED_MODEL
    if (path / "model.py").is_file():
        return SourceKind.RECIPE
    raise TidepoolError(
        f"{path}: a directory without saved_model.pb or model.py: no model in it",
        hint=f"give {_ACCEPTED}",
    )


def _nearest(path: Path) -> str:
    """A hint that names the file which was probably meant."""
    if path.parent.is_dir():
        names = [entry.name for entry in path.parent.iterdir()]
        near = difflib.get_close_matches(path.name, names, n=1)
        if near:
            return f"did you mean {path.parent / near[0]}?"
    return f"give {_ACCEPTED}"
