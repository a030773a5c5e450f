"""A package is opened only where every file is what its checksums say."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from dlpubuild.errors import DlpuError, ErrorCode, ExitCode, OutOfDateError
from dlpubuild.package.sealed import open_sealed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MODEL = b"a model"


def content(**more: bytes) -> dict[str, bytes]:
    table = {
        "soc": {"name": "artpec8"},
        "model": {"file": "model/model.tflite", "sha256": hashlib.sha256(MODEL).hexdigest(), "uncompiled": None},
    }
    files = {"model/model.tflite": MODEL, "model.json": json.dumps(table).encode(), "README.md": b"read me"}
    return files | {name.replace("__", "/"): data for name, data in more.items()}


def with_sums(files: Mapping[str, bytes]) -> dict[str, bytes]:
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items())
    return {**files, "SHA256SUMS": sums.encode()}


def put_folder(path: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def put_archive(path: Path, files: Mapping[str, bytes], *, top: str = "toy-1.0.0-artpec8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(f"{top}/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def put(path: Path, files: Mapping[str, bytes], form: str) -> Path:
    return put_folder(path / "toy", files) if form == "folder" else put_archive(path / "toy.tar.gz", files)


FORMS = pytest.mark.parametrize("form", ["folder", "archive"])


@FORMS
def test_a_package_whose_files_are_all_there_opens(tmp_path: Path, form: str) -> None:
    found = open_sealed(put(tmp_path, with_sums(content()), form))
    assert (found.soc, found.loaded, found.uncompiled) == ("artpec8", "model/model.tflite", None)
    assert dict(found.models) == {"model/model.tflite": MODEL}
    assert found.has_checksums


@FORMS
@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"model/model.tflite": b"b model"}, "model/model.tflite: sha256"),
        ({"README.md": b""}, "README.md: sha256"),
        ({"README.md": None}, "README.md: is missing"),
        ({"more.txt": b""}, "more.txt: is not in SHA256SUMS"),
        ({"SHA256SUMS": None}, "SHA256SUMS: is missing"),
        ({"SHA256SUMS": b"no sum\n"}, "SHA256SUMS: has a line"),
        ({"SHA256SUMS": b""}, "is not in SHA256SUMS"),
    ],
)
def test_each_file_that_is_not_what_was_built_is_named(
    tmp_path: Path, form: str, change: dict[str, bytes | None], told: str
) -> None:
    files = {name: data for name, data in (with_sums(content()) | change).items() if data is not None}
    with pytest.raises(OutOfDateError) as caught:
        open_sealed(put(tmp_path, files, form))
    assert told in caught.value.message
    assert (caught.value.code, caught.value.exit_code) == (ErrorCode.LOCK_MISMATCH, ExitCode.OUT_OF_DATE)


def test_a_link_is_no_file(tmp_path: Path) -> None:
    folder = put_folder(tmp_path, with_sums(content()))
    (folder / "README.md").unlink()
    (folder / "README.md").symlink_to("model.json")
    with pytest.raises(OutOfDateError, match="plain file"):
        open_sealed(folder)


def test_a_file_that_is_there_twice_is_told(tmp_path: Path) -> None:
    path = tmp_path / "toy.tar.gz"
    files = with_sums(content())
    with tarfile.open(path, "w:gz") as archive:
        for name, data in [*files.items(), ("model/model.tflite", MODEL)]:
            member = tarfile.TarInfo(f"toy/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    with pytest.raises(OutOfDateError, match="twice"):
        open_sealed(path)


def test_a_model_json_with_another_digest_is_refused(tmp_path: Path) -> None:
    files = with_sums(content(model__model_tflite=b"") | {"model/model.tflite": b"another"})
    with pytest.raises(DlpuError) as caught:
        open_sealed(put_folder(tmp_path, files))
    assert caught.value.code is ErrorCode.NOT_A_MODEL


@pytest.mark.parametrize(
    "table", [b"", b"[]", b"{}", b'{"model": 1}', b'{"model": {"uncompiled": {}}}', b"[" * 100_000]
)
def test_a_garbled_model_json_is_a_clean_error(tmp_path: Path, table: bytes) -> None:
    with pytest.raises(DlpuError) as caught:
        open_sealed(put_folder(tmp_path, with_sums(content() | {"model.json": table})))
    assert caught.value.code is ErrorCode.NOT_A_MODEL


def test_what_is_no_package_is_a_clean_error(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(b"no archive")
    (tmp_path / "b.tar.gz").write_bytes(put_archive(tmp_path / "c.tar.gz", with_sums(content())).read_bytes()[:200])
    (tmp_path / "d.tflite").write_bytes(MODEL)
    (tmp_path / "folder").mkdir()
    put_archive(tmp_path / "e.tar.gz", {"README.md": b""})
    for name in ("a.tar.gz", "b.tar.gz", "d.tflite", "folder", "e.tar.gz", "nothing.tar.gz"):
        with pytest.raises(DlpuError) as caught:
            open_sealed(tmp_path / name)
        assert caught.value.code is ErrorCode.NOT_A_MODEL, name


def test_a_pipe_in_a_folder_is_not_waited_for(tmp_path: Path) -> None:
    folder = put_folder(tmp_path, with_sums(content()))
    os.mkfifo(folder / "pipe")
    assert open_sealed(folder).soc == "artpec8"


@FORMS
def test_names_in_a_package_cannot_steer_the_terminal(tmp_path: Path, form: str) -> None:
    with pytest.raises(OutOfDateError) as caught:
        open_sealed(put(tmp_path / "a", with_sums(content()) | {"\x1b[31mred": b""}, form))
    assert "\x1b" not in caught.value.message
    table = json.loads(content()["model.json"]) | {"soc": {"name": "\x1b[31mred"}}
    with pytest.raises(DlpuError) as refused:
        open_sealed(put(tmp_path / "b", with_sums(content() | {"model.json": json.dumps(table).encode()}), form))
    assert "\x1b" not in refused.value.message
