"""The archive that carries inputs to an engine elsewhere."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from dlpubuild.errors import ErrorCode, InterruptedBuildError
from dlpubuild.executors.docker.container import User
from dlpubuild.executors.docker.inputs import pack_inputs

USER = User(uid=65532, gid=65533)


def nothing() -> None:
    pass


def staged(root: Path) -> Path:
    (root / "src").mkdir(parents=True)
    (root / "in/data").mkdir(parents=True)
    (root / "out/deep").mkdir(parents=True)
    (root / "src/step.py").write_bytes(b"print()\n")
    (root / "in/data/run").write_bytes(b"#!/bin/sh\n")
    (root / "in/data/run").chmod(0o555)
    (root / "in/data" / ("n" * 200)).write_bytes(b"x" * 2_000_000)
    (root / "in/é").write_bytes(b"")
    return root


def members(data: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return archive.getmembers()


def test_inputs_are_roots_and_read_only_and_out_is_the_steps(tmp_path: Path) -> None:
    data = b"".join(pack_inputs(staged(tmp_path), USER, nothing))
    assert [(each.name, oct(each.mode), each.uid, each.gid) for each in members(data) if "nnn" not in each.name] == [
        ("in", "0o755", 0, 0),
        ("in/é", "0o444", 0, 0),
        ("in/data", "0o755", 0, 0),
        ("in/data/run", "0o555", 0, 0),
        ("out", "0o755", 65532, 65533),
        ("out/deep", "0o755", 65532, 65533),
        ("src", "0o755", 0, 0),
        ("src/step.py", "0o444", 0, 0),
    ]


def test_content_is_that_of_the_files(tmp_path: Path) -> None:
    data = b"".join(pack_inputs(staged(tmp_path), USER, nothing))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        found = {each.name: reader.read() for each in archive if (reader := archive.extractfile(each)) is not None}
    assert found["src/step.py"] == b"print()\n"
    assert found["in/data/" + "n" * 200] == b"x" * 2_000_000
    assert found["in/é"] == b""
    assert len(found) == 4


def test_the_same_inputs_give_the_same_bytes(tmp_path: Path) -> None:
    first = b"".join(pack_inputs(staged(tmp_path / "a"), USER, nothing))
    (tmp_path / "b").mkdir(mode=0o700)
    assert first == b"".join(pack_inputs(staged(tmp_path / "b"), USER, nothing))


def test_cancelling_ends_the_packing(tmp_path: Path) -> None:
    def check() -> None:
        raise InterruptedBuildError(ErrorCode.INTERRUPTED, "interrupted")

    with pytest.raises(InterruptedBuildError):
        list(pack_inputs(staged(tmp_path), USER, check))
