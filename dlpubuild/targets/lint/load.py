"""The `[lint]` table of a `target.toml` as a `LintTable`.

In: a document that satisfies `schemas/target.schema.json`. Out: the table, with what a limit leaves out taken from its
operator, and every source in full. Expressions are not compiled here, so that commands that lint nothing do not pay
for it.
"""

from __future__ import annotations

import hashlib
import json
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from dlpubuild.errors import ErrorCode, Location, TemplateError
from dlpubuild.targets.gate import GateRule
from dlpubuild.targets.lint.table import (
    OWN_RULES,
    UNLISTED_RULE,
    LintCheck,
    LintOperator,
    LintTable,
    MaxParts,
    Unlisted,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_RESERVED = frozenset({*OWN_RULES, *(rule.value for rule in GateRule)})


def lint_table(soc: str, file: Path, table: Mapping[str, Any], *, integer_only: bool) -> LintTable:
    """Return the rules of `soc` that stand in `table`.

    Args:
        soc: name of the SoC.
        file: where the table is written.
        table: what stands under `[lint]`.
        integer_only: whether the SoC's gate takes integer models only.

    Raises:
        TemplateError: a source that is not in `[lint.sources]`, or a rule that has the name of one of the tool's own.
    """
    read = _Reader(file=file, sources=table.get("sources", {}))
    unlisted, max_parts = table.get("unlisted"), table.get("max-parts")
    return LintTable(
        soc=soc,
        file=file,
        processor=table["processor"],
        parts=table.get("parts", "any"),
        integer_only=integer_only,
        max_parts=None
        if max_parts is None
        else MaxParts(
            count=max_parts,
            source=read.source(table.get("max-parts-source", ""), "max-parts"),
            evidence=table.get("max-parts-evidence", "inferred"),
        ),
        basis=table.get("basis", ""),
        sources=MappingProxyType(dict(table.get("sources", {}))),
        unlisted=None
        if unlisted is None
        else Unlisted(
            severity=unlisted["severity"],
            change=unlisted["change"],
            source=read.source(unlisted["source"], UNLISTED_RULE),
            evidence=unlisted["evidence"],
        ),
        operators=tuple(read.operator(each) for each in table.get("operator", ())),
        rules=tuple(read.rule(each) for each in table.get("rule", ())),
        sha256=hashlib.sha256(json.dumps([table, integer_only], sort_keys=True, default=str).encode()).hexdigest(),
    )


class _Reader:
    """Reads the parts of one table."""

    def __init__(self, *, file: Path, sources: Mapping[str, str]) -> None:
        self._file = file
        self._sources = sources

    def source(self, name: str, rule: str) -> str:
        if not name:
            return ""
        if name not in self._sources:
            known = ", ".join(self._sources) or "none"
            raise self._fault(f'rule "{rule}": source "{name}" is not in [lint.sources], which has {known}')
        return self._sources[name]

    def operator(self, table: Mapping[str, Any]) -> LintOperator:
        names = tuple(table["names"])
        return LintOperator(
            names=names,
            source=self.source(table["source"], names[0]),
            evidence=table["evidence"],
            limits=tuple(self._limit({**each}, table) for each in table.get("limit", ())),
        )

    def _limit(self, table: Mapping[str, Any], operator: Mapping[str, Any]) -> LintCheck:
        inherited = {"source": operator["source"], "evidence": operator["evidence"], "severity": "warning"}
        return self._check({**inherited, **table, "on": "operator", "names": operator["names"]})

    def rule(self, table: Mapping[str, Any]) -> LintCheck:
        if table["on"] != "operator" and "names" in table:
            raise self._fault(f'rule "{table["rule"]}": names are for on = "operator" only, not "{table["on"]}"')
        return self._check(table)

    def _check(self, table: Mapping[str, Any]) -> LintCheck:
        rule = table["rule"]
        if rule in _RESERVED:
            raise self._fault(f'rule "{rule}" has the name of a rule of the tool itself')
        return LintCheck(
            rule=rule,
            on=table["on"],
            names=tuple(table.get("names", ())),
            when=table.get("when", ""),
            require=table["require"],
            found=table["found"],
            wanted=table["wanted"],
            change=table["change"],
            severity=table["severity"],
            source=self.source(table["source"], rule),
            evidence=table["evidence"],
        )

    def _fault(self, message: str) -> TemplateError:
        return TemplateError(ErrorCode.TEMPLATE, message, location=Location(str(self._file)))
