"""A `.tflite` as tables of a report: its operators one by one, inputs and outputs, and figures.

In: a `TfliteModel`. Out: JSON values, small enough to be remembered by the digest of the file. They say nothing of an
SoC, and depend on nothing but the file.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from dlpubuild.package.description import shortest_float32
from dlpubuild.tflite.facts import summarise
from dlpubuild.tflite.runtime import min_runtime
from dlpubuild.tflite.work import operator_macs, operator_parameter_bytes

if TYPE_CHECKING:
    from dlpubuild.tflite.model import Operator, Subgraph, Tensor, TfliteModel


def model_table(model: TfliteModel) -> dict[str, Any]:
    """Return what a report says of a model."""
    facts = summarise(model)
    return {
        "quantization": facts.quantization,
        "macs": facts.macs,
        "parameter_bytes": facts.parameter_bytes,
        "min_runtime": facts.min_runtime or min_runtime(model).version or None,
        "inputs": [_tensor(model, tensor) for tensor in model.inputs],
        "outputs": [_tensor(model, tensor) for tensor in model.outputs],
        "operators": [
            _operator(number, graph, operator)
            for number, graph in enumerate(model.subgraphs)
            for operator in graph.operators
        ],
    }


def _tensor(model: TfliteModel, tensor: Tensor) -> dict[str, Any]:
    scale, zero_point = None, None
    found = tensor.quantization
    # One that a runtime cannot feed is not shown as if it could.
    if found is not None and len(found.scales) == 1 and math.isfinite(found.scales[0]) and found.scales[0] > 0:
        scale = shortest_float32(found.scales[0])
        zero_point = found.zero_points[0] if found.zero_points else 0
    return {
        "name": model.public_name(tensor),
        "shape": list(tensor.shape_signature),
        "dtype": tensor.dtype,
        "scale": scale,
        "zero_point": zero_point,
    }


def _operator(number: int, graph: Subgraph, operator: Operator) -> dict[str, Any]:
    made = next((graph.tensors[index] for index in operator.outputs if index >= 0), None)
    return {
        "index": operator.index,
        "subgraph": number,
        "name": operator.label,
        "version": operator.version,
        "output": made.name if made is not None else "",
        "shape": list(made.shape_signature) if made is not None else [],
        "dtype": made.dtype if made is not None else "",
        "activation": str(operator.options.get("fused_activation_function", "NONE")),
        "macs": operator_macs(graph, operator),
        "parameter_bytes": operator_parameter_bytes(graph, operator),
    }
