from __future__ import annotations

import re

import pytest

from dlpubuild.targets.gate import GateRule
from dlpubuild.targets.lint.model import LintSettings
from dlpubuild.targets.lint.rules import check_expressions
from dlpubuild.targets.lint.run import lint_model
from dlpubuild.targets.lint.table import SIZE_RULE
from dlpubuild.tflite.read import read_model
from tests.factories.lint_breaking import BREAKING, CAUSES
from tests.factories.lint_models import clean, in_float
from tests.factories.tflite_factory import encode, float_model
from tests.unit.targets.lint.rules_of_socs import lint, own_socs

EVERY_RULE = [(soc, rule) for soc, models in BREAKING.items() for rule in models]
# What every SoC has: the gate's rules, and the one on damaged files.
COMMON = {*(rule.value for rule in GateRule), SIZE_RULE}


@pytest.mark.parametrize("soc", BREAKING)
def test_a_model_as_the_vendor_advises_breaks_no_rule(soc: str) -> None:
    model = in_float(clean()) if soc in ("cv25", "cv75") else clean()

    assert lint(model, soc).findings == ()


@pytest.mark.parametrize(("soc", "rule"), EVERY_RULE)
def test_a_model_that_breaks_a_rule_has_findings_of_that_rule_alone(soc: str, rule: str) -> None:
    silenced = (CAUSES[rule],) if rule in CAUSES else ()

    findings = lint(BREAKING[soc][rule](), soc, *silenced).findings

    assert {each.rule for each in findings} == {f"{soc}/{rule}"}


@pytest.mark.parametrize("soc", BREAKING)
def test_every_rule_of_a_table_has_a_model_that_breaks_it(soc: str) -> None:
    table = own_socs()[soc].lint
    assert table is not None

    assert {each.removeprefix(f"{soc}/") for each in table.rule_ids} - COMMON == set(BREAKING[soc])


@pytest.mark.parametrize(("soc", "rule"), EVERY_RULE)
def test_a_finding_says_what_was_found_and_where_the_rule_is_written(soc: str, rule: str) -> None:
    finding = next(each for each in lint(BREAKING[soc][rule](), soc).findings if each.rule == f"{soc}/{rule}")

    assert "what cannot be" not in finding.found
    assert finding.wanted
    assert len(finding.change) > 20
    assert re.match(r"https://(developer\.axis\.com|github\.com)/", finding.source)


@pytest.mark.parametrize("soc", BREAKING)
def test_every_expression_of_a_table_can_be_compiled(soc: str) -> None:
    table = own_socs()[soc].lint
    assert table is not None

    check_expressions(table)


@pytest.mark.parametrize("soc", BREAKING)
@pytest.mark.parametrize("weights", ["float32", "float16", "int8"])
def test_a_float_model_can_be_judged(soc: str, weights: str) -> None:
    model = read_model(encode(float_model(weights=weights)))  # type: ignore[arg-type] # each is one that it takes

    found = lint_model(model, own_socs()[soc], LintSettings()).findings

    assert not [each for each in found if "what cannot be" in each.found]
