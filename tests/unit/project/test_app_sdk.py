"""What is wrong with the keys that name Axis' SDK, told before anything runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dlpubuild.errors import ErrorCode
from dlpubuild.manifest.load import load_manifest
from tests.factories.small_projects import fault, problems, resolve_unpinned, write_project

if TYPE_CHECKING:
    from pathlib import Path

    from dlpubuild.errors import Problem

DIGEST = "sha256:" + "0" * 64
APP = {
    "app/manifest.json": "{}",
    "app/main.c": "",
    "app/settings/a.json": "{}",
    "app/model/anchors.bin": "",
}


def write(
    folder: Path, *lines: str, app: bool = True, makefile: bool = False, target: str = "cpu", formats: str = "eap"
) -> Path:
    key = 'app = "app"\n' if app else ""
    toml = f'[target.{target}]\n[package]\nformats = ["{formats}"]\n{key}[package.acap]\n' + "\n".join(lines) + "\n"
    if target != "cpu":
        toml = '[calibration]\ndata = "data"\n' + toml
    files = {**APP, **({"app/Makefile": ""} if makefile else {})} if app else {}
    return write_project(folder, toml, files=files)


def image(architecture: str = "aarch64", name: str = f"axisecp/acap-native-sdk@{DIGEST}") -> str:
    return f'sdk-image.{architecture} = "{name}"'


def loading_problems(manifest: Path) -> tuple[Problem, ...]:
    from dlpubuild.errors import ManifestError

    with pytest.raises(ManifestError) as caught:
        load_manifest(manifest)
    return caught.value.problems


@pytest.mark.parametrize(
    "name",
    [
        DIGEST,
        f"axisecp/acap-native-sdk@{DIGEST}",
        f"registry.example:5000/sdk:12.11.0-aarch64-ubuntu24.04@{DIGEST}",
    ],
)
def test_a_digest_or_an_image_id_pins_an_image(tmp_path: Path, name: str) -> None:
    sdk = resolve_unpinned(write(tmp_path, image(name=name))).manifest.package.acap.sdk_image
    assert sdk is not None
    assert (sdk.aarch64, sdk.armv7hf) == (name, None)


@pytest.mark.parametrize(
    "name", ["axisecp/acap-native-sdk:12.11.0-aarch64-ubuntu24.04", "sdk", "sdk@sha256:0", f"sdk@{DIGEST}0", ""]
)
def test_an_image_that_is_not_pinned_is_refused_with_how_to_pin_it(tmp_path: Path, name: str) -> None:
    (problem,) = loading_problems(write(tmp_path, image(name=name)))
    assert problem.path == "package.acap.sdk-image.aarch64"
    text = f"{problem.message} {problem.hint}"
    assert "docker buildx imagetools inspect" in text
    assert "docker image inspect" in text


def test_every_architecture_that_is_built_needs_an_image(tmp_path: Path) -> None:
    (problem,) = problems(write(tmp_path, image(), target="artpec7"))
    assert (problem.code, problem.path) == (ErrorCode.MISSING_KEY, "package.acap.sdk-image")
    assert "armv7hf" in problem.message
    assert "ARTPEC-7" in problem.message


@pytest.mark.parametrize("name", ["sdk:12.0.0-armv7hf-ubuntu24.04", "sdk:1.15-armv7hf"])
def test_a_tag_that_names_another_architecture_is_refused(tmp_path: Path, name: str) -> None:
    code, path, _ = fault(write(tmp_path, image(name=f"{name}@{DIGEST}")))
    assert (code, path) == (ErrorCode.CONFLICT, "package.acap.sdk-image.aarch64")


@pytest.mark.parametrize("line", ['sdk-build = "make"', 'sdk-add = ["settings"]'])
def test_keys_of_the_sdk_need_its_image(tmp_path: Path, line: str) -> None:
    code, path, _ = fault(write(tmp_path, line, makefile=True))
    assert (code, path) == (ErrorCode.CONFLICT, f"package.acap.{line.split(maxsplit=1)[0]}")


@pytest.mark.parametrize("line", ['sdk-build = "make"', 'sdk-add = ["settings"]'])
def test_the_measuring_application_has_nothing_to_build_or_to_add(tmp_path: Path, line: str) -> None:
    code, path, _ = fault(write(tmp_path, image(), line, app=False))
    assert (code, path) == (ErrorCode.CONFLICT, f"package.acap.{line.split(maxsplit=1)[0]}")


def test_make_needs_a_makefile(tmp_path: Path) -> None:
    code, path, _ = fault(write(tmp_path, image(), 'sdk-build = "make"'))
    assert (code, path) == (ErrorCode.PATH_MISSING, "package.acap.sdk-build")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("settngs", ErrorCode.PATH_MISSING),
        ("../other", ErrorCode.PATH_OUTSIDE),
        ("/etc/passwd", ErrorCode.PATH_OUTSIDE),
        ("a//b", ErrorCode.PATH_OUTSIDE),
        ("--help", ErrorCode.PATH_KIND),
        ("a b", ErrorCode.PATH_KIND),
        ("$(reboot)", ErrorCode.PATH_KIND),
    ],
)
def test_what_is_added_must_be_in_the_application(tmp_path: Path, name: str, code: ErrorCode) -> None:
    found, path, _ = fault(write(tmp_path, image(), f'sdk-add = ["settings", "{name}"]'))
    assert (found, path) == (code, "package.acap.sdk-add[1]")


def test_what_make_has_yet_to_make_may_be_added(tmp_path: Path) -> None:
    assert resolve_unpinned(write(tmp_path, image(), 'sdk-add = ["built.bin"]', makefile=True)).app is not None


def test_nothing_is_looked_at_where_no_eap_is_asked_for(tmp_path: Path) -> None:
    assert resolve_unpinned(write(tmp_path, 'sdk-build = "make"', formats="bundle")).app is None
