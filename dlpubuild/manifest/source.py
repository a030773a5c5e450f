"""The bytes of a manifest as a TOML document and the places of its keys.

In: a path, or bytes. Out: the bytes; a `Source`: the document as `tomllib` gives it, and a `SourceIndex`.
Everything that keeps a file from being a TOML document is a `ManifestError` with line and column. What the
document says is not looked at here.
"""

from __future__ import annotations

import re
import stat
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dlpubuild.errors import ErrorCode, Location, ManifestError, Problem
from dlpubuild.manifest.locate import Duplicate, LineIndex, SourceIndex, TooDeepError, index_source
from dlpubuild.manifest.scan import MAX_DEPTH
from dlpubuild.manifest.tomlpath import join_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_BYTES = 1 << 20
"""Largest manifest that is read; more than that is another file given by mistake."""

_EXCERPT_COLUMNS = 100
_UTF8_BOM = b"\xef\xbb\xbf"
_SAVE_AS = 'save it as "UTF-8"'
_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_NAMESPACE = re.compile(r"\('(.*?)',?\)")  # tomllib writes a table's name as a Python tuple
_TYPOGRAPHIC_QUOTES = "“”„«»\u2018\u2019"
_LONG_NUMBER = re.compile(r"[0-9][0-9_]{4000,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A TOML document, as plain values, and where each of them stands in the file."""

    document: dict[str, Any]
    places: SourceIndex


def read_manifest(path: Path) -> bytes:
    """Return the content of the manifest at `path`.

    Raises:
        ManifestError: there is no such file, or it cannot be read.
    """
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise _missing(path, "is a folder, not a manifest", _hint_for_folder(path))
        if not stat.S_ISREG(status.st_mode):
            raise _missing(path, "is not a regular file", "")
        if status.st_size > MAX_BYTES:
            raise _missing(path, f"is too large for a manifest: {status.st_size} bytes", "give the path of a dlpu.toml")
        return path.read_bytes()
    except FileNotFoundError:
        raise _missing(path, "no such file", _hint_for_missing(path)) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise _missing(path, f"cannot be read: {reason}", "") from error


def parse_manifest(data: bytes, file: str) -> Source:
    """Return the TOML document in `data`.

    Args:
        data: the content of the file.
        file: the name that locations carry.

    Raises:
        ManifestError: not UTF-8, or not TOML; carries exactly one problem.
    """
    text = _decode(data, file).replace("\r\n", "\n")
    try:
        places = index_source(text, file)
        document = tomllib.loads(text)
    except TooDeepError as error:
        message = f"tables and arrays are nested more than {MAX_DEPTH} deep"
        raise _fault(ErrorCode.MANIFEST_SYNTAX, error.location, message) from None
    except ValueError as error:  # TOMLDecodeError, or an integer of more digits than Python converts
        raise _syntax_error(str(error), text, file) from None
    for path, value in walk_values(document):
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            message = "the number does not fit into 64 bits"
            raise _fault(ErrorCode.MANIFEST_SYNTAX, places.value_at(path), message, path=path)
    return Source(document=document, places=places)


def walk_values(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value below `value` that is neither a table nor an array, with its path, in file order."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from walk_values(item, join_path(path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from walk_values(item, join_path(path, index))
    else:
        yield path, value


def _missing(path: Path, message: str, hint: str) -> ManifestError:
    return _fault(ErrorCode.MANIFEST_MISSING, Location(str(path)), message, hint)


def _fault(code: ErrorCode, location: Location, message: str, hint: str = "", *, path: str = "") -> ManifestError:
    return ManifestError([Problem(code=code, location=location, path=path, message=message, hint=hint)])


def _hint_for_missing(path: Path) -> str:
    for folder in path.absolute().parent.parents:
        if (folder / path.name).is_file():
            return f"there is one in {folder}: run dlpubuild in that folder"
    return "write one with: dlpubuild init MODEL"


def _hint_for_folder(path: Path) -> str:
    inside = path / "dlpu.toml"
    return f"give the file in it: {inside}" if inside.is_file() else "write one with: dlpubuild init MODEL"


def _decode(data: bytes, file: str) -> str:
    if data.startswith(_UTF8_BOM):
        raise _fault(
            ErrorCode.MANIFEST_ENCODING,
            Location(file, 1, 1),
            "starts with a byte order mark (BOM), which TOML does not allow",
            'save it as "UTF-8", not as "UTF-8 with BOM"',
        )
    encoding = _wide_encoding(data)
    if encoding:
        message = f"is encoded in {encoding}, and TOML is always UTF-8"
        raise _fault(ErrorCode.MANIFEST_ENCODING, Location(file, 1, 1), message, _SAVE_AS)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise _undecodable(data, error.start, file) from None


def _wide_encoding(data: bytes) -> str:
    """Return the name of the UTF-16 or UTF-32 that `data` is in, with or without a byte order mark."""
    if data.startswith((b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff")):
        return "UTF-32"
    head = data[:4]
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "UTF-16"
    # Every manifest starts with an ASCII character, so a NUL beside it is the other half of a wide one.
    return "UTF-16" if len(head) > 1 and head.count(0) in {1, 2} and 0 in head[:2] else ""


def _undecodable(data: bytes, start: int, file: str) -> ManifestError:
    line_start = data.rfind(b"\n", 0, start) + 1
    line = data.count(b"\n", 0, start) + 1
    column = len(data[line_start:start].decode()) + 1
    byte = data[start]
    hint = _SAVE_AS
    if byte >= 0xA0:  # noqa: PLR2004 - from here on, Latin-1 has printable characters
        hint = f'in Latin-1 it would be "{chr(byte)}": {_SAVE_AS}'
    return _fault(
        ErrorCode.MANIFEST_ENCODING, Location(file, line, column), f"the byte 0x{byte:02X} is not UTF-8", hint
    )


def _syntax_error(message: str, text: str, file: str) -> ManifestError:
    lines = LineIndex(text, file)
    match = _PLACE.search(message)
    if match is None:
        digits = _LONG_NUMBER.search(text)
        location = lines.location(digits.start() if digits else 0)
        return _fault(ErrorCode.MANIFEST_SYNTAX, location, "a number has too many digits")
    location = Location(file, int(match[1]), int(match[2])) if match[1] else lines.location(len(text))
    duplicate = index_source(text, file).duplicate
    if duplicate is not None and duplicate.again.line <= location.line:
        return _given_twice(duplicate, text)
    what = _in_own_words(message[: match.start()], _character_at(text, location))
    return _fault(ErrorCode.MANIFEST_SYNTAX, location, f"not TOML: {what}", _excerpt(text, location))


def _given_twice(duplicate: Duplicate, text: str) -> ManifestError:
    return _fault(
        ErrorCode.MANIFEST_SYNTAX,
        duplicate.again,
        f"given twice; first at {duplicate.first}",
        _excerpt(text, duplicate.again),
        path=duplicate.path,
    )


def _character_at(text: str, location: Location) -> str:
    line = text.split("\n")[location.line - 1]
    return line[location.column - 1 : location.column]


def _in_own_words(message: str, character: str) -> str:
    if character and character in _TYPOGRAPHIC_QUOTES:
        return f'{character} is a typographic quote; text is written in plain "quotes"'
    if message == "Invalid value":
        return 'invalid value; text is written in "quotes"'
    message = _NAMESPACE.sub(lambda match: f"[{match[1]}]".replace("', '", "."), message)
    return f"{message[:1].lower()}{message[1:]}"


def _excerpt(text: str, location: Location) -> str:
    """Return the line at `location` and below it a caret, indented as `Problem` indents its hint."""
    line = "".join(c if c.isprintable() else " " for c in text.split("\n")[location.line - 1])
    start = max(0, location.column - 1 - _EXCERPT_COLUMNS // 2)
    shown = line[start : start + _EXCERPT_COLUMNS]
    return f"{shown}\n    {' ' * (location.column - 1 - start)}^"
