"""What compiler 16.0 writes in the status column of its operator table."""

from __future__ import annotations

from device_runners.edge_tpu.log import MAPPED

MORE_SUBGRAPHS = "More than one subgraph is not supported"
DATA_TYPE = "Operation is working on an unsupported data type"
UNSPECIFIED = "Operation is otherwise supported, but not mapped due to some unspecified limitation"
NOT_SUPPORTED = "Operation not supported"
VERSION = "Operation version not supported"
RANK = "Tensor has unsupported rank (up to 3 innermost dimensions mapped)"
NOT_CONSTANT = "Filter, bias, or other param is not constant at compile-time"
INTERPOLATION = "Image-interpolation layer won't run precisely enough on Edge TPU"

STATUSES = (
    MAPPED,
    MORE_SUBGRAPHS,
    DATA_TYPE,
    UNSPECIFIED,
    NOT_SUPPORTED,
    VERSION,
    RANK,
    NOT_CONSTANT,
    INTERPOLATION,
)
