"""The model inside whatever `inspect` is given."""

from __future__ import annotations

import gzip
import io
import tarfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlpubuild.errors import DlpuError, ErrorCode
from dlpubuild.package import contents
from dlpubuild.package.bundle import write_bundle
from dlpubuild.package.contents import PackagedModel, read_packaged_models
from tests.factories.tflite_factory import encode, integer_model
from tests.unit.package.specs import make_spec

MODEL = encode(integer_model(io="uint8"))


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    """A folder with a package whose model is a real one."""
    (tmp_path / "blob").write_bytes(MODEL)
    write_bundle(make_spec(tmp_path / "blob"), tmp_path / "dist")
    return tmp_path / "dist"


def archive(path: Path, members: dict[str, bytes], *, kind: bytes = tarfile.REGTYPE) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.type, info.size = kind, len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def fault(path: Path) -> ErrorCode:
    with pytest.raises(DlpuError) as caught:
        read_packaged_models(path)
    assert caught.value.location is not None
    assert caught.value.location.file.startswith(str(path))
    return caught.value.code


def test_the_same_model_is_read_from_file_folder_and_archive(dist: Path) -> None:
    base = dist / "digits-1.0.0-artpec8"
    plain = (PackagedModel("model/model.tflite", (base / "model" / "model.tflite").read_bytes()),)
    assert read_packaged_models(base) == plain
    assert read_packaged_models(dist / "digits-1.0.0-artpec8.tar.gz") == plain
    assert plain[0].content == MODEL


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("x.tar.gz", b"", ErrorCode.NOT_A_MODEL),
        ("x.tar.gz", b"no archive", ErrorCode.NOT_A_MODEL),
        ("x.tgz", gzip.compress(b"no tar", mtime=0), ErrorCode.NOT_A_MODEL),
        ("x.tar.gz", gzip.compress(bytes(20_000), mtime=0)[:30], ErrorCode.NOT_A_MODEL),
    ],
)
def test_what_holds_no_model_is_told(tmp_path: Path, name: str, data: bytes, code: ErrorCode) -> None:
    (tmp_path / name).write_bytes(data)
    assert fault(tmp_path / name) is code


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    assert fault(tmp_path / "x.tar.gz") is ErrorCode.NOT_A_MODEL
    assert fault(tmp_path) is ErrorCode.NOT_A_MODEL


def test_an_archive_without_the_model_where_it_belongs_is_told(tmp_path: Path) -> None:
    assert fault(archive(tmp_path / "a.tar.gz", {"model.tflite": MODEL})) is ErrorCode.NOT_A_MODEL
    assert fault(archive(tmp_path / "b.tar.gz", {"x/model/model.tflite": b""}, kind=tarfile.DIRTYPE))
    assert fault(archive(tmp_path / "c.tar.gz", {"x/model/model.tflite": b""}, kind=tarfile.SYMTYPE))
    assert read_packaged_models(archive(tmp_path / "d.tar.gz", {"x/model/model.tflite": MODEL}))


def test_what_the_model_was_compiled_from_comes_after_it(tmp_path: Path) -> None:
    members = {"x/model/model_uncompiled.tflite": b"2", "x/model/params.h": b"", "x/model/model.tflite": b"1"}
    models = read_packaged_models(archive(tmp_path / "d.tar.gz", members))
    assert [(each.member, each.content) for each in models] == [
        ("model/model.tflite", b"1"),
        ("model/model_uncompiled.tflite", b"2"),
    ]


def test_a_model_that_claims_to_be_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "MAX_MODEL_BYTES", len(MODEL) - 1)
    assert fault(archive(tmp_path / "a.tar.gz", {"x/model/model.tflite": MODEL})) is ErrorCode.NOT_A_MODEL


@settings(derandomize=True, database=None, deadline=None, max_examples=150)
@given(changes=st.lists(st.tuples(st.integers(0, 1500), st.integers(0, 255)), min_size=1, max_size=8))
def test_a_damaged_archive_is_read_or_told(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]]
) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("ä" * 120 + "/model/model.tflite")
        info.size = 100
        tar.addfile(info, io.BytesIO(bytes(100)))
    data = bytearray(stream.getvalue())
    for position, value in changes:
        data[position] = value
    path = tmp_path_factory.getbasetemp() / "damaged.tar.gz"
    path.write_bytes(gzip.compress(bytes(data), 1))
    with suppress(DlpuError):
        read_packaged_models(path)
