"""The report document: what its schema says, what is in it, what makes two of them equal."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from dlpubuild.cas.digest import digest_bytes
from dlpubuild.engine.scheduler import State, StepOutcome
from dlpubuild.errors import ErrorCode, GateError, Location
from dlpubuild.manifest.load import load_manifest
from dlpubuild.package.compiled import BuiltModel
from dlpubuild.package.eap.stamp import WrittenEap
from dlpubuild.package.spec import CompilerFacts
from dlpubuild.package.stamp import WrittenPackage
from dlpubuild.package.target import PackagedTarget
from dlpubuild.plan.model import OutputOf, Plan, PlannedTarget
from dlpubuild.project.app_folder import AppFile, AppFolder
from dlpubuild.project.lock import files_digest
from dlpubuild.project.model import KnownSignature, ModelSource, Project, SampleSource, SourceFile
from dlpubuild.report.build import BuildResult, TargetResult
from dlpubuild.report.document import BuildFacts, content_key, encode_report, report_document
from dlpubuild.report.document_model import model_table
from dlpubuild.report.provenance import InputFacts, project_inputs
from dlpubuild.resources import schema_path, templates_dir
from dlpubuild.targets.lint.model import LintFinding, LintReport, Placement, Silenced
from dlpubuild.targets.load import load_socs
from dlpubuild.targets.mapping import MappedOperators, MappingReport
from dlpubuild.targets.model import Target
from dlpubuild.targets.verification import GateOutcome, Verification
from dlpubuild.tflite.read import read_model
from tests.factories.plans import make_pin, make_step
from tests.factories.report_documents import minimal_document, rich_document
from tests.factories.tflite_factory import encode, integer_model

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA = json.loads(schema_path("report").read_text("utf-8"))
MODEL = encode(integer_model(io="uint8"))
DIGEST = digest_bytes(MODEL)
SOCS = load_socs([templates_dir()], trusted=templates_dir())


# What a verifying step measured: one of a project's own may leave more.
OPEN = {"share", "interval", "scores", "output", "boxes", "layer", "alternative"}


def faults(document: Any) -> list[str]:
    return [
        f"{list(each.absolute_path)}: {each.message}" for each in Draft202012Validator(SCHEMA).iter_errors(document)
    ]


def source_file(name: str, content: bytes) -> SourceFile:
    return SourceFile(staged=name, path=Path("/nowhere") / name, name=name, digest=digest_bytes(content))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project whose model has two files and which is calibrated with one."""
    path = tmp_path / "dlpu.toml"
    path.write_text(
        'schema = 1\n[project]\nname = "toy"\nversion = "1.0.0"\n[model]\nsource = "model"\n'
        '[calibration]\ndata = "data.npy"\n[target.artpec8]\n[target.cpu]\n'
    )
    return Project(
        manifest=load_manifest(path),
        folder=path.parent,
        model=ModelSource(
            format="saved-model",
            staged="in/model",
            files=(source_file("a.pb", b"graph"), source_file("b.pb", b"weights")),
        ),
        signature=KnownSignature(),
        inputs=(),
        labels=None,
        license_text=None,
        calibration=SampleSource(kind="npy", files=(source_file("data.npy", b"123"),), indices=(0, 2), available=3),
        targets=(),
        toolchains=MappingProxyType({"test": make_pin(tmp_path / "pin", lock=b"tensorflow==2.19.1\n")}),
    )


def target(soc: str) -> Target:
    return Target(soc=SOCS[soc], quantization="per-tensor", io="uint8", toolchain="tf2", activations="auto")


def package(soc: str, **changes: Any) -> PackagedTarget:
    written = WrittenPackage(
        key="k",
        folder=Path(f"/dist/toy-1.0.0-{soc}"),
        archive=Path(f"/dist/toy-1.0.0-{soc}.tar.gz"),
        archive_digest=digest_bytes(b"archive"),
        files=(),
    )
    settings: dict[str, Any] = {
        "soc": soc,
        "package": written,
        "written": True,
        "model_bytes": DIGEST.size_bytes,
        "io": "uint8",
        "quantization": "per-tensor",
        "operators": {"CONV_2D": 1},
        "notes": ("a note",),
    }
    return PackagedTarget(**{**settings, **changes})


