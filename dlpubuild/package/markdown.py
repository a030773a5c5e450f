"""Text of the user's in a page of Markdown.

In: any text. Out: the same as one line in which nothing formats, links or ends a table cell.
"""

from __future__ import annotations


def escaped(text: str) -> str:
    """Return `text` for a line of Markdown: no line ends, nothing that formats or ends a table cell."""
    safe = "".join(f"\\{character}" if character in "\\`*_[]<>|#" else character for character in text)
    return " ".join(safe.split())


def code_span(text: str) -> str:
    """Return `text` as a code span that may stand in a table."""
    plain = " ".join(text.split()).replace("|", "\\|")
    fence = "`" * (max((len(run) for run in _backticks(plain)), default=0) + 1)
    space = " " if plain.startswith("`") or plain.endswith("`") else ""
    return f"{fence}{space}{plain}{space}{fence}"


def _backticks(text: str) -> list[str]:
    only = "".join(character if character == "`" else " " for character in text)
    return only.split()
