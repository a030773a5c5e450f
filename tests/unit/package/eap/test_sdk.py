"""The step that lets acap-build pack an application, and what is taken from what it leaves."""

from __future__ import annotations

import io
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dlpubuild.cas.digest import digest_bytes
from dlpubuild.cas.faults import BlobMissingError
from dlpubuild.cas.store import Store
from dlpubuild.errors import ErrorCode, Location, ManifestError, StepFailedError
from dlpubuild.package.eap.check import sound_content
from dlpubuild.package.eap.request import SdkPacking
from dlpubuild.package.eap.sdk_result import placed_eap
from dlpubuild.package.eap.sdk_step import sdk_step
from dlpubuild.package.eap.stamp import stamped_eap
from dlpubuild.plan.model import FilesInput, MadeInput, OutputInput, OutputOf, PlannedTarget
from dlpubuild.toolchains.acap_sdk import sdk_pin
from dlpubuild.toolchains.pins import own_image
from tests.unit.package.eap.requests import eap_request, read_app, write_app
from tests.unit.package.specs import MODEL_BYTES

if TYPE_CHECKING:
    from dlpubuild.cas.digest import Digest
    from dlpubuild.package.eap.request import EapRequest
    from dlpubuild.plan.model import Step

NAME = "Counter_2_1_0_aarch64.eap"
RESULT = OutputOf(step="0123", path="out/model.tflite")
PIN = replace(sdk_pin("acap-sdk-aarch64"), image=own_image("sha256:" + "0" * 64, "dlpu.toml"))


class _Soc:
    name = "artpec8"


def planned() -> PlannedTarget:
    return PlannedTarget(target=_Soc(), result=RESULT, steps=("0123",))  # type: ignore[arg-type]


def request_of(tmp_path: Path, sdk: SdkPacking | None = None, **files: Any) -> EapRequest:
    app = read_app(write_app(tmp_path / "app", files or {"notes.txt": "x", "html/index.html": "<html/>"}))
    return replace(eap_request(tmp_path / "model", app=app), sdk=sdk or SdkPacking())


def step_of(request: EapRequest, **changes: Any) -> Step:
    assert request.sdk is not None
    return sdk_step(request, request.sdk, planned(), replace(PIN, **changes), locate=Location)


def staged(step: Step) -> list[str]:
    found = []
    for each in step.inputs:
        found += [f"{each.at}/{file.staged}" for file in each.files] if isinstance(each, FilesInput) else [each.at]
    return sorted(found)


def test_the_application_is_staged_with_its_manifest_made_final_and_the_model_that_is_built(tmp_path: Path) -> None:
    step = step_of(request_of(tmp_path))
    assert staged(step) == [
        *("in/app/LICENSE", "in/app/counter", "in/app/html/index.html", "in/app/label/labels.txt"),
        *("in/app/manifest.json", "in/app/model/model.tflite", "in/app/notes.txt"),
    ]
    (model,) = [each for each in step.inputs if isinstance(each, OutputInput)]
    assert (model.output, step.needs) == (RESULT, ("0123",))
    (manifest,) = [each for each in step.inputs if isinstance(each, MadeInput) and each.at.endswith("manifest.json")]
    assert b'"architecture": "aarch64"' in manifest.content
    executables = [
        f.staged for each in step.inputs if isinstance(each, FilesInput) for f in each.files if f.is_executable
    ]
    assert executables == ["counter"]


def test_without_make_everything_at_the_top_is_added_that_acap_build_does_not_know(tmp_path: Path) -> None:
    step = step_of(request_of(tmp_path))
    assert step.params["add"] == ["label/labels.txt", "model/model.tflite", "notes.txt"]
    assert (step.params["build"], step.name) == ("no-build", "acap-build:artpec8")


def test_what_make_builds_from_is_not_installed(tmp_path: Path) -> None:
    files = {"Makefile": "", "main.c": "", "model/anchors.bin": ""}
    step = step_of(request_of(tmp_path, SdkPacking(build="make", add=()), **files))
    assert step.params["add"] == ["model/model.tflite", "label/labels.txt"]
    step = step_of(request_of(tmp_path, SdkPacking(build="make", add=("model",)), **files))
    assert step.params["add"] == ["model", "label/labels.txt"]


def test_equal_packing_has_equal_keys_and_all_that_decides_it_is_in_the_key(tmp_path: Path) -> None:
    request = request_of(tmp_path / "a")
    keys = {
        step_of(request).key,
        step_of(replace(request, package=replace(request.package, epoch_s=0))).key,
        step_of(replace(request, package=replace(request.package, labels=None))).key,
        step_of(replace(request, sdk=SdkPacking(add=()))).key,
        step_of(request_of(tmp_path / "b", None, **{"notes.txt": "y"})).key,
        step_of(request, image=own_image("sha256:" + "1" * 64, "dlpu.toml")).key,
    }
    assert len(keys) == 6
    assert step_of(request_of(tmp_path / "c")).key == step_of(request).key


