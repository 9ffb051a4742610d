"""A model recipe: a Python file with ``build_model() -> keras.Model``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from converters.errors import TidepoolError
from converters.load.keras_runtime import import_keras
from converters.load.python_file import importable, load_python_file, user_code

# Initial weights of a recipe that loads none: the same for every run.
_SEED = 0


def load_recipe(path: Path) -> Any:
    """Runs a recipe's ``build_model()``.

    It is the user's own code and runs as such: no flag is asked for. Keras's counter of automatic
    layer names and its random seed are reset before, so that the same recipe gives the same
    model, names included, however often it runs in one process.
    """
    keras = import_keras()
    keras.utils.clear_session()
    keras.utils.set_random_seed(_SEED)
    module = load_python_file(path)
    build = getattr(module, "build_model", None)
    if not callable(build):
        raise TidepoolError(
            f"{path}: no build_model() in it",
            hint="define build_model() without arguments, returning a keras.Model",
        )
    with user_code(path), importable(path.resolve().parent):
        return build()
