"""A model held against all rules of an SoC.

In: a model, an SoC, and what the manifest says of its rules. Out: a `LintReport`. Nothing is read or written here, and
nothing fails because of what is in the model.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from dlpubuild.targets.lint.gate_rules import refusals
from dlpubuild.targets.lint.model import SEVERITIES, LintFinding, LintReport, Silenced
from dlpubuild.targets.lint.placement import place_operators
from dlpubuild.targets.lint.rules import MAX_OPERATORS, judge, model_findings, tensor_findings
from dlpubuild.targets.lint.table import PARTS_RULE, SIZE_RULE, table_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dlpubuild.targets.lint.model import LintSettings, Placement
    from dlpubuild.targets.lint.table import LintTable
    from dlpubuild.targets.model import Soc
    from dlpubuild.tflite.model import TfliteModel


def lint_model(model: TfliteModel, soc: Soc, settings: LintSettings) -> LintReport:
    """Return what `soc` has against `model`, and where it is expected to run.

    All subgraphs are looked at; only the main one is placed.

    Raises:
        TemplateError: an expression of the SoC's table is faulty.
    """
    table = table_of(soc)
    judged = judge(model, table)
    placement = place_operators(model, table, judged.taken) if table.places else None
    findings = [
        *refusals(model, soc, table),
        *judged.findings,
        *_too_many_operators(model, table),
        *_too_many_parts(table, placement),
        *tensor_findings(model, table),
        *model_findings(model, table, placement),
    ]
    kept, silenced = _settled(findings, settings)
    return LintReport(
        soc=soc.name,
        findings=_sorted(kept),
        silenced=silenced,
        placement=placement,
        unplaced="" if table.places else table.basis,
    )


def _too_many_operators(model: TfliteModel, table: LintTable) -> Iterator[LintFinding]:
    count = sum(len(graph.operators) for graph in model.subgraphs)
    if count > MAX_OPERATORS:
        yield LintFinding(
            rule=table.full_id(SIZE_RULE),
            severity="warning",
            subject="model",
            found=f"{count} operators",
            wanted=f"at most {MAX_OPERATORS}: the others were not looked at, and count as the CPU's",
            change="check how this file was made: no network that a camera runs has so many",
            source="dlpubuild",
            evidence="inferred",
        )


def _too_many_parts(table: LintTable, placement: Placement | None) -> Iterator[LintFinding]:
    limit = table.max_parts
    if limit is None or placement is None or placement.parts <= limit.count:
        return
    yield LintFinding(
        rule=table.full_id(PARTS_RULE),
        severity="error",
        subject="model",
        found=f"{placement.parts} parts, {placement.switches} switches between {table.processor} and CPU",
        wanted=f"at most {limit.count} parts",
        change="replace or move to the ends of the graph what the warnings name: each such place adds two parts",
        source=limit.source,
        evidence=limit.evidence,
    )


def _settled(findings: Sequence[LintFinding], settings: LintSettings) -> tuple[list[LintFinding], tuple[Silenced, ...]]:
    """Apply what the manifest says of rules."""
    kept: list[LintFinding] = []
    off: Counter[str] = Counter()
    for each in findings:
        said = settings.rules.get(each.rule)
        if said is None:
            kept.append(each)
        elif said.severity == "off":
            off[each.rule] += 1
        else:
            kept.append(replace(each, severity=said.severity, reason=said.reason))
    return kept, tuple(
        Silenced(rule=rule, reason=settings.rules[rule].reason, count=count) for rule, count in sorted(off.items())
    )


def _sorted(findings: Sequence[LintFinding]) -> tuple[LintFinding, ...]:
    """Errors first; then by operator, what is about no operator before the first."""

    def place(each: LintFinding) -> tuple[int, int]:
        return SEVERITIES.index(each.severity), -1 if each.operator_index is None else each.operator_index

    return tuple(sorted(findings, key=place))
