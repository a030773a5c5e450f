"""What linting a model for an SoC finds, as values.

In: nothing. Out: frozen dataclasses. `dlpubuild.targets.lint.run` makes them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Severity = Literal["error", "warning", "advice"]
# `documented`: the vendor's page says so. `measured`: seen in files or logs. `inferred`: concluded from related facts.
Evidence = Literal["documented", "measured", "inferred"]
SEVERITIES: Final[tuple[Severity, ...]] = ("error", "warning", "advice")


@dataclass(frozen=True, slots=True, kw_only=True)
class LintFinding:
    """A rule that a model breaks, at one place.

    `rule` is `<soc>/<id>`. `subject` names the place for a person (`operator 3 CONV_2D`); `operator_index`, `operator`
    and `output` (the name of its first output) say it to a program, and are None and empty where the rule is about
    something else. `found`, `wanted` and `change` (in training code) are texts, `source` is where the rule is written.
    `reason` is the manifest's, where it changed the severity.
    """

    rule: str
    severity: Severity
    subject: str
    found: str
    wanted: str
    change: str
    source: str
    evidence: Evidence
    operator_index: int | None = None
    operator: str = ""
    output: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Silenced:
    """A rule that the manifest turned off, why, and how many findings it would have had."""

    rule: str
    reason: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where each operator of the main subgraph is expected to run.

    `on_dlpu` and `on_cpu` are operator indices, sorted; `dlpu` and `cpu` the same as counts by name. `parts` counts the
    pieces that the graph falls into, `switches` how often work goes from one processor to the other. `max_parts` is how
    many the SoC takes, None where no limit is known. `basis` says what the prediction rests on.
    """

    processor: str
    on_dlpu: tuple[int, ...]
    on_cpu: tuple[int, ...]
    dlpu: Mapping[str, int]
    cpu: Mapping[str, int]
    parts: int
    switches: int
    max_parts: int | None
    basis: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LintReport:
    """All that was found in one model for one SoC; errors first, then in the order of the operators.

    `placement` is None where nothing can be said of it: the SoC's compiler is closed, or it has no DLPU. `unplaced`
    says why then, for people.
    """

    soc: str
    findings: tuple[LintFinding, ...]
    silenced: tuple[Silenced, ...] = ()
    placement: Placement | None = None
    unplaced: str = ""

    @property
    def counts(self) -> Mapping[Severity, int]:
        """How many findings there are of each severity."""
        found = Counter(each.severity for each in self.findings)
        return MappingProxyType({severity: found[severity] for severity in SEVERITIES})


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSetting:
    """What the manifest says of a rule; `off` silences it."""

    severity: Severity | Literal["off"]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LintSettings:
    """What the manifest says of linting; `rules` by full id."""

    fail_on: Literal["error", "warning", "never"] = "error"
    rules: Mapping[str, RuleSetting] = field(default_factory=lambda: MappingProxyType({}))
