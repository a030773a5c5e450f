"""The report of the example with two outputs, made by real TensorFlow: its figures, and that it stays as it is.

It is built once; an Edge TPU compiler that is a double compiles for ARTPEC-7. `test_verify` does as much for digits.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from dlpubuild.resources import schema_path
from tests.factories.every_soc import EXAMPLES, HEADS, NAME, OPEN_SOCS, only_targets, with_edgetpu
from tests.integration.conftest import Tool, tool_in

if TYPE_CHECKING:
    from collections.abc import Mapping

SOCS = ("artpec7", *OPEN_SOCS)
REPORT = f"dist/{NAME}-1.0.0-report"
SAMPLES = 100


@pytest.fixture(scope="module")
def own_tool(tmp_path_factory: pytest.TempPathFactory, shared_toolchains: Path, tf2_python: Path) -> Tool:
    """The tool with a cache that the tests of this module share, and the prepared TensorFlow."""
    tool = tool_in(tmp_path_factory.mktemp("report") / "cache", shared_toolchains, tf2_python)
    (tool.cache / "toolchains").unlink()
    return replace(tool, environ={**tool.environ, "DLPU_TOOLCHAINS": str(shared_toolchains)})


@pytest.fixture(scope="module")
def built(own_tool: Tool, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, built for four SoCs; nobody may change it."""
    project = tmp_path_factory.mktemp("report") / NAME
    shutil.copytree(EXAMPLES / NAME, project, ignore=shutil.ignore_patterns("dist", "__pycache__"))
    only_targets(project, SOCS)
    with_edgetpu(project)
    done = own_tool.run("build", cwd=project)
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == f"report: {REPORT}.html"
    return project


@pytest.fixture
def project(built: Path, tmp_path: Path) -> Path:
    """A copy of the project that was built, for tests that change it."""
    shutil.copytree(built, tmp_path / "copy")
    return tmp_path / "copy"


def report_of(project: Path) -> dict[str, Any]:
    """The report beside the packages; it is as the schema wants it."""
    document: dict[str, Any] = json.loads((project / f"{REPORT}.json").read_text("utf-8"))
    schema = json.loads(schema_path("report").read_text("utf-8"))
    assert [each.message for each in Draft202012Validator(schema).iter_errors(document)] == []
    return document


def targets_of(project: Path) -> dict[str, dict[str, Any]]:
    return {each["soc"]: each for each in report_of(project)["targets"]}


