"""The one place where loading imports Keras, which takes seconds: always inside a function."""

from __future__ import annotations

import os
import sys
from typing import Any

from converters.errors import TidepoolError
from converters.native_log import hushed


def import_keras() -> Any:
    """Imports Keras 3 on TensorFlow.

    Raises:
        TidepoolError: Keras already runs on another backend in this process.
    """
    if "keras" not in sys.modules:
        # The converter traces TensorFlow graphs: another default in the user's
        # ~/.keras/keras.json doesn't apply here.
        os.environ["KERAS_BACKEND"] = "tensorflow"
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with hushed():
        import keras

    if keras.backend.backend() != "tensorflow":
        raise TidepoolError(
            f"Keras runs on the {keras.backend.backend()} backend, but conversion needs TensorFlow",
            hint="set KERAS_BACKEND=tensorflow before Keras is imported",
        )
    return keras
