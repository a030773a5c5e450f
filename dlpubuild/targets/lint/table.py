"""What is known of how an SoC takes a model, as values: the `[lint]` table of its `target.toml`.

In: nothing. Out: frozen dataclasses, every default filled in. `dlpubuild.targets.lint.load` makes them; the expressions
in them are text, and are compiled when a model is there that they are about.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

from dlpubuild.targets.gate import GateRule

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dlpubuild.targets.lint.model import Evidence, Severity
    from dlpubuild.targets.model import Soc

# `first`: one part is mapped, and what depends on an operator that it cannot take stays outside. `any`: every operator
# for itself. `none`: nothing can be said, or there is nothing to say.
Parts = Literal["first", "any", "none"]
On = Literal["operator", "input", "output", "tensor", "model"]

UNLISTED_RULE: Final = "operator-not-listed"
PARTS_RULE: Final = "too-many-parts"
SIZE_RULE: Final = "too-many-operators"
# The rules that the tool has itself, besides the gate's.
OWN_RULES: Final = frozenset({UNLISTED_RULE, PARTS_RULE, SIZE_RULE})
# The name among the sources under which the page stands that the rules of the gate are from.
GATE_SOURCE: Final = "gate"


@dataclass(frozen=True, slots=True, kw_only=True)
class LintCheck:
    """One requirement, of an operator's limit or of a rule.

    `when` and `require` are Jinja expressions, `found` is a Jinja template, all over the facts of what `on` names; an
    empty `when` is always true. `names` are the operators that it is about, none meaning all. `source` is where it is
    written, in full. An operator that breaks a limit runs on the CPU.
    """

    rule: str
    on: On
    names: tuple[str, ...]
    when: str
    require: str
    found: str
    wanted: str
    change: str
    severity: Severity
    source: str
    evidence: Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class LintOperator:
    """Operators that the DLPU takes, and within which limits."""

    names: tuple[str, ...]
    source: str
    evidence: Evidence
    limits: tuple[LintCheck, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlisted:
    """What is said of an operator that the DLPU is not known to take."""

    severity: Severity
    change: str
    source: str
    evidence: Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxParts:
    """How many parts the SoC takes at most, and who says so."""

    count: int
    source: str
    evidence: Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class LintTable:
    """All rules of one SoC.

    `file` is where they are written. `integer_only` is true where the processor computes in integers, so that a float
    operator runs on the CPU. `basis` says what a prediction of where operators run rests on; where it is empty, that
    follows from the evidence of the operators. `sha256` stands for all of the table.
    """

    soc: str
    file: Path
    processor: str
    parts: Parts
    integer_only: bool
    max_parts: MaxParts | None = None
    basis: str = ""
    sources: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    unlisted: Unlisted | None = None
    operators: tuple[LintOperator, ...] = ()
    rules: tuple[LintCheck, ...] = ()
    sha256: str = ""

    @property
    def places(self) -> bool:
        """True where it can be said where an operator runs."""
        return self.parts != "none"

    def full_id(self, rule: str) -> str:
        """Return the id of a rule as it is shown and as a manifest names it."""
        return f"{self.soc}/{rule}"

    @property
    def rule_ids(self) -> tuple[str, ...]:
        """The full id of every rule that a finding may have, sorted."""
        own = {check.rule for check in self.rules}
        own.update(limit.rule for operator in self.operators for limit in operator.limits)
        own.update(rule.value for rule in GateRule)
        own.add(SIZE_RULE)
        if self.unlisted is not None:
            own.add(UNLISTED_RULE)
        if self.max_parts is not None:
            own.add(PARTS_RULE)
        return tuple(sorted(self.full_id(rule) for rule in own))


def table_of(soc: Soc) -> LintTable:
    """Return the rules of `soc`; where its `target.toml` has none, only the gate has something to say."""
    return soc.lint or LintTable(
        soc=soc.name,
        file=soc.folder / "target.toml",
        processor="DLPU" if soc.deep_learning_processor else "CPU",
        parts="none",
        integer_only=soc.gate.integer_only,
    )
