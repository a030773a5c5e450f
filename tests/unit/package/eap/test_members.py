from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dlpubuild.package.eap.application import own_app_name
from dlpubuild.package.eap.check import sound_content
from dlpubuild.package.eap.conf_files import parse_package_conf
from dlpubuild.package.eap.members import EapContent
from dlpubuild.package.tar import TarFile, TarFolder, TarLink
from tests.unit.package.eap.requests import ONE, TWO, eap_request, own_manifest, placeless_request, read_app, write_app
from tests.unit.package.specs import CPU

RUNNER = ["digits", "package.conf", "param.conf", "LICENSE", "manifest.json", "label/labels.txt", "model/model.tflite"]


def rows(content: EapContent) -> list[tuple[str, int]]:
    return [(each.path, each.mode) for each in content.entries if not isinstance(each, TarLink)]


def text(content: EapContent, path: str) -> bytes:
    entry = next(each for each in content.entries if each.path == path)
    assert isinstance(entry, TarFile)
    found = entry.member.content
    return found if isinstance(found, bytes) else found.read_bytes()


def manifest(content: EapContent) -> Any:
    return json.loads(text(content, "manifest.json"))


def own(tmp_path: Path, files: dict[str, bytes | str] | None = None, **setup: Any) -> EapContent:
    app = read_app(write_app(tmp_path / "app", files, **setup))
    return sound_content(eap_request(tmp_path / "model", app=app))


def test_the_test_application_comes_in_axis_order_with_documented_modes() -> None:
    content = sound_content(placeless_request())
    assert list(content.names) == RUNNER
    assert rows(content) == [
        ("digits", 0o755),
        ("package.conf", 0o644),
        ("param.conf", 0o644),
        ("LICENSE", 0o644),
        ("manifest.json", 0o600),
        ("label/labels.txt", 0o644),
        ("model/model.tflite", 0o644),
    ]


def test_without_labels_there_is_no_label_folder() -> None:
    assert list(sound_content(placeless_request(labels=None)).names) == [
        name for name in RUNNER if not name.startswith("label")
    ]


def test_a_model_of_another_name_keeps_it() -> None:
    content = sound_content(placeless_request(model_file="model.bin"))
    assert "model/model.bin" in content.names
    assert b"MODEL=model/model.bin\n" in text(content, "digits")


def test_the_added_files_are_listed_in_package_conf() -> None:
    values, odd = parse_package_conf(text(sound_content(placeless_request()), "package.conf"))
    assert odd == ()
    assert values["OTHERFILES"] == "label/labels.txt model/model.tflite"
    assert (values["APPNAME"], values["STARTMODE"], values["APPTYPE"]) == ("digits", "never", "aarch64")


def test_the_manifest_of_schema_2_asks_for_the_dlpu() -> None:
    assert manifest(sound_content(placeless_request())) == {
        "schemaVersion": "2.0.0",
        "resources": {
            "linux": {"user": {"groups": ["video"]}},
            "deepLearningProcessor": {"enabled": True, "required": True},
        },
        "acapPackageConf": {
            "setup": {
                "friendlyName": "Digits ARTPEC-8",
                "appName": "digits",
                "vendor": "Example AB",
                "vendorId": "1234567890",
                "runMode": "never",
                "version": "1.0.0",
                "compatibleOsVersions": [{"min": "12.10", "max": "13"}],
                "architecture": "aarch64",
            }
        },
    }


def test_the_manifest_of_schema_1_has_none_of_its_keys() -> None:
    assert manifest(sound_content(placeless_request(ONE))) == {
        "schemaVersion": "1.7.0",
        "resources": {"linux": {"user": {"groups": ["video"]}}},
        "acapPackageConf": {
            "setup": {
                "friendlyName": "Digits ARTPEC-8",
                "appName": "digits",
                "vendor": "Example AB",
                "runMode": "never",
                "version": "1.0.0",
                "embeddedSdkVersion": "3.0",
                "architecture": "aarch64",
            }
        },
    }


def test_an_soc_without_a_dlpu_to_ask_for_gets_no_wish_for_one() -> None:
    assert "deepLearningProcessor" not in manifest(sound_content(placeless_request(soc=CPU)))["resources"]


def test_no_groups_are_no_resource() -> None:
    content = sound_content(placeless_request(replace(ONE, groups=())))
    assert "resources" not in manifest(content)


