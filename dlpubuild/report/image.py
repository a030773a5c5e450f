"""Container images as a terminal shows them, and as `--json` prints them.

In: `ImageRow` values. Out: text, or what becomes JSON. Nothing is printed here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from dlpubuild.report.text import columns, printable, size_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SHORT = len("sha256:") + 12


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRow:
    """One image of the tool's.

    `state`: `current` is of this version and its locks, `other` of another, `missing` is not on the engine. Digests
    are as the engine says them; `layers` are the digests of their contents, lowest first.
    """

    name: str
    state: Literal["current", "other", "missing"]
    title: str = ""
    id: str = ""
    version: str = ""
    lock_sha256: str = ""
    tags: Sequence[str] = ()
    references: Sequence[str] = ()
    layers: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    size_bytes: int = 0

    @property
    def document(self) -> Mapping[str, object]:
        """What becomes JSON."""
        return {
            "name": self.name,
            "state": self.state,
            "id": self.id or None,
            "version": self.version or None,
            "lock_sha256": self.lock_sha256 or None,
            "tags": list(self.tags),
            "references": list(self.references),
            "layers": list(self.layers),
            "labels": dict(sorted(self.labels.items())),
            "bytes": self.size_bytes,
        }


def images_text(rows: Sequence[ImageRow]) -> str:
    """Return one line per image."""
    table = [
        (
            printable(row.name),
            "not built" if row.state == "missing" else row.state,
            row.id[:_SHORT],
            size_text(row.size_bytes) if row.id else "",
            row.title if row.state == "missing" else printable(", ".join(row.tags or row.references) or "(no name)"),
        )
        for row in rows
    ]
    return columns(table, header=("name", "state", "id", "size", "known as"), right=frozenset({3})) + "\n"


def image_text(row: ImageRow) -> str:
    """Return everything that is known of one image."""
    lines = [
        ("name", row.name),
        ("id", row.id),
        ("state", "of this version" if row.state == "current" else "of another version"),
        ("size", size_text(row.size_bytes)),
        *(("tag", tag) for tag in row.tags),
        *(("reference", reference) for reference in row.references),
        *(("layer", layer) for layer in row.layers),
        *(("label", f"{name}={value}") for name, value in sorted(row.labels.items())),
    ]
    return columns([(name, printable(value)) for name, value in lines]) + "\n"


def pin_text(name: str, reference: str) -> str:
    """Return how a project pins an image that a registry has."""
    return (
        f"{reference}\n\n"
        "to use exactly this image, in dlpu.toml:\n"
        f'  [toolchain.{name}]\n  image = "{reference}"\n'
        "or, with the other pins of a release, in dlpu.lock: dlpubuild image lock\n"
        f"on another machine: dlpubuild image pull {reference}\n"
    )
