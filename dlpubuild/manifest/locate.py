"""Where each key and each value of a TOML text stands, which `tomllib` does not tell.

In: the text of a TOML file. Out: a `SourceIndex` that maps TOML paths (`model.input[0].shape`) to lines and
columns. The text is walked once and its values are not interpreted, so this module never decides whether
something is TOML: that is `tomllib`'s part. On a text that is not, the index ends where the walk got stuck.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlpubuild.errors import Location
from dlpubuild.manifest.scan import MAX_DEPTH, Scanner, StuckError

if TYPE_CHECKING:
    from collections.abc import Mapping


class TooDeepError(ValueError):
    """Tables or arrays are nested deeper than `MAX_DEPTH`, which happens at `location`."""

    def __init__(self, location: Location) -> None:
        super().__init__(f"{location}: nested more than {MAX_DEPTH} deep")
        self.location = location


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicate:
    """A key or table that is given a second time at `again`, which TOML forbids."""

    path: str
    first: Location
    again: Location


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceIndex:
    """The places of all keys and values of one TOML file.

    Both mappings have the same paths: that of every table, array, array element and value in the file, and
    `""` for the file itself. The value of a table starts at its header or brace. A table that only
    a longer name implies starts, as key and as value, where its name is first written; so does an element
    of an array, which has no key of its own.
    """

    keys: Mapping[str, Location]
    values: Mapping[str, Location]
    duplicate: Duplicate | None = None

    def key_at(self, path: str) -> Location:
        """Return where the key of `path` starts, or that of its nearest parent in the file."""
        return _nearest(self.keys, path)

    def value_at(self, path: str) -> Location:
        """Return where the value of `path` starts, or that of its nearest parent in the file."""
        return _nearest(self.values, path)


def index_source(text: str, file: str) -> SourceIndex:
    """Return where every key and value of `text` stands.

    Args:
        text: the content of the file, with LF as line ends.
        file: the name that the locations carry.

    Raises:
        TooDeepError: tables or arrays are nested deeper than `MAX_DEPTH`.
    """
    scanner = Scanner(text)
    lines = LineIndex(text, file)
    try:
        scanner.scan()
    except StuckError as stuck:
        if stuck.too_deep:
            raise TooDeepError(lines.location(stuck.offset)) from None
    return SourceIndex(
        keys={path: lines.location(offset) for path, offset in scanner.keys.items()},
        values={path: lines.location(offset) for path, offset in scanner.values.items()},
        duplicate=_duplicate(scanner, lines),
    )


def _duplicate(scanner: Scanner, lines: LineIndex) -> Duplicate | None:
    if scanner.duplicate is None:
        return None
    path, first, again = scanner.duplicate
    return Duplicate(path=path, first=lines.location(first), again=lines.location(again))


class LineIndex:
    """Turns offsets into lines and columns; both count from 1, columns in characters."""

    def __init__(self, text: str, file: str) -> None:
        self._file = file
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def location(self, offset: int) -> Location:
        """Return the place of the character at `offset`."""
        line = bisect_right(self._starts, offset)
        return Location(self._file, line, offset - self._starts[line - 1] + 1)


def _nearest(locations: Mapping[str, Location], path: str) -> Location:
    while path not in locations:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return locations[path]
