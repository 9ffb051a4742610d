"""``.keras``: a zip archive of a configuration (JSON) and the weights (HDF5)."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

from converters.errors import TidepoolError
from converters.load.keras_runtime import import_keras
from converters.load.python_file import importable
from converters.load.trust import trusted_objects


def load_keras_file(path: Path, trust: bool) -> Any:
    """Loads a model that Keras 3 saved.

    Raises:
        TidepoolError: The file is no such archive or is damaged, or needs ``trust``.
    """
    config = _read_config(path)
    keras = import_keras()
    try:
        with importable(path.resolve().parent):
            objects = trusted_objects(config, trust, str(path))
            return keras.models.load_model(
                path, compile=False, safe_mode=not trust, custom_objects=objects
            )
    except Exception as error:
        raise load_error(path, error) from error


def load_error(path: Path, error: Exception) -> TidepoolError:
    """One error for whatever Keras raised: its innermost reason, without the dumped config."""
    if isinstance(error, TidepoolError):
        return error
    # Keras nests the reason in an account of what it was doing, with the whole configuration.
    reason = str(error).split("Exception encountered: ")[-1].split(" Full object config: ")[0]
    reason = reason.strip().split("\n")[0]
    if len(reason) > 300:
        reason = f"{reason[:300]}..."
    return TidepoolError(
        f"{path}: Keras can't load it: {type(error).__name__}: {reason}",
        hint="save it again with Keras 3 (model.save('model.keras')), or write a .py recipe "
        "with build_model()",
    )


def _read_config(path: Path) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
            if damaged is not None:
                raise TidepoolError(
                    f"{path}: damaged: {damaged} in it has a wrong checksum",
                    hint="copy or save the file again",
                )
            return json.loads(archive.read("config.json"))
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, NotImplementedError) as error:
        raise TidepoolError(
            f"{path}: not a .keras file, or damaged: {error}",
            hint="save it again with model.save('model.keras')",
        ) from error
    except KeyError as error:
        raise TidepoolError(
            f"{path}: a zip archive without config.json: it holds no Keras model",
            hint="save it with model.save('model.keras')",
        ) from error
