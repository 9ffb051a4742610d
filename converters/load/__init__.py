"""Model in: Keras models from every kind of file that users have them in.

``load_model(path)`` returns a ``LoadedModel``. Kinds of sources, one module each:

- ``keras_file``: ``.keras``, the format of Keras 3.
- ``h5_file``: ``.h5``, of Keras 3 and Keras 2.
- ``saved_model``: a SavedModel directory that TensorFlow's Keras 2 wrote.
- ``recipe``: a Python file (or a folder holding ``model.py``) with ``build_model()``.
"""

from __future__ import annotations

from converters.load.loader import load_model
from converters.load.model import LoadedModel, SourceKind
from converters.load.python_file import load_python_file

__all__ = ["LoadedModel", "SourceKind", "load_model", "load_python_file"]
