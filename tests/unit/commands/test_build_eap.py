"""Application packages from manifest to `.eap`, with steps that are small scripts."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dlpubuild.errors import ExitCode
from dlpubuild.package.eap.contents import read_eap
from tests.factories.fake_project import MODEL, write_project
from tests.unit.package.eap.requests import write_app

if TYPE_CHECKING:
    from tests.unit.commands.conftest import Tool

NAME = "toy_Fake_fake_1_0_0_aarch64.eap"
BOTH = '[package]\nformats = ["bundle", "eap"]\n'
ONLY = '[package]\nformats = ["eap"]\n'
VENDOR = (('templates = "templates"', 'templates = "templates"\nvendor = "Example AB"'),)

pytestmark = pytest.mark.skipif(shutil.which("gzip") is None, reason="gzip is not installed")


def write(tool: Tool, toml: str = BOTH, *, socs: tuple[str, ...] = ("fake",), vendor: bool = True) -> Path:
    path = write_project(tool.folder, socs=socs, manifest=toml)
    if vendor:
        for old, new in VENDOR:
            path.write_text(path.read_text().replace(old, new))
    return path


def eaps(tool: Tool) -> list[str]:
    return sorted(path.name for path in tool.folder.glob("dist/*.eap"))


def test_a_build_makes_both_packages_and_the_next_has_nothing_to_do(empty: Tool) -> None:
    write(empty)
    first = empty.run("build")
    assert first.code == 0, first.err
    assert (empty.packages(), eaps(empty)) == (["toy-1.0.0-fake.tar.gz"], [NAME])
    assert re.search(rf"dist/toy-1\.0\.0-fake\.tar\.gz \(.*\), dist/{NAME} \(", first.out)
    before = {path: path.stat().st_mtime_ns for path in (empty.folder / "dist").rglob("*")}
    second = empty.run("build")
    assert "nothing had to run: 2 steps cached, 1 package unchanged" in second.out
    assert {path: path.stat().st_mtime_ns for path in (empty.folder / "dist").rglob("*")} == before


def test_only_an_eap_leaves_no_bundle(empty: Tool) -> None:
    write(empty, ONLY)
    done = empty.run("build", "--json")
    assert (empty.packages(), eaps(empty)) == ([], [NAME])
    (target,) = json.loads(done.out)["targets"]
    assert (target["eap"], target["quantization"]) == (str(empty.folder / "dist" / NAME), "none")
    assert "archive" not in target
    assert target["operators"] == {"CONV_2D": 1, "FULLY_CONNECTED": 1}
    again = json.loads(empty.run("build", "--json").out)["targets"][0]
    assert (again["written"], again["operators"]) == (False, target["operators"])


def test_every_target_gets_an_eap_of_its_own(empty: Tool) -> None:
    write(empty, socs=("fake", "two"))
    assert empty.run("build").code == 0
    assert eaps(empty) == [NAME, "toy_Fake_two_1_0_0_aarch64.eap"]


def test_faults_stop_a_build_before_its_first_step(empty: Tool) -> None:
    write(empty, ONLY + '[package.acap]\nschema = "2"\nfriendly-name = "Toy"\n', socs=("fake", "two"), vendor=False)
    for command in ("build", "check"):
        done = empty.run(command)
        assert done.code == ExitCode.USAGE
        assert "vendor is missing" in done.err
        assert "package.acap.schema" not in done.err
        assert "vendorId is missing" in done.err
        assert 'would both be packed as "Toy_1_0_0_aarch64.eap"' in done.err
        assert re.search(r"dlpu\.toml:\d+:\d+  package\.acap\.friendly-name", done.err)
    assert not (empty.cache / "ac").exists() or not list((empty.cache / "ac").rglob("*.json"))


def test_a_note_is_printed_by_build_and_check(empty: Tool) -> None:
    write(empty, ONLY + '[package.acap]\nvendor-id = "0"\n')
    assert 'note: vendor-id "0" is no vendor ID' in empty.run("check").err
    assert 'note: vendor-id "0" is no vendor ID' in empty.run("build").err


def test_an_application_of_the_projects_own_is_packed_with_the_model(empty: Tool) -> None:
    write(empty, ONLY.replace("[package]\n", '[package]\napp = "app"\n'))
    write_app(empty.folder / "app", {"lib/a.txt": "a"})
    assert empty.run("build").code == 0
    assert eaps(empty) == ["Counter_2_1_0_aarch64.eap"]
    contents = read_eap(empty.folder / "dist" / "Counter_2_1_0_aarch64.eap")
    assert [each.path for each in contents.entries] == [
        *("counter", "package.conf", "param.conf", "LICENSE", "manifest.json", "model/model.tflite", "lib", "lib/a.txt")
    ]
    (empty.folder / "app" / "lib" / "a.txt").write_text("b")
    assert json.loads(empty.run("build", "--json").out)["targets"][0]["written"] is True


def test_faults_of_an_own_application_are_told_at_its_files(empty: Tool) -> None:
    write(empty, ONLY.replace("[package]\n", '[package]\napp = "app"\n'))
    write_app(empty.folder / "app", vendorId="0")
    assert re.search(r"app/manifest\.json  acapPackageConf\.setup\.vendorId  ", empty.run("check").err)
    (empty.folder / "app" / "out").symlink_to("/etc/passwd")
    done = empty.run("check")
    assert done.code == ExitCode.USAGE
    assert "app/out  package.app  is a symbolic link that leaves the application" in done.err


@pytest.mark.parametrize(
    ("name", "words"), [("gone", "does not exist"), ("dlpu.toml", "is not a folder"), ("..", "leaves")]
)
def test_an_application_that_is_no_folder_of_the_project_is_told(empty: Tool, name: str, words: str) -> None:
    write(empty, ONLY.replace("[package]\n", f'[package]\napp = "{name}"\n'))
    done = empty.run("check")
    assert done.code == ExitCode.USAGE
    assert "package.app" in done.err
    assert words in done.err


def test_an_own_application_is_not_looked_at_without_an_eap(empty: Tool) -> None:
    write(empty, '[package]\napp = "gone"\n')
    assert empty.run("check").code == 0


def test_a_missing_gzip_is_told_before_the_first_step(empty: Tool, tmp_path: Path) -> None:
    write(empty)
    (tmp_path / "bin").mkdir()
    done = empty.spawn("build", PATH=str(tmp_path / "bin"))
    assert done.code == ExitCode.STEP_FAILED
    assert "an .eap needs GNU gzip, and there is no `gzip` on PATH" in done.err
    assert not list(empty.folder.glob("dist/*.tar.gz"))


def test_inspect_shows_the_model_of_an_eap(empty: Tool) -> None:
    write(empty, ONLY)
    empty.run("build")
    told = json.loads(empty.run("inspect", empty.folder / "dist" / NAME, "--json").out)
    assert told["size_bytes"] == len(MODEL)
    assert told["application"]["larod_devices"] == ["cpu-tflite"]
    assert next(each["path"] for each in told["application"]["entries"]) == "toy"
    page = empty.run("inspect", empty.folder / "dist" / NAME).out
    assert re.search(r"^-rwxr-xr-x +\d+  1980-01-01 00:00:00  toy$", page, re.MULTILINE)
    assert re.search(r"^larod device +cpu-tflite$", page, re.MULTILINE)
    assert re.search(r"^CONV_2D +1 ", page, re.MULTILINE)


SDK = f'[package.acap]\nsdk-image.aarch64 = "sha256:{"0" * 64}"\n'


def test_acap_build_needs_a_container_and_says_so_before_the_first_step(empty: Tool) -> None:
    write(empty, ONLY + SDK)
    done = empty.run("build")
    assert done.code == ExitCode.USAGE
    assert re.search(r"dlpu\.toml:\d+:\d+: acap-build runs in a container, and --executor local has none", done.err)
    for executor in ("docker", "auto"):
        done = empty.run("build", "--executor", executor)
        assert done.code == ExitCode.ENGINE_MISSING
        assert "/nowhere/docker.sock" in done.err
    assert not eaps(empty)


def test_what_acap_build_would_pack_is_checked_and_locked_without_an_engine(empty: Tool) -> None:
    write(empty, ONLY + SDK)
    done = empty.run("check")
    assert done.code == 0, done.err
    assert "in 3 steps" in done.out
    assert empty.run("lock").code == 0
    pins = json.loads((empty.folder / "dlpu.lock").read_text())["pins"]
    assert pins["image.acap-sdk-aarch64.id"] == f"sha256:{'0' * 64}"
    assert not [name for name in pins if name.startswith("toolchain.acap")]


def test_a_package_conf_that_acap_build_replaces_is_noted(empty: Tool) -> None:
    write(empty, (ONLY + SDK).replace("[package]\n", '[package]\napp = "app"\n'))
    write_app(empty.folder / "app", {"package.conf": 'MENUNAME="x"\n'})
    assert "app/package.conf is not used: acap-build makes its own" in empty.run("check").err


def test_the_step_of_acap_build_can_be_laid_out_to_run_by_hand(empty: Tool, tmp_path: Path) -> None:
    write(empty, ONLY + SDK)
    done = empty.run("render", tmp_path / "steps")
    assert done.code == 0, done.err
    folder = tmp_path / "steps" / "acap-build-fake"
    assert (folder / "in/app/toy").stat().st_mode & 0o111
    assert json.loads((folder / "in/app/manifest.json").read_text())["acapPackageConf"]["setup"]["appName"] == "toy"
    assert "cp ../finish/out/model.tflite in/app/model/model.tflite" in (folder / "run").read_text()


def test_clean_takes_the_eap_and_nothing_else(empty: Tool) -> None:
    write(empty)
    empty.run("build")
    (empty.folder / "dist" / "other_1_0_0_aarch64.eap").write_bytes(b"mine")
    done = empty.run("clean")
    assert f"removed dist/{NAME}\n" in done.out
    assert eaps(empty) == ["other_1_0_0_aarch64.eap"]
    assert sorted(path.name for path in (empty.folder / "dist").iterdir()) == [
        ".dlpubuild.lock",
        "other_1_0_0_aarch64.eap",
    ]
