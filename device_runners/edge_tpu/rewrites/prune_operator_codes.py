"""Drops the entries of the operator-code table that no operator uses, and duplicates.

The compiler's TFLite looks up the whole table when it loads a file, and refuses the file for a
version that is too new even if nothing uses it. A table without such an entry stays.

Exact: an entry without an operator computes nothing.
"""

from __future__ import annotations

from dataclasses import replace

from converters.tflite.graph import Graph, OperatorCode
from device_runners.edge_tpu.rewrites.change import Change
from device_runners.edge_tpu.versions import accepts


def match(graph: Graph) -> bool:
    """Whether the compiler would refuse the file for an entry that no operator uses."""
    used = _used(graph)
    codes = graph.operator_codes
    return any(not accepts(code.opcode, code.version) for code in codes if code not in used)


def transform(graph: Graph) -> Change:
    """Leaves one entry for each op and version in use."""
    used = _used(graph)
    kept = tuple(dict.fromkeys(code for code in graph.operator_codes if code in used))
    names = [f"{code.custom_code or code.opcode} v{code.version}" for code in graph.operator_codes]
    for code in kept:
        names.remove(f"{code.custom_code or code.opcode} v{code.version}")
    return Change(replace(graph, operator_codes=kept), tuple(names))


def _used(graph: Graph) -> frozenset[OperatorCode]:
    return frozenset(OperatorCode(op.opcode, op.version, op.custom_code) for op in graph.operators)
