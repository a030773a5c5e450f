"""Each rule of Axis for a manifest: what is refused, under which code and at which field, and what is not."""

from __future__ import annotations

from typing import Any

import pytest

from dlpubuild.package.eap.findings import Finding
from dlpubuild.package.eap.read_manifest import parse_manifest, read_document
from dlpubuild.package.eap.rules import manifest_findings
from tests.unit.package.eap.requests import own_manifest

SETUP = "acapPackageConf.setup"
ONE = {"schemaVersion": "1.7.0", "vendorId": None, "compatibleOsVersions": None}


def document(schema: str = "2.0.0", *, setup: dict[str, Any] | None = None, **top: Any) -> dict[str, Any]:
    made = own_manifest(**({"vendorId": None, "compatibleOsVersions": None} if schema.startswith("1") else {}))
    made["acapPackageConf"]["setup"].update(setup or {})
    if schema.startswith("1"):
        del made["resources"]
    return {**made, "schemaVersion": schema, **top}


def found(made: dict[str, Any]) -> list[tuple[str, str]]:
    manifest, wrong = read_document(made)
    return [(each.field, str(each.code)) for each in (*wrong, *manifest_findings(manifest))]


def without(schema: str, name: str) -> dict[str, Any]:
    made = document(schema)
    del made["acapPackageConf"]["setup"][name]
    return made


@pytest.mark.parametrize("schema", ["1.0", "1.3.1", "1.7.0", "1.7.4", "1.11.0", "2.0.0", "2.2.0"])
def test_a_sound_manifest_has_no_faults(schema: str) -> None:
    assert found(document(schema)) == []


@pytest.mark.parametrize("schema", ["3.0.0", "two", "2", "2.0.0.1", ""])
def test_an_unknown_schema_is_the_only_fault_told(schema: str) -> None:
    assert found(document(schema, setup={"runMode": "maybe"})) == [("schemaVersion", "unknown-value")]


def test_a_missing_schema_version_is_told_beside_other_faults() -> None:
    made = document(setup={"runMode": "maybe"})
    del made["schemaVersion"]
    assert found(made) == [("schemaVersion", "missing-key"), (f"{SETUP}.runMode", "unknown-value")]


@pytest.mark.parametrize("name", ["appName", "vendor", "version", "runMode", "vendorId", "compatibleOsVersions"])
def test_a_key_that_schema_2_requires_is_missed(name: str) -> None:
    assert found(without("2.0.0", name)) == [(f"{SETUP}.{name}", "missing-key")]


@pytest.mark.parametrize("name", ["appName", "vendor", "version", "runMode"])
def test_a_key_that_schema_1_requires_is_missed(name: str) -> None:
    assert found(without("1.7.0", name)) == [(f"{SETUP}.{name}", "missing-key")]


@pytest.mark.parametrize(
    ("schema", "name", "is_taken"),
    [
        ("2.0.0", "ab", True),
        ("2.0.0", "a" * 26, True),
        ("2.0.0", "Object_detection-2", True),
        ("2.0.0", "a" * 27, False),
        ("2.0.0", "a", False),
        ("2.0.0", "1app", False),
        ("2.0.0", "_app", False),
        ("2.0.0", "my app", False),
        ("2.0.0", "../app", False),
        ("2.0.0", "räknare", False),
        ("2.0.0", "app\n", False),
        ("1.7.1", "a", False),
        ("1.7.1", "1app", False),
        ("1.7.0", "a", True),
        ("1.7.0", "1app", True),
        ("1.7.0", "a" * 27, False),
    ],
)
def test_an_application_name_is_checked_by_its_schema(schema: str, name: str, is_taken: bool) -> None:
    expected = [] if is_taken else [(f"{SETUP}.appName", "manifest-schema")]
    assert found(document(schema, setup={"appName": name})) == expected


@pytest.mark.parametrize(
    ("name", "is_taken"),
    [
        ("Digits (ARTPEC-8)", True),
        ("Räknare", True),
        ("x" * 256, True),
        ("x" * 257, False),
        ("AC/DC", False),
        ("two\nlines", False),
        ("-rf", False),
        (".hidden", False),
        (" ", False),
        ("", False),
    ],
)
def test_a_friendly_name_must_fit_into_a_file_name(name: str, is_taken: bool) -> None:
    expected = [] if is_taken else [(f"{SETUP}.friendlyName", "manifest-schema")]
    assert found(document(setup={"friendlyName": name})) == expected