def test_a_faulty_application_makes_no_step(tmp_path: Path) -> None:
    request = replace(eap_request(tmp_path / "model", vendor=None), sdk=SdkPacking())
    with pytest.raises(ManifestError):
        step_of(request)


def packed(request: EapRequest, **changes: bytes | None) -> bytes:
    """What acap-build would leave: what the tool itself packs, with `changes` by path; None leaves a file out."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz", format=tarfile.GNU_FORMAT) as archive:
        for entry in sound_content(request).entries:
            content = getattr(getattr(entry, "member", None), "content", b"")
            data = changes.get(entry.path, content.read_bytes() if isinstance(content, Path) else content)
            if data is None:
                continue
            member = tarfile.TarInfo(entry.path)
            member.size, member.mode = len(data), 0o644
            if not hasattr(entry, "member"):
                member.type = tarfile.DIRTYPE
            archive.addfile(member, io.BytesIO(data))
        for path in set(changes) - {entry.path for entry in sound_content(request).entries}:
            data = changes[path] or b""
            member = tarfile.TarInfo(path)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return target.getvalue()


def digest_of(path: Path) -> Digest:
    return digest_bytes(path.read_bytes())


def place(tmp_path: Path, request: EapRequest, data: bytes) -> tuple[bool, tuple[str, ...]]:
    store = Store(tmp_path / "cache", now_ns=lambda: 1)
    made = store.put_bytes(data)
    eap, is_new, notes = placed_eap(request, sound_content(request), made, store, tmp_path / "dist", digest_of)
    assert eap.path == tmp_path / "dist" / NAME
    assert eap.path.read_bytes() == data
    return is_new, notes


def visible(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "dist").iterdir() if path.name != ".dlpubuild.lock")


def test_a_sound_package_is_put_in_its_place_and_known_again(tmp_path: Path) -> None:
    request = request_of(tmp_path)
    data = packed(request)
    assert place(tmp_path, request, data) == (True, ())
    stamp = ".digits-1.0.0-artpec8.eap.stamp.json"
    assert visible(tmp_path) == [stamp, NAME]
    assert stamped_eap(tmp_path / "dist" / stamp) is not None
    assert place(tmp_path, request, data) == (False, ())
    (tmp_path / "dist" / NAME).write_bytes(b"changed")
    assert place(tmp_path, request, data) == (True, ())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model/model.tflite": b"other"}, "the model/model.tflite in its .eap is not the one that was built"),
        ({"label/labels.txt": b"cat\n"}, "the label/labels.txt in its .eap is not the project's"),
        ({"model/model.tflite": None, "LICENSE": None}, "its .eap lacks LICENSE, model/model.tflite"),
        ({"counter": None}, "its .eap lacks counter"),
        ({"manifest.json": b"{"}, "manifest.json cannot be read"),
        ({"manifest.json": b"{}"}, "is that of"),
        (
            {"counter": b"\x7fELF\x02\x01" + bytes(12) + b"\x3e\x00"},
            "the counter in its .eap is built for x86_64, not for",
        ),
        ({"../../etc/passwd": b""}, "names that leave the application: ../../etc/passwd"),
    ],
)
def test_a_package_that_is_not_what_was_asked_for_is_refused(
    tmp_path: Path, changes: dict[str, bytes | None], words: str
) -> None:
    request = request_of(tmp_path)
    with pytest.raises(StepFailedError) as caught:
        place(tmp_path, request, packed(request, **changes))
    assert caught.value.code is ErrorCode.ACAP_BUILD
    assert words in caught.value.message
    assert visible(tmp_path) == []


@pytest.mark.parametrize("data", [b"", b"\x1f\x8b", b"PK\x03\x04", bytes(2000)])
def test_what_is_no_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    request = request_of(tmp_path)
    with pytest.raises(StepFailedError) as caught:
        place(tmp_path, request, data)
    assert "no .eap" in caught.value.message
    assert visible(tmp_path) == []


def test_a_cut_archive_is_refused(tmp_path: Path) -> None:
    request = request_of(tmp_path)
    data = packed(request)
    for length in range(20, len(data), 37):
        with pytest.raises(StepFailedError):
            place(tmp_path, request, data[:length])


def test_what_differs_from_what_is_documented_is_a_note(tmp_path: Path) -> None:
    request = request_of(tmp_path)
    _, (note,) = place(tmp_path, request, packed(request, **{"more.txt": b"x"}))
    assert note == "acap-build packed more than was expected: more.txt"
    _, (note,) = place(tmp_path, request, packed(request, **{"notes.txt": None}))
    assert note == "acap-build did not pack notes.txt"


def test_a_result_that_is_gone_from_the_cache_is_made_again(tmp_path: Path) -> None:
    request = request_of(tmp_path)
    store = Store(tmp_path / "cache", now_ns=lambda: 1)
    with pytest.raises(BlobMissingError):
        placed_eap(request, sound_content(request), digest_bytes(MODEL_BYTES), store, tmp_path / "dist", digest_of)
    assert visible(tmp_path) == []
