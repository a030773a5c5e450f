from __future__ import annotations

import gzip
import io
import os
import shutil
import subprocess
import tarfile
import tracemalloc
from itertools import permutations
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlpubuild.cas.digest import digest_bytes, digest_stream
from dlpubuild.cas.faults import BlobMissingError
from dlpubuild.errors import ErrorCode, StoreError
from dlpubuild.package.archive import STORED_BYTES, StoredGzip, write_tar, write_tar_gz
from dlpubuild.package.members import Member, made_member
from dlpubuild.package.tar import RECORD_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

EPOCH_S = 1700000000
PROPERTY = settings(derandomize=True, database=None, deadline=None, max_examples=60)

MEMBERS = (
    made_member("model/model.tflite", b"\x00\x01" * 700),
    made_member("model.json", b"{}\n"),
    made_member("model/sub/deep.txt", b""),
    made_member("Ärende.txt", "åäö".encode()),
    Member(path="run.sh", content=b"#!/bin/sh\n", digest=digest_bytes(b"#!/bin/sh\n"), executable=True),
    made_member("a" * 92, b"one hundred and one bytes with its folder"),
    made_member("b" * 91, b"one hundred"),
    made_member("long/" + "c" * 180, b"x" * 512),
)


def tar_bytes(members: Sequence[Member], top: str = "digits-1", mtime_s: int = EPOCH_S) -> bytes:
    target = io.BytesIO()
    write_tar(target, top, members, mtime_s=mtime_s)
    return target.getvalue()


def gzip_bytes(data: bytes, piece_bytes: int = 1 << 20) -> bytes:
    target = io.BytesIO()
    writer = StoredGzip(target)
    for start in range(0, len(data), piece_bytes):
        writer.write(data[start : start + piece_bytes])
    writer.close()
    return target.getvalue()


def place(folder: Path, members: Sequence[Member]) -> None:
    for member in members:
        path = folder / member.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(member.content if isinstance(member.content, bytes) else member.content.read_bytes())
        path.chmod(0o755 if member.executable else 0o644)
    for path in (folder, *folder.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)


def test_a_tar_is_byte_for_byte_what_gnu_tar_writes(tmp_path: Path) -> None:
    tar = shutil.which("tar")
    if tar is None or b"GNU tar" not in subprocess.run([tar, "--version"], capture_output=True, check=True).stdout:
        pytest.skip("GNU tar is not installed")
    place(tmp_path / "digits-1", MEMBERS)
    argv = [tar, "--create", "--format=gnu", "--sort=name", "--owner=0", "--group=0", "--numeric-owner"]
    argv += [f"--mtime=@{EPOCH_S}", "digits-1"]
    made = subprocess.run(argv, cwd=tmp_path, capture_output=True, check=True, env={**os.environ, "LC_ALL": "C"})
    assert tar_bytes(MEMBERS) == made.stdout


def test_members_come_back_with_fixed_owner_mode_and_time() -> None:
    with tarfile.open(fileobj=io.BytesIO(tar_bytes(MEMBERS))) as archive:
        entries = archive.getmembers()
        contents = {entry.name: archive.extractfile(entry).read() for entry in entries if entry.isfile()}  # type: ignore[union-attr]
    assert contents == {f"digits-1/{member.path}": member.content for member in MEMBERS}
    assert {(e.uid, e.gid, e.uname, e.gname, e.mtime) for e in entries} == {(0, 0, "", "", EPOCH_S)}
    assert {e.name: e.mode for e in entries if e.mode != 0o644} == {
        "digits-1": 0o755,
        "digits-1/long": 0o755,
        "digits-1/model": 0o755,
        "digits-1/model/sub": 0o755,
        "digits-1/run.sh": 0o755,
    }


def test_the_order_in_which_members_are_given_does_not_matter() -> None:
    few = MEMBERS[:4]
    assert len({tar_bytes(order) for order in permutations(few)}) == 1