def test_the_manifest_is_indented_by_four_and_has_no_line_end_behind_it() -> None:
    data = text(sound_content(placeless_request(vendor="Åkeri AB")), "manifest.json").decode()
    assert data.startswith('{\n    "schemaVersion"')
    assert data.endswith("}")
    assert '"vendor": "Åkeri AB"' in data


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"license_text": b"MIT\n"}, b"MIT\n"),
        ({"license_text": None, "license": "MIT"}, b"SPDX-License-Identifier: MIT\n"),
        ({"license_text": None, "license": None}, b"No license was declared for this model.\n"),
    ],
)
def test_the_license_is_the_projects(changes: dict[str, Any], expected: bytes) -> None:
    assert text(sound_content(placeless_request(**changes)), "LICENSE") == expected


@pytest.mark.parametrize(
    ("friendly", "version", "soc", "name"),
    [
        ("Digits ARTPEC-8", "1.0.0", "aarch64", "Digits_ARTPEC-8_1_0_0_aarch64.eap"),
        ("A  B", "10.20.30", "armv7hf", "A__B_10_20_30_armv7hf.eap"),
    ],
)
def test_the_file_is_named_as_axis_tool_names_it(friendly: str, version: str, soc: str, name: str) -> None:
    request = placeless_request(replace(TWO, friendly_name=friendly), version=version)
    request = replace(request, package=replace(request.package, soc=replace(request.package.soc, architecture=soc)))
    assert sound_content(request).file_name == name


