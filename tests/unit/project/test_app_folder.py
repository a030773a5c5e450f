from __future__ import annotations

import os
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dlpubuild.cas.digest import digest_bytes
from dlpubuild.errors import ErrorCode
from dlpubuild.project.app_folder import AppFault, AppFolder, AppLink, read_app_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dlpubuild.cas.digest import Digest


def digest_files(paths: Sequence[Path]) -> list[Digest]:
    return [digest_bytes(path.read_bytes()) for path in paths]


def read(folder: Path) -> tuple[AppFolder, tuple[AppFault, ...]]:
    return read_app_folder(folder, "app", digest_files)


def place(folder: Path, *paths: str) -> Path:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path)
    return folder


def codes(faults: tuple[AppFault, ...]) -> list[tuple[str, str]]:
    return [(fault.path, str(fault.code)) for fault in faults]


def test_files_come_with_digest_and_executable_bit(tmp_path: Path) -> None:
    place(tmp_path, "counter", "lib/a.so", "html/index.html")
    (tmp_path / "counter").chmod(0o700)
    app, faults = read(tmp_path)
    assert faults == ()
    assert [(each.path, each.executable) for each in app.files] == [
        ("counter", True),
        ("html/index.html", False),
        ("lib/a.so", False),
    ]
    assert app.files[0].digest == digest_bytes(b"counter")
    assert app.folders == ("html", "lib")


def test_only_texts_at_the_top_are_read(tmp_path: Path) -> None:
    place(tmp_path, "manifest.json", "manifest.json.artpec8", "package.conf", "html/manifest.json", "counter")
    app, _ = read(tmp_path)
    assert [name for name, _ in app.texts] == ["manifest.json", "manifest.json.artpec8", "package.conf"]
    assert app.text("manifest.json.artpec8") == b"manifest.json.artpec8"
    assert app.text("cgi.conf") is None


def test_what_no_package_wants_is_left_out_and_told(tmp_path: Path) -> None:
    place(tmp_path, "a~", "lib/b~", ".git/HEAD", "lib/.gitignore", ".vscode/x", "old_1_0_0_aarch64.eap", "counter")
    place(tmp_path, "package.conf.orig", "lib/.hidden", "html/RCS/x")
    app, faults = read(tmp_path)
    assert faults == ()
    assert [each.path for each in app.files] == ["counter", "lib/.hidden"]
    assert app.left_out == (
        ".git",
        ".vscode",
        "a~",
        "html/RCS",
        "lib/.gitignore",
        "lib/b~",
        "old_1_0_0_aarch64.eap",
        "package.conf.orig",
    )


def test_an_empty_folder_is_kept(tmp_path: Path) -> None:
    (tmp_path / "html" / "empty").mkdir(parents=True)
    assert read(tmp_path)[0].folders == ("html", "html/empty")


def test_a_link_inside_of_the_folder_stays_a_link(tmp_path: Path) -> None:
    place(tmp_path, "lib/libx.so.1.2", "html/real/index.html")
    (tmp_path / "lib" / "libx.so.1").symlink_to("libx.so.1.2")
    (tmp_path / "lib" / "libx.so").symlink_to("libx.so.1")
    (tmp_path / "html" / "www").symlink_to("./real")
    (tmp_path / "start").symlink_to("html//real/index.html")
    app, faults = read(tmp_path)
    assert faults == ()
    assert app.links == (
        AppLink(path="html/www", target="./real", leads_to="html/real"),
        AppLink(path="lib/libx.so", target="libx.so.1", leads_to="lib/libx.so.1.2"),
        AppLink(path="lib/libx.so.1", target="libx.so.1.2", leads_to="lib/libx.so.1.2"),
        AppLink(path="start", target="html//real/index.html", leads_to="html/real/index.html"),
    )


@pytest.mark.parametrize("target", ["/etc/passwd", "../../etc/passwd", "../app/counter", ".."])
def test_a_link_that_leaves_the_folder_is_refused(tmp_path: Path, target: str) -> None:
    """One that comes back by the folder's name does not on a camera, where the folder is called otherwise."""
    folder = place(tmp_path / "app", "counter")
    (folder / "link").symlink_to(target)
    assert codes(read(folder)[1]) == [("link", "path-outside")]


def test_a_link_through_a_link_that_leaves_is_refused(tmp_path: Path) -> None:
    folder = place(tmp_path / "app", "counter")
    place(tmp_path / "elsewhere", "secret")
    (folder / "lib").symlink_to(tmp_path / "elsewhere")
    (folder / "key").symlink_to("lib/secret")
    assert codes(read(folder)[1]) == [("key", "path-outside"), ("lib", "path-outside")]


def test_links_that_lead_nowhere_are_refused(tmp_path: Path) -> None:
    place(tmp_path, "backup~")
    (tmp_path / "gone").symlink_to("not-there")
    (tmp_path / "left").symlink_to("backup~")
    (tmp_path / "round").symlink_to("about")
    (tmp_path / "about").symlink_to("round")
    assert codes(read(tmp_path)[1]) == [
        ("about", "path-missing"),
        ("gone", "path-missing"),
        ("left", "path-missing"),
        ("round", "path-missing"),
    ]


def test_names_and_kinds_that_no_package_holds_are_told_together(tmp_path: Path) -> None:
    place(tmp_path, "counter", "html/a\\b", "html/line\nbreak")
    (tmp_path / os.fsdecode(b"caf\xe9")).write_bytes(b"")
    os.mkfifo(tmp_path / "pipe")
    found = codes(read(tmp_path)[1])
    assert found == [
        ("caf\ufffd", "path-kind"),
        ("html/a\\b", "path-kind"),
        ("html/line\nbreak", "path-kind"),
        ("pipe", "path-kind"),
    ]


def test_a_socket_is_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        assert codes(read(tmp_path)[1]) == [("s", str(ErrorCode.PATH_KIND))]


@pytest.mark.parametrize(
    ("machine", "order", "name"),
    [
        (183, "<", "aarch64"),
        (40, "<", "armv7hf"),
        (62, "<", "x86_64"),
        (40, ">", "armv7hf"),
        (243, "<", "ELF machine 243"),
    ],
)
def test_an_elf_file_says_what_it_was_built_for(tmp_path: Path, machine: int, order: str, name: str) -> None:
    ident = b"\x7fELF\x02" + (b"\x01" if order == "<" else b"\x02") + bytes(10)
    (tmp_path / "counter").write_bytes(ident + struct.pack(f"{order}HH", 2, machine) + bytes(40))
    app, _ = read(tmp_path)
    assert app.files[0].machine == name


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"#!/bin/sh\n" + bytes(30)])
def test_a_file_that_is_no_elf_says_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "counter").write_bytes(content)
    assert read(tmp_path)[0].files[0].machine is None


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    place(tmp_path, "counter")
    (tmp_path / "counter").chmod(0)
    assert codes(read(tmp_path)[1]) == [("counter", "path-kind")]
