"""The floor (roofline) of a layer: what its arithmetic alone takes on a level of instructions.

A floor counts the innermost loop of the best kernel that is known for a level, loads included, and
what requantizes and stores each result. It leaves out loads of constants, loops, calls, the
widening of inputs, borders, and rows and columns that fill no block; so no layer gets below it,
and the distance to it says what a better kernel could win. One that does get below shows that the
model here is wrong. Multiply-accumulates are counted as in the tables, taps in the padding too.

Level ``dsp`` (Cortex-M4, M7, M33):

- Convolution: three pixels by two channels, four taps: 24 multiply-accumulates in 12 SMLAD (a lane
  is 256 wA + wB: the raw word gives 256 A + B, its SXTB16 gives B), 2 SXTB16, 2 LDM of columns and
  an LDRD of weights: 17. A result takes SMMLA, SSAT, STRB, and half the SUB that makes A of a pair.
- Dense layer of one row: four channels by eight taps, 32 multiply-accumulates in 16 SMLAD,
  8 SXTB16, and 3 LDM: 27. Results as above.
- Depthwise: SMLAD with two taps of one row or column; for 3x3 six a result. A result takes SMMLA,
  SSAT, STRB. Packing of the inputs is left out.
- ADD: two LDRSB, MUL, MLA, SSAT, STRB an element.
- Average pool: LDM of four words, eight SXTAB16; a result takes a multiplication and STRB.

Level ``mve`` (Cortex-M55, M85), 16 products in a VMLADAVA:

- Convolution: two pixels by four channels: 128 multiply-accumulates in 8 VMLADAVA and 6 VLDRB.
- Dense layer of one row: eight channels: 128 in 8 VMLADAVA and 9 VLDRB.
- Depthwise: a gather of 16 inputs of one channel serves as many results as their windows fit into
  it (a 4x4 block four of 3x3), a VMLADAVA each; weights stay in registers.
- A result takes 2: 16 instructions requantize and store eight.
- ADD, 16 elements in lanes of 32 bits: 8 VLDRB, 4 VMUL, 4 VMLA, 4 VQSHRN, 2 VQMOVN, a VSTRB.
- Average pool: a gather and a VMLADAVA with ones for 16 elements; a result as above.

Level ``scalar`` (Cortex-M3; an M0+ has no SMULL and SSAT, so it takes more):

- Convolution: three MLA for four channels' multiply-accumulates (``tidepool_quads.h``). Two pixels
  by four channels, two taps: 16 multiply-accumulates in 12 MLA, 2 REV, 2 REV16, 4 LDRSB and an LDM
  of weights: 21. A result takes a quarter of the 16 that take the sums apart, an addition, SMULL,
  SSAT and STRB.
- Dense layer of one row: eight channels by two taps, 16 multiply-accumulates in 12 MLA, 4 REV,
  4 REV16, 2 LDRSB and 2 LDM: 24. Results as above.
- Where there are few taps for a result, an MLA a multiply-accumulate takes less: P inputs and C
  weights are loaded for a block of P pixels by C channels, and a result takes SMULL, SSAT, STRB.
  In the 14 registers that there are for P C sums, P inputs, a weight and two pointers the best is
  five pixels by one channel: 7 for 5. In a dense layer it is LDRSB and MLA. The lesser
  is the floor.
- Depthwise: an MLA a tap, and an LDRSB for each input that the result before hadn't.
  A result takes SMULL, SSAT, STRB.
- ADD: as on level ``dsp``, with SSAT of ARMv7-M. Average pool: LDR of a word, two AND, two ADD.

Packing two products into one SMLAL (sums 24 bits apart) would halve the MLA of an M3, and takes 4
to 7 cycles there: it is left out, as a version that wins instructions and loses cycles isn't taken.

Sources: ``docs/performance.md`` and the kernels' own comments (``conv_2d_dsp.c``,
``fully_connected_dsp.c``, ``depthwise_3x3_dsp.c``, ``tidepool_mve_pairs.h``,
``fully_connected_mve.c``); instruction sets: the Armv7-M and Armv8-M reference manuals.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from converters.tflite.graph import Graph, Operator
from converters.tflite.options import DepthwiseConv2DOptions, Pool2DOptions
from device_runners.cgen import Isa

_REGISTERS = 14
"""r0 to r12 and lr."""
_LANES = 16
"""Bytes of a vector."""
_PRODUCTS = ("BATCH_MATMUL", "CONV_2D", "TRANSPOSE_CONV")


@dataclass(frozen=True)
class Rates:
    """Instructions of a level.

    Attributes:
        convolution: For a multiply-accumulate whose operands both serve several.
        dense: For one whose weight serves no other.
        pair_result: To requantize and store a result of these.
        result: The same of a depthwise convolution.
        addition: For an element of an ADD.
        pooled: For an element that an average pool reads.
        pooled_result: For an element that it writes.
    """

    convolution: float
    dense: float
    pair_result: float
    result: float
    addition: float
    pooled: float
    pooled_result: float


def _scalar_block() -> float:
    """The least for a multiply-accumulate over all blocks that the registers hold."""
    blocks = itertools.product(range(1, _REGISTERS), repeat=2)
    fitting = [(p, c) for p, c in blocks if p * c + p + 3 <= _REGISTERS]
    return min((p * c + c + 1) / (p * c) for p, c in fitting)


RATES: Mapping[Isa, Rates] = {
    Isa.SCALAR: Rates(_scalar_block(), 2, 3, 3, 6, 5 / 4, 2),
    Isa.DSP: Rates(17 / 24, 27 / 32, 3.5, 3, 6, 9 / 16, 2),
    Isa.MVE: Rates(14 / 128, 17 / 128, 2, 2, 23 / 16, 2 / 16, 2),
}
QUADS = replace(RATES[Isa.SCALAR], convolution=21 / 16, dense=24 / 16, pair_result=8)
"""Level scalar, four products by three multiplications."""


def floor_of(graph: Graph, operator: Operator, macs: int, isa: Isa) -> float | None:
    """The least instructions that an operator's arithmetic takes.

    Args:
        graph: The graph as it is executed.
        operator: One of its operators.
        macs: Its multiply-accumulates.
        isa: The level of the core.

    Returns:
        None for operators without a model: they move bytes, or work by tables.
    """
    plain = _floor(graph, operator, macs, isa, RATES[isa])
    if isa is not Isa.SCALAR or plain is None:
        return plain
    return min(plain, _floor(graph, operator, macs, isa, QUADS) or plain)


def _floor(graph: Graph, operator: Operator, macs: int, isa: Isa, rates: Rates) -> float | None:
    results = graph.tensor(operator.outputs[0]).elements
    match operator.opcode:
        case "DEPTHWISE_CONV_2D":
            return results * (_depthwise(graph, operator, isa) + rates.result)
        case "FULLY_CONNECTED":
            weights = graph.tensor(operator.inputs[1])
            rows = graph.tensor(operator.inputs[0]).elements // weights.shape[-1]
            each = rates.dense if rows == 1 else rates.convolution
            return macs * each + results * rates.pair_result
        case "ADD":
            return results * rates.addition
        case "AVERAGE_POOL_2D":
            options = operator.options
            assert isinstance(options, Pool2DOptions)
            read = results * options.filter_height * options.filter_width
            return read * rates.pooled + results * rates.pooled_result
        case opcode if opcode in _PRODUCTS:
            return macs * rates.convolution + results * rates.pair_result
        case _:
            return None


def _depthwise(graph: Graph, operator: Operator, isa: Isa) -> float:
    """What the products of one result take."""
    options = operator.options
    assert isinstance(options, DepthwiseConv2DOptions)
    height, width = graph.tensor(operator.inputs[1]).shape[1:3]
    taps, strides = height * width, (options.stride_h, options.stride_w)
    if isa is Isa.SCALAR:
        # Side by side in a channel, results share all inputs but a stride's.
        return taps + min(taps, math.prod(strides))
    if isa is Isa.DSP:
        return min(-(-height // 2) * width, height * -(-width // 2))
    if taps > _LANES:
        return 2 * -(-taps // _LANES)
    extents = itertools.product(range(1, _LANES + 1), repeat=2)
    served = max(
        rows * columns
        for rows, columns in extents
        if ((rows - 1) * strides[0] + height) * ((columns - 1) * strides[1] + width) <= _LANES
    )
    return 1 + 1 / served
