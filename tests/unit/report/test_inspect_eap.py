"""What `inspect` tells of an application package, for people and for programs."""

from __future__ import annotations

import io
import json
import tarfile
from typing import TYPE_CHECKING

import pytest

from dlpubuild.package.eap.overview import eap_overview
from dlpubuild.report.inspect_eap import eap_json, eap_text
from tests.unit.package.eap.requests import TWO, eap_request, own_manifest
from tests.unit.package.eap.test_eap_contents import written

if TYPE_CHECKING:
    from pathlib import Path

DEVICES = ("axis-a8-dlpu-tflite", "a9-dlpu-tflite", "cpu-tflite")


def make(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def lines(path: Path) -> list[list[str]]:
    return [line.split() for line in eap_text(eap_overview(path, DEVICES)).splitlines()]


def test_a_page_tells_manifest_device_and_entries_as_tar_does(tmp_path: Path) -> None:
    found = lines(written(tmp_path))
    assert ["application", "digits"] in found
    assert ["name", "Digits", "ARTPEC-8"] in found
    assert ["schema", "2.0.0"] in found
    assert ["architecture", "aarch64"] in found
    assert ["AXIS", "OS", "12.10", "to", "13"] in found
    assert ["DLPU", "asked", "for,", "and", "needed", "to", "install"] in found
    assert ["larod", "device", "axis-a8-dlpu-tflite"] in found
    entries = [(line[0], line[-1]) for line in found if line and line[0].startswith("-")]
    assert entries[:2] == [("-rwxr-xr-x", "digits"), ("-rw-r--r--", "package.conf")]
    assert ("-rw-------", "manifest.json") in entries
    assert next(line[2:4] for line in found if line and line[-1] == "digits" and "-rwx" in line[0]) == [
        "2023-11-14",
        "22:13:20",
    ]


def test_the_device_of_an_own_application_is_the_one_in_its_options(tmp_path: Path) -> None:
    options = "/usr/local/packages/counter/model/model.tflite  -c a9-dlpu-tflite"
    manifest = json.dumps(own_manifest(runOptions=options)).encode()
    files = {"counter": b"#!/bin/sh\nDEVICE=cpu-tflite\n", "manifest.json": manifest}
    assert eap_overview(make(tmp_path / "a.eap", files), DEVICES).larod_devices == ("a9-dlpu-tflite",)


def test_a_compiled_program_is_not_searched_for_devices(tmp_path: Path) -> None:
    files = {"counter": b"\x7fELF cpu-tflite", "manifest.json": json.dumps(own_manifest()).encode()}
    page = eap_text(eap_overview(make(tmp_path / "a.eap", files), DEVICES))
    assert "none that is known is named" in page


def test_an_eap_of_before_manifests_is_shown(tmp_path: Path) -> None:
    files = {"old": b"", "package.conf": b'APPNAME="old"\nAPPOPTS="-c cpu-tflite"\n'}
    found = eap_overview(make(tmp_path / "a.eap", files), DEVICES)
    assert found.larod_devices == ("cpu-tflite",)
    assert "there is none that can be read" in eap_text(found)


@pytest.mark.parametrize("manifest", [b"{", b"[]", b'{"acapPackageConf": 3}', b"\xff\xfe", b""])
def test_a_manifest_that_cannot_be_read_is_told(tmp_path: Path, manifest: bytes) -> None:
    found = eap_overview(make(tmp_path / "a.eap", {"manifest.json": manifest}), DEVICES)
    assert eap_text(found)
    assert json.dumps(eap_json(found))


def test_names_in_a_package_do_not_steer_the_terminal(tmp_path: Path) -> None:
    manifest = json.dumps(own_manifest(friendlyName="\x1b[2J", vendor="a\nb")).encode()
    text = eap_text(eap_overview(make(tmp_path / "a.eap", {"manifest.json": manifest, "\x1b]0;x\x07": b""}), DEVICES))
    assert "\x1b" not in text
    assert "\x07" not in text


def test_the_json_holds_the_manifest_and_every_entry(tmp_path: Path) -> None:
    found = json.loads(json.dumps(eap_json(eap_overview(written(tmp_path), DEVICES))))
    assert found["manifest"]["acapPackageConf"]["setup"]["vendorId"] == TWO.vendor_id
    assert found["larod_devices"] == ["axis-a8-dlpu-tflite"]
    assert found["models"] == ["model/model.tflite"]
    assert [each["path"] for each in found["entries"]][:2] == ["digits", "package.conf"]
    assert found["entries"][4] | {"size_bytes": 0} == {
        "path": "manifest.json",
        "kind": "file",
        "mode": "0600",
        "size_bytes": 0,
        "mtime_s": eap_request(tmp_path / "model").package.epoch_s,
    }
