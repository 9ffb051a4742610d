"""Exports: a model's sources as a library of the ecosystem that a firmware is written in.

One ecosystem is one module with a ``FORMAT``; what a code generator built goes in as a ``Package``.
"""

from device_runners.exports.layout import Format
from device_runners.exports.package import Identity, Package, Runtime, SelfTest, package_of
from device_runners.exports.registry import FORMATS
from device_runners.exports.write import Export, find_format, refuse_foreign, write_export

__all__ = [
    "FORMATS",
    "Export",
    "Format",
    "Identity",
    "Package",
    "Runtime",
    "SelfTest",
    "find_format",
    "package_of",
    "refuse_foreign",
    "write_export",
]
