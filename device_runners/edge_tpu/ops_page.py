"""The reference page of what maps to the Edge TPU, written from the rules themselves."""

from __future__ import annotations

from device_runners.edge_tpu.rule import REPLACEMENTS, Basis
from device_runners.edge_tpu.rules import RULES, SUPPORTED_OPS
from device_runners.edge_tpu.versions import LAST_VERSIONS, NEWER_VERSION_FIXES

_BASES = {
    Basis.MEASURED: "derived from the compiler's real outputs and logs",
    Basis.DOCUMENTED: "a limit that Coral documents",
    Basis.RISK: "no verdict: the operator is predicted to map, and marked as at risk",
}


def edge_tpu_ops_page() -> str:
    """``docs/edge_tpu_ops.md``: the rules by which preflight predicts what maps."""
    lines = [
        "# Ops of the Edge TPU",
        "",
        "What Edge TPU compiler 16.0 maps, as far as it can be known: `tidepool check MODEL "
        "--target edge-tpu` says for each operator of a model whether it will map, and if not, "
        "why not.",
        "The compiler makes one subgraph. What stands behind the first operator that doesn't map "
        'stays on the CPU, with the status "More than one subgraph is not supported".',
        "",
        "## Ops that map",
        "",
        ", ".join(sorted(SUPPORTED_OPS)) + ".",
        "",
        "## Rules",
        "",
        "An operator maps if it meets every rule that concerns its op. The status is the one in "
        "the compiler's own table.",
        "",
        *(f"- *{basis}*: {meaning}." for basis, meaning in _BASES.items()),
        "",
        "| op | rule | basis | status where it is broken | fix |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {', '.join(rule.opcodes) or 'all'} | {rule.message} | {rule.basis} | "
            f"{rule.status} | {rule.fix} |"
            for rule in RULES
        ),
        "",
        "## Ops that don't map, and what to use instead",
        "",
        "| op | fix |",
        "| --- | --- |",
        *(f"| {opcode} | {fix} |" for opcode, fix in sorted(REPLACEMENTS.items())),
        "",
        "## Versions",
        "",
        "The compiler refuses the whole file if its table of ops has a version newer than these "
        "(\"Didn't find op for builtin opcode\"), or an op that isn't in this table. They are the "
        "last versions of TensorFlow 2.6: every refusal seen fits that, which is an inference.",
        "",
        "| last version | ops |",
        "| --- | --- |",
        *(f"| {version} | {', '.join(ops)} |" for version, ops in _ops_by_version().items()),
        "",
        "Recent TensorFlow writes newer versions of these:",
        "",
        "| op | fix |",
        "| --- | --- |",
        *(f"| {opcode} | {fix} |" for opcode, fix in sorted(NEWER_VERSION_FIXES.items())),
    ]
    return "\n".join(lines) + "\n"


def _ops_by_version() -> dict[int, list[str]]:
    ops: dict[int, list[str]] = {}
    for opcode, version in sorted(LAST_VERSIONS.items(), key=lambda item: (item[1], item[0])):
        ops.setdefault(version, []).append(opcode)
    return ops
