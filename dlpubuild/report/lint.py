"""What lint found, as text and as JSON.

In: reports of one file, one for each SoC. Out: pages for a terminal, or JSON values. Findings are grouped by rule: what
to do about it is the same for all of a group. Names out of the file are escaped. Nothing is judged here.
"""

from __future__ import annotations

import textwrap
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from dlpubuild.report.text import Paint, printable
from dlpubuild.targets.lint.record import report_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dlpubuild.targets.lint.model import LintFinding, LintReport, Placement, Severity

_PLACES_SHOWN: Final = 4
_NAME_SHOWN: Final = 48
_WIDTH: Final = 100
_MIN_WIDTH: Final = 40
# For none, one, and several.
_NOUNS: Final[Mapping[Severity, tuple[str, str, str]]] = {
    "error": ("errors", "error", "errors"),
    "warning": ("warnings", "warning", "warnings"),
    "advice": ("advice", "piece of advice", "pieces of advice"),
}


def lint_text(file: str, titled: Sequence[tuple[str, LintReport]], *, colored: bool, width: int | None = None) -> str:
    """Return a page for a terminal.

    Args:
        file: the model as the user knows it.
        titled: the title of each SoC with what was found for it.
        colored: whether to use colors.
        width: columns of the terminal; None where the text goes elsewhere.
    """
    page = _Page(Paint(colored), max(min(width or _WIDTH, _WIDTH), _MIN_WIDTH))
    return "\n".join("\n".join(page.report(file, title, report)) + "\n" for title, report in titled)


def lint_json(file: str, reports: Sequence[LintReport]) -> dict[str, Any]:
    """Return what was found as JSON values; one report stands at the top, several below `targets`."""
    if len(reports) == 1:
        return {"schema": 1, "file": file, **report_json(reports[0])}
    return {"schema": 1, "file": file, "targets": [report_json(report) for report in reports]}


def counts_text(report: LintReport) -> str:
    """Return how much was found: `2 errors, 1 warning, no advice`."""
    parts = []
    for severity, (none, one, many) in _NOUNS.items():
        count = report.counts[severity]
        parts.append(f"{count} {one if count == 1 else many}" if count else f"no {none}")
    return ", ".join(parts)


class _Page:
    """Writes lines of one width."""

    def __init__(self, paint: Paint, width: int) -> None:
        self._paint = paint
        self._width = width

    def report(self, file: str, title: str, report: LintReport) -> Iterator[str]:
        yield f"{self._paint.strong(printable(file))} for {self._paint.strong(title)}"
        for key, members in groupby(sorted(report.findings, key=_group), key=_group):
            yield ""
            yield from self._rule(key[1], list(members))
        if report.placement is not None:
            yield ""
            yield from self._placement(report.placement)
        elif report.unplaced:
            yield ""
            yield from self._wrapped(f"where operators run is not known: {report.unplaced}", "")
        for each in report.silenced:
            yield ""
            times = f"{each.count} finding" if each.count == 1 else f"{each.count} findings"
            yield from self._wrapped(f"{each.rule}: {times} silenced by the manifest: {printable(each.reason)}", "")
        yield ""
        yield self._total(report)

    def _rule(self, rule: str, members: Sequence[LintFinding]) -> Iterator[str]:
        first = members[0]
        color = {"error": self._paint.bad, "warning": self._paint.warn, "advice": self._paint.good}[first.severity]
        times = f" ({len(members)})" if len(members) > 1 else ""
        yield f"{color(first.severity)} {self._paint.strong(rule)}{times}  {self._paint.dim(first.evidence)}"
        for each in members[:_PLACES_SHOWN]:
            at = f"{each.subject} -> {_short(each.output)!r}" if each.output else each.subject
            yield from self._wrapped(printable(f"{at}: {each.found}"), "  ")
        if len(members) > _PLACES_SHOWN:
            yield f"  and {len(members) - _PLACES_SHOWN} more"
        yield from self._wrapped(f"wanted: {first.wanted}", "    ")
        yield from self._wrapped(f"change: {first.change}", "    ")
        if first.reason:
            yield from self._wrapped(f"{first.severity} by the manifest: {printable(first.reason)}", "    ")
        if first.source:
            yield self._paint.dim(f"    source: {first.source}")

    def _placement(self, placement: Placement) -> Iterator[str]:
        total = len(placement.on_dlpu) + len(placement.on_cpu)
        limit = f" of at most {placement.max_parts}" if placement.max_parts is not None else ""
        switches = "switch" if placement.switches == 1 else "switches"
        parts = "part" if placement.parts == 1 and not limit else "parts"
        yield from self._wrapped(
            f"{placement.processor}: {len(placement.on_dlpu)} of {total} operators; "
            f"{placement.parts}{limit} {parts}, {placement.switches} {switches} between it and the CPU",
            "",
        )
        for where, counts in ((placement.processor, placement.dlpu), ("CPU", placement.cpu)):
            if counts:
                told = ", ".join(f"{printable(name)[:_NAME_SHOWN]} {count}" for name, count in counts.items())
                yield from self._wrapped(f"{where}: {told}", "  ")
        yield from (self._paint.dim(line) for line in self._wrapped(f"expected by: {placement.basis}", "  "))

    def _total(self, report: LintReport) -> str:
        text = counts_text(report)
        if report.counts["error"]:
            return self._paint.bad(text)
        return self._paint.warn(text) if report.counts["warning"] else self._paint.good(text)

    def _wrapped(self, text: str, indent: str) -> list[str]:
        return textwrap.wrap(
            text,
            self._width,
            initial_indent=indent,
            subsequent_indent=f"{indent}  ",
            break_long_words=False,
            break_on_hyphens=False,
        )


def _group(finding: LintFinding) -> tuple[int, str, str, str]:
    order: tuple[Severity, ...] = ("error", "warning", "advice")
    return order.index(finding.severity), finding.rule, finding.wanted, finding.change


def _short(name: str) -> str:
    """The end of a name, where names differ; converters join the names of what they fused with ";"."""
    first = name.partition(";")[0]
    return first if len(first) <= _NAME_SHOWN else f"...{first[3 - _NAME_SHOWN :]}"
