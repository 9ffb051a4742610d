"""What a saved model would execute when it is loaded.

A Keras file can carry code (the bytecode of a Lambda layer) and names of Python modules to import
(custom objects). Both run at load time, so the saved configuration is searched for them first,
as plain JSON.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from converters.errors import TidepoolError

# Class names of Keras's serialization that aren't classes to look up.
_NOTATION = frozenset(
    (
        "__tuple__",
        "__keras_tensor__",
        "__tensor__",
        "__numpy__",
        "__bytes__",
        "__ellipsis__",
        "__typespec__",
        "__slice__",
        "CONTIGUOUS",
        "NUMPY",
        "Policy",
        "TensorShape",
        "TypeSpec",
    )
)
# Operations on symbolic tensors that Keras 2 saved as layers; Keras 3 can't run them.
_KERAS2_OPERATIONS = frozenset(("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer"))


@dataclass(frozen=True)
class UntrustedObject:
    """A part of a model that runs code which isn't Keras's.

    Attributes:
        layer: The name of the layer that holds it.
        name: The custom class's or function's name; empty for a Lambda.
        module: The module that the file says it is from; empty when it doesn't say.
        registered_name: The name that Keras looks it up by.
    """

    layer: str
    name: str = ""
    module: str = ""
    registered_name: str = ""

    @property
    def what(self) -> str:
        return f"the custom object '{self.name}'" if self.name else "a Lambda"


def trusted_objects(config: Any, trust: bool, source: str) -> dict[str, Any]:
    """Refuses a configuration that would run foreign code, unless ``trust``.

    With ``trust`` the modules that the file names are imported: Keras itself only looks custom
    objects up among those that are registered.

    Args:
        config: The model's configuration as decoded JSON.
        trust: Whether the user vouches for the file.
        source: The name of the file, for the message.

    Returns:
        The custom objects by the names that Keras looks them up by.

    Raises:
        TidepoolError: It names the first such layer and the flag, or what can't be imported.
    """
    found = list(find_untrusted(config))
    if not found:
        return {}
    first = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    if not trust:
        raise TidepoolError(
            f"{source}: layer '{first.layer}' holds {first.what}{more}, "
            "which would run code from the file",
            hint="pass --trust if you trust where the file comes from, or use a .py recipe",
        )
    objects: dict[str, Any] = {}
    for item in found:
        if item.name:
            imported = _import(item, source)
            objects |= {item.name: imported, item.registered_name: imported}
    return objects


def _import(item: UntrustedObject, source: str) -> Any:
    if not item.module:
        raise TidepoolError(
            f"{source}: layer '{item.layer}' holds {item.what}, "
            "and the file doesn't say where to import it from",
            hint="write a .py recipe that defines it and whose build_model() loads the file",
        )
    try:
        return getattr(importlib.import_module(item.module), item.name)
    except Exception as error:
        raise TidepoolError(
            f"{source}: layer '{item.layer}' holds {item.what}, which can't be imported from "
            f"'{item.module}': {type(error).__name__}: {error}",
            hint=f"put {item.module.split('.')[0]}.py beside the model file, or set PYTHONPATH",
        ) from error


def find_untrusted(config: Any, layer: str = "") -> Iterator[UntrustedObject]:
    """Walks a configuration and yields everything in it that isn't Keras's own."""
    if isinstance(config, dict):
        layer = _layer_name(config) or layer
        found = _judge(config, layer)
        if found is not None:
            yield found
            return
        for value in config.values():
            yield from find_untrusted(value, layer)
    elif isinstance(config, list | tuple):
        for value in config:
            yield from find_untrusted(value, layer)


def _layer_name(node: dict[str, Any]) -> str:
    inner = node.get("config")
    if isinstance(inner, dict) and "class_name" in node and isinstance(inner.get("name"), str):
        return str(inner["name"])
    return ""


def _judge(node: dict[str, Any], layer: str) -> UntrustedObject | None:
    name = node.get("class_name")
    if not isinstance(name, str) or name in _NOTATION:
        return None
    if name in ("Lambda", "__lambda__"):
        return UntrustedObject(layer)
    if name in _KERAS2_OPERATIONS:
        raise TidepoolError(
            f"layer '{layer}' is a TensorFlow operation that Keras 2 saved ({name}); "
            "Keras 3 can't run it",
            hint="write a .py recipe that builds the model with Keras 3 layers and sets its "
            "weights",
        )
    if "module" in node:
        return _judge_keras3(node, name, layer)
    # Keras 2 gives the class only. Dtypes, shapes and the like have no config of their own.
    if not isinstance(node.get("config"), dict) or _is_keras_class(name):
        return None
    return UntrustedObject(layer, name)


def _judge_keras3(node: dict[str, Any], name: str, layer: str) -> UntrustedObject | None:
    module = node.get("module")
    if isinstance(module, str) and (module == "keras" or module.startswith("keras.")):
        return None
    if name == "function":
        name = str(node.get("config"))
    elif module == "builtins":
        return None
    known = isinstance(module, str) and module not in ("builtins", "__main__")
    return UntrustedObject(
        layer,
        name,
        module=str(module) if known else "",
        registered_name=str(node.get("registered_name") or name),
    )


def _is_keras_class(name: str) -> bool:
    import keras

    if name in ("Functional", "Model", "Sequential"):
        return True
    homes = (
        keras.layers,
        keras.initializers,
        keras.regularizers,
        keras.constraints,
        keras.activations,
        keras.dtype_policies,
    )
    return any(hasattr(home, name) for home in homes)
