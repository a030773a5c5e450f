"""Every fault of a package at once, each where the user wrote the value."""

from __future__ import annotations

import json
import os
import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from dlpubuild.errors import ErrorCode, Location, ManifestError
from dlpubuild.package.eap.check import check_eap, eap_notes, eap_problems, sound_content
from dlpubuild.package.eap.findings import source_key
from dlpubuild.package.eap.request import AcapFacts, EapRequest, Measurement, settle_acap, settle_measurement
from tests.unit.package.eap.requests import ONE, TWO, eap_request, own_manifest, placeless_request, read_app, write_app
from tests.unit.package.specs import ARTPEC8, CPU, make_request

SETUP = "acapPackageConf.setup"
INSTALLED = "/usr/local/packages/counter"
ELF_ARMV7 = b"\x7fELF\x01\x01" + bytes(10) + struct.pack("<HH", 2, 40) + bytes(32)
ELF_AARCH64 = b"\x7fELF\x02\x01" + bytes(10) + struct.pack("<HH", 2, 183) + bytes(32)
DLPUS = frozenset({"axis-a8-dlpu-tflite", "a9-dlpu-tflite", "ambarella-cvflow"})


def locate(path: str) -> Location:
    return Location("dlpu.toml", 7, 1) if path else Location("dlpu.toml")


def problems(request: EapRequest) -> list[tuple[str, str, str]]:
    """(file, path, code) of each."""
    checked = check_eap(request, other_devices=DLPUS)
    found = eap_problems([request], [checked], locate=locate)
    assert (checked.content is None) == bool(found)
    return [(each.location.file, each.path, str(each.code)) for each in found]


def own(tmp_path: Path, files: dict[str, bytes | str] | None = None, acap: AcapFacts = TWO, **setup: Any) -> EapRequest:
    app = read_app(write_app(tmp_path / "app", files, **setup))
    return eap_request(tmp_path / "model", acap, app=app)


def told(request: EapRequest) -> list[str]:
    checked = check_eap(request, other_devices=DLPUS)
    return [each.message for each in eap_problems([request], [checked], locate=locate)]


def test_a_sound_test_application_has_neither_faults_nor_notes() -> None:
    for acap in (TWO, ONE):
        assert problems(placeless_request(acap)) == []
        assert eap_notes([check_eap(placeless_request(acap))]) == ()


@pytest.mark.parametrize(
    ("acap", "changes", "path", "code"),
    [
        (TWO, {"app_name": "a"}, "package.acap.app-name", "manifest-schema"),
        (TWO, {"app_name": "model"}, "package.acap.app-name", "conflict"),
        (TWO, {"app_name": "html"}, "package.acap.app-name", "conflict"),
        (TWO, {"app_name": "LICENSE"}, "package.acap.app-name", "conflict"),
        (replace(TWO, friendly_name="A/B"), {}, "package.acap.friendly-name", "manifest-schema"),
        (replace(TWO, friendly_name='A "B"'), {}, "package.acap.friendly-name", "manifest-schema"),
        (replace(TWO, friendly_name="å" * 130), {}, "package.acap.friendly-name", "manifest-schema"),
        (TWO, {"vendor": None}, "project.vendor", "missing-key"),
        (TWO, {"vendor": "A $HOME"}, "project.vendor", "manifest-schema"),
        (ONE, {"vendor": "Åkeri AB"}, "project.vendor", "manifest-schema"),
        (replace(TWO, vendor_id=None), {}, "package.acap.vendor-id", "missing-key"),
        (replace(TWO, vendor_id="0"), {}, "package.acap.vendor-id", "manifest-schema"),
        (replace(TWO, vendor_url="a'b"), {}, "package.acap.vendor-url", "manifest-schema"),
        (replace(TWO, groups=("root",)), {}, "package.acap.groups", "unknown-value"),
        (replace(ONE, groups=("No Group",)), {}, "package.acap.groups", "manifest-schema"),
        (replace(TWO, min_os="twelve"), {}, "package.acap.min-os", "manifest-schema"),
        (replace(TWO, min_os="14"), {}, "package.acap.min-os", "conflict"),
        (TWO, {"version": "1.0"}, "project.version", "manifest-schema"),
        (TWO, {"measurement": Measurement(rounds=0)}, "package.acap.rounds", "manifest-schema"),
    ],
)
def test_a_fault_of_the_test_application_stands_at_its_key(
    acap: AcapFacts, changes: dict[str, Any], path: str, code: str
) -> None:
    found = problems(placeless_request(acap, **changes))
    assert ("dlpu.toml", path, code) in found
    assert {each for _, each, _ in found} == {path}


