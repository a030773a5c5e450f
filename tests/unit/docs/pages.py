"""The Markdown pages of the project, as far as the tests look at them: headings, links, code.

In: files of the checkout. Out: `Page` values. Fenced blocks are not searched for links and headings.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
_PATTERNS = ("*.md", "docs/*.md", "examples/*/README.md", "bench/README.md", "dlpubuild/toolchains/locks/README.md")
_FENCE = re.compile(r"^ *```(?P<kind>[\w-]*)\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#{1,6} (?P<text>.+)$", re.MULTILINE)
_LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")
_INLINE = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block; `title` is the code span of a line such as "`dlpu.toml`:" right above it, else empty."""

    kind: str
    text: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page; `name` is its path below the checkout."""

    path: Path
    text: str

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @property
    def prose(self) -> str:
        return _FENCE.sub("", self.text)

    @property
    def blocks(self) -> tuple[Block, ...]:
        return tuple(
            Block(kind=match["kind"], text=match["text"], title=_title(self.text[: match.start()]))
            for match in _FENCE.finditer(self.text)
        )

    @property
    def links(self) -> tuple[str, ...]:
        return tuple(match["target"] for match in _LINK.finditer(self.prose))

    @property
    def anchors(self) -> frozenset[str]:
        return frozenset(_slug(match["text"]) for match in _HEADING.finditer(self.prose))

    @property
    def code_spans(self) -> tuple[str, ...]:
        return tuple(_INLINE.findall(self.prose))


def pages() -> tuple[Page, ...]:
    found = {path for pattern in _PATTERNS for path in ROOT.glob(pattern)}
    return tuple(page(path.relative_to(ROOT).as_posix()) for path in sorted(found))


def page(name: str) -> Page:
    path = ROOT / name
    return Page(path=path, text=path.read_text(encoding="utf-8"))


def _title(before: str) -> str:
    match = re.search(r"^`([^`\n]+)`:\n\n\Z", before, re.MULTILINE)
    return match[1] if match else ""


def _slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
