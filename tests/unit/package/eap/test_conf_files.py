from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlpubuild.package.eap.acap_manifest import AcapManifest
from dlpubuild.package.eap.conf_files import (
    cgi_conf,
    conf_findings,
    encode_lines,
    package_conf_lines,
    param_conf,
    parse_package_conf,
    version_parts,
)
from dlpubuild.package.eap.read_manifest import read_document
from tests.unit.package.eap.requests import own_manifest

PROPERTY = settings(derandomize=True, database=None, deadline=None, max_examples=80)
KEYS = [
    *("PACKAGENAME", "APPTYPE", "APPNAME", "APPID", "LICENSENAME"),
    *("LICENSEPAGE", "VENDOR", "REQEMBDEVVERSION", "APPMAJORVERSION", "APPMINORVERSION"),
    *("APPMICROVERSION", "APPGRP", "APPUSR", "APPOPTS", "OTHERFILES"),
    *("SETTINGSPAGEFILE", "SETTINGSPAGETEXT", "VENDORHOMEPAGELINK", "PREUPGRADESCRIPT", "POSTINSTALLSCRIPT"),
    *("STARTMODE", "HTTPCGIPATHS"),
]
# Values that a person may write: all of Latin, marks, and what shells and quotation marks are made of.
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"], max_codepoint=0x2030), max_size=20)


def manifest(configuration: dict[str, Any] | None = None, **setup: Any) -> AcapManifest:
    made = own_manifest(**setup)
    if configuration is not None:
        made["acapPackageConf"]["configuration"] = configuration
    return read_document(made)[0]


def conf(read: AcapManifest, **changes: Any) -> str:
    settled: dict[str, Any] = {"architecture": "aarch64", "other_files": (), "kept": {}, **changes}
    return encode_lines(package_conf_lines(read, **settled)).decode()


def test_the_lines_are_those_of_acap_build_in_its_order() -> None:
    settled = manifest(
        {"settingPage": "index.html", "httpConfig": [{"type": "fastCgi", "name": "run.cgi", "access": "admin"}]},
        appId="12",
        runOptions="-c axis-a8-dlpu-tflite",
        vendorUrl="https://www.example.com/a",
        user={"username": "sdk", "group": "video"},
    )
    full = replace(settled, post_install="post.sh", license_method="custom", license_options="--check")
    assert conf(full, other_files=("label/labels.txt", "model/model.tflite")).splitlines() == [
        'PACKAGENAME="Counter"',
        'APPTYPE="aarch64"',
        'APPNAME="counter"',
        'APPID="12"',
        'LICENSENAME="Available"',
        'LICENSEPAGE="custom"',
        'LICENSE_CHECK_ARGS="--check"',
        'VENDOR="Example AB"',
        'REQEMBDEVVERSION="2.0"',
        'APPMAJORVERSION="2"',
        'APPMINORVERSION="1"',
        'APPMICROVERSION="0"',
        'APPGRP="video"',
        'APPUSR="sdk"',
        'APPOPTS="-c axis-a8-dlpu-tflite"',
        'OTHERFILES="label/labels.txt model/model.tflite"',
        'SETTINGSPAGEFILE="index.html"',
        'SETTINGSPAGETEXT=""',
        """VENDORHOMEPAGELINK='<a href="https://www.example.com/a" target="_blank">www.example.com/a</a>'""",
        'PREUPGRADESCRIPT=""',
        'POSTINSTALLSCRIPT="post.sh"',
        'STARTMODE="once"',
        'HTTPCGIPATHS="cgi.conf"',
    ]


def test_what_a_manifest_does_not_say_has_acap_builds_defaults() -> None:
    empty = read_document({})[0]
    values, odd = parse_package_conf(conf(empty).encode())
    assert (list(values), odd) == (KEYS, ())
    given_values = {key: value for key, value in values.items() if value}
    assert given_values == {
        "APPTYPE": "aarch64",
        "LICENSENAME": "Available",
        "LICENSEPAGE": "none",
        "VENDOR": "-",
        "REQEMBDEVVERSION": "2.0",
        "APPMAJORVERSION": "1",
        "APPMINORVERSION": "0",
        "APPMICROVERSION": "0",
        "APPGRP": "sdk",
        "APPUSR": "sdk",
        "STARTMODE": "never",
    }


def test_a_package_is_named_like_its_application_where_it_has_no_friendly_name() -> None:
    assert 'PACKAGENAME="counter"' in conf(manifest(friendlyName=None)).splitlines()


def test_keys_that_no_manifest_has_are_kept() -> None:
    lines = conf(manifest(), kept={"MENUNAME": "Menu", "AUTOSTART": "yes", "LICENSENAME": "Mine"}).splitlines()
    assert lines[1] == 'MENUNAME="Menu"'
    assert lines[-1] == 'AUTOSTART="yes"'
    assert 'LICENSENAME="Mine"' in lines


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://a.example/", "a.example/"),
        ("http://b", "b"),
        ("c.example", "c.example"),
        ("a?u=http://b", "a?u=http://b"),
    ],
)
def test_the_link_shows_the_address_without_its_scheme(url: str, shown: str) -> None:
    assert f'<a href="{url}" target="_blank">{shown}</a>' in conf(manifest(vendorUrl=url))


