"""Toolchains that are a program: the pinned archive, and a folder of the user's own in its place."""

from __future__ import annotations

import hashlib
import re
import threading
from typing import TYPE_CHECKING

import pytest

from dlpubuild.errors import ErrorCode, ToolchainError
from dlpubuild.resources import dockerfile
from dlpubuild.toolchains.environment import prepare_environment
from dlpubuild.toolchains.pins import folder_pin, load_pin
from dlpubuild.toolchains.programs import find_programs
from tests.unit.toolchains.test_archive import WRAPPER, write_archive

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dlpubuild.toolchains.environment import Environment
    from dlpubuild.toolchains.pins import ToolchainPin


def hashes_of(paths: Sequence[Path]) -> list[str]:
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]


def own_pin(folder: Path, name: str = "edgetpu") -> ToolchainPin:
    return folder_pin(name, folder, machine="x86_64", system="linux", hashes_of=hashes_of)


def install(folder: Path, place: str = "", content: bytes = b"#!/bin/sh\necho mine\n") -> Path:
    """Put a compiler with a library, and something else, into `folder`; return that."""
    here = folder / place
    (here / "edgetpu_compiler_bin").mkdir(parents=True)
    (here / "edgetpu_compiler").write_bytes(content)
    (here / "edgetpu_compiler").chmod(0o755)
    (here / "edgetpu_compiler_bin" / "libc.so").write_bytes(b"library")
    (here / "python").write_bytes(b"another program")
    return folder


def prepare(pin: ToolchainPin, cache: Path, **variables: str) -> Environment:
    return prepare_environment(
        pin, cache, offline=True, variables=variables, say=lambda _: None, cancelled=threading.Event()
    )


def test_the_archive_is_the_one_of_the_dockerfile() -> None:
    archive = load_pin("edgetpu", machine="x86_64", system="linux").archive
    text = dockerfile().read_text(encoding="utf-8")

    assert archive is not None
    assert re.findall(r"^ARG EDGETPU_URL=(.*)$", text, re.MULTILINE) == [archive.url]
    assert re.findall(r"^ARG EDGETPU_SHA256=(.+)$", text, re.MULTILINE) == [archive.sha256]


def test_the_archive_names_the_toolchain_in_every_action() -> None:
    pin = load_pin("edgetpu", machine="x86_64", system="linux")

    assert pin.archive is not None
    assert dict(pin.platform)["venv-lock"] == f"sha256:{pin.archive.sha256}"
    assert pin.packages == {}


@pytest.mark.parametrize("place", ["", "bin", "usr/bin"])
def test_a_program_is_found_where_programs_are(tmp_path: Path, place: str) -> None:
    found = find_programs(install(tmp_path, place), "edgetpu_compiler")

    assert list(found) == ["bin/edgetpu_compiler", "bin/edgetpu_compiler_bin/libc.so"]


def test_a_folder_without_the_program_is_told(tmp_path: Path) -> None:
    (tmp_path / "edgetpu_compiler").write_bytes(b"cannot be run")

    with pytest.raises(ToolchainError) as caught:
        own_pin(tmp_path)
    assert caught.value.code is ErrorCode.TOOLCHAIN


def test_a_toolchain_of_packages_has_no_folder_yet(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match="cannot be used by this version yet"):
        own_pin(tmp_path, "tf2")


def test_other_bytes_are_another_toolchain_and_other_files_beside_it_are_not(tmp_path: Path) -> None:
    first = own_pin(install(tmp_path / "a"))
    (tmp_path / "a" / "python").write_bytes(b"changed")

    assert own_pin(tmp_path / "a").platform == first.platform == own_pin(install(tmp_path / "b", "bin")).platform
    assert own_pin(install(tmp_path / "c", content=b"#!/bin/sh\n")).platform != first.platform


def test_an_environment_has_the_program_of_the_folder(tmp_path: Path) -> None:
    environment = prepare(own_pin(install(tmp_path / "tools")), tmp_path / "cache")

    folder = environment.folder / "bin"
    assert (folder / "edgetpu_compiler").stat().st_mode & 0o777 == 0o755
    assert (folder / "edgetpu_compiler_bin" / "libc.so").read_bytes() == b"library"
    assert environment.python.exists()
    assert (folder / "python").read_bytes() != b"another program"


def test_an_environment_is_whole_or_absent_where_the_archive_is_another(tmp_path: Path) -> None:
    write_archive(tmp_path / "a.tar.gz", WRAPPER)
    url = (tmp_path / "a.tar.gz").as_uri()

    with pytest.raises(ToolchainError, match="is pinned"):
        prepare(load_pin("edgetpu", machine="x86_64", system="linux"), tmp_path / "cache", DLPU_EDGETPU_URL=url)

    assert [path.name for path in (tmp_path / "cache" / "toolchains").iterdir() if path.is_dir()] == []