@PROPERTY
@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="/\\"), min_size=1),
        st.binary(max_size=1500),
        max_size=6,
    )
)
def test_any_files_come_back_as_they_were(files: dict[str, bytes]) -> None:
    files = {name: data for name, data in files.items() if name not in {".", ".."}}
    data = tar_bytes([made_member(f"f/{name}", content) for name, content in files.items()])
    assert len(data) % RECORD_BYTES == 0
    with tarfile.open(fileobj=io.BytesIO(data), encoding="utf-8", errors="strict") as archive:
        back = {e.name: archive.extractfile(e).read() for e in archive if e.isfile()}  # type: ignore[union-attr]
    assert back == {f"digits-1/f/{name}": content for name, content in files.items()}


@pytest.mark.parametrize(
    "size", [0, 1, STORED_BYTES - 1, STORED_BYTES, STORED_BYTES + 1, 2 * STORED_BYTES, 3 * STORED_BYTES + 17]
)
def test_a_stored_gzip_stream_is_read_by_python_and_gzip(size: int) -> None:
    data = (bytes(range(251)) * (size // 251 + 1))[:size]
    packed = gzip_bytes(data)
    assert gzip.decompress(packed) == data
    assert len(packed) == 10 + size + 5 * (size // STORED_BYTES + 1) + 8
    program = shutil.which("gzip")
    if program is not None:
        tested = subprocess.run([program, "--test"], input=packed, capture_output=True, check=False)
        assert (tested.returncode, tested.stderr) == (0, b"")


def test_the_pieces_in_which_data_arrives_leave_no_trace_in_a_gzip_stream() -> None:
    data = bytes(range(256)) * 700
    assert len({gzip_bytes(data, piece) for piece in (1, 511, STORED_BYTES, 70_000, 1 << 20)}) == 1


def test_a_gzip_header_names_no_time_and_no_file() -> None:
    assert gzip_bytes(b"x")[:10] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"


def test_system_tar_unpacks_an_archive(tmp_path: Path) -> None:
    if shutil.which("tar") is None or shutil.which("gzip") is None:
        pytest.skip("tar or gzip is not installed")
    archive = tmp_path / "digits.tar.gz"
    with archive.open("wb") as target:
        digest = write_tar_gz(target, "digits-1", MEMBERS, mtime_s=EPOCH_S)
    assert digest == digest_bytes(archive.read_bytes())
    subprocess.run(["tar", "xzf", archive.name], cwd=tmp_path, check=True)
    for member in MEMBERS:
        assert (tmp_path / "digits-1" / member.path).read_bytes() == member.content


def test_a_large_file_is_streamed(tmp_path: Path) -> None:
    blob = tmp_path / "blob"
    with blob.open("wb") as stream:
        stream.truncate(24 << 20)
    with blob.open("rb") as stream:
        member = Member(path="model/model.tflite", content=blob, digest=digest_stream(stream))
    with (tmp_path / "out").open("wb") as target:
        tracemalloc.start()
        try:
            write_tar_gz(target, "top", [member], mtime_s=0)
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak_bytes < 6 << 20


def test_a_file_that_is_not_what_its_digest_says_stops_the_archive(tmp_path: Path) -> None:
    blob = tmp_path / "blob"
    blob.write_bytes(b"damaged")
    member = Member(path="model/model.tflite", content=blob, digest=digest_bytes(b"genuine"))
    with pytest.raises(StoreError) as caught:
        tar_bytes([member])
    assert caught.value.code is ErrorCode.BLOB_MISSING


def test_a_file_that_is_gone_stops_the_archive(tmp_path: Path) -> None:
    member = Member(path="model/model.tflite", content=tmp_path / "gone", digest=digest_bytes(b""))
    with pytest.raises(BlobMissingError) as caught:
        tar_bytes([member])
    assert caught.value.digest == member.digest


def test_a_file_that_cannot_be_read_stops_the_archive(tmp_path: Path) -> None:
    member = Member(path="model/model.tflite", content=tmp_path, digest=digest_bytes(b""))
    with pytest.raises(StoreError) as caught:
        tar_bytes([member])
    assert caught.value.code is ErrorCode.STORE


@pytest.mark.parametrize("mtime_s", [-1, 8**11])
def test_a_time_that_no_header_holds_is_refused(mtime_s: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        tar_bytes([], mtime_s=mtime_s)
