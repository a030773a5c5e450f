"""A small table of figures inside an error: columns that line up, names that fit.

In: cells of text. Out: lines of text. Nothing is looked up here.
"""

from __future__ import annotations

from typing import Final

SHOWN_NAME: Final = 40


def columns(rows: list[list[str]]) -> list[str]:
    """Return `rows`, which have equally many cells, as indented lines of aligned columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return [f"  {line.rstrip()}" for line in lines]


def short_name(name: str) -> str:
    """Return a name on one line, and no longer than a table can bear."""
    plain = "".join(each if each.isprintable() else "?" for each in name)
    return plain if len(plain) <= SHOWN_NAME else f"{plain[: SHOWN_NAME - 3]}..."
