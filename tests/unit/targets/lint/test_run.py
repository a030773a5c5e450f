"""A model held against the rules of a made-up SoC."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dlpubuild.errors import ErrorCode, ExitCode, TemplateError
from dlpubuild.targets.lint.model import LintReport, LintSettings, RuleSetting
from dlpubuild.targets.lint.placement import place
from dlpubuild.targets.lint.record import report_json, report_of
from dlpubuild.targets.lint.rules import check_expressions
from dlpubuild.targets.lint.run import lint_model
from dlpubuild.tflite.read import read_model
from tests.factories.lint_tables import head, limit, rule, table_of_toml, toy_soc
from tests.factories.tflite_factory import (
    GraphSpec,
    ModelSpec,
    OperatorSpec,
    TensorSpec,
    custom_model,
    encode,
    float_model,
    integer_model,
    with_dynamic_batch,
    with_graph,
)

INTEGER = integer_model()


def lint(spec: ModelSpec, text: str, settings: LintSettings | None = None) -> LintReport:
    return lint_model(read_model(encode(spec)), toy_soc(text), settings or LintSettings())


def rules(report: LintReport) -> list[str]:
    return [each.rule for each in report.findings]


def chain(*names: str, dtype: str = "int8") -> ModelSpec:
    """Return a model of one operator after the other."""
    scales = () if dtype.startswith("float") else (0.5,)
    tensors = tuple(TensorSpec(name=f"t{i}", shape=(1, 4), dtype=dtype, scales=scales) for i in range(len(names) + 1))
    operators = tuple(OperatorSpec(name=name, inputs=(i,), outputs=(i + 1,)) for i, name in enumerate(names))
    return ModelSpec(
        graphs=(GraphSpec(tensors=tensors, operators=operators, inputs=(0,), outputs=(len(names),)),),
    )


def test_a_model_of_listed_operators_within_their_limits_runs_on_the_dlpu() -> None:
    report = lint(INTEGER, head() + limit("y.c > 0"))
    assert report.findings == ()
    placement = report.placement
    assert placement is not None
    assert (dict(placement.dlpu), dict(placement.cpu)) == ({"CONV_2D": 1, "FULLY_CONNECTED": 1}, {})
    assert (placement.on_dlpu, placement.on_cpu, placement.parts, placement.switches) == ((0, 1), (), 1, 0)
    assert placement.processor == "Toy DLPU"
    assert "measured" in placement.basis


def test_a_broken_limit_is_a_warning_and_moves_the_operator() -> None:
    report = lint(INTEGER, head() + limit("name != 'CONV_2D'", rule="no-conv", found="{{ y.c }} of {{ kernel_h }}"))
    (found,) = report.findings
    assert (found.rule, found.severity, found.found) == ("toy/no-conv", "warning", "8 of 3")
    assert (found.operator_index, found.operator, found.output) == (0, "CONV_2D", "conv/relu6")
    assert (found.subject, found.wanted, found.change) == ("operator 0 CONV_2D", "another", "change it")
    # As the operators have it, because the limit does not say otherwise.
    assert (found.source, found.evidence) == ("https://example.com/ops", "measured")
    assert report.placement is not None
    assert report.placement.on_cpu == (0,)
    assert report.placement.parts == 2


def test_a_broken_rule_moves_nothing() -> None:
    report = lint(INTEGER, head() + rule("y.c % 6 == 0", more='names = ["CONV_2D"]'))
    (found,) = report.findings
    assert (found.rule, found.severity, found.source, found.evidence) == (
        "toy/a-rule", "advice", "a page that is in print", "inferred",
    )  # fmt: skip
    assert report.placement is not None
    assert report.placement.on_cpu == ()


def test_an_operator_that_no_list_names_runs_on_the_cpu() -> None:
    report = lint(chain("ADD", "SOFTMAX", "ADD"), head())
    (found,) = report.findings
    assert (found.rule, found.subject, found.found) == (
        "toy/operator-not-listed", "operator 1 SOFTMAX", "SOFTMAX",
    )  # fmt: skip
    assert report.placement is not None
    assert (report.placement.on_cpu, report.placement.parts, report.placement.switches) == ((1,), 3, 2)


def test_where_one_part_is_mapped_all_behind_the_first_refused_operator_runs_on_the_cpu() -> None:
    report = lint(chain("ADD", "SOFTMAX", "ADD"), head(parts="first"))
    assert len(report.findings) == 1
    assert report.placement is not None
    assert (report.placement.on_cpu, report.placement.parts, report.placement.switches) == ((1, 2), 2, 1)


def test_where_nothing_is_known_of_places_nothing_is_placed() -> None:
    report = lint(chain("ADD", "SOFTMAX"), head(parts="none"))
    assert report.placement is None
    assert rules(report) == ["toy/operator-not-listed"]


def test_more_parts_than_the_soc_takes_are_an_error() -> None:
    text = head(more='max-parts = 2\nmax-parts-source = "ops"\nmax-parts-evidence = "measured"')
    report = lint(chain("ADD", "SOFTMAX", "ADD"), text)
    found = report.findings[0]
    assert (found.rule, found.severity, found.evidence) == ("toy/too-many-parts", "error", "measured")
    assert found.found == "3 parts, 2 switches between Toy DLPU and CPU"
    assert lint(chain("ADD", "SOFTMAX"), text).counts["error"] == 0


def test_several_entries_that_name_an_operator_all_count() -> None:
    more = '\n[[operator]]\nnames = ["ADD"]\nsource = "ops"\nevidence = "inferred"\n' + limit("false", rule="never")
    assert rules(lint(chain("ADD"), head() + limit("true") + more)) == ["toy/never"]


def test_when_says_where_a_rule_applies() -> None:
    names = rule("false", more='when = "w is not none and kernel_h == 3"')
    assert [each.operator_index for each in lint(INTEGER, head() + names).findings] == [0]


@pytest.mark.parametrize(
    ("on", "subjects"),
    [
        ("input", ["tensor 0 'image_int8'"]),
        ("output", ["tensor 6 'probabilities_int8'"]),
        ("model", ["model"]),
    ],
)
def test_a_rule_looks_at_what_on_says(on: str, subjects: list[str]) -> None:
    report = lint(INTEGER, head() + rule("false", on=on))
    assert [each.subject for each in report.findings] == subjects
    assert all(each.operator_index is None for each in report.findings)


def test_a_rule_on_tensors_looks_at_each_in_use_once() -> None:
    spec = with_graph(INTEGER, tensors=(*INTEGER.graphs[0].tensors, TensorSpec(name="unused", shape=(1,))))
    assert len(lint(spec, head() + rule("false", on="tensor")).findings) == 7


def test_a_rule_on_the_model_sees_where_operators_run() -> None:
    text = head() + rule(
        "model.cpu_operators == 0",
        on="model",
        found="{{ model.dlpu_operators }} {{ model.cpu_operators }} {{ model.parts }} {{ model.switches }} "
        "{{ model.operators['ADD'] }} {{ model.quantization }}",
    )
    (found,) = [each for each in lint(chain("ADD", "SOFTMAX", "ADD"), text).findings if each.rule == "toy/a-rule"]
    assert found.found == "2 1 3 2 2 per-tensor"


def test_findings_stand_by_severity_and_then_by_operator() -> None:
    text = (
        head()
        + rule("false", name="of-all", severity="warning")
        + rule("false", on="model", name="of-model", severity="warning")
        + rule("false", name="z", severity="error")
    )
    report = lint(INTEGER, text)
    assert [(each.rule, each.operator_index) for each in report.findings] == [
        ("toy/z", 0),
        ("toy/z", 1),
        ("toy/of-model", None),
        ("toy/of-all", 0),
        ("toy/of-all", 1),
    ]


# What the gate refuses.


def test_a_float_model_is_one_error_where_integers_are_needed() -> None:
    report = lint(float_model(), head())
    assert rules(report) == ["toy/not-quantized"]
    assert report.placement is not None
    assert report.placement.on_dlpu == ()


def test_a_float_operator_within_an_integer_model_is_a_warning_and_runs_on_the_cpu() -> None:
    spec = integer_model(io="float32")
    tensors = (*spec.graphs[0].tensors, TensorSpec(name="twice", shape=(1, 10), dtype="float32"))
    operators = (*spec.graphs[0].operators, OperatorSpec(name="ADD", inputs=(8, 8), outputs=(9,)))
    report = lint(with_graph(spec, tensors=tensors, operators=operators, outputs=(9,)), head() + limit("true"))
    found = [each for each in report.findings if each.rule == "toy/float-operator"]
    assert [(each.severity, each.operator, each.operator_index) for each in found] == [
        ("warning", "DEQUANTIZE", 3), ("warning", "ADD", 4),
    ]  # fmt: skip
    assert rules(report) == ["toy/float-operator"] * 2
    assert report.placement is not None
    assert report.placement.on_cpu == (0, 3, 4)


def test_float_inputs_and_outputs_of_an_integer_model_are_no_fault() -> None:
    report = lint(integer_model(io="float32"), head())
    assert report.findings == ()
    assert report.placement is not None
    assert dict(report.placement.cpu) == {"DEQUANTIZE": 1, "QUANTIZE": 1}


@pytest.mark.parametrize(("code", "expected"), [("FlexErf", "flex-operator"), ("Mine", "custom-operator")])
def test_an_operator_that_no_camera_has_is_an_error_at_its_index(code: str, expected: str) -> None:
    (found,) = lint(custom_model(code), head()).findings
    assert (found.rule, found.severity, found.operator_index, found.operator) == (f"toy/{expected}", "error", 2, code)


def test_dynamic_sizes_are_errors() -> None:
    report = lint(with_dynamic_batch(INTEGER), head())
    assert set(rules(report)) == {"toy/dynamic-shape"}
    assert report.counts["error"] == 3


def test_what_the_gate_refuses_names_the_page_that_the_table_gives() -> None:
    text = head().replace("[sources]", '[sources]\ngate = "https://example.com/gate"')
    assert lint(float_model(), text).findings[0].source == "https://example.com/gate"


# The manifest.


def test_a_silenced_rule_is_counted_and_not_shown() -> None:
    settings = LintSettings(rules={"toy/a-rule": RuleSetting(severity="off", reason="as it is")})
    report = lint(INTEGER, head() + rule("false"), settings)
    assert report.findings == ()
    assert [(each.rule, each.reason, each.count) for each in report.silenced] == [("toy/a-rule", "as it is", 2)]


def test_a_rule_that_counts_more_says_why() -> None:
    settings = LintSettings(rules={"toy/a-rule": RuleSetting(severity="error", reason="we need it")})
    report = lint(INTEGER, head() + rule("false"), settings)
    assert {(each.severity, each.reason) for each in report.findings} == {("error", "we need it")}


# Several subgraphs.


def test_every_subgraph_is_looked_at_and_only_the_main_one_is_placed() -> None:
    other = chain("SOFTMAX").graphs[0]
    spec = replace(INTEGER, graphs=(*INTEGER.graphs, other))
    report = lint(spec, head())
    (found,) = report.findings
    assert (found.subject, found.operator_index) == ("operator 0 SOFTMAX of subgraph 1", None)
    assert report.placement is not None
    assert dict(report.placement.dlpu) == {"CONV_2D": 1, "FULLY_CONNECTED": 1}


# What cannot be told.


def test_a_requirement_without_a_value_is_a_finding() -> None:
    (found,) = lint(chain("ADD"), head() + limit("x.shape[7] == 1")).findings
    assert found.found.startswith("what cannot be judged: ")


def test_a_template_without_a_value_does_not_hide_the_finding() -> None:
    (found,) = lint(chain("ADD"), head() + limit("false", found="{{ 1 // 0 }}")).findings
    assert found.found.startswith("what cannot be shown: ")


def test_names_out_of_the_file_are_shortened_and_cannot_steer_a_terminal() -> None:
    spec = chain("ADD")
    tensors = (replace(spec.graphs[0].tensors[0], name="\x1b[31mred" * 1000), *spec.graphs[0].tensors[1:])
    (found,) = lint(
        with_graph(spec, tensors=tensors), head() + limit("false", found="{{ x.name }} {{ x.name }}")
    ).findings
    assert found.found.isprintable()
    assert len(found.found) < 2000


# Faulty tables.


@pytest.mark.parametrize(
    "text",
    [
        limit("y.c >"),
        limit("nothing_like_it == 1"),
        limit("nothing_like_it"),
        limit("op.no_such_option"),
        limit("y.c == 1 y"),
        limit(""),
        limit("y.colour == 1"),
        limit("op.no_such_option == 1"),
        limit("y.__class__ == 1"),
        limit("y.c | no_such_filter"),
        limit("y.c is no_such_test"),
        limit("false", found="{{ y.colour }}"),
        limit("false", found="{{ y.c"),
        limit("false", found="{% for %}"),
        rule("y.c == 1", on="input"),
        rule("t.c == 1", on="model"),
        rule("model.colour == 1", on="model"),
        rule("range(10) | length > 3"),
        rule("true", more='when = "= 1"'),
    ],
)
def test_a_faulty_expression_is_an_error_that_names_file_and_rule(text: str) -> None:
    with pytest.raises(TemplateError) as caught:
        lint(INTEGER, head() + text)
    error = caught.value
    assert (error.code, error.exit_code) == (ErrorCode.TEMPLATE, ExitCode.USAGE)
    assert "toy/target.toml" in str(error)
    assert '"a-' in error.message


def test_expressions_that_no_model_needs_can_be_checked_too() -> None:
    table = table_of_toml(head() + limit("true") + rule("false", found="{{ nothing }}", more='names = ["LSTM"]'))
    with pytest.raises(TemplateError, match="nothing"):
        check_expressions(table)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (head().replace('source = "ops"', 'source = "elsewhere"', 1), "elsewhere"),
        (head() + rule("true", name="batch-size"), "of the tool itself"),
        (head() + rule("true", name="operator-not-listed"), "of the tool itself"),
        (head() + rule("true", on="model", more='names = ["ADD"]'), "names are for"),
        (head(more='max-parts = 3\nmax-parts-source = "x"'), "max-parts"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(text: str, message: str) -> None:
    with pytest.raises(TemplateError, match=message) as caught:
        table_of_toml(text)
    assert caught.value.exit_code == ExitCode.USAGE


# Values.


def test_json_is_exact_both_ways() -> None:
    settings = LintSettings(rules={"toy/a-rule": RuleSetting(severity="off", reason="x")})
    for text in (head(), head(parts="none"), head(more="max-parts = 1")):
        report = lint(chain("ADD", "SOFTMAX"), text + rule("false") + rule("false", name="b", on="model"), settings)
        assert report_of(report_json(report)) == report


def test_place_says_the_same_as_lint() -> None:
    text = head() + limit("name != 'CONV_2D'")
    assert place(read_model(encode(INTEGER)), table_of_toml(text)) == lint(INTEGER, text).placement


def test_tables_that_differ_have_another_digest() -> None:
    digests = {
        table_of_toml(head()).sha256,
        table_of_toml(head() + limit("true")).sha256,
        table_of_toml(head(), integer_only=False).sha256,
    }
    assert len(digests) == 3
    assert table_of_toml(head()).sha256 in digests


def test_the_rules_of_a_table_have_the_socs_name_before_them() -> None:
    ids = table_of_toml(head(more="max-parts = 3") + limit("true") + rule("true")).rule_ids
    assert {"toy/a-limit", "toy/a-rule", "toy/operator-not-listed", "toy/too-many-parts", "toy/batch-size"} <= set(ids)
    assert list(ids) == sorted(ids)
