"""Whether what was found fails a target, and what is said of the rest.

In: a `LintReport` and from which severity on it fails. Out: nothing, or a `GateError` with the findings; and notes, a
sentence each, of what does not fail. Nothing is looked up here.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final, Literal

from dlpubuild.errors import ErrorCode, GateError
from dlpubuild.manifest.wording import counted
from dlpubuild.targets.lint.model import SEVERITIES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import PurePath

    from dlpubuild.targets.lint.model import LintFinding, LintReport

FailOn = Literal["error", "warning", "never"]

_SHOWN_PER_RULE: Final = 4
_SHOWN_NOTES: Final = 3


def failing(report: LintReport, fail_on: FailOn) -> tuple[LintFinding, ...]:
    """Return the findings that are as severe as `fail_on` or more so."""
    if fail_on == "never":
        return ()
    limit = SEVERITIES.index(fail_on)
    return tuple(each for each in report.findings if SEVERITIES.index(each.severity) <= limit)


def hold_against_lint(report: LintReport, fail_on: FailOn, *, file: str | PurePath) -> None:
    """Raise where there are findings that fail the target.

    Args:
        report: what was found.
        fail_on: the least severity that fails.
        file: the model as the user knows it.

    Raises:
        GateError: there is such a finding; its text has what was found, at most four places of each rule.
    """
    found = failing(report, fail_on)
    if not found:
        return
    lines = [f"{file} is not what {report.soc} wants:"]
    for rule, group in groupby(sorted(found, key=lambda each: each.rule), key=lambda each: each.rule):
        members = list(group)
        lines.append(f"  {rule} ({len(members)}): {members[0].change}")
        lines += [f"    {each.subject}: found {each.found}, wanted {each.wanted}" for each in members[:_SHOWN_PER_RULE]]
        if len(members) > _SHOWN_PER_RULE:
            lines.append(f"    and {len(members) - _SHOWN_PER_RULE} more")
    raise GateError(
        ErrorCode.GATE,
        "\n".join(lines),
        hint="change the model as is said above, or say under [lint.rules] of the manifest why a rule does not count",
    )


def lint_notes(report: LintReport, fail_on: FailOn) -> tuple[str, ...]:
    """Return one sentence on the errors and warnings that do not fail, if there are any, with the commonest rules."""
    failed = set(map(id, failing(report, fail_on)))
    noted = [each for each in report.findings if each.severity != "advice" and id(each) not in failed]
    if not noted:
        return ()
    rules = _by_count(noted)
    shown = ", ".join(f"{rule.partition('/')[2]} ({count})" for rule, count in rules[:_SHOWN_NOTES])
    more = ", ..." if len(rules) > _SHOWN_NOTES else ""
    counts = [(severity, sum(each.severity == severity for each in noted)) for severity in SEVERITIES]
    told = " and ".join(counted(count, severity) for severity, count in counts if count)
    return (f"lint has {told}: {shown}{more}{_cpu(report)}",)


def _by_count(findings: Sequence[LintFinding]) -> list[tuple[str, int]]:
    counts: dict[str, int] = {}
    for each in findings:
        counts[each.rule] = counts.get(each.rule, 0) + 1
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _cpu(report: LintReport) -> str:
    placement = report.placement
    if placement is None or not placement.on_cpu:
        return ""
    total = len(placement.on_cpu) + len(placement.on_dlpu)
    return f"; {len(placement.on_cpu)} of {total} operators are expected on the CPU"
