"""What is in a model that is no `.tflite`: a trained one, or a `.bin` that an SoC's own compiler made.

In: what was read in it. Out: a page for a terminal, or JSON values. Nothing is read here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dlpubuild.report.text import columns, printable, size_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dlpubuild.project.model import KnownTensor, ModelReading

_STATES = {
    "float": "float",
    "quantization-aware": "trained quantization-aware",
    "compiled": "compiled",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFacts:
    """A model and what is known of it; `operators` is None where the format was not looked at that closely.

    `likely_soc` is a guess from the first bytes of a `.bin`.
    """

    name: str
    format: str
    size_bytes: int
    reading: ModelReading
    operators: Mapping[str, int] | None = None
    likely_soc: str | None = None


def source_text(facts: SourceFacts) -> str:
    """Return a page about the model for a terminal."""
    signature = facts.reading.signature
    rows = [
        ("file", printable(facts.name)),
        ("size", size_text(facts.size_bytes)),
        ("format", facts.format),
        ("state", _STATES.get(facts.reading.state, facts.reading.state)),
        *_bin_rows(facts),
    ]
    blocks = [columns(rows)]
    for title, tensors in (("inputs", signature.inputs), ("outputs", signature.outputs)):
        if tensors:
            blocks.append(columns(_rows(tensors), header=(title, "shape", "type")))
    if facts.operators is not None:
        counts = [(printable(name), str(count)) for name, count in facts.operators.items()]
        header = (f"operators ({sum(facts.operators.values())})", "")
        blocks.append(columns(counts, header=header, right=frozenset({1})))
    return "\n\n".join(blocks) + "\n"


def _bin_rows(facts: SourceFacts) -> list[tuple[str, str]]:
    if facts.format != "compiled":
        return []
    if facts.likely_soc is None:
        return [("SoC", "not recognised; few such files are known, so that says little")]
    return [("SoC", f"likely {facts.likely_soc}, by its first bytes; few such files are known, so this is weak")]


def _rows(tensors: Sequence[KnownTensor]) -> list[tuple[str, str, str]]:
    return [(printable(each.name), _shape(each.shape), each.dtype or "-") for each in tensors]


def _shape(shape: Sequence[int] | None) -> str:
    if shape is None:
        return "not known"
    return "x".join("?" if size < 0 else str(size) for size in shape) or "scalar"


def source_json(facts: SourceFacts) -> dict[str, Any]:
    """Return the same as JSON values."""
    return {
        "schema": 1,
        "format": facts.format,
        "size_bytes": facts.size_bytes,
        "state": facts.reading.state,
        "inputs": [_tensor_json(each) for each in facts.reading.signature.inputs],
        "outputs": [_tensor_json(each) for each in facts.reading.signature.outputs],
        "operator_counts": None if facts.operators is None else dict(facts.operators),
        "likely_soc": facts.likely_soc,
    }


def _tensor_json(tensor: KnownTensor) -> dict[str, Any]:
    shape = None if tensor.shape is None else list(tensor.shape)
    return {"name": tensor.name, "shape": shape, "dtype": tensor.dtype}
