"""Small pieces of terminal text: columns, sizes, seconds, color, and names that cannot steer the terminal.

In: values. Out: text. Nothing is printed here.
"""

from __future__ import annotations

import textwrap
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_KIB = 1024
_MINUTE_S = 60
_LEAST_WIDTH = 12


@dataclass(frozen=True, slots=True)
class Paint:
    """Wraps text in ANSI colors, or leaves it as it is."""

    enabled: bool

    def _wrap(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.enabled else text

    def good(self, text: str) -> str:
        """Green."""
        return self._wrap("32", text)

    def bad(self, text: str) -> str:
        """Bold red."""
        return self._wrap("1;31", text)

    def warn(self, text: str) -> str:
        """Yellow."""
        return self._wrap("33", text)

    def dim(self, text: str) -> str:
        """Faint."""
        return self._wrap("2", text)

    def strong(self, text: str) -> str:
        """Bold."""
        return self._wrap("1", text)


def columns(rows: Sequence[Sequence[str]], *, header: Sequence[str] = (), right: frozenset[int] = frozenset()) -> str:
    """Return `rows` as aligned columns two spaces apart; the column numbers in `right` are right-aligned."""
    table = [list(header), *rows] if header else list(rows)
    if not table:
        return ""
    widths = [max(display_width(row[column]) for row in table) for column in range(len(table[0]))]
    lines = []
    for row in table:
        cells = []
        for column, cell in enumerate(row):
            space = " " * (widths[column] - display_width(cell))
            cells.append(space + cell if column in right else cell + space)
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def fitted(
    rows: Sequence[Sequence[str]],
    *,
    header: Sequence[str] = (),
    right: frozenset[int] = frozenset(),
    shrink: Sequence[int] = (),
    width: int | None = None,
) -> str:
    """Return `columns` that take no more than `width`, if that can be done by shortening the columns in `shrink`.

    Columns are shortened in the order given, each to no less than `_LEAST_WIDTH`. Without a width none is.
    """
    table = [list(header), *map(list, rows)] if header else [list(row) for row in rows]
    if not table or width is None:
        return columns(rows, header=header, right=right)
    widths = [max(display_width(row[column]) for row in table) for column in range(len(table[0]))]
    for column in shrink:
        excess = sum(widths) + 2 * (len(widths) - 1) - width
        if excess > 0:
            widths[column] = max(min(widths[column], _LEAST_WIDTH), widths[column] - excess)
            for row in table:
                row[column] = shortened(row[column], widths[column])
    return columns(table, right=right)


def wrapped(rows: Sequence[tuple[str, str]], width: int | None) -> list[tuple[str, str]]:
    """Return labelled lines, those that are longer than `width` together with the labels going on in the next row."""
    if width is None or not rows:
        return list(rows)
    room = max(_LEAST_WIDTH, width - 2 - max(display_width(label) for label, _ in rows))
    return [
        ("" if number else label, line)
        for label, text in rows
        for number, line in enumerate(textwrap.wrap(text, room) or [""])
    ]


def shortened(text: str, width: int) -> str:
    """Return `text`, cut in its middle where it takes more than `width` columns."""
    if display_width(text) <= width:
        return text
    tail = text[-(width // 2) :] if width > 1 else ""
    head = text[: width - 1 - width // 2]
    while head and display_width(head) + display_width(tail) >= width:
        head, tail = head[:-1], tail[1:]
    return f"{head}…{tail}"


def display_width(text: str) -> int:
    """Return how many terminal columns `text` takes, without color sequences."""
    if text.isascii() and "\x1b" not in text:
        return len(text)
    width = 0
    skipping = False
    for sign in text:
        if sign == "\x1b":
            skipping = True
        elif skipping:
            skipping = sign != "m"
        elif not unicodedata.combining(sign):
            width += 2 if unicodedata.east_asian_width(sign) in ("W", "F") else 1
    return width


def size_text(size_bytes: int) -> str:
    """Return a size for people: `812 B`, `23.4 KiB`, `3.9 MiB`."""
    if size_bytes < _KIB:
        return f"{size_bytes} B"
    size = float(size_bytes)
    for unit in ("KiB", "MiB", "GiB"):
        size /= _KIB
        # As it will be shown: 1023.96 KiB is 1.0 MiB.
        if round(size, 1) < _KIB:
            return f"{size:.1f} {unit}"
    return f"{size / _KIB:.1f} TiB"


def seconds_text(seconds: float) -> str:
    """Return a duration for people: `0.4 s`, `12.3 s`, `3 min 05 s`."""
    if round(seconds, 1) < _MINUTE_S:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), _MINUTE_S)
    return f"{minutes} min {rest:02d} s"


def printable(text: str) -> str:
    """Return `text`, which comes out of a file of unknown origin, with what is not printable as escapes."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