@pytest.fixture
def facts(tmp_path: Path, project: Project) -> BuildFacts:
    """Two SoCs made by one step that ran and one that was cached."""
    first = make_step("import", tmp_path / "steps")
    second = make_step("quantize", tmp_path / "steps", needs=["import"])
    plan = Plan(
        steps=(first, second),
        targets=tuple(
            PlannedTarget(
                target=target(soc), result=OutputOf(step="quantize", path="out/model"), steps=("import", "quantize")
            )
            for soc in ("artpec8", "cpu")
        ),
    )
    result = BuildResult(
        plan=plan,
        outcomes={
            "import": StepOutcome(state=State.CACHED, seconds=4.5678),
            "quantize": StepOutcome(state=State.RAN, seconds=0.25),
        },
        targets=tuple(
            TargetResult(soc=soc, package=package(soc), io="uint8", seconds=4.8178, ran=True, steps=2)
            for soc in ("artpec8", "cpu")
        ),
        command=("dlpubuild", "build"),
        seconds=1.23456,
    )
    built = BuiltModel(model=DIGEST)
    return BuildFacts(
        result=result,
        project=project,
        socs=SOCS,
        built={"artpec8": built, "cpu": built},
        inputs=project_inputs(project),
        executor="local",
        created_s=1_767_225_600,
        epoch_s=315_532_800,
        tables={DIGEST: model_table(read_model(MODEL))},
    )


def only(facts: BuildFacts, **changes: Any) -> BuildFacts:
    """The first target alone, changed."""
    first = replace(facts.result.targets[0], **changes)
    return replace(facts, result=replace(facts.result, targets=(first,)))


