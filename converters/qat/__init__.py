"""Quantization-aware training for Keras 3, in the style of tensorflow-model-optimization.

    quantized = quantize_model(model)              # or annotate layers, and quantize_apply
    quantized.compile(...); quantized.fit(...)
    reestimate_batch_norm(quantized, batches)
    content = convert_quantized(quantized)         # a full-integer TFLite file

Importing this package imports Keras: do it where it is needed.
"""

from converters.qat.activation import QuantizeActivation
from converters.qat.affine import QuantizeAffine
from converters.qat.annotate import (
    QuantizeAnnotate,
    quantize_annotate_layer,
    quantize_annotate_model,
    quantize_apply,
    quantize_model,
    quantize_scope,
)
from converters.qat.batch_norm import (
    freeze_batch_norm,
    reestimate_batch_norm,
    synchronize_batch_norm,
)
from converters.qat.config import KernelQuantizeConfig, QuantizeConfig, SchemeQuantizeConfig
from converters.qat.export import convert_quantized, export
from converters.qat.quantizer import Quantizer
from converters.qat.quantizers import (
    AllValuesQuantizer,
    FixedRangeQuantizer,
    LastValueQuantizer,
    LearnedRangeQuantizer,
    MovingAverageQuantizer,
)
from converters.qat.schemes import SCHEMES, Scheme, get_scheme
from converters.qat.wrapper import QuantizeWrapper

__all__ = [
    "SCHEMES",
    "AllValuesQuantizer",
    "FixedRangeQuantizer",
    "KernelQuantizeConfig",
    "LastValueQuantizer",
    "LearnedRangeQuantizer",
    "MovingAverageQuantizer",
    "QuantizeActivation",
    "QuantizeAffine",
    "QuantizeAnnotate",
    "QuantizeConfig",
    "QuantizeWrapper",
    "Quantizer",
    "Scheme",
    "SchemeQuantizeConfig",
    "convert_quantized",
    "export",
    "freeze_batch_norm",
    "get_scheme",
    "quantize_annotate_layer",
    "quantize_annotate_model",
    "quantize_apply",
    "quantize_model",
    "quantize_scope",
    "reestimate_batch_norm",
    "synchronize_batch_norm",
]