@pytest.mark.parametrize(
    ("schema", "vendor", "is_taken"),
    [
        ("2.0.0", "Exempel Åkeri + Söner", True),
        ("1.7.4", "Exempel Åkeri + Söner", True),
        ("1.7.3", "Exempel Åkeri + Söner", False),
        ("1.7.0", "Smith & Sons (Lund), Inc.", True),
        ("1.4.0", "What? That's it!", True),
        ("1.3.1", "Smith & Sons", False),
        ("1.3.1", "Smith-Sons AB", True),
        ("2.0.0", "two\rlines", False),
    ],
)
def test_a_vendor_is_checked_by_its_schema(schema: str, vendor: str, is_taken: bool) -> None:
    expected = [] if is_taken else [(f"{SETUP}.vendor", "manifest-schema")]
    assert found(document(schema, setup={"vendor": vendor})) == expected


@pytest.mark.parametrize("vendor_id", ["0", "123456789", "12345678901", "12345g7890", "1234567890\n", ""])
def test_a_vendor_id_of_schema_2_is_ten_hexadecimal_digits(vendor_id: str) -> None:
    assert found(document(setup={"vendorId": vendor_id})) == [(f"{SETUP}.vendorId", "manifest-schema")]


@pytest.mark.parametrize("version", ["1.0", "v1.0.0", "1.0.0.0", "01.0.0", "1.0.0 "])
def test_a_version_is_a_semantic_one(version: str) -> None:
    assert found(document(setup={"version": version})) == [(f"{SETUP}.version", "manifest-schema")]
    assert found(document(setup={"version": "1.0.0-rc.1+build"})) == []


@pytest.mark.parametrize(
    ("schema", "mode", "is_taken"),
    [
        ("2.0.0", "respawn", True),
        ("2.0.0", "respawnOnFailure", True),
        ("1.8.0", "respawnOnFailure", True),
        ("1.7.4", "respawnOnFailure", False),
        ("1.7.0", "Never", False),
    ],
)
def test_a_run_mode_is_one_that_the_schema_knows(schema: str, mode: str, is_taken: bool) -> None:
    expected = [] if is_taken else [(f"{SETUP}.runMode", "unknown-value")]
    assert found(document(schema, setup={"runMode": mode})) == expected


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        ([{"min": "12.10", "max": "13"}], []),
        ([{"min": "13.1.5", "max": "13"}], []),
        ([{"min": "11.11.205", "max": "11.11"}, {"min": "12.10", "max": "13"}], []),
        ([], [(f"{SETUP}.compatibleOsVersions", "missing-key")]),
        ([{"max": "13"}], [(f"{SETUP}.compatibleOsVersions[0].min", "missing-key")]),
        ([{"min": "12"}], [(f"{SETUP}.compatibleOsVersions[0].max", "missing-key")]),
        ([{"min": "14", "max": "13"}], [(f"{SETUP}.compatibleOsVersions[0].min", "conflict")]),
        ([{"min": "12.10", "max": "12.9"}], [(f"{SETUP}.compatibleOsVersions[0].min", "conflict")]),
        ([{"min": "AXIS OS 12", "max": "13"}], [(f"{SETUP}.compatibleOsVersions[0].min", "manifest-schema")]),
        ([{"min": 12, "max": "13"}], [(f"{SETUP}.compatibleOsVersions[0].min", "manifest-schema")]),
        (["12.10"], [(f"{SETUP}.compatibleOsVersions[0]", "manifest-schema")]),
    ],
)
def test_a_range_of_axis_os_versions_has_both_ends(ranges: list[Any], expected: list[tuple[str, str]]) -> None:
    told = found(document(setup={"compatibleOsVersions": ranges}))
    # A value of a wrong type is told as that, and then it is as if it were missing.
    assert [each for each in told if each in expected] == expected
    assert bool(told) == bool(expected)


@pytest.mark.parametrize(
    ("schema", "groups", "expected"),
    [
        ("2.0.0", ["video", "gpu", "storage"], []),
        ("2.0.0", ["vdieo"], ["unknown-value"]),
        ("2.0.0", ["root"], ["unknown-value"]),
        ("2.0.0", ["video", "video"], ["manifest-schema"]),
        ("1.7.0", ["sdk-group"], []),
        ("1.7.0", ["a b"], ["manifest-schema"]),
        ("1.7.0", [7], ["manifest-schema"]),
    ],
)
def test_groups_are_those_that_the_schema_lets_an_application_have(
    schema: str, groups: list[Any], expected: list[str]
) -> None:
    made = document(schema, resources={"linux": {"user": {"groups": groups}}})
    assert [code for _, code in found(made)] == expected


