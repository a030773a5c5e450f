"""Small pieces of terminal text: columns, sizes, seconds, color, and names that cannot steer the terminal.

In: values. Out: text. Nothing is printed here.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_KIB = 1024
_MINUTE_S = 60


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
