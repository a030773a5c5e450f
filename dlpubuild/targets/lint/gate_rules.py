"""What a build would refuse, as findings of a lint.

In: a model and an SoC. Out: the gate's findings, held against what the SoC takes rather than against what one manifest
asks for. Within an integer model, a float operator is no error but runs on the CPU: that is a warning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dlpubuild.targets.gate import GateRule, ModelNeeds, gate_findings, operator_subject
from dlpubuild.targets.lint.model import LintFinding
from dlpubuild.targets.lint.rules import operator_place
from dlpubuild.targets.lint.table import GATE_SOURCE, table_of
from dlpubuild.tflite.facts import EDGETPU_OPERATOR, summarise

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dlpubuild.manifest.model import IoType
    from dlpubuild.targets.gate import GateFinding
    from dlpubuild.targets.lint.table import LintTable
    from dlpubuild.targets.model import Soc
    from dlpubuild.tflite.facts import ModelFacts, QuantizationLabel
    from dlpubuild.tflite.model import Tensor, TfliteModel

_INTEGER: Final = frozenset({"per-tensor", "per-channel"})
_IO_RULES: Final = frozenset({GateRule.INPUT_TYPE, GateRule.OUTPUT_TYPE})
# Inputs and outputs that hold indices, counts or flags.
_INDEX_TYPES: Final = frozenset({"int32", "int64", "bool"})


def refusals(model: TfliteModel, soc: Soc, table: LintTable) -> Iterator[LintFinding]:
    """Yield what a build for `soc` would refuse, in the order of the gate's rules."""
    facts = summarise(model)
    found = gate_findings(model, _needs(model, soc, table, facts))
    is_float = any(each.rule is GateRule.NOT_QUANTIZED for each in found)
    operators = {operator_subject(0, operator): operator for operator in model.main.operators}
    for each in found:
        if each.rule is GateRule.FLOAT_OPERATOR and is_float:
            continue  # said once, of the whole model
        if each.rule in _IO_RULES and each.found in soc.allowed_io:
            continue  # several types that the SoC takes, each for itself
        operator = operators.get(each.subject)
        place = operator_place(0, model.main, operator) if operator else {}
        yield _finding(each, soc, table, place)


def takes_quantization(model: TfliteModel, soc: Soc) -> bool:
    """Return whether `soc` takes a model that is quantized as this one is, or what its compiler made of one."""
    facts = summarise(model)
    return facts.quantization in _allowed(soc) if not _is_compiled(facts) else _takes_compiled(table_of(soc))


def _finding(found: GateFinding, soc: Soc, table: LintTable, place: dict[str, object]) -> LintFinding:
    runs_on_cpu = found.rule is GateRule.FLOAT_OPERATOR and soc.gate.integer_only
    return LintFinding(
        rule=table.full_id(found.rule.value),
        severity="warning" if runs_on_cpu else "error",
        subject=found.subject,
        found=found.found,
        wanted=found.wanted,
        change=found.change,
        source=table.sources.get(GATE_SOURCE, f"[gate] of {soc.name}/{table.file.name}"),
        evidence="documented",
        **place,  # type: ignore[arg-type] # as `operator_place` gives them
    )


def _needs(model: TfliteModel, soc: Soc, table: LintTable, facts: ModelFacts) -> ModelNeeds:
    """Return the needs that come nearest to what the model is, of all that the SoC takes."""
    allowed = _allowed(soc)
    wanted = facts.quantization
    if wanted not in allowed:
        wanted = next((each for each in ("per-channel", *allowed) if each in allowed), "none")
    return ModelNeeds(
        quantization=wanted,
        input_type=_io(model.inputs, soc),
        output_type=_io(model.outputs, soc),
        integer_only=soc.gate.integer_only,
        static_shapes=soc.gate.static_shapes,
        batch=soc.gate.batch,
        compiled_operator=EDGETPU_OPERATOR if _is_compiled(facts) and _takes_compiled(table) else None,
    )


def _allowed(soc: Soc) -> list[QuantizationLabel]:
    return ["per-channel" if each == "int8" else each for each in soc.allowed_quantization]


def _is_compiled(facts: ModelFacts) -> bool:
    return EDGETPU_OPERATOR in facts.custom_operators


def _takes_compiled(table: LintTable) -> bool:
    """Whether the DLPU is the one that the compiler of such files is for."""
    return any(EDGETPU_OPERATOR in operator.names for operator in table.operators)


def _io(tensors: Sequence[Tensor], soc: Soc) -> IoType:
    """Return the type that the SoC takes and the first real input or output has; else the SoC's default."""
    for tensor in tensors:
        if tensor.dtype in _INDEX_TYPES and tensor.quantization is None:
            continue
        for allowed in soc.allowed_io:
            if tensor.dtype == allowed:
                return allowed
    return soc.io_for(soc.default_quantization)
