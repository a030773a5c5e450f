"""What lint found as SARIF 2.1.0, for tools that show it beside the code under review.

In: a file and its reports. Out: a SARIF log as JSON values
(https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/sarif-v2.1.0-os.html). Each rule is described once; each finding is a
result at the model's file, with the operator as a logical location; a rule that the manifest silences is one result
that is suppressed, with the reason. A model has no lines: line 1 stands there because GitHub shows no result without.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from dlpubuild import __version__
from dlpubuild.report.text import printable
from dlpubuild.targets.lint.table import table_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dlpubuild.targets.lint.model import LintFinding, LintReport, Severity, Silenced
    from dlpubuild.targets.model import Soc

VERSION: Final = "2.1.0"
SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS: Final[Mapping[Severity, str]] = {"error": "error", "warning": "warning", "advice": "note"}


def sarif_log(file: str, linted: Sequence[tuple[Soc, LintReport]]) -> dict[str, Any]:
    """Return the SARIF log of what was found in `file`, a path as the user gave it."""
    rules = _Rules()
    for soc, report in linted:
        rules.add_table(soc)
        for finding in report.findings:
            rules.add_finding(finding)
        for silenced in report.silenced:
            rules.add_silenced(silenced)
    uri = _uri(file)
    results = [
        *(_result(finding, rules, uri) for _, report in linted for finding in report.findings),
        *(_suppressed(silenced, rules, uri) for _, report in linted for silenced in report.silenced),
    ]
    return {
        "$schema": SCHEMA,
        "version": VERSION,
        "runs": [
            {
                "tool": {"driver": {"name": "dlpubuild", "version": __version__, "rules": rules.descriptors}},
                "artifacts": [{"location": {"uri": uri}, "roles": ["analysisTarget"]}],
                "columnKind": "unicodeCodePoints",
                "results": results,
            }
        ],
    }


class _Rules:
    """The descriptions of rules, each once, in the order in which they came."""

    def __init__(self) -> None:
        self.descriptors: list[dict[str, Any]] = []
        self._index: dict[str, int] = {}

    def index(self, rule: str) -> int:
        return self._index[rule]

    def add_table(self, soc: Soc) -> None:
        table = table_of(soc)
        for check in (*table.rules, *(limit for each in table.operators for limit in each.limits)):
            rule = table.full_id(check.rule)
            self._add(rule, check.wanted, check.change, check.source, check.severity, check.evidence)

    def add_finding(self, finding: LintFinding) -> None:
        self._add(finding.rule, finding.wanted, finding.change, finding.source, finding.severity, finding.evidence)

    def add_silenced(self, silenced: Silenced) -> None:
        self._add(silenced.rule, silenced.rule, "", "", "warning", "")

    def _add(self, rule: str, wanted: str, change: str, source: str, severity: Severity, evidence: str) -> None:
        if rule in self._index:
            return
        self._index[rule] = len(self.descriptors)
        help_text = "\n".join(filter(None, [change, f"Source: {source}" if source else ""])) or wanted
        self.descriptors.append(
            {
                "id": rule,
                "shortDescription": {"text": wanted},
                "help": {"text": help_text},
                "defaultConfiguration": {"level": _LEVELS[severity]},
                **({"helpUri": source} if source.startswith(("https://", "http://")) and " " not in source else {}),
                "properties": {"tags": [rule.partition("/")[0]], **({"evidence": evidence} if evidence else {})},
            }
        )


def _result(finding: LintFinding, rules: _Rules, uri: str) -> dict[str, Any]:
    message = f"{finding.subject}: found {finding.found}, wanted {finding.wanted}. {_sentence(finding.change)}"
    return {
        "ruleId": finding.rule,
        "ruleIndex": rules.index(finding.rule),
        "level": _LEVELS[finding.severity],
        "message": {"text": printable(message)},
        "locations": [_location(uri, finding.subject, finding.output)],
        "properties": {
            "evidence": finding.evidence,
            **({"reason": finding.reason} if finding.reason else {}),
            **({"operatorIndex": finding.operator_index} if finding.operator_index is not None else {}),
        },
    }


def _suppressed(silenced: Silenced, rules: _Rules, uri: str) -> dict[str, Any]:
    times = "1 finding" if silenced.count == 1 else f"{silenced.count} findings"
    return {
        "ruleId": silenced.rule,
        "ruleIndex": rules.index(silenced.rule),
        "level": "note",
        "message": {"text": f"{times} of this rule, which the manifest silences."},
        "locations": [_location(uri, "model", "")],
        "suppressions": [{"kind": "external", "status": "accepted", "justification": printable(silenced.reason)}],
    }


def _sentence(text: str) -> str:
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def _location(uri: str, subject: str, output: str) -> dict[str, Any]:
    logical: dict[str, Any] = {"name": printable(subject), "kind": "element"}
    if output:
        logical["fullyQualifiedName"] = printable(output)
    return {
        "physicalLocation": {"artifactLocation": {"uri": uri, "index": 0}, "region": {"startLine": 1}},
        "logicalLocations": [logical],
    }


def _uri(file: str) -> str:
    """A relative path stays one, as code-review tools want it; an absolute one becomes a file URI."""
    path = Path(file)
    return path.as_uri() if path.is_absolute() else quote(path.as_posix().encode("utf-8", "surrogateescape"))