def test_all_faults_are_told_at_once() -> None:
    acap = replace(TWO, friendly_name="A/B", vendor_id="0", groups=("root",), min_os="14")
    found = problems(placeless_request(acap, app_name="1", vendor=None, version="1"))
    assert {path for _, path, _ in found} == {
        *("package.acap.app-name", "package.acap.friendly-name", "package.acap.vendor-id", "package.acap.groups"),
        *("package.acap.min-os", "project.vendor", "project.version"),
    }


def test_a_fault_names_the_field_of_the_manifest_and_what_to_do() -> None:
    with pytest.raises(ManifestError) as caught:
        sound_content(placeless_request(replace(TWO, vendor_id="0")), locate=locate)
    (problem,) = caught.value.problems
    assert problem.code is ErrorCode.MANIFEST_SCHEMA
    assert problem.message == (
        '"0" is no vendor ID of schema 2: ten hexadecimal digits (manifest.json: acapPackageConf.setup.vendorId)'
    )
    assert problem.hint == "ask Axis for one, or use schema 1.7, which does without"
    assert str(problem.location) == "dlpu.toml:7:1"


def test_a_field_without_a_key_of_its_own_belongs_to_its_table() -> None:
    assert source_key(f"{SETUP}.compatibleOsVersions[0].min") == "package.acap.min-os"
    assert source_key(f"{SETUP}.runMode") == "package.acap"
    assert source_key("") == "package.acap"


@pytest.mark.parametrize(
    ("acap", "words"),
    [
        (replace(ONE, vendor_id="0"), ["is no vendor ID"]),
        (replace(ONE, vendor_id="1234567890"), ["vendor-id is not used"]),
        (replace(ONE, given=("min-os", "max-os")), ["min-os is not used", "max-os is not used"]),
    ],
)
def test_what_schema_1_has_no_place_for_is_a_note(acap: AcapFacts, words: list[str]) -> None:
    checked = check_eap(placeless_request(acap))
    assert checked.content is not None
    notes = eap_notes([checked, checked])
    assert len(notes) == len(words)
    assert all(word in note for word, note in zip(words, notes, strict=True))


def test_two_packages_of_one_name_are_refused() -> None:
    requests = [placeless_request(), placeless_request(soc=CPU)]
    found = eap_problems(requests, [check_eap(each) for each in requests], locate=locate)
    assert [(each.path, str(each.code)) for each in found] == [("package.acap.friendly-name", "conflict")]
    assert "ARTPEC-8 and CPU would both be packed as" in found[0].message
    assert "{soc}" in found[0].hint


def test_a_fault_that_several_packages_share_is_told_once() -> None:
    requests = [
        placeless_request(replace(TWO, friendly_name=f"Digits {soc.title}"), soc=soc, vendor=None)
        for soc in (ARTPEC8, CPU)
    ]
    found = eap_problems(requests, [check_eap(each) for each in requests], locate=locate)
    assert [each.path for each in found] == ["project.vendor"]


def test_a_sound_own_application_has_no_faults(tmp_path: Path) -> None:
    assert problems(own(tmp_path)) == []


def test_a_fault_of_an_own_application_stands_in_its_manifest(tmp_path: Path) -> None:
    assert problems(own(tmp_path, vendorId="0")) == [("app/manifest.json", f"{SETUP}.vendorId", "manifest-schema")]


def test_a_fault_stands_in_the_manifest_of_that_soc(tmp_path: Path) -> None:
    request = own(tmp_path, {"manifest.json.artpec8": json.dumps(own_manifest(vendorId="0"))})
    assert problems(request) == [("app/manifest.json.artpec8", f"{SETUP}.vendorId", "manifest-schema")]
    (note,) = eap_notes([check_eap(request)])
    assert "app/manifest.json.artpec8 is used" in note