def test_an_own_application_comes_in_axis_order(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {
        "postinstall.sh": "#!/bin/sh\n",
        "bye.sh": "#!/bin/sh\n",
        "html/index.html": "<html/>",
        "html/img/a.png": "png",
        "html.txt": "sorts between html and its files",
        "lib/libx.so.1": "so",
        "declarations/d.json": "{}",
        "zebra": "z",
        "assets/b": "b",
        "assets/a": "a",
        "manifest.json": json.dumps(with_scripts(own_manifest())),
    }
    write_app(tmp_path / "app", files)
    (tmp_path / "app" / "lib" / "libx.so").symlink_to("libx.so.1")
    (tmp_path / "app" / "assets" / "a").chmod(0o744)
    content = sound_content(eap_request(tmp_path / "model", app=read_app(tmp_path / "app")))
    assert list(content.names) == [
        *("counter", "package.conf", "param.conf", "LICENSE", "manifest.json", "postinstall.sh"),
        *("assets", "html.txt", "label/labels.txt", "model/model.tflite", "zebra", "bye.sh"),
        *("html", "declarations", "lib", "cgi.conf"),
    ]
    values, _ = parse_package_conf(text(content, "package.conf"))
    assert values["OTHERFILES"] == "assets html.txt label/labels.txt model/model.tflite zebra bye.sh"
    assert [each.path for each in content.entries[6:]] == [
        *("assets", "assets/a", "assets/b", "html.txt", "label/labels.txt", "model/model.tflite", "zebra", "bye.sh"),
        *("html", "html/img", "html/img/a.png", "html/index.html", "declarations", "declarations/d.json"),
        *("lib", "lib/libx.so", "lib/libx.so.1", "cgi.conf"),
    ]
    modes = dict(rows(content))
    assert {path for path, mode in modes.items() if mode == 0o755} == {
        *("counter", "postinstall.sh", "bye.sh", "assets", "assets/a", "html", "html/img", "declarations", "lib")
    }
    assert modes["manifest.json"] == 0o600
    assert TarLink(path="lib/libx.so", target="libx.so.1") in content.entries


def with_scripts(made: dict[str, Any]) -> dict[str, Any]:
    made["acapPackageConf"] |= {
        "installation": {"postInstallScript": "postinstall.sh"},
        "uninstallation": {"preUninstallScript": "bye.sh"},
        "configuration": {"httpConfig": [{"type": "fastCgi", "name": "x.cgi", "access": "viewer"}]},
    }
    return made


def test_one_script_for_both_ends_is_packed_once(tmp_path: Path) -> None:
    made = with_scripts(own_manifest())
    made["acapPackageConf"]["uninstallation"]["preUninstallScript"] = "postinstall.sh"
    content = own(tmp_path, {"postinstall.sh": "#!/bin/sh\n", "manifest.json": json.dumps(made)})
    assert content.names.count("postinstall.sh") == 1


def test_a_model_goes_into_a_folder_of_the_applications_own(tmp_path: Path) -> None:
    content = own(tmp_path, {"model/anchors.bin": "a"})
    assert "model" in content.names
    assert "model/model.tflite" not in content.names
    assert TarFolder(path="model") in content.entries
    assert [each.path for each in content.entries if each.path.startswith("model/")] == [
        "model/anchors.bin",
        "model/model.tflite",
    ]


def test_the_manifest_of_an_own_application_keeps_its_order_and_gains_the_architecture(tmp_path: Path) -> None:
    packed = manifest(own(tmp_path))
    expected = own_manifest()
    expected["acapPackageConf"]["setup"]["architecture"] = "aarch64"
    assert json.dumps(packed) == json.dumps(expected)


@pytest.mark.parametrize("schema", ["1.0", "1.2", "1.3.0"])
def test_old_schemas_name_no_architecture(tmp_path: Path, schema: str) -> None:
    made = own_manifest(vendorId=None, compatibleOsVersions=None)
    made["schemaVersion"] = schema
    del made["resources"]
    content = own(tmp_path, {"manifest.json": json.dumps(made)})
    assert "architecture" not in manifest(content)["acapPackageConf"]["setup"]
    assert content.file_name == "Counter_2_1_0_aarch64.eap"


def test_an_application_for_every_architecture_says_so_in_its_name(tmp_path: Path) -> None:
    assert own(tmp_path, architecture="all").file_name == "Counter_2_1_0_all.eap"


def test_each_soc_may_have_a_manifest_of_its_own(tmp_path: Path) -> None:
    made = own_manifest(friendlyName="Counter 8")
    content = own(tmp_path, {"manifest.json.artpec8": json.dumps(made), "manifest.json.cpu": "{}"})
    assert content.file_name == "Counter_8_2_1_0_aarch64.eap"
    assert not any(each.path.startswith("manifest.json.") for each in content.entries)


def test_an_own_application_gets_the_wish_for_the_dlpu_where_it_says_nothing(tmp_path: Path) -> None:
    made = own_manifest()
    del made["resources"]
    content = own(tmp_path, {"manifest.json": json.dumps(made)})
    assert manifest(content)["resources"] == {"deepLearningProcessor": {"enabled": True, "required": True}}


def test_what_an_own_application_says_of_the_dlpu_stays(tmp_path: Path) -> None:
    assert manifest(own(tmp_path))["resources"] == {"deepLearningProcessor": {"enabled": True, "required": False}}


def test_conf_files_of_an_own_application_are_kept_where_the_manifest_says_nothing(tmp_path: Path) -> None:
    content = own(
        tmp_path,
        {
            "package.conf": 'APPNAME="counter"\nMENUNAME="Count"\nOTHERFILES="old"\n',
            "param.conf": 'A="1" type="int"\n',
            "cgi.conf": "viewer /x.cgi\n",
        },
    )
    values, _ = parse_package_conf(text(content, "package.conf"))
    assert (values["MENUNAME"], values["OTHERFILES"]) == ("Count", "label/labels.txt model/model.tflite")
    assert text(content, "param.conf") == b'A="1" type="int"\n'
    assert text(content, "cgi.conf") == b"viewer /x.cgi\n"
    assert content.names[-1] == "cgi.conf"


def test_conf_files_are_made_from_a_manifest_that_speaks_of_them(tmp_path: Path) -> None:
    made = own_manifest()
    made["acapPackageConf"]["configuration"] = {"paramConfig": [{"name": "B", "default": "2", "type": "int"}]}
    content = own(tmp_path, {"manifest.json": json.dumps(made), "param.conf": "A=1\n"})
    assert text(content, "param.conf") == b'B="2" type="int"\n'


def test_an_own_application_without_a_license_carries_the_models(tmp_path: Path) -> None:
    folder = write_app(tmp_path / "app")
    (folder / "LICENSE").unlink()
    content = sound_content(eap_request(tmp_path / "model", app=read_app(folder), license_text=b"MIT\n"))
    assert text(content, "LICENSE") == b"MIT\n"
    assert content.names[3] == "LICENSE"


def test_an_own_application_says_what_it_is_called_on_each_soc(tmp_path: Path) -> None:
    app = read_app(write_app(tmp_path / "app", {"manifest.json.cpu": json.dumps(own_manifest(appName="cpu_counter"))}))
    assert (own_app_name(app, "cpu"), own_app_name(app, "artpec8")) == ("cpu_counter", "counter")
    broken = read_app(write_app(tmp_path / "broken", {"manifest.json": "{"}))
    assert own_app_name(broken, "cpu") is None