@pytest.fixture(scope="module")
def measured(own_tool: Tool, built: Path) -> Mapping[str, Any]:
    """What a script that knows nothing of dlpubuild finds in the packages."""
    script = Path(__file__).with_name("independent_figures.py")
    done = subprocess.run(
        [str(own_tool.python), str(script), str(built / "dist"), str(built / "data/validation")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_figures_of_the_report_are_those_of_an_independent_script(built: Path, measured: Mapping[str, Any]) -> None:
    targets = targets_of(built)
    assert targets.keys() == measured.keys() == set(SOCS)
    for soc, found in measured.items():
        told = targets[soc]
        bundle, eap = told["packages"]
        assert list(bundle.values()) == found["archive"]
        assert eap["bytes"] == (built / "dist" / eap["file"]).stat().st_size
        assert [told["model"]["bytes"], told["model"]["sha256"]] == found["model"]
        kept = [{name: each[name] for name in ("name", "shape", "macs")} for each in told["operators"]]
        assert kept == found["operators"]
        assert told["model"]["macs"] == sum(each["macs"] for each in found["operators"])
        for side in ("inputs", "outputs"):
            for tensor, wanted in zip(told[side], found[side], strict=True):
                assert (tensor["shape"], tensor["dtype"]) == (wanted["shape"], wanted["dtype"])
                assert tensor["zero_point"] == wanted["zero_point"]
                scale = wanted["scale"]
                assert tensor["scale"] == (None if scale is None else pytest.approx(scale, rel=1e-6))


def test_its_accuracy_is_that_of_an_independent_script(built: Path, measured: Mapping[str, Any]) -> None:
    targets = targets_of(built)
    for soc, found in measured.items():
        verify = targets[soc]["verify"]
        assert verify["samples"] == SAMPLES
        assert [each["name"] for each in verify["outputs"]] == found["heads"] == list(HEADS)
        for position, output in enumerate(verify["outputs"]):
            assert output["kind"] == "binary"
            assert output["built"]["top1"]["of"] == SAMPLES
            assert output["built"]["top1"]["count"] == found["right"][position]
            assert output["float"]["top1"]["count"] == measured["cpu"]["right"][position]
            assert output["agreement"]["count"] == found["same"][position]
            if soc != "cpu":
                assert output["sqnr_db"]["value"] == pytest.approx(found["sqnr_db"][position], abs=0.1)
                assert output["mae"]["value"] == pytest.approx(found["mae"][position], rel=0.02)
        assert verify["of_uncompiled"] == (soc == "artpec7")
        assert [each["passed"] for each in verify["gates"]] == [True] * len(verify["gates"])


def test_operators_run_where_lint_says_and_rules_name_operators(built: Path) -> None:
    for soc, told in targets_of(built).items():
        names = Counter(each["name"] for each in told["operators"])
        if soc == "cpu":
            assert {each["runs_on"] for each in told["operators"]} == {"cpu"}
            continue
        for place in ("dlpu", "cpu"):
            counted = Counter(each["name"] for each in told["operators"] if each["runs_on"] == place)
            assert dict(counted) == told["placement"][place]
        assert sum(told["placement"]["dlpu"].values()) + sum(told["placement"]["cpu"].values()) == names.total()
        findings = told["lint"]["findings"]
        counts = Counter(each["severity"] for each in findings)
        assert [counts["error"], counts["warning"], counts["advice"]] == [
            told["lint"][name] for name in ("errors", "warnings", "advice")
        ]
        for each in findings:
            if each["operator_index"] is not None:
                assert each["rule"] in told["operators"][each["operator_index"]]["rules"]


def test_a_compiled_model_is_told_with_its_compiler_and_what_it_was_made_of(built: Path) -> None:
    targets = targets_of(built)
    told = targets["artpec7"]
    assert told["compiler"]["name"] == "edgetpu-compiler"
    assert told["compiler"]["total"] == told["compiler"]["mapped"] == len(told["operators"])
    assert told["model"]["uncompiled"]["sha256"] == targets["artpec9"]["model"]["sha256"]
    assert targets["artpec9"]["model"]["uncompiled"] is None


def test_the_plan_and_what_it_was_made_of_are_told(built: Path) -> None:
    document = report_of(built)
    steps = {each["name"]: each for each in document["plan"]["steps"]}
    assert {each["state"] for each in steps.values()} == {"ran"}
    keys = {each["key"]: each["name"] for each in document["plan"]["steps"]}
    assert [keys[key] for key in steps["calibrate"]["needs"]] == ["import"]
    inputs = {each["kind"]: each for each in document["provenance"]["inputs"]}
    assert {kind: each["files"] for kind, each in inputs.items()} == {
        "manifest": 1,
        "model": 1,
        "calibration": 64,
        "validation": SAMPLES,
        "labels": 1,
        "license": 1,
    }
    for kind, path in (("model", "model/two-heads.keras"), ("manifest", "dlpu.toml"), ("license", "LICENSE")):
        done = subprocess.run(["sha256sum", path], cwd=built, capture_output=True, text=True, check=True)
        assert inputs[kind]["sha256"] == done.stdout.split()[0]
    toolchains = {each["name"]: each for each in document["provenance"]["toolchains"]}
    assert toolchains["tf2"]["tensorflow"] == "2.19.1"
    assert toolchains["edgetpu"]["tensorflow"] is None


def test_a_second_build_leaves_packages_and_report_as_they_are(own_tool: Tool, built: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (built / "dist").rglob("*")}
    again = own_tool.run("build", cwd=built)
    assert (again.code, "nothing had to run" in again.out) == (0, True)
    assert {path: path.stat().st_mtime_ns for path in (built / "dist").rglob("*")} == before


def test_a_gate_that_does_not_hold_is_told_with_all_that_was_measured(own_tool: Tool, project: Path) -> None:
    manifest = project / "dlpu.toml"
    manifest.write_text(manifest.read_text().replace("[verify]\n", "[verify]\nmin-agreement = 1.0\n"))
    done = own_tool.run("build", "--keep-going", cwd=project)
    assert done.code == 5, done.err
    targets = targets_of(project)
    assert targets["cpu"]["state"] == "cached"
    told = targets["artpec8"]
    assert (told["state"], told["packages"]) == ("failed", [])
    assert "agreement" in told["error"]["message"]
    assert {each["metric"] for each in told["verify"]["gates"] if not each["passed"]} == {"agreement"}
    assert told["operators"]
    assert told["lint"] is not None
    page = (project / f"{REPORT}.html").read_text("utf-8")
    assert "agreement" in page


def test_a_compiler_that_fails_is_told_and_what_does_not_need_it_is_built(own_tool: Tool, project: Path) -> None:
    with_edgetpu(project, manifest=False, modes=["segfault"])
    done = own_tool.run("build", "--keep-going", cwd=project)
    assert done.code == 1, done.err
    document = report_of(project)
    states = {each["soc"]: each["state"] for each in document["targets"]}
    assert states == {"artpec7": "failed", **dict.fromkeys(OPEN_SOCS, "cached")}
    assert {each["name"]: each["state"] for each in document["plan"]["steps"]}["compile"] == "failed"


def test_two_releases_are_compared_by_their_packages(own_tool: Tool, built: Path) -> None:
    old, new = (f"dist/{NAME}-1.0.0-{soc}.tar.gz" for soc in ("artpec9", "artpec8"))
    done = own_tool.run("report", "--compare", old, new, cwd=built)
    assert done.code == 0, done.err
    assert "artpec8" in done.out.lower().replace("-", "")
