"""What Keras 2 wrote differently from what Keras 3 reads."""

from __future__ import annotations

from typing import Any

from converters.errors import TidepoolError


def keras2_objects() -> dict[str, Any]:
    """Custom objects that read the layer configurations of Keras 2.

    Each stands in for a layer class by its ``from_config`` alone, which returns a layer of the
    stock class: the loaded model holds nothing of ours.
    """
    return {"DepthwiseConv2D": _Keras2DepthwiseConv2D}


class _Keras2DepthwiseConv2D:
    """Keras 2 wrote ``groups: 1``, which its base class had; Keras 3 refuses the key."""

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        import keras

        config = dict(config)
        groups = config.pop("groups", 1)
        if groups != 1:
            raise TidepoolError(
                f"layer '{config.get('name')}' is a DepthwiseConv2D with groups={groups}",
                hint="a depthwise convolution has as many groups as channels: "
                "leave the argument out",
            )
        return keras.layers.DepthwiseConv2D.from_config(config)


def decode_keras2(value: Any) -> Any:
    """Replaces Keras 2's notation for tuples in JSON by plain lists."""
    if isinstance(value, dict):
        if value.get("class_name") == "__tuple__":
            return [decode_keras2(item) for item in value["items"]]
        return {key: decode_keras2(item) for key, item in value.items()}
    if isinstance(value, list):
        return [decode_keras2(item) for item in value]
    return value
