"""Each rule of ARTPEC-7's table has a model that breaks it and no other."""

from __future__ import annotations

import pytest

from dlpubuild.targets.gate import GateRule
from dlpubuild.targets.lint.model import LintReport, LintSettings
from dlpubuild.targets.lint.rules import check_expressions
from dlpubuild.targets.lint.run import lint_model
from dlpubuild.targets.lint.table import SIZE_RULE
from dlpubuild.tflite.read import read_model
from dlpubuild.tflite.runtime import edgetpu_readable
from tests.factories.edgetpu_pairs import artpec7
from tests.factories.lint_artpec7 import (
    BREAKING,
    act,
    concatenation,
    const,
    convolution,
    dense,
    numbers,
    resize,
    single,
)
from tests.factories.tflite_factory import ModelSpec, OptionsSpec, encode, integer_model

STAY = {"operator-version", "no-grouped-convolution", "parameters-fit-on-chip", "per-channel-advised"}


def lint(spec: ModelSpec) -> LintReport:
    return lint_model(read_model(encode(spec)), artpec7(), LintSettings())


def rules(report: LintReport) -> set[str]:
    return {finding.rule.removeprefix("artpec7/") for finding in report.findings}


def test_every_expression_of_the_table_compiles() -> None:
    table = artpec7().lint
    assert table is not None
    check_expressions(table)


def test_every_rule_of_the_table_has_a_model_that_breaks_it() -> None:
    table = artpec7().lint
    assert table is not None
    own = {rule.removeprefix("artpec7/") for rule in table.rule_ids} - {*(rule.value for rule in GateRule), SIZE_RULE}
    assert {key.split(maxsplit=1)[0] for key in BREAKING} == own


@pytest.mark.parametrize("key", BREAKING)
def test_a_model_made_to_break_a_rule_breaks_it_alone(key: str) -> None:
    report = lint(BREAKING[key]())
    rule = key.split(maxsplit=1)[0]
    assert rules(report) == {rule}
    for finding in report.findings:
        assert "cannot be" not in finding.found
        assert finding.found
        assert finding.source.startswith("https://")
    assert report.placement is not None
    assert bool(report.placement.on_cpu) == (rule not in STAY)


@pytest.mark.parametrize("key", BREAKING)
def test_what_breaks_a_rule_is_told_once(key: str) -> None:
    assert len(lint(BREAKING[key]()).findings) == 1


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(integer_model(per_channel=True), id="convolution and dense"),
        pytest.param(integer_model(per_channel=True, io="uint8"), id="uint8 in and out"),
        pytest.param(convolution(), id="convolution"),
        pytest.param(concatenation(act((1, 4, 4, 4)), const((1, 4, 4, 4), fill=0)), id="zero padding"),
        pytest.param(dense((1, 8), 65535), id="65,535 outputs"),
        pytest.param(single("SOFTMAX", (act((1, 16000)),), act((1, 16000))), id="16,000 classes"),
        pytest.param(resize("RESIZE_BILINEAR", (1, 24, 24, 24), (1, 48, 48, 24)), id="twice the size"),
        pytest.param(
            single(
                "SPLIT",
                (numbers(0, shape=()), act((1, 4, 4, 8))),
                act((1, 4, 4, 8)),
                OptionsSpec(union_type=35, fields=((0, "int32", 1),)),
            ),
            id="a split of the batch into one",
        ),
        pytest.param(single("SQUEEZE", (act((1, 1, 5, 10)),), act((5, 10))), id="leading ones"),
    ],
)
def test_what_keeps_to_the_limits_is_mapped_without_a_word(spec: ModelSpec) -> None:
    report = lint(spec)
    assert rules(report) == set()
    assert report.placement is not None
    assert report.placement.on_cpu == ()


def test_float_inputs_and_outputs_leave_their_conversion_on_the_cpu() -> None:
    report = lint(integer_model(per_channel=True, io="float32"))
    assert report.placement is not None
    assert dict(report.placement.cpu) == {"DEQUANTIZE": 1, "QUANTIZE": 1}
    assert all(finding.severity == "warning" for finding in report.findings)


def test_an_operator_version_is_an_error_wherever_the_compiler_is_expected_not_to_read_it() -> None:
    model = read_model(encode(BREAKING["operator-version"]()))
    assert [each.operator for each in edgetpu_readable(model)] == ["QUANTIZE"]
    (finding,) = lint(BREAKING["operator-version"]()).findings
    assert (finding.severity, finding.found) == ("error", "version 3, which came with TensorFlow 2.7.0")
