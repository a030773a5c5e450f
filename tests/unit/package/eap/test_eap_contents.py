from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from dlpubuild.errors import DlpuError, ErrorCode, OutputError
from dlpubuild.package.eap.compressor import find_gzip
from dlpubuild.package.eap.contents import EapEntry, read_eap, read_eap_file
from dlpubuild.package.eap.write import write_eap
from tests.unit.package.eap.requests import EPOCH_S, eap_request, read_app, write_app


def written(tmp_path: Path, *, own: bool = False) -> Path:
    app = read_app(write_app(tmp_path / "app", {"model/a.bin": "a"})) if own else None
    try:
        gzip = find_gzip(os.environ.get("PATH"))
    except OutputError as error:
        pytest.skip(error.message)
    return write_eap(eap_request(tmp_path / "model", app=app), tmp_path / "dist", gzip=gzip).path


def make_eap(path: Path, *members: tarfile.TarInfo, **files: bytes) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for member in members:
            archive.addfile(member)
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def refused(path: Path, name: str | None = None) -> DlpuError:
    with pytest.raises(DlpuError) as caught:
        read_eap(path) if name is None else read_eap_file(path, name)
    assert caught.value.code is ErrorCode.NOT_A_MODEL
    return caught.value


def test_an_eap_says_what_it_holds(tmp_path: Path) -> None:
    contents = read_eap(written(tmp_path))
    assert contents.entries[0].path == "digits"
    assert contents.entries[4] == EapEntry(
        path="manifest.json", kind="file", mode=0o600, size_bytes=contents.entries[4].size_bytes, mtime_s=EPOCH_S
    )
    assert contents.manifest is not None
    assert (contents.manifest.app_name, contents.manifest.schema) == ("digits", (2, 0, 0))
    assert contents.package_conf["APPTYPE"] == "aarch64"
    assert contents.models == ("model/model.tflite",)


def test_the_model_comes_back(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert read_eap_file(path, "model/model.tflite") == (tmp_path / "model").read_bytes()


def test_models_in_the_model_folder_come_first(tmp_path: Path) -> None:
    path = make_eap(tmp_path / "x.eap", **{"a.tflite": b"", "model/z.bin": b"", "model/b.tflite": b""})
    assert read_eap(path).models == ("model/b.tflite", "model/z.bin", "a.tflite")


def test_an_eap_of_another_tool_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    folder = tarfile.TarInfo("./html")
    folder.type = tarfile.DIRTYPE
    path = make_eap(tmp_path / "x.eap", folder, **{"./package.conf": b"what?", "manifest.json": b"[]"})
    contents = read_eap(path)
    assert [(each.path, each.kind) for each in contents.entries] == [
        ("html", "folder"),
        ("package.conf", "file"),
        ("manifest.json", "file"),
    ]
    assert (contents.manifest, contents.package_conf, contents.models) == (None, {}, ())


def test_a_signature_at_the_end_is_no_obstacle(tmp_path: Path) -> None:
    """Axis signs a package by appending to it."""
    path = written(tmp_path)
    path.write_bytes(path.read_bytes() + b"signature" * 30)
    assert read_eap(path).models == ("model/model.tflite",)


@pytest.mark.parametrize("data", [b"", b"\x1f\x8b", b"not an archive", b"PK\x03\x04"])
def test_what_is_no_archive_is_told(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.eap").write_bytes(data)
    refused(tmp_path / "x.eap")
    refused(tmp_path / "x.eap", "model/model.tflite")


def test_a_damaged_eap_is_told(tmp_path: Path) -> None:
    path = written(tmp_path)
    data = bytearray(path.read_bytes())
    data[40:400] = bytes(360)
    path.write_bytes(bytes(data))
    refused(path)


def test_a_cut_eap_is_told(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_bytes(path.read_bytes()[:1000])
    refused(path)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert "it has no model/x" in refused(written(tmp_path), "model/x").message
    assert "cannot be read" in refused(tmp_path / "gone.eap").message


def test_a_file_that_claims_to_be_huge_is_not_read(tmp_path: Path) -> None:
    member = tarfile.TarInfo("model/model.tflite")
    member.size = 1 << 40
    target = io.BytesIO()
    target.write(member.tobuf(tarfile.GNU_FORMAT) + bytes(10240))
    import gzip

    (tmp_path / "x.eap").write_bytes(gzip.compress(target.getvalue()))
    refused(tmp_path / "x.eap", "model/model.tflite")
