"""Files that are no TOML documents."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from dlpubuild.errors import ErrorCode, Location, ManifestError, Problem
from dlpubuild.manifest.source import MAX_BYTES, parse_manifest, read_manifest

if TYPE_CHECKING:
    from pathlib import Path


def fault_in(data: bytes) -> Problem:
    with pytest.raises(ManifestError) as caught:
        parse_manifest(data, "dlpu.toml")
    (problem,) = caught.value.problems
    return problem


def fault_of_file(path: Path) -> Problem:
    with pytest.raises(ManifestError) as caught:
        read_manifest(path)
    (problem,) = caught.value.problems
    assert problem.code is ErrorCode.MANIFEST_MISSING
    assert problem.location == Location(str(path))
    return problem


def test_a_missing_file_points_to_init(tmp_path: Path) -> None:
    assert "dlpubuild init" in fault_of_file(tmp_path / "dlpu.toml").hint


def test_a_missing_file_points_to_the_manifest_of_a_parent_folder(tmp_path: Path) -> None:
    (tmp_path / "dlpu.toml").touch()
    assert str(tmp_path) in fault_of_file(tmp_path / "a" / "b" / "dlpu.toml").hint


def test_a_folder_points_to_the_manifest_in_it(tmp_path: Path) -> None:
    assert "dlpubuild init" in fault_of_file(tmp_path).hint
    (tmp_path / "dlpu.toml").touch()
    assert str(tmp_path / "dlpu.toml") in fault_of_file(tmp_path).hint


def test_what_cannot_be_a_manifest_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "regular" in fault_of_file(tmp_path / "pipe").message
    with (tmp_path / "model.tflite").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    assert str(MAX_BYTES + 1) in fault_of_file(tmp_path / "model.tflite").message


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000, "loop/dlpu.toml"])
def test_paths_that_cannot_be_opened(name: str, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    fault_of_file(tmp_path / name)


@pytest.mark.parametrize(
    ("data", "place", "named"),
    [
        (b"\xef\xbb\xbfschema = 1\n", (1, 1), "BOM"),
        ("schema = 1\n".encode("utf-16"), (1, 1), "UTF-16"),
        ("schema = 1\n".encode("utf-16-le"), (1, 1), "UTF-16"),
        ("schema = 1\n".encode("utf-16-be"), (1, 1), "UTF-16"),
        ("schema = 1\n".encode("utf-32"), (1, 1), "UTF-32"),
        ("a = 1\nvendor = 'Ångström åt'\n".encode("latin-1"), (2, 11), "0xC5"),
        ("vendor = '日本 ".encode() + b"\xff'", (1, 14), "0xFF"),
        (b"a = '\xc3", (1, 6), "0xC3"),
    ],
    ids=["bom", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "after-wide-characters", "cut-off"],
)
def test_other_encodings_are_named_with_their_place(data: bytes, place: tuple[int, int], named: str) -> None:
    problem = fault_in(data)
    assert problem.code is ErrorCode.MANIFEST_ENCODING
    assert (problem.location.line, problem.location.column) == place
    assert named in problem.message
    assert "UTF-8" in problem.hint


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a = 1\nb = digits", (2, 5)),
        ("a = 'x", (1, 7)),
        ("a", (1, 2)),
        ("a = [1,\n2", (2, 2)),
        ("a = 1 b = 2", (1, 7)),
        ("a = 2021-02-30", (1, 5)),
        ("\0", (1, 1)),
        ("a = 1\rb = 2", (1, 6)),
        ("b = 0\na = " + "9" * 5000, (2, 5)),
        ("a = " + "[" * 5000, (1, 21)),
    ],
)
def test_syntax_errors_say_where(text: str, place: tuple[int, int]) -> None:
    problem = fault_in(text.encode())
    assert problem.code is ErrorCode.MANIFEST_SYNTAX
    assert (problem.location.line, problem.location.column) == place


def test_the_caret_stays_under_the_fault_in_a_long_line_with_tabs() -> None:
    line, caret = fault_in(f"a = [\t{'1, ' * 200}?]".encode()).hint.split("\n")
    assert line[caret.index("^") - 4] == "?"
    assert len(line) <= 100


@pytest.mark.parametrize(
    ("text", "path", "place", "first"),
    [
        ("a = 1\na = 2\n", "a", (2, 1), "1:1"),
        ("[t]\na.b = 1\na.b = 2\n", "t.a.b", (3, 3), "2:3"),
        ("[a]\n[b]\n[a]\n", "a", (3, 2), "1:2"),
        ("[[a]]\n[a]\n", "a", (2, 2), "1:3"),
        ("x = { a = 1, a = 2 }\n", "x.a", (1, 14), "1:7"),
    ],
)
def test_a_key_given_twice_names_both_places(text: str, path: str, place: tuple[int, int], first: str) -> None:
    problem = fault_in(text.encode())
    assert (problem.code, problem.path) == (ErrorCode.MANIFEST_SYNTAX, path)
    assert (problem.location.line, problem.location.column) == place
    assert f"dlpu.toml:{first}" in problem.message


@pytest.mark.parametrize("number", ["9223372036854775808", "-9223372036854775809", "0x" + "f" * 9000])
def test_integers_are_those_of_64_bits(number: str) -> None:
    problem = fault_in(f"a = [0, {number}]".encode())
    assert (problem.code, problem.path, problem.location.column) == (ErrorCode.MANIFEST_SYNTAX, "a[1]", 9)


def test_windows_line_ends_do_not_move_columns() -> None:
    source = parse_manifest(b"a = 1\r\n[b]\r\nc = '''x\r\ny'''\r\nd = 2\r\n", "dlpu.toml")
    assert source.document == {"a": 1, "b": {"c": "x\ny", "d": 2}}
    assert source.places.value_at("b.d") == Location("dlpu.toml", 5, 5)
