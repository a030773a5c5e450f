"""JSON for people and programs: indented, sorted by key, lists of numbers and of words on one line each.

In: JSON values, where an iterator stands for a list. Out: pieces of text, made as they are asked for, so that a
document may be larger than what there is of memory. A number that is none becomes null: JSON has no word for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from math import isfinite
from typing import Any

_INDENT = "  "


def json_chunks(document: Any) -> Iterator[str]:
    """Yield the text of `document`, ending in a line end."""
    yield from _value(document, "\n")
    yield "\n"


def _value(value: Any, begin: str) -> Iterator[str]:
    """Yield one value; `begin` is a line end and the indentation of the line that it stands in."""
    if isinstance(value, Mapping):
        yield from _object(value, begin)
    elif isinstance(value, Iterator):
        yield from _list(value, begin)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        if all(isinstance(each, str | int | float | None) for each in value):
            yield "[" + ", ".join(map(_plain, value)) + "]"
        else:
            yield from _list(iter(value), begin)
    else:
        yield _plain(value)


def _plain(value: Any) -> str:
    if isinstance(value, float) and not isfinite(value):
        return "null"
    return json.dumps(value, ensure_ascii=False)


def _object(value: Mapping[str, Any], begin: str) -> Iterator[str]:
    inner = begin + _INDENT
    separator = "{"
    for key in sorted(value):
        yield f"{separator}{inner}{_plain(key)}: "
        yield from _value(value[key], inner)
        separator = ","
    yield "{}" if separator == "{" else begin + "}"


def _list(values: Iterator[Any], begin: str) -> Iterator[str]:
    inner = begin + _INDENT
    separator = "["
    for each in values:
        yield separator + inner
        yield from _value(each, inner)
        separator = ","
    yield "[]" if separator == "[" else begin + "]"


def joined(pieces: Iterator[str], length: int = 1 << 16) -> Iterator[str]:
    """Yield the same text in pieces of some `length`, for a write each is dear."""
    kept: list[str] = []
    size = 0
    for piece in chain(pieces):
        kept.append(piece)
        size += len(piece)
        if size >= length:
            yield "".join(kept)
            kept, size = [], 0
    if kept:
        yield "".join(kept)