def first_target(facts: BuildFacts, **changes: Any) -> dict[str, Any]:
    """The first target of a report in which it has been changed; the report is as the schema wants it."""
    document = report_document(only(facts, **changes))
    assert faults(document) == []
    (found,) = document["targets"]
    assert isinstance(found, dict)
    return found


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def parts(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if not isinstance(schema, dict):
        return
    yield path, schema
    for name, value in {**schema.get("$defs", {}), **schema.get("properties", {})}.items():
        yield from parts(value, f"{path}.{name}")
    for value in (schema.get("items"), *schema.get("anyOf", ())):
        yield from parts(value, f"{path}[]")


def test_every_object_of_the_schema_is_closed_and_every_key_described() -> None:
    found = dict(parts(SCHEMA))
    assert len(found) > 150
    for path, part in found.items():
        for name, value in part.get("properties", {}).items():
            assert value.get("description"), f"{path}.{name}"
        if "properties" in part:
            assert part.get("additionalProperties") is False or path.split(".")[1] in OPEN, path
            assert set(part["required"]) <= set(part["properties"]), path


def test_documents_that_views_are_tried_with_are_as_the_schema_says() -> None:
    assert faults(minimal_document()) == []
    assert faults(rich_document()) == []


def test_a_build_becomes_a_document_that_its_schema_describes(facts: BuildFacts) -> None:
    document = report_document(facts)
    assert faults(document) == []
    assert json.loads(encode_report(document)) == document
    assert (document["created"], document["seconds"], document["ok"]) == ("2026-01-01T00:00:00Z", 1.235, True)
    assert document["project"]["name"] == "toy"
    assert document["project"]["manifest_sha256"] == facts.project.manifest.sha256
    assert [each["title"] for each in document["targets"]] == ["ARTPEC-8", SOCS["cpu"].title]


def test_steps_tell_how_they_went_and_what_they_need(facts: BuildFacts) -> None:
    steps = report_document(facts)["plan"]["steps"]
    assert [(each["name"], each["needs"], each["state"], each["seconds"]) for each in steps] == [
        ("import", [], "cached", 4.568),
        ("quantize", ["import"], "ran", 0.25),
    ]


def test_a_step_that_nothing_is_known_of_is_pending(facts: BuildFacts) -> None:
    cut = replace(facts, result=replace(facts.result, outcomes={}))
    assert {each["state"] for each in report_document(cut)["plan"]["steps"]} == {"pending"}


def test_figures_of_the_model_are_those_of_its_file(facts: BuildFacts) -> None:
    told = first_target(facts)
    model = read_model(MODEL)
    assert told["model"]["sha256"] == DIGEST.hash
    assert told["model"]["bytes"] == len(MODEL)
    assert [each["name"] for each in told["operators"]] == [each.name for each in model.main.operators]
    assert sum(each["macs"] for each in told["operators"]) == told["model"]["macs"] > 0
    assert [each["name"] for each in told["inputs"]] == [model.public_name(each) for each in model.inputs]
    assert {each["dtype"] for each in (*told["inputs"], *told["outputs"])} == {"uint8"}


def test_on_a_cpu_every_operator_runs_there_and_elsewhere_nothing_is_said(facts: BuildFacts) -> None:
    found = {each["soc"]: {op["runs_on"] for op in each["operators"]} for each in report_document(facts)["targets"]}
    assert found == {"artpec8": {"unknown"}, "cpu": {"cpu"}}


def test_packages_are_named_with_size_and_digest(facts: BuildFacts) -> None:
    eap = WrittenEap(key="e", path=Path("/dist/toy_1_0_0_aarch64.eap"), digest=digest_bytes(b"eap"))
    found = first_target(facts, package=package("artpec8", eap=eap))["packages"]
    assert found == [
        {"file": "toy-1.0.0-artpec8.tar.gz", "bytes": 7, "sha256": digest_bytes(b"archive").hash},
        {"file": "toy_1_0_0_aarch64.eap", "bytes": 3, "sha256": digest_bytes(b"eap").hash},
    ]


def test_lint_decides_where_operators_run_and_which_rules_they_break(facts: BuildFacts) -> None:
    finding = LintFinding(
        rule="artpec8/filters",
        severity="warning",
        subject="operator 1 CONV_2D",
        found="8 filters",
        wanted="a multiple of 6",
        change="use 6 or 12",
        source="a page",
        evidence="documented",
        operator_index=1,
        operator="CONV_2D",
        output="relu",
    )
    placement = Placement(
        processor="DLPU",
        on_dlpu=(1,),
        on_cpu=(0,),
        dlpu={"CONV_2D": 1},
        cpu={"QUANTIZE": 1},
        parts=1,
        switches=1,
        max_parts=16,
        basis="documented list",
    )
    lint = LintReport(
        soc="artpec8",
        findings=(finding, finding),
        silenced=(Silenced(rule="artpec8/kernel", reason="known", count=3),),
        placement=placement,
    )
    told = first_target(facts, lint=lint)
    assert [each["runs_on"] for each in told["operators"][:3]] == ["cpu", "dlpu", "unknown"]
    assert [each["rules"] for each in told["operators"][:2]] == [[], ["artpec8/filters"]]
    assert (told["lint"]["errors"], told["lint"]["warnings"], told["lint"]["advice"]) == (0, 2, 0)
    assert told["lint"]["silenced"] == [{"rule": "artpec8/kernel", "reason": "known", "count": 3}]
    assert told["placement"]["max_parts"] == 16


def test_a_target_that_failed_says_why_and_keeps_what_is_known(facts: BuildFacts) -> None:
    error = GateError(ErrorCode.GATE, "too little of it", hint="more", location=Location("dlpu.toml", 3, 1))
    failed = only(facts, package=None, error=error)
    told = first_target(facts, package=None, error=error)
    assert told["state"] == "failed"
    assert told["error"] == {"code": "gate", "message": "dlpu.toml:3:1: too little of it", "hint": "more"}
    assert told["model"]["sha256"] == DIGEST.hash
    assert told["packages"] == []
    assert report_document(failed)["ok"] is False


def test_a_target_of_an_soc_that_is_not_known_and_was_never_planned_can_be_told(facts: BuildFacts) -> None:
    stranger = TargetResult(soc="artpec99", error=GateError(ErrorCode.TARGET_UNAVAILABLE, "not yet"))
    document = report_document(replace(facts, result=replace(facts.result, targets=(stranger,))))
    assert faults(document) == []
    assert (document["targets"][0]["title"], document["targets"][0]["larod_device"]) == ("artpec99", None)


def test_what_a_compiler_said_is_told_and_what_it_compiled(facts: BuildFacts) -> None:
    operators = (
        MappedOperators(operator="CONV_2D", status="Mapped to Edge TPU", count=1, is_mapped=True),
        MappedOperators(operator="SOFTMAX", status="Operation not supported", count=1, is_mapped=False),
    )
    mapping = MappingReport(
        total=2,
        mapped=1,
        operators=operators,
        subgraphs=1,
        on_chip_used_bytes=100,
        on_chip_remaining_bytes=None,
        off_chip_streamed_bytes=0,
        compiler="16",
        compile_ms=None,
        first_failure="",
    )
    compiler = CompilerFacts(name="edgetpu-compiler", version="16", archive_sha256=None)
    built = BuiltModel(model=digest_bytes(b"compiled"), source=DIGEST)
    told = first_target(
        replace(facts, built={"artpec8": built}), package=package("artpec8", compiler=compiler, mapping=mapping)
    )
    assert (told["compiler"]["mapped"], told["compiler"]["total"]) == (1, 2)
    assert told["model"]["sha256"] == digest_bytes(b"compiled").hash
    assert told["model"]["uncompiled"]["sha256"] == DIGEST.hash
    assert {each["name"]: each["runs_on"] for each in told["operators"]}["CONV_2D"] == "dlpu"


def test_without_verify_it_says_so_and_with_it_there_are_gates(facts: BuildFacts) -> None:
    assert first_target(facts)["verify_note"] == "the manifest has no [verify]"
    measured = rich_document()["targets"][0]["verify"]
    document = {name: value for name, value in measured.items() if name not in ("gates", "of_uncompiled")}
    gate = GateOutcome(metric="top1", output="scene", value=float("nan"), limit=0.02, passed=False)
    told = first_target(facts, verification=Verification(document=document, gates=(gate,), of_uncompiled=True))
    assert told["verify"]["samples"] == 397
    assert told["verify"]["gates"] == [
        {"metric": "top1", "output": "scene", "value": None, "limit": 0.02, "passed": False}
    ]
    assert (told["verify"]["of_uncompiled"], told["verify_note"]) == (True, "")


def test_one_file_is_told_by_its_own_digest_and_many_by_that_of_the_lock(facts: BuildFacts) -> None:
    told = {each["kind"]: each for each in report_document(facts)["provenance"]["inputs"]}
    files = facts.project.model.files
    assert f"sha256:{told['model']['sha256']}" == files_digest(files)
    assert (told["model"]["bytes"], told["model"]["files"]) == (len(b"graph") + len(b"weights"), 2)
    assert told["calibration"]["sha256"] == digest_bytes(b"123").hash


def test_an_application_of_the_projects_own_is_told_as_its_files(facts: BuildFacts, tmp_path: Path) -> None:
    file = AppFile(path="src/main.c", source=tmp_path / "main.c", digest=digest_bytes(b"int"), executable=False)
    app = AppFolder(name="app", files=(file, replace(file, path="LICENSE")))
    found = {each.kind: each for each in project_inputs(replace(facts.project, app=app))}["application"]
    assert (found.name, [each.name for each in found.files]) == ("app", ["app/src/main.c", "app/LICENSE"])


def test_toolchains_are_told_with_the_version_of_tensorflow(facts: BuildFacts) -> None:
    (told,) = report_document(facts)["provenance"]["toolchains"]
    assert (told["name"], told["image"], told["tensorflow"]) == ("test", None, "2.19.1")


def test_times_and_the_cache_do_not_make_another_content_but_what_was_built_does(facts: BuildFacts) -> None:
    key = content_key(report_document(facts))
    later = replace(facts.result, seconds=9.0, command=("x",), outcomes={})
    assert content_key(report_document(replace(facts, result=later, created_s=2_000_000_000, executor="docker"))) == key
    other = {**facts.built, "cpu": BuiltModel(model=digest_bytes(b"other"))}
    assert content_key(report_document(replace(facts, built=other))) != key
    more = (*facts.inputs, InputFacts(kind="labels", name="labels.txt", files=[source_file("labels.txt", b"a")]))
    assert content_key(report_document(replace(facts, inputs=more))) != key


def test_a_name_that_utf8_cannot_say_does_not_stop_a_report(facts: BuildFacts) -> None:
    odd = InputFacts(kind="model", name="mod\udcffel", files=[source_file("m", b"")])
    assert b"mod?el" in encode_report(report_document(replace(facts, inputs=[odd])))
