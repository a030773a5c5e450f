"""The rules of an SoC's table held against a model.

In: a model and a `LintTable`. Out: a finding for each rule that is broken, at each place, and which operators of the
main subgraph the DLPU takes for themselves. A requirement that has no value for a model, because that contradicts
itself, is a finding as well: nothing is passed over in silence. What the manifest says of a rule is applied later.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

from dlpubuild.errors import ErrorCode, Location, TemplateError
from dlpubuild.targets.gate import operator_subject, tensor_subject
from dlpubuild.targets.lint.expression import FaultyExpressionError, NotTellableError, condition, phrase, shortened
from dlpubuild.targets.lint.facts import WholeModelFacts
from dlpubuild.targets.lint.model import LintFinding
from dlpubuild.targets.lint.operator_facts import OperatorFacts
from dlpubuild.targets.lint.table import UNLISTED_RULE
from dlpubuild.targets.lint.tensor_facts import MAX_NAME, SingleTensorFacts
from dlpubuild.tflite.weights import is_float, operands, used_tensors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dlpubuild.targets.lint.expression import Expression
    from dlpubuild.targets.lint.facts import FactKind
    from dlpubuild.targets.lint.model import Placement
    from dlpubuild.targets.lint.table import LintCheck, LintOperator, LintTable
    from dlpubuild.tflite.model import Operator, Subgraph, Tensor, TfliteModel

# Networks have hundreds of operators, some a few thousand; a file with more than this is damaged or an attack, and not
# worth minutes.
MAX_OPERATORS: Final = 10_000
_MAX_TENSORS: Final = 5 * MAX_OPERATORS
_KINDS: Final[Mapping[str, FactKind]] = {
    "operator": "operator",
    "input": "tensor",
    "output": "tensor",
    "tensor": "tensor",
    "model": "model",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What holds of the operators of a model; `taken` has one entry for each operator of the main subgraph."""

    findings: tuple[LintFinding, ...]
    taken: tuple[bool, ...]


def judge(model: TfliteModel, table: LintTable) -> Judgement:
    """Return the findings about operators, those of all subgraphs, and which of them the DLPU takes.

    Only the first `MAX_OPERATORS` are looked at; what comes behind them counts as not taken.

    Raises:
        TemplateError: an expression of the table is faulty.
    """
    by_name = _by_name(table)
    findings: list[LintFinding] = []
    taken: list[bool] = []
    left = MAX_OPERATORS
    for number, graph in enumerate(model.subgraphs):
        for operator in graph.operators[:left]:
            at = _Place(table=table, graph_number=number, graph=graph, operator=operator)
            facts = OperatorFacts(model, graph, operator)
            found, is_taken = _limits(at, facts, by_name)
            findings += found
            if number == 0:
                taken.append(is_taken)
            findings += (
                at.finding(check, text)
                for check in table.rules
                if check.on == "operator"
                and (not check.names or operator.label in check.names)
                and (text := broken(table, check, facts)) is not None
            )
        left = max(left - len(graph.operators), 0)
    taken += [False] * (len(model.main.operators) - len(taken))
    return Judgement(findings=tuple(findings), taken=tuple(taken))


def tensor_findings(model: TfliteModel, table: LintTable) -> Iterator[LintFinding]:
    """Yield the findings about inputs, outputs and tensors, in the order of the rules.

    Raises:
        TemplateError: an expression of the table is faulty.
    """
    for check in table.rules:
        for number, tensor in islice(_tensors(model, check), _MAX_TENSORS):
            text = broken(table, check, SingleTensorFacts(model, tensor))
            if text is not None:
                yield finding(table, check, text, subject=tensor_subject(number, tensor))


def model_findings(model: TfliteModel, table: LintTable, placement: Placement | None) -> Iterator[LintFinding]:
    """Yield the findings about all of a model.

    Raises:
        TemplateError: an expression of the table is faulty.
    """
    checks = [check for check in table.rules if check.on == "model"]
    facts = WholeModelFacts(model, placement) if checks else None
    for check in checks:
        text = broken(table, check, facts)
        if text is not None:
            yield finding(table, check, text, subject="model")


def check_expressions(table: LintTable) -> None:
    """Compile every expression of `table`, those included that no model has needed yet.

    Raises:
        TemplateError: one is faulty.
    """
    for check in (*table.rules, *(limit for operator in table.operators for limit in operator.limits)):
        for text in filter(None, (check.when, check.require)):
            _expression(table, check, text)
        _expression(table, check, check.found, is_phrase=True)