@pytest.mark.parametrize(
    ("files", "place", "path", "code"),
    [
        ({"manifest.json": "{"}, "app/manifest.json", "", "manifest-syntax"),
        ({"manifest.json": "[]"}, "app/manifest.json", "", "manifest-schema"),
        ({"manifest.json": b"\xff"}, "app/manifest.json", "", "manifest-encoding"),
        ({"model/model.tflite": "old"}, "app/model/model.tflite", "", "conflict"),
        ({"label/labels.txt": "old"}, "app/label/labels.txt", "", "conflict"),
        ({"model": "a file"}, "app/model", "", "conflict"),
        ({"localdata/x": "x"}, "app/localdata", "", "conflict"),
        ({"a b": "x"}, "app/a b", "", "path-kind"),
        ({"-rf": "x"}, "app/-rf", "", "path-kind"),
        ({'"x"': "x"}, 'app/"x"', "", "path-kind"),
        ({"$HOME": "x"}, "app/$HOME", "", "path-kind"),
        ({"counter": ELF_ARMV7}, "app/counter", "", "conflict"),
        ({"lib/libx.so": ELF_ARMV7}, "app/lib/libx.so", "", "conflict"),
        ({"package.conf": 'VENDOR="Other"\n'}, "app/package.conf", "", "conflict"),
        ({"package.conf": 'APPMAJORVERSION="9"\n'}, "app/package.conf", "", "conflict"),
        ({"package.conf": "what?\n"}, "app/package.conf", "", "manifest-syntax"),
    ],
)
def test_a_file_of_an_own_application_is_refused(
    tmp_path: Path, files: dict[str, bytes | str], place: str, path: str, code: str
) -> None:
    assert problems(own(tmp_path, files)) == [(place, path, code)]


def test_an_executable_for_the_socs_architecture_is_taken(tmp_path: Path) -> None:
    assert problems(own(tmp_path, {"counter": ELF_AARCH64, "lib/a.so": ELF_AARCH64, "html/a b": "x"})) == []


def test_a_folder_without_a_manifest_is_no_application(tmp_path: Path) -> None:
    folder = write_app(tmp_path / "app")
    (folder / "manifest.json").unlink()
    request = eap_request(tmp_path / "model", app=read_app(folder))
    assert problems(request) == [("app/manifest.json", "", "path-missing")]


@pytest.mark.parametrize(
    ("setup", "field", "code"),
    [
        ({"appName": "countre"}, "appName", "path-missing"),
        ({"appName": "model"}, "appName", "conflict"),
        ({"architecture": "armv7hf"}, "architecture", "conflict"),
        ({"runOptions": "-c a9-dlpu-tflite"}, "runOptions", "conflict"),
        ({"runOptions": "/usr/local/packages/other/model/model.tflite"}, "runOptions", "conflict"),
        ({"runOptions": "/usr/local/packages/counter/model/modle.tflite"}, "runOptions", "path-missing"),
        ({"runOptions": 'say "x"'}, "runOptions", "manifest-schema"),
    ],
)
def test_a_value_that_does_not_fit_the_application_is_refused(
    tmp_path: Path, setup: dict[str, Any], field: str, code: str
) -> None:
    assert problems(own(tmp_path, **setup)) == [("app/manifest.json", f"{SETUP}.{field}", code)]


@pytest.mark.parametrize(
    "options",
    [
        f"{INSTALLED}/model/model.tflite {INSTALLED}/label/labels.txt  -c axis-a8-dlpu-tflite",
        "-c cpu-tflite",
        f"{INSTALLED}/localdata/state {INSTALLED} {INSTALLED}/model",
        "--threshold=50",
    ],
)
def test_run_options_that_fit_are_taken(tmp_path: Path, options: str) -> None:
    assert problems(own(tmp_path, runOptions=options)) == []


def test_the_nearest_file_is_offered(tmp_path: Path) -> None:
    options = "/usr/local/packages/counter/model/modle.tflite"
    assert told(own(tmp_path, runOptions=options)) == [
        '"/usr/local/packages/counter/model/modle.tflite" is not packed; did you mean "model/model.tflite"?'
    ]
    assert told(own(tmp_path / "2", appName="countre"))[0].endswith('did you mean "counter"?')


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("postInstallScript", "gone.sh", "path-missing"),
        ("postInstallScript", "scripts/x.sh", "path-kind"),
        ("preUninstallScript", "gone.sh", "path-missing"),
        ("settingPage", "gone.html", "path-missing"),
    ],
)
def test_a_file_that_the_manifest_names_must_be_there(tmp_path: Path, key: str, value: str, code: str) -> None:
    tables = {
        "postInstallScript": "installation",
        "preUninstallScript": "uninstallation",
        "settingPage": "configuration",
    }
    made = own_manifest()
    made["acapPackageConf"][tables[key]] = {key: value}
    request = own(tmp_path, {"manifest.json": json.dumps(made), "scripts/x.sh": "#!/bin/sh\n"})
    assert problems(request) == [("app/manifest.json", f"acapPackageConf.{tables[key]}.{key}", code)]


