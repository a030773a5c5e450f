"""Archives of programs: fetched from a server or a file, checked, unpacked, and nothing of a wrong one kept."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from dlpubuild.errors import ErrorCode, ExitCode, InterruptedBuildError, ToolchainError
from dlpubuild.toolchains.archive import Archive, ArchiveSource, install_archive

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

WRAPPER = ("usr/bin/edgetpu_compiler", b"#!/bin/sh\necho compiled\n", 0o4755)


def archive_of(url: str, sha256: str) -> Archive:
    return Archive(url=url, sha256=sha256, variable="DLPU_EDGETPU_URL")


def write_archive(path: Path, *members: tuple[str, bytes, int], links: Mapping[str, str] | None = None) -> Archive:
    """Write a `.tar.gz` of members (name, content, mode) and symbolic links; return its pin, with a URL of no use."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content, mode in members:
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.uid = len(content), mode, 1000
            archive.addfile(member, io.BytesIO(content))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    return archive_of(url="http://127.0.0.1:1/nowhere", sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def source(path: Path | str, *, offline: bool = False, cancelled: bool = False) -> ArchiveSource:
    """A source that takes the archive of toolchain `edgetpu` from `path`, or a URL."""
    event = threading.Event()
    if cancelled:
        event.set()
    url = path if isinstance(path, str) else path.as_uri()
    return ArchiveSource(
        variables={"DLPU_EDGETPU_URL": url} if url else {}, offline=offline, say=lambda _: None, cancelled=event
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "environment"
    made.mkdir()
    return made


def contents(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def test_what_lies_below_usr_comes_to_the_top_of_the_folder(tmp_path: Path, folder: Path) -> None:
    archive = write_archive(
        tmp_path / "a.tar.gz",
        WRAPPER,
        ("./usr/bin/edgetpu_compiler_bin/libc.so", b"library", 0o644),
        ("etc/passwd", b"no", 0o644),
        links={"usr/bin/compiler": "edgetpu_compiler"},
    )

    install_archive(archive, "edgetpu", folder, source(tmp_path / "a.tar.gz"))

    assert contents(folder) == ["bin/compiler", "bin/edgetpu_compiler", "bin/edgetpu_compiler_bin/libc.so"]
    assert (folder / "bin" / "compiler").read_bytes() == WRAPPER[1]
    assert (folder / "bin" / "edgetpu_compiler").stat().st_mode & 0o7777 == 0o755
    assert (folder / "bin" / "edgetpu_compiler_bin" / "libc.so").stat().st_mode & 0o7777 == 0o644


def test_nothing_is_unpacked_of_an_archive_with_another_hash(tmp_path: Path, folder: Path) -> None:
    found = write_archive(tmp_path / "a.tar.gz", WRAPPER).sha256

    with pytest.raises(ToolchainError) as caught:
        install_archive(archive_of(url="", sha256="ab" * 32), "edgetpu", folder, source(tmp_path / "a.tar.gz"))

    assert (caught.value.code, caught.value.exit_code) == (ErrorCode.TOOLCHAIN, ExitCode.TOOLCHAIN_MISSING)
    assert found in caught.value.message
    assert "ab" * 32 in caught.value.message
    assert "[toolchain.edgetpu]" in caught.value.hint
    assert contents(folder) == []


@pytest.mark.parametrize("name", ["usr/../../out", "/usr/bin/out", "../usr/bin/out", "usr/../usr2/out"])
def test_nothing_lands_outside_of_the_folder(tmp_path: Path, folder: Path, name: str) -> None:
    archive = write_archive(tmp_path / "a.tar.gz", WRAPPER, (name, b"out", 0o644))

    install_archive(archive, "edgetpu", folder, source(tmp_path / "a.tar.gz"))

    assert contents(folder) == ["bin/edgetpu_compiler"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar.gz", "environment"]


@pytest.mark.parametrize("target", ["/etc/passwd", "../../etc/passwd", "../../../x"])
def test_a_link_that_leads_out_is_refused(tmp_path: Path, folder: Path, target: str) -> None:
    archive = write_archive(tmp_path / "a.tar.gz", WRAPPER, links={"usr/bin/link": target})

    with pytest.raises(ToolchainError, match="leads out"):
        install_archive(archive, "edgetpu", folder, source(tmp_path / "a.tar.gz"))


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8b\x08\x00cut"])
def test_what_is_no_archive_is_told(tmp_path: Path, folder: Path, content: bytes) -> None:
    path = tmp_path / "a.tar.gz"
    path.write_bytes(content)

    with pytest.raises(ToolchainError) as caught:
        install_archive(archive_of(url="", sha256=hashlib.sha256(content).hexdigest()), "edgetpu", folder, source(path))
    assert "cannot be unpacked" in caught.value.message
    assert contents(folder) == []


def test_an_archive_without_a_program_is_told(tmp_path: Path, folder: Path) -> None:
    archive = write_archive(tmp_path / "a.tar.gz", ("opt/x", b"x", 0o755))

    with pytest.raises(ToolchainError, match="has no file below usr/"):
        install_archive(archive, "edgetpu", folder, source(tmp_path / "a.tar.gz"))


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The URL of a server of the files in `tmp_path`."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_an_archive_is_fetched_from_where_it_is_pinned(tmp_path: Path, folder: Path, served: str) -> None:
    pin = write_archive(tmp_path / "a.tar.gz", WRAPPER)

    install_archive(archive_of(url=f"{served}/a.tar.gz", sha256=pin.sha256), "edgetpu", folder, source(""))

    assert contents(folder) == ["bin/edgetpu_compiler"]


def test_a_server_without_the_archive_is_told_with_its_answer(folder: Path, served: str) -> None:
    with pytest.raises(ToolchainError) as caught:
        install_archive(archive_of(url="", sha256=""), "edgetpu", folder, source(f"{served}/none"))
    assert f"{served}/none cannot be fetched" in caught.value.message
    assert "HTTPS_PROXY" in caught.value.hint
    assert "[toolchain.edgetpu]" in caught.value.hint


def test_offline_nothing_is_asked_of_the_network(folder: Path, served: str) -> None:
    with pytest.raises(ToolchainError) as caught:
        install_archive(archive_of(url="", sha256=""), "edgetpu", folder, source(f"{served}/a", offline=True))
    assert caught.value.code is ErrorCode.TOOLCHAIN_OFFLINE


def test_offline_a_file_will_do(tmp_path: Path, folder: Path) -> None:
    archive = write_archive(tmp_path / "a.tar.gz", WRAPPER)

    install_archive(archive, "edgetpu", folder, source(tmp_path / "a.tar.gz", offline=True))

    assert contents(folder) == ["bin/edgetpu_compiler"]


def test_an_interrupt_ends_it(tmp_path: Path, folder: Path) -> None:
    archive = write_archive(tmp_path / "a.tar.gz", WRAPPER)

    with pytest.raises(InterruptedBuildError):
        install_archive(archive, "edgetpu", folder, source(tmp_path / "a.tar.gz", cancelled=True))
    assert contents(folder) == []
