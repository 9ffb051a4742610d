"""``.h5``: a whole model in HDF5, as Keras 2 wrote it and Keras 3 still can."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from converters.errors import TidepoolError
from converters.load.keras2 import keras2_objects
from converters.load.keras_file import load_error
from converters.load.keras_runtime import import_keras
from converters.load.python_file import importable
from converters.load.trust import trusted_objects


def load_h5_file(path: Path, trust: bool) -> Any:
    """Loads a whole model from HDF5.

    Raises:
        TidepoolError: The file is damaged, holds weights only, or needs ``trust``.
    """
    config = _read_config(path)
    keras = import_keras()
    try:
        with importable(path.resolve().parent):
            objects = keras2_objects() | trusted_objects(config, trust, str(path))
            return keras.models.load_model(
                path, compile=False, safe_mode=not trust, custom_objects=objects
            )
    except Exception as error:
        raise load_error(path, error) from error


def _read_config(path: Path) -> Any:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            text = file.attrs.get("model_config")
    except OSError as error:
        raise TidepoolError(
            f"{path}: not an HDF5 file, or damaged: {error}", hint="copy or save the file again"
        ) from error
    if text is None:
        raise TidepoolError(
            f"{path}: it holds weights only, without the model they belong to",
            hint="save the whole model (model.save), or write a .py recipe whose build_model() "
            "builds it and calls load_weights",
        )
    try:
        return json.loads(text)
    except ValueError as error:
        raise TidepoolError(
            f"{path}: the model's configuration in it is damaged: {error}",
            hint="save the model again",
        ) from error
