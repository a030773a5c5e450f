"""The step that packs an application with Axis' acap-build, with a stand-in for the SDK.

It needs no toolchain of ours: it runs in this Python, and in a Python 3.7 where there is one.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.factories.acap_sdk import put_sdk
from tests.steps.conftest import StepRun, run_step
from tests.steps.test_compile_edgetpu import _pythons
from tests.unit.package.eap.requests import own_manifest

if TYPE_CHECKING:
    from collections.abc import Mapping

EPOCH_S = 1700000000
MAKEFILE = "counter: main.c\n\t$(CC) -o $@ $<\n"

pytestmark = pytest.mark.skipif(shutil.which("gzip") is None, reason="gzip is not installed")


class Pack:
    """Runs the step on an application; `config` is for the stand-in."""

    def __init__(self, python: str, folder: Path) -> None:
        self.python, self.folder = Path(python), folder
        self.runs = 0

    def __call__(
        self,
        files: Mapping[str, str | bytes | None] | None = None,
        params: Mapping[str, Any] | None = None,
        *,
        sdk: Path | None = None,
        setup: Mapping[str, Any] | None = None,
        **config: Any,
    ) -> StepRun:
        self.runs += 1
        top = self.folder / f"run{self.runs}"
        app = top / "app"
        content: dict[str, str | bytes | None] = {
            "counter": "#!/bin/sh\n",
            "LICENSE": "All rights reserved\n",
            "manifest.json": json.dumps(own_manifest(**(setup or {}))),
            "model/model.tflite": b"model",
            **(files or {}),
        }
        for path, data in content.items():
            if data is None:
                continue
            place = app / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data.encode() if isinstance(data, str) else data)
        if (app / "counter").exists():
            (app / "counter").chmod(0o755)
        given = {
            "architecture": "aarch64",
            "build": "no-build",
            "add": ["model/model.tflite"],
            "epoch": EPOCH_S,
            "folders": [],
            "links": [],
            "digest": None,
            "sdk": str(sdk or put_sdk(self.folder / "sdk", **config)),
            "output": "out/package.eap",
            **(params or {}),
        }
        return run_step(self.python, top / "root", "acap_build.py", given, {"in/app": app})


@pytest.fixture(params=_pythons())
def pack(request: pytest.FixtureRequest, tmp_path: Path) -> Pack:
    return Pack(request.param, tmp_path)


def rows(run: StepRun) -> list[tuple[str, int, int]]:
    run.output("package.eap")
    with tarfile.open(run.folder / "out" / "package.eap") as archive:
        return [(each.name, each.mode, int(each.mtime)) for each in archive]


def test_the_application_is_packed_in_the_order_of_acap_build(pack: Pack) -> None:
    run = pack({"html/index.html": "<html/>", "notes.txt": "x"}, {"add": ["model/model.tflite", "notes.txt"]})
    assert rows(run) == [
        ("counter", 0o755, EPOCH_S),
        ("package.conf", 0o644, EPOCH_S),
        ("param.conf", 0o644, EPOCH_S),
        ("LICENSE", 0o644, EPOCH_S),
        ("manifest.json", 0o600, EPOCH_S),
        ("model/model.tflite", 0o644, EPOCH_S),
        ("notes.txt", 0o644, EPOCH_S),
        ("html", 0o755, EPOCH_S),
        ("html/index.html", 0o644, EPOCH_S),
    ]
    assert run.description == {
        "schema": 1,
        "tools": {"acap-sdk": "12.11.1"},
        "tensors": {"inputs": [], "outputs": []},
        "metrics": {"file_name": "Counter_2_1_0_aarch64.eap"},
    }
    assert sorted(path.name for path in (run.folder / "out").iterdir()) == ["package.eap", "step.json"]


def test_two_runs_give_the_same_bytes_whatever_the_umask(pack: Pack) -> None:
    first = pack().output("package.eap")
    before = os.umask(0o077)
    try:
        assert pack().output("package.eap") == first
    finally:
        os.umask(before)


def test_folders_and_links_that_no_input_tree_can_hold_are_made(pack: Pack) -> None:
    run = pack(
        {"lib/libx.so.1": "so"},
        {"folders": ["empty", "lib"], "links": [["lib/libx.so", "libx.so.1"]], "add": ["model/model.tflite", "empty"]},
    )
    assert [path for path, _, _ in rows(run)][-4:] == ["empty", "lib", "lib/libx.so", "lib/libx.so.1"]


def test_the_digest_of_the_model_is_put_where_its_mark_stands(pack: Pack) -> None:
    mark = "0" * 64
    wanted = {"into": "counter", "mark": mark, "of": "model/model.tflite"}
    run = pack({"counter": f"#!/bin/sh\nSHA256={mark}\n"}, {"digest": wanted})
    run.output("package.eap")
    with tarfile.open(run.folder / "out" / "package.eap") as archive:
        stream = archive.extractfile("counter")
        assert stream is not None
        assert stream.read().decode() == f"#!/bin/sh\nSHA256={hashlib.sha256(b'model').hexdigest()}\n"


def test_make_builds_with_the_compiler_of_the_sdk(pack: Pack) -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    files: dict[str, str | bytes | None] = {
        "counter": None,
        "main.c": "int main(void) { return 0; }\n",
        "Makefile": MAKEFILE,
    }
    run = pack(files, {"build": "make"})
    assert next(path for path, _, _ in rows(run)) == "counter"
    with tarfile.open(run.folder / "out" / "package.eap") as archive:
        stream = archive.extractfile("counter")
        assert stream is not None
        assert stream.read()[18:20] == b"\xb7\x00"
    assert not any(path in {"main.c", "Makefile"} for path, _, _ in rows(run))


def test_a_failing_make_is_told_with_its_last_words(pack: Pack) -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    files: dict[str, str | bytes | None] = {"counter": None, "main.c": "nothing\n", "Makefile": MAKEFILE}
    run = pack(files, {"build": "make"})
    assert (run.exit_code, run.error["code"]) == (1, "acap-build")
    assert "make failed with exit code 2" in run.error["message"]
    assert "make failed" in run.error["hint"]
    assert "main.c:1:1: error: expected 'int main'" in run.log


@pytest.mark.parametrize(
    ("files", "params", "setup", "words"),
    [
        ({"LICENSE": None}, {}, {}, "Could not find LICENSE"),
        ({"counter": None}, {}, {}, "Could not find counter"),
        ({}, {"add": ["gone.txt"]}, {}, "Could not find gone.txt"),
        ({}, {}, {"vendorId": None}, "'vendorId' is a required property"),
        ({"manifest.json": json.dumps({**own_manifest(), "schemaVersion": "9.0.0"})}, {}, {}, "No schema matching"),
        ({}, {}, {"architecture": "armv7hf"}, "is for armv7hf, the SDK is for aarch64"),
    ],
)
def test_what_acap_build_refuses_is_told_in_its_own_words(
    pack: Pack, files: dict[str, Any], params: dict[str, Any], setup: dict[str, Any], words: str
) -> None:
    run = pack(files, params, setup=setup)
    assert (run.exit_code, run.error["code"]) == (1, "acap-build")
    assert words in run.error["message"]
    assert run.error["hint"]
    assert not list((run.folder / "out").iterdir())


@pytest.mark.parametrize(("mode", "words"), [("none", "left 0 .eap files"), ("two", "left 2 .eap files")])
def test_anything_but_one_eap_is_no_result_although_the_exit_code_is_0(pack: Pack, mode: str, words: str) -> None:
    run = pack(mode=mode)
    assert run.error["code"] == "acap-build"
    assert words in run.error["message"]


def test_what_acap_build_prints_never_becomes_an_event(pack: Pack) -> None:
    run = pack(mode="event")
    assert run.exit_code == 0
    assert [event["event"] for event in run.events] == ["message"]
    assert "not of the step" in run.log


def test_an_image_without_the_sdk_is_told(pack: Pack, tmp_path: Path) -> None:
    run = pack(sdk=tmp_path / "nothing")
    assert run.error["code"] == "toolchain"
    assert "no image of the ACAP Native SDK" in run.error["message"]


def test_an_sdk_without_acap_build_is_told(pack: Pack, tmp_path: Path) -> None:
    sdk = put_sdk(tmp_path / "bare")
    shutil.rmtree(sdk / "axis-acap-manifest-tools")
    assert "no acap-build" in pack(sdk=sdk).error["message"]


def test_an_sdk_for_another_architecture_is_told(pack: Pack) -> None:
    run = pack(params={"architecture": "armv7hf"})
    assert run.error["code"] == "toolchain"
    assert "builds for aarch64, not for armv7hf" in run.error["message"]


def test_of_two_sdks_the_fitting_one_is_used(pack: Pack, tmp_path: Path) -> None:
    sdk = put_sdk(put_sdk(tmp_path / "both"), "armv7hf")
    run = pack(params={"architecture": "armv7hf"}, sdk=sdk)
    assert run.description["metrics"]["file_name"] == "Counter_2_1_0_armv7hf.eap"


def test_an_environment_script_that_fails_is_told(pack: Pack, tmp_path: Path) -> None:
    sdk = put_sdk(tmp_path / "broken")
    next(sdk.glob("environment-setup*")).write_text("exit 3\n")
    assert "failed with exit code 3" in pack(sdk=sdk).error["message"]


def test_the_bytes_are_those_of_gnu_tar_and_gzip(pack: Pack) -> None:
    content = pack().output("package.eap")
    assert content[:10] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03"
    assert gzip.decompress(content)[257:265] == b"ustar  \0"
    assert subprocess.run(["gzip", "-t"], input=content, check=False).returncode == 0
