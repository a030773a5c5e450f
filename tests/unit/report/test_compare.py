"""What `compare` says of two reports."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from dlpubuild.report.compare import compare
from dlpubuild.report.compare_views import compare_text
from dlpubuild.resources import schema_path
from tests.factories.report_documents import minimal_document, older_document, rich_document, sha

SCHEMA = json.loads(schema_path("report-compare").read_text(encoding="utf-8"))


def changed(comparison: dict[str, Any], soc: str = "artpec8") -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in comparison["targets"] if each["soc"] == soc)
    return found


@pytest.mark.parametrize("old", [minimal_document, rich_document, older_document])
@pytest.mark.parametrize("new", [minimal_document, rich_document, older_document])
def test_a_comparison_is_what_its_schema_says(old: Any, new: Any) -> None:
    Draft202012Validator.check_schema(SCHEMA)
    Draft202012Validator(SCHEMA).validate(compare(old(), new()))


def test_a_report_beside_itself_differs_in_nothing() -> None:
    found = compare(rich_document(), rich_document())
    assert {target["change"] for target in found["targets"]} == {"same"}
    assert {row["verdict"] for target in found["targets"] for row in target["accuracy"]} == {"same"}
    assert (found["inputs"], found["toolchains"]) == ([], [])


def test_times_and_the_cache_are_no_change() -> None:
    later = rich_document()
    for target in later["targets"]:
        target["seconds"] *= 2
        if target["state"] == "ran":
            target["state"] = "cached"
    assert {target["change"] for target in compare(rich_document(), later)["targets"]} == {"same"}


def test_socs_that_come_and_go_are_named() -> None:
    found = compare(older_document(), rich_document())
    assert {target["soc"]: target["change"] for target in found["targets"]} == {
        "artpec7": "same",
        "artpec8": "changed",
        "artpec9": "same",
        "cv25": "added",
        "cv75": "same",
        "cpu": "same",
        "gone": "removed",
    }


def test_sizes_operators_settings_and_gates_are_compared() -> None:
    found = changed(compare(older_document(), rich_document()))
    figures = {row["name"]: (row["old"], row["new"], row["change"]) for row in found["figures"]}
    assert figures["model_bytes"] == (4_400_000, 4_110_000, -290_000)
    assert figures["operators"] == (140, 150, 10)
    assert figures["on_dlpu"] == (139, 139, 0)
    assert {row["name"]: row["change"] for row in found["operators"]}["CONV_2D"] == 4
    assert found["settings"] == [{"name": "quantization", "old": "per-channel", "new": "per-tensor"}]
    assert {"metric": "top1", "output": "scene", "old": False, "new": True} in found["gates"]


def test_accuracy_is_better_or_worse_only_where_the_intervals_lie_apart() -> None:
    found = {
        (row["output"], row["metric"]): row for row in changed(compare(older_document(), rich_document()))["accuracy"]
    }
    assert found["scene", "top1"]["verdict"] == "better"
    assert found["scene", "top1"]["intervals_overlap"] is False
    assert found["boxes", "mae"]["verdict"] == "worse"
    assert found["scene", "agreement"]["verdict"] == "same"

    nearly = rich_document()
    nearly["targets"][1]["verify"]["outputs"][0]["agreement"]["value"] -= 0.001
    near = {(row["output"], row["metric"]): row for row in changed(compare(rich_document(), nearly))["accuracy"]}
    assert near["scene", "agreement"]["verdict"] == "unclear"
    assert near["scene", "agreement"]["intervals_overlap"] is True


def test_findings_that_are_new_and_gone_are_told_apart_though_operators_moved() -> None:
    moved = rich_document()
    findings = moved["targets"][1]["lint"]["findings"]
    for each in findings:
        each["operator_index"] = None if each["operator_index"] is None else each["operator_index"] + 3
    gone = findings.pop()
    lint = changed(compare(rich_document(), moved))["lint"]
    assert lint["new"] == []
    assert [each["rule"] for each in lint["gone"]] == [gone["rule"]]


def test_inputs_and_toolchains_are_compared_by_digest() -> None:
    found = compare(older_document(), rich_document())
    assert [(row["kind"], row["change"]) for row in found["inputs"]] == [("model", "changed"), ("calibration", "added")]
    assert found["inputs"][0]["old"] == {"sha256": sha("keras before")}
    assert found["toolchains"][0]["name"] == "tf2"
    assert found["toolchains"][0]["old"]["tensorflow"] == "2.18.0"


def test_the_text_names_what_changed() -> None:
    shown = compare_text(compare(older_document(), rich_document()), colored=False, width=100)
    assert shown.startswith("street-objects 2.2.0 → 2.3.1\nSoCs: 1 added, 1 removed, 1 changed, 4 the same.")
    assert "+11.8 points, better" in shown
    assert "calibrate    1 min 20 s  1 min 02 s  -18.8 s" in shown
