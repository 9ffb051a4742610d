"""The ops that the code generator supports: every module of ``ops/`` with an ``OP``."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from device_runners.cgen import ops
from device_runners.cgen.operation import Operation


@cache
def operations() -> dict[str, Operation]:
    """Opcode -> operation, in alphabetical order."""
    found = [
        importlib.import_module(f"{ops.__name__}.{module.name}").OP
        for module in pkgutil.iter_modules(ops.__path__)
    ]
    return {operation.opcode: operation for operation in sorted(found, key=lambda op: op.opcode)}


def supported_opcodes() -> str:
    """The opcodes, for messages."""
    return ", ".join(operations())
