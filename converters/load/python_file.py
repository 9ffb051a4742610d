"""Running a user's own Python file: recipes of models and of datasets, loaded by path."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from converters.errors import TidepoolError


def load_python_file(path: Path) -> ModuleType:
    """Executes a Python file as a module of its own.

    The file needn't be importable: ``datasets/digits.py`` works although a well-known library is
    called ``datasets``. Files beside it can be imported by it, unless an installed module has
    their name.

    Raises:
        TidepoolError: The file is missing, or its code raised: with the line and the reason.
    """
    if not path.is_file():
        raise TidepoolError(f"{path}: no such recipe", hint="give the path of a .py file")
    resolved = path.resolve()
    # Two recipes may share a file name; the digest of the path keeps their modules apart.
    digest = hashlib.sha256(str(resolved).encode()).hexdigest()[:8]
    name = f"tidepool_recipe_{digest}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, resolved)
    if spec is None or spec.loader is None:
        raise TidepoolError(f"{path}: not a Python file", hint="a recipe's name ends in .py")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses and pickling look their module up while it is being executed.
    sys.modules[name] = module
    try:
        with user_code(path), importable(resolved.parent):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


@contextmanager
def user_code(path: Path) -> Iterator[None]:
    """Turns whatever a recipe's code raises into one ``TidepoolError`` that names the line."""
    try:
        yield
    except TidepoolError:
        raise
    except (Exception, SystemExit) as error:
        raise TidepoolError(
            f"{path}{_line(error, path)}: {type(error).__name__}: {error}",
            hint="the recipe itself raised this: run it on its own to debug it",
        ) from error


@contextmanager
def importable(folder: Path) -> Iterator[None]:
    """Lets code import the modules in ``folder`` for the time of the block.

    The folder goes to the end of the search path: a file called ``random.py`` beside a recipe
    doesn't replace the standard library's.
    """
    entry = str(folder)
    sys.path.append(entry)
    try:
        yield
    finally:
        sys.path.remove(entry)


def _line(error: BaseException, path: Path) -> str:
    if isinstance(error, SyntaxError) and error.lineno is not None:
        return f":{error.lineno}"
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename) == path.resolve()
    ]
    return f":{own[-1].lineno}" if own else ""