def test_a_setting_page_that_is_there_is_taken(tmp_path: Path) -> None:
    made = own_manifest()
    made["acapPackageConf"]["configuration"] = {"settingPage": "index.html"}
    assert problems(own(tmp_path, {"manifest.json": json.dumps(made), "html/index.html": "<html/>"})) == []


def test_options_of_the_test_application_are_refused_beside_an_own_one(tmp_path: Path) -> None:
    acap = replace(TWO, given=("app-name", "vendor-id", "rounds"))
    request = own(tmp_path, acap=acap)
    assert problems(request) == [
        ("dlpu.toml", "package.acap.vendor-id", "conflict"),
        ("dlpu.toml", "package.acap.rounds", "conflict"),
        ("dlpu.toml", "package.acap.app-name", "conflict"),
    ]
    same = replace(request, acap=replace(acap, given=("app-name",)))
    assert problems(replace(same, package=replace(same.package, app_name="counter"))) == []


def test_what_is_left_out_of_an_own_application_is_a_note(tmp_path: Path) -> None:
    request = own(tmp_path, {"Makefile~": "", ".git/HEAD": ""})
    assert eap_notes([check_eap(request)]) == ("app/.git is not packed", "app/Makefile~ is not packed")


def test_two_own_applications_of_one_name_are_refused(tmp_path: Path) -> None:
    first = own(tmp_path)
    second = replace(first, package=replace(first.package, soc=replace(CPU, deep_learning_processor=False)))
    requests = [first, second]
    found = eap_problems(requests, [check_eap(each) for each in requests], locate=locate)
    assert [(each.location.file, each.path) for each in found] == [("app/manifest.json", f"{SETUP}.friendlyName")]
    assert "manifest.json.cpu" in found[0].hint


@dataclass(frozen=True)
class Options:
    app_name: str | None = None
    friendly_name: str | None = None
    vendor_id: str | None = None
    vendor_url: str | None = None
    schema: Any = None
    groups: tuple[str, ...] | None = None
    min_os: str | None = None
    max_os: str | None = None
    rounds: int | None = None


@pytest.mark.parametrize(
    ("options", "schema"),
    [
        (Options(), "1.7"),
        (Options(vendor_id="0"), "1.7"),
        (Options(vendor_id="1234567890"), "2"),
        (Options(vendor_id="1234567890", schema="1.7"), "1.7"),
        (Options(schema="2"), "2"),
    ],
)
def test_the_schema_is_2_where_there_is_a_vendor_id(options: Options, schema: str) -> None:
    assert settle_acap(options, make_request(Path(os.devnull))).schema == schema


def test_defaults_make_sound_packages_for_every_soc() -> None:
    """Also for the longest name of a project, which is as long as a friendly name can get without anybody's doing."""
    for soc in (ARTPEC8, CPU):
        package = placeless_request(soc=soc, name="a" * 63).package
        request = EapRequest(package=package, acap=settle_acap(Options(), package))
        assert problems(request) == []
        assert check_eap(request).file_name == f"{'a' * 63}_{soc.title}_1_0_0_aarch64.eap"


def test_options_replace_defaults() -> None:
    options = Options(friendly_name="{soc}: digits", groups=(), min_os="12.11", max_os="14", rounds=7, vendor_url="u")
    facts = settle_acap(options, make_request(Path(os.devnull)))
    assert (facts.friendly_name, facts.groups, facts.min_os, facts.max_os) == ("ARTPEC-8: digits", (), "12.11", "14")
    assert facts.given == ("friendly-name", "vendor-url", "groups", "min-os", "max-os", "rounds")
    assert settle_measurement(options).rounds == 7
    assert settle_measurement(Options()) == Measurement()
