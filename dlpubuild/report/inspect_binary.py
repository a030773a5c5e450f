"""What is known of a `.bin`, as text and as JSON.

In: a `PackagedBinary`. Out: a page for a terminal, or JSON values. What a package says of its tensors is shown as it is
written there; nothing is read here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dlpubuild.report.text import columns, printable, size_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dlpubuild.package.binary_contents import PackagedBinary


def binary_text(name: str, binary: PackagedBinary) -> str:
    """Return a page about a `.bin` for a terminal."""
    document = binary.document or {}
    compiler = document.get("compiler") or {}
    rows = [
        ("file", name),
        ("size", size_text(binary.digest.size_bytes)),
        ("sha256", binary.digest.hash),
        ("begins with", binary.head.hex(" ")),
        ("quantization", "decided by the SoC's own compiler; the format is not public"),
    ]
    if compiler:
        rows.append(("compiled with", printable(f"{compiler.get('name')} {compiler.get('version')}")))
    blocks = [columns(rows)]
    blocks += [
        _table(title, document[title]) for title in ("inputs", "outputs") if isinstance(document.get(title), list)
    ]
    return "\n\n".join(blocks) + "\n"


def _table(title: str, tensors: list[Any]) -> str:
    rows = [_row(tensor) for tensor in tensors if isinstance(tensor, dict)]
    return columns(rows, header=(title, "shape", "type", "pitch", "whole buffer"))


def _row(tensor: Mapping[str, Any]) -> tuple[str, ...]:
    memory = tensor.get("memory") or {}
    doubt = " (inferred)" if memory.get("inferred") else ""
    return (
        printable(str(tensor.get("name"))),
        "x".join(map(str, tensor.get("shape") or ())),
        printable(str(tensor.get("dtype"))),
        f"{memory['pitch-bytes']}{doubt}" if "pitch-bytes" in memory else "-",
        f"{memory['size-bytes']}{doubt}" if "size-bytes" in memory else "-",
    )


def binary_json(binary: PackagedBinary) -> dict[str, Any]:
    """Return everything that is known of a `.bin` as JSON values."""
    return {
        "schema": 1,
        "size_bytes": binary.digest.size_bytes,
        "sha256": binary.digest.hash,
        "begins_with": binary.head.hex(),
        "quantization": "compiled",
        "package": binary.document,
    }
