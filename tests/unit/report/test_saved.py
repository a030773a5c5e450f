"""Reports read from files of any origin: good ones are taken, all others are a clear fault."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from dlpubuild.cas.digest import digest_bytes
from dlpubuild.errors import DlpuError, ErrorCode, UsageError
from dlpubuild.package.bundle import write_bundle
from dlpubuild.package.description import describe_tflite
from dlpubuild.package.spec import BundleSpec
from dlpubuild.report.saved import MAX_REPORT_BYTES, find_report, read_report
from dlpubuild.resources import schema_path
from dlpubuild.tflite.facts import summarise
from dlpubuild.tflite.read import read_model
from tests.factories.report_documents import minimal_document, rich_document
from tests.factories.tflite_factory import encode, integer_model
from tests.unit.package.specs import make_spec

if TYPE_CHECKING:
    from pathlib import Path

MODEL = encode(integer_model(io="uint8"))


def saved(folder: Path, document: Any, name: str = "toy-1.0.0-report.json") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


@pytest.mark.parametrize("document", [minimal_document(), rich_document()], ids=["minimal", "rich"])
def test_a_report_is_read_as_it_is(tmp_path: Path, document: dict[str, Any]) -> None:
    path = saved(tmp_path, document)
    assert read_report(path) == document
    assert find_report(path) == find_report(tmp_path) == document


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "not JSON"),
        ('{"schema": 1, "to', "not JSON"),
        ("[" * 200_000, "not JSON"),
        ("{}", "no report"),
        ("[]", "no report"),
        ("null", "no report"),
        ('{"schema": 1, "soc": {}, "model": {}}', "no report"),
        ('{"schema": 99, "tool": {"version": "9.0"}, "targets": []}', "by dlpubuild 9.0 in version 99"),
        ('{"schema": 99, "tool": 3, "targets": []}', "in version 99"),
        ('{"schema": "1", "tool": {}, "targets": []}', "not as a report has to be"),
        ('{"schema": 1, "tool": {}, "targets": NaN}', "not JSON"),
        ('{"schema": 1, "tool": {}, "targets": 1e999}', "not JSON"),
        (f'{{"schema": 1{"0" * 5000}, "tool": {{}}, "targets": []}}', "not JSON"),
    ],
)
def test_what_is_no_report_is_told(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_report(saved(tmp_path, text))
    assert caught.value.code is ErrorCode.PATH_KIND
    assert told in caught.value.message
    assert str(tmp_path) in str(caught.value)


def test_a_fault_inside_is_told_with_its_place(tmp_path: Path) -> None:
    document = rich_document()
    document["targets"][1]["model"]["bytes"] = "<script>" * 1000
    del document["plan"]["steps"][0]["needs"]
    with pytest.raises(UsageError) as caught:
        read_report(saved(tmp_path, document))
    assert "plan.steps.0: 'needs' is a required property" in caught.value.message
    assert len(caught.value.message) < 1000


def test_a_huge_file_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "huge.json"
    with path.open("wb") as stream:
        stream.truncate(MAX_REPORT_BYTES + 1)
    with pytest.raises(UsageError, match="larger than 64 MiB"):
        read_report(path)


def test_a_file_or_a_report_in_a_folder_that_is_not_there_is_missing(tmp_path: Path) -> None:
    for path in (tmp_path / "no.json", tmp_path):
        with pytest.raises(UsageError) as caught:
            find_report(path)
        assert caught.value.code is ErrorCode.PATH_MISSING


def test_a_folder_with_several_reports_is_not_guessed_about(tmp_path: Path) -> None:
    saved(tmp_path, minimal_document())
    saved(tmp_path, minimal_document(), "toy-1.1.0-report.json")
    with pytest.raises(UsageError, match=r"toy-1\.0\.0-report\.json, toy-1\.1\.0-report\.json"):
        find_report(tmp_path)


@pytest.mark.parametrize("suffix", [".html", ".md"])
def test_of_a_view_the_json_is_asked_for(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(UsageError, match=r"the \.json beside it"):
        find_report(saved(tmp_path, "<p>", f"toy-1.0.0-report{suffix}"))


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """The archive of a bundle with a real model."""
    request = make_spec(tmp_path / "blob").request
    (tmp_path / "model").write_bytes(MODEL)
    request = replace(request, model_path=tmp_path / "model", model_digest=digest_bytes(MODEL), preprocessing=())
    model = read_model(MODEL)
    spec = BundleSpec(request=request, model=describe_tflite(model, summarise(model)))
    return write_bundle(spec, tmp_path / "dist").archive


def test_a_bundle_becomes_a_report_of_one_target(bundle: Path) -> None:
    document = find_report(bundle)
    schema = json.loads(schema_path("report").read_text("utf-8"))
    assert [each.message for each in Draft202012Validator(schema).iter_errors(document)] == []
    (target,) = document["targets"]
    assert target["model"]["sha256"] == digest_bytes(MODEL).hash
    assert target["packages"] == [
        {
            "file": bundle.name,
            "bytes": bundle.stat().st_size,
            "sha256": digest_bytes(bundle.read_bytes()).hash,
        }
    ]
    assert sum(each["macs"] for each in target["operators"]) == target["model"]["macs"]
    assert (document["created"], document["plan"]["steps"]) == (None, [])


def test_the_folder_of_a_bundle_is_one_as_well(bundle: Path) -> None:
    folder = bundle.with_name(bundle.name.removesuffix(".tar.gz"))
    of_folder, of_archive = (find_report(path)["targets"][0] for path in (folder, bundle))
    assert {**of_folder, "packages": []} == {**of_archive, "packages": []}


def test_a_bundle_whose_model_is_another_is_refused(bundle: Path) -> None:
    folder = bundle.with_name(bundle.name.removesuffix(".tar.gz"))
    (folder / "model/model.tflite").write_bytes(encode(integer_model()))
    with pytest.raises(DlpuError, match=r"not the file that its model\.json names"):
        find_report(folder)


def test_a_bundle_that_was_cut_off_or_garbled_is_a_fault(bundle: Path) -> None:
    whole = bundle.read_bytes()
    for content in (b"", whole[: len(whole) // 2], b"\x1f\x8b" + whole[10:], b"not an archive"):
        bundle.write_bytes(content)
        with pytest.raises(DlpuError) as caught:
            find_report(bundle)
        assert caught.value.code is ErrorCode.NOT_A_MODEL
    folder = bundle.with_name(bundle.name.removesuffix(".tar.gz"))
    for text in ("", "[]", '{"schema": 1}', "[" * 200_000):
        (folder / "model.json").write_text(text)
        with pytest.raises(DlpuError) as caught:
            find_report(folder)
        assert caught.value.code is ErrorCode.NOT_A_MODEL


def test_of_an_eap_the_bundle_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "toy_1_0_0_aarch64.eap"
    path.write_bytes(b"")
    with pytest.raises(DlpuError, match="name the bundle"):
        find_report(path)