def _by_name(table: LintTable) -> Mapping[str, Sequence[LintOperator]]:
    found: dict[str, list[LintOperator]] = {}
    for entry in table.operators:
        for name in entry.names:
            found.setdefault(name, []).append(entry)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """An operator and where it stands."""

    table: LintTable
    graph_number: int
    graph: Subgraph
    operator: Operator

    def finding(self, check: LintCheck, text: str) -> LintFinding:
        return finding(self.table, check, text, subject=self.subject, **self.told)

    @property
    def subject(self) -> str:
        return operator_subject(self.graph_number, self.operator)

    @property
    def told(self) -> dict[str, object]:
        return operator_place(self.graph_number, self.graph, self.operator)


def operator_place(graph_number: int, graph: Subgraph, operator: Operator) -> dict[str, object]:
    """Return what a finding says of an operator to a program; only the main subgraph's are told by index."""
    outputs = [graph.tensors[index].name[:MAX_NAME] for index in operator.outputs if index >= 0]
    return {
        "operator_index": operator.index if graph_number == 0 else None,
        "operator": operator.label[:MAX_NAME],
        "output": outputs[0] if outputs else "",
    }


def _limits(
    at: _Place, facts: OperatorFacts, by_name: Mapping[str, Sequence[LintOperator]]
) -> tuple[list[LintFinding], bool]:
    """Return what keeps an operator off the DLPU, and whether it is taken.

    Float and custom operators are the gate's to name, where the processor computes in integers.
    """
    table, operator = at.table, at.operator
    if table.integer_only and any(is_float(tensor) for tensor in operands(at.graph, operator)):
        return [], False
    entries = by_name.get(operator.label, ())
    if not entries:
        named_by_gate = operator.is_custom and table.integer_only
        return ([] if named_by_gate else _unlisted(at)), False
    found = [
        at.finding(limit, text)
        for entry in entries
        for limit in entry.limits
        if (text := broken(table, limit, facts)) is not None
    ]
    return found, not found


def _unlisted(at: _Place) -> list[LintFinding]:
    table, said = at.table, at.table.unlisted
    if said is None:
        return []
    return [
        LintFinding(
            rule=table.full_id(UNLISTED_RULE),
            severity=said.severity,
            subject=at.subject,
            found=at.operator.label[:MAX_NAME],
            wanted=f"an operator that the {table.processor} takes",
            change=said.change,
            source=said.source,
            evidence=said.evidence,
            **at.told,  # type: ignore[arg-type] # as `operator_place` gives them
        )
    ]


def _tensors(model: TfliteModel, check: LintCheck) -> Iterator[tuple[int, Tensor]]:
    if check.on == "input":
        yield from ((0, tensor) for tensor in model.inputs)
    elif check.on == "output":
        yield from ((0, tensor) for tensor in model.outputs)
    elif check.on == "tensor":
        for number, graph in enumerate(model.subgraphs):
            yield from ((number, tensor) for tensor in used_tensors(graph))


def broken(table: LintTable, check: LintCheck, facts: object) -> str | None:
    """Return what was found where `facts` do not satisfy `check`; None where they do, or where it does not apply.

    Raises:
        TemplateError: an expression of the check is faulty.
    """
    try:
        if check.when and not _expression(table, check, check.when).of(facts):
            return None
        if _expression(table, check, check.require).of(facts):
            return None
    except NotTellableError as error:
        return shortened(f"what cannot be judged: {error}")
    try:
        return str(_expression(table, check, check.found, is_phrase=True).of(facts))
    except NotTellableError as error:
        return shortened(f"what cannot be shown: {error}")


def _expression(table: LintTable, check: LintCheck, text: str, *, is_phrase: bool = False) -> Expression:
    kind = _KINDS[check.on]
    try:
        return phrase(text, kind) if is_phrase else condition(text, kind)
    except FaultyExpressionError as error:
        raise TemplateError(
            ErrorCode.TEMPLATE,
            f'[lint]: rule "{check.rule}" cannot be used: {error}',
            hint="docs/templates.md says which facts there are; the language is that of Jinja",
            location=Location(str(table.file)),
        ) from error


def finding(table: LintTable, check: LintCheck, found: str, *, subject: str, **place: object) -> LintFinding:
    """Return the finding that `check` is broken at `subject`."""
    return LintFinding(
        rule=table.full_id(check.rule),
        severity=check.severity,
        subject=subject,
        found=found,
        wanted=check.wanted,
        change=check.change,
        source=check.source,
        evidence=check.evidence,
        **place,  # type: ignore[arg-type] # as `operator_place` gives them
    )
