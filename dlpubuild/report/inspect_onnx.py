"""What is in an ONNX model, as text and as JSON.

In: what the file says of itself. Out: a page for a terminal, or JSON values. Nothing is read here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dlpubuild.report.text import columns, printable, size_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dlpubuild.project.model import KnownTensor
    from dlpubuild.project.onnx_signature import OnnxFacts


def onnx_text(name: str, size_bytes: int, facts: OnnxFacts) -> str:
    """Return a page about the model for a terminal."""
    rows = [
        ("file", name),
        ("size", size_text(size_bytes)),
        ("format", f"ONNX, opset {facts.opset or 'not noted'}, IR version {facts.ir_version}"),
        ("written by", printable(facts.producer) or "-"),
        *(("weights in", printable(each)) for each in facts.external),
    ]
    operators = [(printable(label), str(count)) for label, count in facts.operators.items()]
    blocks = [
        columns(rows),
        _tensor_table("inputs", facts.inputs),
        _tensor_table("outputs", facts.outputs),
        columns(operators, header=(f"operators ({sum(facts.operators.values())})", ""), right=frozenset({1})),
    ]
    return "\n\n".join(blocks) + "\n"


def onnx_json(size_bytes: int, facts: OnnxFacts) -> dict[str, Any]:
    """Return the same as JSON values; -1 stands for a size that is not fixed."""
    return {
        "schema": 1,
        "format": "onnx",
        "size_bytes": size_bytes,
        "ir_version": facts.ir_version,
        "opset": facts.opset,
        "producer": facts.producer,
        "external_weights": list(facts.external),
        "operator_counts": dict(facts.operators),
        "inputs": [_tensor_json(tensor) for tensor in facts.inputs],
        "outputs": [_tensor_json(tensor) for tensor in facts.outputs],
    }


def _tensor_table(title: str, tensors: Sequence[KnownTensor]) -> str:
    rows = [(printable(tensor.name), _shape(tensor), tensor.dtype or "-") for tensor in tensors]
    return columns(rows, header=(title, "shape", "type"))


def _shape(tensor: KnownTensor) -> str:
    if tensor.shape is None:
        return "unknown"
    return "x".join("?" if size < 0 else str(size) for size in tensor.shape) or "scalar"


def _tensor_json(tensor: KnownTensor) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "shape": None if tensor.shape is None else list(tensor.shape),
        "dtype": tensor.dtype,
    }
