"""What lint found, as a page, as JSON and as SARIF."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dlpubuild.report.lint import counts_text, lint_json, lint_text
from dlpubuild.report.sarif import sarif_log
from dlpubuild.targets.lint.model import LintReport, LintSettings, RuleSetting
from dlpubuild.targets.lint.run import lint_model
from dlpubuild.tflite.read import read_model
from tests.factories.lint_tables import head, limit, rule, toy_soc
from tests.factories.tflite_factory import custom_model, encode, integer_model

TEXT = (
    head(more="max-parts = 16")
    + limit("name != 'FULLY_CONNECTED'", found="{{ y.c }} outputs")
    + rule("y.c % 6 == 0", found="{{ y.c }} channels")
    + rule("false", on="model", name="silent")
)
SETTINGS = LintSettings(
    rules={
        "toy/silent": RuleSetting(severity="off", reason="known, and wanted"),
        "toy/a-rule": RuleSetting(severity="error", reason="our own \x1b[31mrule"),
    }
)
PAGE = """\
m.tflite for Toy

error toy/a-rule (2)  inferred
  operator 0 CONV_2D -> 'conv/relu6': 8 channels
  operator 1 FULLY_CONNECTED -> 'probabilities_int8': 10 channels
    wanted: something else
    change: change that
    error by the manifest: our own \\x1b[31mrule
    source: a page that is in print

warning toy/a-limit  measured
  operator 1 FULLY_CONNECTED -> 'probabilities_int8': 10 outputs
    wanted: another
    change: change it
    source: https://example.com/ops

Toy DLPU: 1 of 2 operators; 2 of at most 16 parts, 1 switch between it and the CPU
  Toy DLPU: CONV_2D 1
  CPU: FULLY_CONNECTED 1
  expected by: which operators the Toy DLPU takes is measured; how they group into parts is inferred
    from TensorFlow Lite's delegates

toy/silent: 1 finding silenced by the manifest: known, and wanted

2 errors, 1 warning, no advice
"""


def report(data: bytes | None = None, settings: LintSettings = SETTINGS) -> LintReport:
    return lint_model(read_model(data or encode(integer_model())), toy_soc(TEXT), settings)


def test_a_page_groups_findings_by_rule() -> None:
    assert lint_text("m.tflite", [("Toy", report())], colored=False) == PAGE


def test_a_page_fits_the_terminal_but_for_addresses() -> None:
    page = lint_text("m.tflite", [("Toy", report())], colored=False, width=60)
    assert all(len(line) <= 60 for line in page.splitlines() if "->" not in line)


def test_colors_change_nothing_but_colors() -> None:
    page = lint_text("m.tflite", [("Toy", report())], colored=True)
    assert page != PAGE
    import re

    assert re.sub(r"\x1b\[[0-9;]*m", "", page) == PAGE


def test_several_socs_have_a_page_each() -> None:
    page = lint_text("m.tflite", [("One", report()), ("Two", report())], colored=False)
    assert page == PAGE.replace("for Toy", "for One") + "\n" + PAGE.replace("for Toy", "for Two")


def test_only_some_places_of_a_rule_are_shown() -> None:
    found = report().findings[0]
    many = LintReport(soc="toy", findings=tuple(replace(found, operator_index=i) for i in range(9)))
    assert "  and 5 more\n" in lint_text("m", [("Toy", many)], colored=False)


@pytest.mark.parametrize(
    ("kept", "expected"),
    [(slice(0), "no errors, no warnings, no advice"), (slice(2, 3), "no errors, 1 warning, no advice")],
)
def test_counts(kept: slice, expected: str) -> None:
    assert counts_text(replace(report(), findings=report().findings[kept])) == expected


def test_names_out_of_the_file_cannot_steer_the_terminal() -> None:
    evil = report(encode(custom_model("\x1b]0;evil\x07")), LintSettings())
    page = lint_text("\x1b[2J.tflite", [("Toy", evil)], colored=False)
    assert "\x1b" not in page
    assert "\x07" not in page


def test_json_of_one_soc() -> None:
    document = lint_json("m.tflite", [report()])
    assert json.loads(json.dumps(document)) == document
    assert (document["schema"], document["file"], document["target"]) == (1, "m.tflite", "toy")
    assert document["counts"] == {"error": 2, "warning": 1, "advice": 0}
    assert document["silenced"] == [{"rule": "toy/silent", "reason": "known, and wanted", "count": 1}]
    assert document["findings"][2] == {
        "rule": "toy/a-limit",
        "severity": "warning",
        "subject": "operator 1 FULLY_CONNECTED",
        "operator_index": 1,
        "operator": "FULLY_CONNECTED",
        "output": "probabilities_int8",
        "found": "10 outputs",
        "wanted": "another",
        "change": "change it",
        "source": "https://example.com/ops",
        "evidence": "measured",
        "reason": "",
    }
    placement = document["placement"]
    assert (placement["dlpu"], placement["cpu"]) == ({"CONV_2D": 1}, {"FULLY_CONNECTED": 1})
    assert (placement["parts"], placement["switches"], placement["max_parts"]) == (2, 1, 16)


def test_json_of_several_socs() -> None:
    document = lint_json("m.tflite", [report(), report()])
    assert set(document) == {"schema", "file", "targets"}
    assert [each["target"] for each in document["targets"]] == ["toy", "toy"]


# SARIF 2.1.0: what its schema requires and allows of the objects that are written, by hand, as it is 150 kB long.

OBJECTS: dict[str, tuple[set[str], set[str]]] = {
    "log": ({"version", "runs"}, {"$schema"}),
    "run": ({"tool"}, {"artifacts", "columnKind", "results"}),
    "driver": ({"name"}, {"version", "rules"}),
    "rule": ({"id"}, {"shortDescription", "help", "defaultConfiguration", "helpUri", "properties"}),
    "result": ({"message"}, {"ruleId", "ruleIndex", "level", "locations", "properties", "suppressions"}),
    "location": (set(), {"physicalLocation", "logicalLocations"}),
    "logical": (set(), {"name", "kind", "fullyQualifiedName"}),
    "suppression": ({"kind"}, {"status", "justification"}),
}


def checked(name: str, table: dict[str, Any]) -> dict[str, Any]:
    required, optional = OBJECTS[name]
    assert required <= set(table) <= required | optional, name
    return table


def check_sarif(log: dict[str, Any]) -> None:
    checked("log", log)
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    checked("run", run)
    assert set(run["tool"]) == {"driver"}
    rules = checked("driver", run["tool"]["driver"])["rules"]
    assert len({each["id"] for each in rules}) == len(rules)
    for each in rules:
        checked("rule", each)
        assert each["shortDescription"]["text"]
        assert each["help"]["text"]
        assert each["defaultConfiguration"]["level"] in {"none", "note", "warning", "error"}
        assert each.get("helpUri", "https://").startswith("https://")
    assert run["columnKind"] in {"utf16CodeUnits", "unicodeCodePoints"}
    for result in run["results"]:
        checked("result", result)
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in {"none", "note", "warning", "error"}
        assert result["message"]["text"]
        for location in result["locations"]:
            checked("location", location)
            place = location["physicalLocation"]
            assert (
                place["artifactLocation"]["uri"]
                == run["artifacts"][place["artifactLocation"]["index"]]["location"]["uri"]
            )
            assert place["region"]["startLine"] >= 1
            for logical in location["logicalLocations"]:
                checked("logical", logical)
        for suppression in result.get("suppressions", ()):
            checked("suppression", suppression)
            assert suppression["kind"] in {"inSource", "external"}
            assert suppression["status"] in {"accepted", "underReview", "rejected"}


def sarif(file: str = "a b/m.tflite") -> dict[str, Any]:
    log = sarif_log(file, [(toy_soc(TEXT), report())])
    check_sarif(log)
    return log


def test_sarif_has_a_result_for_each_finding() -> None:
    (run,) = sarif()["runs"]
    assert [(each["ruleId"], each["level"]) for each in run["results"]] == [
        ("toy/a-rule", "error"),
        ("toy/a-rule", "error"),
        ("toy/a-limit", "warning"),
        ("toy/silent", "note"),
    ]
    limited = run["results"][2]
    assert limited["message"]["text"] == ("operator 1 FULLY_CONNECTED: found 10 outputs, wanted another. Change it.")
    assert limited["locations"][0]["logicalLocations"] == [
        {"name": "operator 1 FULLY_CONNECTED", "kind": "element", "fullyQualifiedName": "probabilities_int8"}
    ]


def test_sarif_keeps_a_relative_path_and_quotes_it() -> None:
    assert sarif()["runs"][0]["artifacts"][0]["location"]["uri"] == "a%20b/m.tflite"
    assert sarif(str(Path("/a b/m.tflite")))["runs"][0]["artifacts"][0]["location"]["uri"] == "file:///a%20b/m.tflite"


def test_sarif_describes_every_rule_of_the_table_with_its_source() -> None:
    rules = {each["id"]: each for each in sarif()["runs"][0]["tool"]["driver"]["rules"]}
    assert set(rules) == {"toy/a-rule", "toy/a-limit", "toy/silent"}
    assert rules["toy/a-limit"]["helpUri"] == "https://example.com/ops"
    assert rules["toy/a-limit"]["help"]["text"] == "change it\nSource: https://example.com/ops"
    # What is no address stays out of where one has to be.
    assert "helpUri" not in rules["toy/a-rule"]


def test_a_silenced_rule_is_suppressed_with_its_reason() -> None:
    (silent,) = [each for each in sarif()["runs"][0]["results"] if "suppressions" in each]
    assert silent["suppressions"] == [{"kind": "external", "status": "accepted", "justification": "known, and wanted"}]
