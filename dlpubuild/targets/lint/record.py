"""A `LintReport` as JSON values, and back.

In: a report, or what `report_json` made of one. Out: the other. It is what `lint --json` prints and what is remembered
of a model that was linted before, so the way back has to be exact.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from dlpubuild.targets.lint.model import LintFinding, LintReport, Placement, Silenced

if TYPE_CHECKING:
    from collections.abc import Mapping


def report_json(report: LintReport) -> dict[str, Any]:
    """Return all of `report`; `target` is the SoC."""
    placement = report.placement
    return {
        "target": report.soc,
        "counts": dict(report.counts),
        "findings": [_finding_json(each) for each in report.findings],
        "silenced": [{"rule": each.rule, "reason": each.reason, "count": each.count} for each in report.silenced],
        "placement": None if placement is None else placement_json(placement),
    }


def _finding_json(finding: LintFinding) -> dict[str, Any]:
    return {
        "rule": finding.rule,
        "severity": finding.severity,
        "subject": finding.subject,
        "operator_index": finding.operator_index,
        "operator": finding.operator,
        "output": finding.output,
        "found": finding.found,
        "wanted": finding.wanted,
        "change": finding.change,
        "source": finding.source,
        "evidence": finding.evidence,
        "reason": finding.reason,
    }


def placement_json(placement: Placement) -> dict[str, Any]:
    """Return all of `placement`; `dlpu` and `cpu` are counts by name, `on_dlpu` and `on_cpu` operator indices."""
    return {
        "processor": placement.processor,
        "dlpu": dict(placement.dlpu),
        "cpu": dict(placement.cpu),
        "on_dlpu": list(placement.on_dlpu),
        "on_cpu": list(placement.on_cpu),
        "parts": placement.parts,
        "switches": placement.switches,
        "max_parts": placement.max_parts,
        "basis": placement.basis,
    }


def report_of(document: Mapping[str, Any]) -> LintReport:
    """Return the report that `document` was made of.

    Raises:
        KeyError, TypeError: it is something else.
    """
    placement = document["placement"]
    return LintReport(
        soc=document["target"],
        findings=tuple(LintFinding(**each) for each in document["findings"]),
        silenced=tuple(Silenced(**each) for each in document["silenced"]),
        placement=None if placement is None else _placement(placement),
    )


def _placement(table: Mapping[str, Any]) -> Placement:
    return Placement(
        processor=table["processor"],
        on_dlpu=tuple(table["on_dlpu"]),
        on_cpu=tuple(table["on_cpu"]),
        dlpu=MappingProxyType(dict(table["dlpu"])),
        cpu=MappingProxyType(dict(table["cpu"])),
        parts=table["parts"],
        switches=table["switches"],
        max_parts=table["max_parts"],
        basis=table["basis"],
    )