def test_the_nearest_group_is_offered() -> None:
    manifest, _ = read_document(document(resources={"linux": {"user": {"groups": ["vdieo"]}}}))
    (finding,) = manifest_findings(manifest)
    assert finding.message.endswith('did you mean "video"?')


@pytest.mark.parametrize(
    ("schema", "user", "expected"),
    [
        ("2.0.0", {"username": "sdk", "group": "sdk"}, []),
        ("2.0.0", {"username": "root", "group": "root"}, [(f"{SETUP}.user.username", "unknown-value")]),
        ("1.7.0", {"username": "root", "group": "root"}, []),
        ("1.7.0", {"username": "sdk"}, [(f"{SETUP}.user.group", "missing-key")]),
        ("1.7.0", {"group": "sdk"}, [(f"{SETUP}.user.username", "missing-key")]),
    ],
)
def test_a_static_user_is_checked_by_its_schema(
    schema: str, user: dict[str, str], expected: list[tuple[str, str]]
) -> None:
    assert found(document(schema, setup={"user": user})) == expected


def test_a_static_user_and_groups_exclude_each_other() -> None:
    made = document(
        setup={"user": {"username": "sdk", "group": "sdk"}}, resources={"linux": {"user": {"groups": ["video"]}}}
    )
    assert found(made) == [(f"{SETUP}.user", "conflict")]


def test_what_schema_2_dropped_is_refused_there_only() -> None:
    configuration = {"containers": {"containerHost": True}}
    for schema, expected in (("1.7.0", []), ("2.0.0", ["embeddedSdkVersion", "containers"])):
        made = document(schema, setup={"embeddedSdkVersion": "3.0"})
        made["acapPackageConf"]["configuration"] = configuration
        assert [field.rpartition(".")[2] for field, _ in found(made)] == expected


@pytest.mark.parametrize(
    ("processor", "fields"),
    [
        ({"enabled": True, "required": False}, []),
        ({"enabled": True}, ["required"]),
        ({"enabled": "yes", "required": True}, ["enabled"]),
        ({}, ["enabled", "required"]),
    ],
)
def test_both_wishes_for_the_dlpu_are_booleans(processor: dict[str, Any], fields: list[str]) -> None:
    told = found(document(resources={"deepLearningProcessor": processor}))
    assert told == [(f"resources.deepLearningProcessor.{name}", "manifest-schema") for name in fields]


def test_a_vendor_url_without_blanks_and_quotation_marks_is_taken() -> None:
    assert found(document(setup={"vendorUrl": "https://example.com/a?b=c&d=e"})) == []
    for url in ("example .com", "a'b", 'x"y', "<b>", ""):
        assert found(document(setup={"vendorUrl": url})) == [(f"{SETUP}.vendorUrl", "manifest-schema")]


def test_web_server_entries_are_checked() -> None:
    made = document()
    made["acapPackageConf"]["configuration"] = {
        "httpConfig": [
            {"type": "fastCgi", "name": "run.cgi", "access": "admin"},
            {"type": "directory", "access": "viewer"},
            {"type": "cgi", "name": "x", "access": "root"},
            {"type": "transferCgi", "access": "admin"},
        ]
    }
    place = "acapPackageConf.configuration.httpConfig"
    assert found(made) == [
        (f"{place}[3].name", "missing-key"),
        (f"{place}[2].type", "unknown-value"),
        (f"{place}[2].access", "unknown-value"),
    ]


def test_values_of_a_wrong_type_are_told_together() -> None:
    made = document(setup={"appName": 7, "version": None, "user": "sdk"}, resources=[])
    told = found(made)
    assert (f"{SETUP}.appName", "manifest-schema") in told
    assert (f"{SETUP}.version", "manifest-schema") in told
    assert (f"{SETUP}.user", "manifest-schema") in told
    assert ("resources", "manifest-schema") in told
    assert told.count(("resources", "manifest-schema")) == 1


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "manifest-syntax"),
        (b"{", "manifest-syntax"),
        (b"[]", "manifest-schema"),
        (b"null", "manifest-schema"),
        (b"\xff\xfe\x00", "manifest-encoding"),
        (b'{"a": "\xe5"}', "manifest-encoding"),
        (b"[" * 100_000, "manifest-encoding"),
    ],
)
def test_what_is_no_json_object_is_told(data: bytes, code: str) -> None:
    manifest, wrong = parse_manifest(data)
    assert manifest is None
    assert [str(each.code) for each in wrong] == [code]
    assert all(isinstance(each, Finding) for each in wrong)