@PROPERTY
@given(TEXT, TEXT, TEXT)
def test_values_come_back_as_they_were_or_are_refused(vendor: str, options: str, page: str) -> None:
    """Read by a shell, as by the tools of AXIS OS: nothing is run, nothing is changed, nothing else is set."""
    made = manifest({"settingPage": page}, vendor=vendor, runOptions=options)
    refused = {each.field.rpartition(".")[2] for each in conf_findings(made, "aarch64")}
    for name, value in (("vendor", vendor), ("runOptions", options), ("settingPage", page)):
        is_plain = not any(character in '"\\$`\x7f' or character < " " for character in value)
        assert (name in refused) == (not is_plain)
    if refused:
        return
    text = conf(made)
    values, odd = parse_package_conf(text.encode())
    assert (list(values), odd) == (KEYS, ())
    assert (values["VENDOR"], values["APPOPTS"], values["SETTINGSPAGEFILE"]) == (vendor or "-", options, page)
    for shell in (["dash"], ["busybox", "sh"]):
        if shutil.which(shell[0]) is None:
            continue
        script = text + 'printf "%s\\0%s\\0%s" "$VENDOR" "$APPOPTS" "$SETTINGSPAGEFILE"'
        ran = subprocess.run([*shell], input=script.encode(), capture_output=True, check=True)
        assert ran.stdout.decode().split("\0") == [vendor or "-", options, page]
        assert ran.stderr == b""


@pytest.mark.parametrize("character", ['"', "\\", "$", "`", "\n", "\t", "\0", "\x7f"])
def test_a_character_that_cannot_be_quoted_is_told_with_its_field(character: str) -> None:
    (finding,) = conf_findings(manifest(runOptions=f"a{character}b"), "aarch64")
    assert (finding.field, str(finding.code)) == ("acapPackageConf.setup.runOptions", "manifest-schema")


def test_parameters_are_lines_with_and_without_type() -> None:
    made = manifest(
        {
            "paramConfig": [
                {"name": "ConfThreshold", "default": "25", "type": "int:maxlen=3;min=0;max=100"},
                {"name": "Free", "default": "any text", "type": ""},
            ]
        }
    )
    assert param_conf(made) == b'ConfThreshold="25" type="int:maxlen=3;min=0;max=100"\nFree=any text\n'
    assert param_conf(manifest()) == b""
    assert list(conf_findings(made, "aarch64")) == []


@pytest.mark.parametrize(
    ("entry", "names"),
    [
        ({"name": "a", "default": 'say "x"', "type": ""}, ["default"]),
        ({"name": "a b", "default": "", "type": ""}, ["name"]),
        ({"name": "a=b", "default": "", "type": ""}, ["name"]),
        ({"name": "", "default": "", "type": ""}, ["name"]),
        ({"name": "a", "default": "x\ny", "type": "a\rb"}, ["default", "type"]),
    ],
)
def test_a_parameter_that_has_no_line_is_refused(entry: dict[str, str], names: list[str]) -> None:
    found = list(conf_findings(manifest({"paramConfig": [entry]}), "aarch64"))
    assert [each.field for each in found] == [f"acapPackageConf.configuration.paramConfig[0].{name}" for name in names]


def test_web_server_lines_name_the_access_as_the_camera_does() -> None:
    entries = [
        {"type": "transferCgi", "name": "a.cgi", "access": "admin"},
        {"type": "fastCgi", "name": "/b/c.cgi", "access": "viewer"},
        {"type": "directory", "access": "operator"},
    ]
    made = manifest({"httpConfig": entries})
    assert cgi_conf(made) == b"administrator /a.cgi\nviewer /b/c.cgi fastCgi\n"
    assert cgi_conf(manifest()) is None
    assert cgi_conf(manifest({"httpConfig": []})) == b""
    assert 'HTTPCGIPATHS=""' in conf(manifest({"httpConfig": []}))


def test_a_cgi_whose_name_holds_a_blank_is_refused() -> None:
    made = manifest({"httpConfig": [{"type": "fastCgi", "name": "a b", "access": "admin"}]})
    assert [each.field for each in conf_findings(made, "aarch64")] == [
        "acapPackageConf.configuration.httpConfig[0].name"
    ]


def test_lines_of_another_form_are_named_and_comments_are_not() -> None:
    values, odd = parse_package_conf(b'# made by hand\n\nAPPNAME="a"\nVENDOR=\'b\'\nAPPGRP=sdk\nrm -rf /\nA="$(x)"\n')
    assert values == {"APPNAME": "a", "VENDOR": "b", "APPGRP": "sdk"}
    assert odd == ("rm -rf /", 'A="$(x)"')


def test_only_a_line_feed_ends_a_line() -> None:
    made = manifest(vendor="a\x85b\u2028c")
    assert list(conf_findings(made, "aarch64")) == []
    assert parse_package_conf(conf(made).encode())[0]["VENDOR"] == "a\x85b\u2028c"


def test_a_version_falls_into_its_numbers() -> None:
    assert version_parts("2.10.3-rc.1") == ("2", "10", "3")
    assert version_parts(None) == ("1", "0", "0")
