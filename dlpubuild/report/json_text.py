"""JSON for people and programs: indented, sorted by key, lists of numbers and of words on one line each.

In: JSON values, where an iterator stands for a list. Out: pieces of text, made as they are asked for, so that a
document may be larger than what there is of memory. A number that is none becomes null: JSON has no word for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from math import isfinite
from typing import Any

_INDENT = "  "
_SCALARS = frozenset({str, int, float, bool, type(None)})
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def json_chunks(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the text of `document`, ending in a line end.

    An iterator may be a value of the document, or of a mapping in such a place, and so on; nowhere else.
    """
    yield from _stream(document, "\n")
    yield "\n"


def _stream(value: Mapping[str, Any], begin: str) -> Iterator[str]:
    """Yield a mapping; `begin` is a line end and the indentation of the line that it stands in."""
    inner = begin + _INDENT
    separator = "{"
    for key in sorted(value):
        yield f"{separator}{inner}{_key(key)}: "
        each = value[key]
        if isinstance(each, Iterator):
            yield from _list(each, inner)
        elif _holds_iterators(each):
            yield from _stream(each, inner)
        else:
            yield _text(each, inner)
        separator = ","
    yield "{}" if separator == "{" else begin + "}"


def _holds_iterators(value: Any) -> bool:
    return isinstance(value, Mapping) and any(
        isinstance(each, Iterator) or _holds_iterators(each) for each in value.values()
    )


def _list(values: Iterator[Any], begin: str) -> Iterator[str]:
    inner = begin + _INDENT
    separator = "["
    for each in values:
        yield separator + inner
        if _holds_iterators(each):
            yield from _stream(each, inner)
        else:
            yield _text(each, inner)
        separator = ","
    yield "[]" if separator == "[" else begin + "]"


def _text(value: Any, begin: str) -> str:
    """Return one value that holds no iterator."""
    if isinstance(value, Mapping):
        inner = begin + _INDENT
        entries = [f"{inner}{_key(key)}: {_text(value[key], inner)}" for key in sorted(value)]
        return "{" + ",".join(entries) + begin + "}" if entries else "{}"
    if isinstance(value, list | tuple):
        if _SCALARS.issuperset(map(type, value)):
            return _plain(value)
        inner = begin + _INDENT
        return "[" + ",".join([inner + _text(each, inner) for each in value]) + begin + "]"
    return _plain(value)


def _plain(value: Any) -> str:
    try:
        return _encode(value)
    except ValueError:
        if isinstance(value, list | tuple):
            return _encode([None if isinstance(each, float) and not isfinite(each) else each for each in value])
        return "null"


@lru_cache(1024)
def _key(key: str) -> str:
    return _encode(key)


def joined(pieces: Iterator[str], length: int = 1 << 16) -> Iterator[str]:
    """Yield the same text in pieces of some `length`, for a write each is dear."""
    kept: list[str] = []
    size = 0
    for piece in pieces:
        kept.append(piece)
        size += len(piece)
        if size >= length:
            yield "".join(kept)
            kept, size = [], 0
    if kept:
        yield "".join(kept)
