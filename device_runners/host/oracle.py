"""LiteRT with its reference kernels: the results that every device must reproduce.

Only ``BUILTIN_REF`` is a reference. The default interpreter delegates to XNNPACK, and the
optimized kernels without a delegate round differently too: both are off by one LSB and more.

And only LiteRT up to 1.2: from 1.3 on its reference kernel of FULLY_CONNECTED requantizes in
floating point, rounding once (LiteRT issue 8567). TFLM, with and without CMSIS-NN, rounds twice
in integers, as LiteRT did before; what runs on a board is what counts here.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from converters.errors import TidepoolError
from converters.tflite.graph import Array
from converters.tflite.int4 import has_int4_weights, with_int8_weights
from converters.tflite.reader import read_graph
from converters.tflite.writer import write_graph
from device_runners.host.stand_ins import needs_stand_ins, with_stand_ins

_FIRST_FLOAT_REFERENCE = (1, 3)


class Oracle:
    """The reference interpreter of one model.

    Args:
        model: A TFLite file or its content.
        all_tensors: Keep every intermediate tensor readable after a run, at the price of memory.

    Raises:
        TidepoolError: The interpreter refuses the model.
    """

    def __init__(self, model: bytes | Path, *, all_tensors: bool = False) -> None:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        require_integer_reference()
        content = model.read_bytes() if isinstance(model, Path) else model

        def interpreter(content: bytes) -> Any:
            made = Interpreter(
                model_content=content,
                experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
                experimental_preserve_all_tensors=all_tensors,
                num_threads=1,
            )
            made.allocate_tensors()
            return made

        try:
            self._interpreter = interpreter(_for_reference_kernels(content))
        except (RuntimeError, ValueError) as error:
            raise TidepoolError(
                f"the reference interpreter (LiteRT, BUILTIN_REF) refuses the model: {error}",
                hint="check the model with 'tidepool check'",
            ) from error
        self._all_tensors = all_tensors
        self._inputs = self._interpreter.get_input_details()
        self._outputs = self._interpreter.get_output_details()

    def run(self, inputs: Sequence[Array], *, keep_state: bool = False) -> list[Array]:
        """Runs one inference.

        Args:
            inputs: One array an input, in the input's own shape and dtype.
            keep_state: Go on with the state that the run before left; else it is reset first.

        Returns:
            One array an output.
        """
        if not keep_state:
            self._interpreter.reset_all_variables()
        for detail, array in zip(self._inputs, inputs, strict=True):
            self._interpreter.set_tensor(detail["index"], np.ascontiguousarray(array))
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(detail["index"]) for detail in self._outputs]

    def tensor(self, index: int) -> Array:
        """The value of any tensor after a run; needs ``all_tensors``."""
        if not self._all_tensors:
            raise ValueError("the oracle was made without all_tensors")
        value: Array = self._interpreter.get_tensor(index)
        return value


def _for_reference_kernels(content: bytes) -> bytes:
    """The model, in terms that the reference kernels understand; every tensor keeps its value.

    They lack 4-bit depthwise convolutions: weights of a byte do as well. ``stand_ins`` has the ops
    that they lack or get wrong.
    """
    graph = read_graph(content)
    int4, stand_ins = has_int4_weights(graph), needs_stand_ins(graph)
    if not (int4 or stand_ins):
        return content
    if int4:
        graph = with_int8_weights(graph)
    return write_graph(with_stand_ins(graph) if stand_ins else graph)


@cache
def require_integer_reference() -> None:
    """Refuses a LiteRT whose reference kernels differ from what boards compute.

    Raises:
        TidepoolError: It is 1.3 or newer.
    """
    installed = version("ai-edge-litert")
    if tuple(int(part) for part in installed.split(".")[:2]) >= _FIRST_FLOAT_REFERENCE:
        raise TidepoolError(
            f"ai-edge-litert {installed} is no reference for a microcontroller: from 1.3 on its "
            "FULLY_CONNECTED rounds in floating point, TensorFlow Lite Micro's in integers",
            hint="pip install 'ai-edge-litert<1.3'",
        )
