"""A SavedModel directory that holds a Keras 2 model.

Keras 3 doesn't read these. But Keras 2 left the model's configuration in the file's object graph
(``object_graph_def.nodes[0].user_object.metadata``; from TensorFlow 2.5 on in
``keras_metadata.pb`` beside it), and the object graph names the checkpoint entry of every weight.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converters.errors import TidepoolError
from converters.load.keras2 import decode_keras2, keras2_objects
from converters.load.keras_file import load_error
from converters.load.keras_runtime import import_keras
from converters.load.trust import find_untrusted

_KERAS_MODELS = ("_tf_keras_network", "_tf_keras_sequential", "_tf_keras_model")
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"


@dataclass(frozen=True, eq=False)
class _KerasMetadata:
    """The objects of a SavedModel, and what Keras 2 noted about each.

    Attributes:
        nodes: ``SavedObject`` messages; node 0 is the model.
        notes: For every Keras object, by its node's index: its decoded metadata.
    """

    nodes: Any
    notes: dict[int, dict[str, Any]]

    def children(self, node: int) -> Iterator[tuple[str, int]]:
        for child in self.nodes[node].children:
            yield child.local_name, child.node_id


def load_saved_model(path: Path) -> Any:
    """Rebuilds the Keras model of a SavedModel from its configuration and its checkpoint.

    Raises:
        TidepoolError: The directory is damaged, holds no Keras model, or one that runs code.
    """
    metadata = _read_metadata(path)
    keras = import_keras()
    note = metadata.notes[0]
    config = decode_keras2(note.get("config"))
    if not isinstance(config, dict) or "layers" not in config:
        raise TidepoolError(
            f"{path}: it holds a subclassed Keras model, whose layers aren't in the file",
            hint="write a .py recipe whose build_model() builds it and loads its weights",
        )
    untrusted = next(find_untrusted(config), None)
    if untrusted is not None:
        # The code that Keras 2 saved needs the Python and the TensorFlow of its time.
        raise TidepoolError(
            f"{path}: layer '{untrusted.layer}' holds {untrusted.what}, "
            "which can't be rebuilt from a SavedModel",
            hint="write a .py recipe whose build_model() builds the model and loads its weights",
        )
    model_class = keras.Sequential if note.get("class_name") == "Sequential" else keras.Model
    try:
        model = model_class.from_config(config, custom_objects=keras2_objects())
        _load_weights(model, metadata, path)
    except Exception as error:
        raise load_error(path, error) from error
    return model


def _read_metadata(path: Path) -> _KerasMetadata:
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2
    from tensorflow.python.keras.protobuf import saved_metadata_pb2

    saved = saved_model_pb2.SavedModel()
    beside = saved_metadata_pb2.SavedMetadata()
    file = path / "saved_model.pb"
    try:
        saved.ParseFromString(file.read_bytes())
        if (path / "keras_metadata.pb").is_file():
            file = path / "keras_metadata.pb"
            beside.ParseFromString(file.read_bytes())
        nodes = saved.meta_graphs[0].object_graph_def.nodes
        texts = {i: node.user_object.metadata for i, node in enumerate(nodes)}
        texts |= {node.node_id: node.metadata for node in beside.nodes}
        kinds = nodes[0].user_object.identifier if len(nodes) else ""
        notes = {i: json.loads(text) for i, text in texts.items() if text.startswith("{")}
    except (DecodeError, IndexError, ValueError, OSError) as error:
        raise TidepoolError(
            f"{file}: damaged: {error}", hint="copy or save the SavedModel again"
        ) from error
    if kinds not in _KERAS_MODELS or 0 not in notes:
        raise TidepoolError(
            f"{path}: a SavedModel without a Keras model in it",
            hint="save the model with Keras (model.save('model.keras')), or write a .py recipe "
            "with build_model()",
        )
    return _KerasMetadata(nodes, notes)


def _load_weights(model: Any, metadata: _KerasMetadata, path: Path) -> None:
    import tensorflow as tf

    try:
        checkpoint = tf.train.load_checkpoint(str(path / "variables" / "variables"))
    except (ValueError, tf.errors.OpError) as error:
        raise TidepoolError(
            f"{path}: its checkpoint (variables/) is missing or damaged: {error}",
            hint="copy the whole SavedModel directory again",
        ) from error
    keys = set(checkpoint.get_variable_to_shape_map())
    for layer, prefix in _layers_with_weights(model, metadata, 0, "", path):
        stored = {
            key.removesuffix(_VALUE): key
            for key in keys
            if key.startswith(prefix) and key.endswith(_VALUE) and "/.OPTIMIZER_SLOT" not in key
        }
        for variable in layer.weights:
            found = [key for name, key in stored.items() if name.endswith(f"/{variable.name}")]
            # Keras 3 calls a depthwise kernel "kernel", Keras 2 "depthwise_kernel".
            found = found or [
                key for name, key in stored.items() if name.endswith(f"_{variable.name}")
            ]
            if len(found) != 1:
                raise TidepoolError(
                    f"{path}: the checkpoint has {len(found)} entries for the weight "
                    f"'{variable.name}' of layer '{layer.name}'",
                    hint="write a .py recipe whose build_model() sets the weights itself",
                )
            variable.assign(checkpoint.get_tensor(found[0]))


def _layers_with_weights(
    model: Any, metadata: _KerasMetadata, node: int, prefix: str, path: Path
) -> Iterator[tuple[Any, str]]:
    """Yields every layer that has weights with its prefix in the checkpoint, nested models' too."""
    import keras

    places: dict[str, tuple[str, int]] = {}
    for local_name, child in metadata.children(node):
        if local_name.startswith("layer_with_weights-"):
            places[metadata.notes[child]["name"]] = (f"{prefix}{local_name}/", child)
    for layer in model.layers:
        if not layer.weights:
            continue
        if layer.name not in places:
            raise TidepoolError(
                f"{path}: the object graph has no entry for the weights of layer '{layer.name}'",
                hint="write a .py recipe whose build_model() sets the weights itself",
            )
        place, child = places[layer.name]
        if isinstance(layer, keras.Model):
            yield from _layers_with_weights(layer, metadata, child, place, path)
        else:
            yield layer, place
