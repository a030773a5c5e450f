"""What is in a model, as text and as JSON.

In: a model and its facts. Out: a page for a terminal, or JSON values. Nothing is read here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dlpubuild.report.text import columns, printable, size_text
from dlpubuild.tflite.facts import EDGETPU_OPERATOR
from dlpubuild.tflite.runtime import edgetpu_readable, min_runtime

if TYPE_CHECKING:
    from dlpubuild.tflite.facts import ModelFacts
    from dlpubuild.tflite.model import Tensor, TfliteModel


def inspect_text(name: str, model: TfliteModel, facts: ModelFacts) -> str:
    """Return a page about the model for a terminal."""
    rows = [
        ("file", name),
        ("size", size_text(model.size_bytes)),
        ("description", printable(model.description) or "-"),
        ("quantization", facts.quantization),
        ("weights", f"{facts.weight_kind}, {size_text(facts.parameter_bytes)} of constants"),
        ("work", f"{facts.macs:,} multiply-accumulates per inference"),
        ("min. TensorFlow", _oldest_runtime(model, facts)),
        *edgetpu_rows(model, facts),
    ]
    blocks = [columns(rows)]
    blocks.append(_tensor_table("inputs", model, model.inputs))
    blocks.append(_tensor_table("outputs", model, model.outputs))
    operators = [(printable(label), str(count)) for label, count in facts.operators.items()]
    blocks.append(columns(operators, header=(f"operators ({sum(facts.operators.values())})", ""), right=frozenset({1})))
    if facts.per_channel_tensors:
        blocks.append(f"{len(facts.per_channel_tensors)} tensors have a scale per channel")
    return "\n\n".join(blocks) + "\n"


def _oldest_runtime(model: TfliteModel, facts: ModelFacts) -> str:
    if facts.min_runtime:
        return printable(facts.min_runtime)
    version = min_runtime(model).version
    return f"{version}, by its operators; the converter did not note it" if version else "not noted"


def edgetpu_rows(model: TfliteModel, facts: ModelFacts) -> list[tuple[str, str]]:
    """Return what the Edge TPU compiler would make of a model, or made of it, as labelled lines."""
    if EDGETPU_OPERATOR in facts.custom_operators:
        parts = facts.operators[EDGETPU_OPERATOR]
        left = sum(facts.operators.values()) - parts
        on_cpu = f"{left} operators run on the CPU" if left else "all of it runs there"
        return [("Edge TPU", f"compiled for it, in {parts} {'parts' if parts > 1 else 'part'}; {on_cpu}")]
    findings = edgetpu_readable(model)
    if findings:
        return [("Edge TPU", f"its compiler cannot read this: {findings[0]}"), *(("", str(f)) for f in findings[1:])]
    if facts.custom_operators or facts.flex_operators:
        return [("Edge TPU", "its compiler takes no custom operators")]
    if facts.quantization not in ("per-tensor", "per-channel"):
        return [("Edge TPU", "its compiler needs an integer model")]
    return [("Edge TPU", "its compiler reads all operator versions, as far as is known")]


def _tensor_table(title: str, model: TfliteModel, tensors: tuple[Tensor, ...]) -> str:
    rows = [(printable(model.public_name(tensor)), _shape(tensor), tensor.dtype, *_scale(tensor)) for tensor in tensors]
    return columns(rows, header=(title, "shape", "type", "scale", "zero point"))


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


def _scale(tensor: Tensor) -> tuple[str, str]:
    quantization = tensor.quantization
    if quantization is None or not quantization.scales:
        return ("-", "-")
    if quantization.per_channel:
        return (f"{len(quantization.scales)} scales", "per channel")
    return (f"{quantization.scales[0]:.9g}", str(quantization.zero_points[0] if quantization.zero_points else 0))


def inspect_json(model: TfliteModel, facts: ModelFacts) -> dict[str, Any]:
    """Return everything the reader knows of the model as JSON values."""
    return {
        "schema": 1,
        "size_bytes": model.size_bytes,
        "description": model.description,
        "quantization": facts.quantization,
        "granularity": facts.granularity,
        "weight_kind": facts.weight_kind,
        "parameter_bytes": facts.parameter_bytes,
        "macs": facts.macs,
        "min_runtime": facts.min_runtime or None,
        "min_runtime_of_operators": min_runtime(model).version,
        "is_compiled_for_edgetpu": EDGETPU_OPERATOR in facts.custom_operators,
        "edgetpu_unreadable": [str(each) for each in edgetpu_readable(model)],
        "operator_counts": dict(facts.operators),
        "inputs": [_tensor_json(model, tensor) for tensor in model.inputs],
        "outputs": [_tensor_json(model, tensor) for tensor in model.outputs],
        "subgraphs": [
            {
                "name": graph.name,
                "tensors": [_tensor_json(model, tensor) for tensor in graph.tensors],
                "operators": [
                    {
                        "index": operator.index,
                        "name": operator.label,
                        "version": operator.version,
                        "inputs": list(operator.inputs),
                        "outputs": list(operator.outputs),
                        "options": dict(operator.options),
                    }
                    for operator in graph.operators
                ],
            }
            for graph in model.subgraphs
        ],
    }


def _tensor_json(model: TfliteModel, tensor: Tensor) -> dict[str, Any]:
    quantization = tensor.quantization
    return {
        "index": tensor.index,
        "name": model.public_name(tensor),
        "tensor": tensor.name,
        "shape": list(tensor.shape),
        "shape_signature": list(tensor.shape_signature),
        "dtype": tensor.dtype,
        "scales": list(quantization.scales) if quantization else [],
        "zero_points": list(quantization.zero_points) if quantization else [],
        "axis": quantization.axis if quantization and quantization.per_channel else None,
        "constant_bytes": tensor.constant_bytes,
    }
