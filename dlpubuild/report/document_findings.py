"""What was found out about a target's model, for its report: by linting, by its compiler, by running it.

In: a `LintReport`, a `MappingReport`, a `Verification`. Out: JSON values as `schemas/report.schema.json` describes
them. Nothing is read or judged here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from dlpubuild.targets.lint import record

if TYPE_CHECKING:
    from dlpubuild.package.spec import CompilerFacts
    from dlpubuild.targets.lint.model import LintReport, Placement
    from dlpubuild.targets.mapping import MappingReport
    from dlpubuild.targets.output_figures import OutputCheck
    from dlpubuild.targets.verification import Verification

_NO_VERIFY = "the manifest has no [verify]"
# A step of the project's own may leave more.
_MEASURED = (
    "schema",
    "samples",
    "labelled",
    "compared_with_float",
    "outputs",
    "boxes",
    "layers",
    "layers_note",
    "alternatives",
    "notes",
)


def placement_json(placement: Placement) -> dict[str, Any]:
    """Return where operators are expected to run; each operator says it of itself, so that indices are left out."""
    told = record.placement_json(placement)
    return {name: value for name, value in told.items() if name not in ("on_dlpu", "on_cpu")}


def lint_json(lint: LintReport) -> dict[str, Any]:
    """Return what linting found, counts first."""
    told, counts = record.report_json(lint), lint.counts
    return {
        "errors": counts["error"],
        "warnings": counts["warning"],
        "advice": counts["advice"],
        "findings": told["findings"],
        "silenced": told["silenced"],
    }


def compiler_json(compiler: CompilerFacts | None, mapping: MappingReport | None) -> dict[str, Any] | None:
    """Return what compiled a model and what it said of it; None where nothing did."""
    if compiler is None:
        return None
    told: dict[str, Any] = {"name": compiler.name, "version": compiler.version, "mapped": None, "total": None}
    if mapping is not None:
        told |= {
            "mapped": mapping.mapped,
            "total": mapping.total,
            "subgraphs": mapping.subgraphs,
            "on_chip_used_bytes": mapping.on_chip_used_bytes,
            "on_chip_remaining_bytes": mapping.on_chip_remaining_bytes,
            "off_chip_streamed_bytes": mapping.off_chip_streamed_bytes,
            "operators": [
                {"name": each.operator, "count": each.count, "mapped": each.is_mapped, "status": each.status}
                for each in mapping.operators
            ],
        }
    return told


def verify_json(verification: Verification | None) -> dict[str, Any] | None:
    """Return what verifying measured, and the gates; None where it measured nothing."""
    if verification is None or not verification.document:
        return None
    gates = [
        {
            "metric": each.metric,
            "output": each.output,
            "value": each.value if math.isfinite(each.value) else None,
            "limit": each.limit,
            "passed": each.passed,
        }
        for each in verification.gates
    ]
    told = {name: verification.document[name] for name in _MEASURED}
    return {**told, "gates": gates, "of_uncompiled": verification.of_uncompiled}


def verify_note(verification: Verification | None, check: OutputCheck | None, *, has_verify: bool) -> str:
    """Return why nothing was measured on validation data, or what was measured instead; else nothing.

    Args:
        verification: what was measured, None where nothing was.
        check: what the quantizing step looked at.
        has_verify: whether the manifest asks for verification.
    """
    if verification is not None:
        return verification.note
    if has_verify:
        return ""
    measured = "" if check is None else _measured(check)
    return f"{_NO_VERIFY}; {measured}" if measured else _NO_VERIFY


def _measured(check: OutputCheck) -> str:
    """What the quantizing step looked at, which is little: a few calibration samples."""
    told = []
    for output in check.outputs:
        found = output.integer.get(check.scheme)
        if found is not None and found.sqnr_db is not None:
            told.append(f"{output.name} {found.sqnr_db:.1f} dB SQNR")
    return f"{'; '.join(told)} on {check.samples} calibration samples" if told else ""
