"""The ops that the code generator supports: every module of ``ops/`` with an ``OP``."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from types import ModuleType

from device_runners.cgen import ops
from device_runners.cgen.operation import Operation


@cache
def op_modules() -> tuple[ModuleType, ...]:
    """The modules, in alphabetical order; each has an ``OP`` and a docstring for users."""
    names = sorted(module.name for module in pkgutil.iter_modules(ops.__path__))
    return tuple(importlib.import_module(f"{ops.__name__}.{name}") for name in names)


@cache
def operations() -> dict[str, Operation]:
    """Opcode -> operation, in alphabetical order."""
    found: list[Operation] = [module.OP for module in op_modules()]
    return {operation.opcode: operation for operation in sorted(found, key=lambda op: op.opcode)}


def supported_opcodes() -> str:
    """The opcodes, for messages."""
    return ", ".join(operations())
