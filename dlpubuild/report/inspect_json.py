"""What is in a `.tflite` model, as JSON values.

In: a model and its facts. Out: a document for `dlpubuild.report.json_text`, with an iterator for each list of tensors
and of operators, whose entries are made as they are asked for. Nothing is left out and nothing is read here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dlpubuild.tflite.facts import EDGETPU_OPERATOR
from dlpubuild.tflite.metadata import metadata_entries
from dlpubuild.tflite.oddities import oddities
from dlpubuild.tflite.runtime import edgetpu_readable, min_runtime, runtime_table
from dlpubuild.tflite.work import operator_macs, operator_parameter_bytes

if TYPE_CHECKING:
    from dlpubuild.tflite.facts import ModelFacts
    from dlpubuild.tflite.model import Operator, Subgraph, Tensor, TfliteModel


def inspect_json(model: TfliteModel, facts: ModelFacts) -> dict[str, Any]:
    """Return everything the reader knows of the model as JSON values."""
    runtime = min_runtime(model)
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
        "min_runtime_of_operators": runtime.version,
        "operator_versions": [
            {"operator": each.operator, "version": each.version, "min_runtime": each.runtime}
            for each in runtime.operators
        ],
        "is_compiled_for_edgetpu": EDGETPU_OPERATOR in facts.custom_operators,
        "edgetpu_unreadable": [str(each) for each in edgetpu_readable(model)],
        "mapped": _mapped(model, facts),
        "operator_counts": dict(facts.operators),
        "metadata": [
            {"name": each.name, "size_bytes": each.size_bytes, "text": each.text or None}
            for each in metadata_entries(model)
        ],
        "signatures": (
            {
                "key": each.key,
                "subgraph": each.subgraph,
                "inputs": ({"name": name, "tensor": index} for name, index in each.inputs),
                "outputs": ({"name": name, "tensor": index} for name, index in each.outputs),
            }
            for each in model.signatures
        ),
        "oddities": [
            {"kind": each.kind, "text": each.title, "count": each.count, "places": list(each.places)}
            for each in oddities(model)
        ],
        "inputs": (tensor_json(model, tensor) for tensor in model.inputs),
        "outputs": (tensor_json(model, tensor) for tensor in model.outputs),
        "subgraphs": (_graph_json(model, graph) for graph in model.subgraphs),
    }


def _mapped(model: TfliteModel, facts: ModelFacts) -> dict[str, Any] | None:
    """What a compiler mapped, and which operators it left; None for a model that is not compiled."""
    if EDGETPU_OPERATOR not in facts.custom_operators:
        return None
    operators = [each for graph in model.subgraphs for each in graph.operators]
    left = {label: count for label, count in facts.operators.items() if label != EDGETPU_OPERATOR}
    return {
        "operator": EDGETPU_OPERATOR,
        "parts": facts.operators[EDGETPU_OPERATOR],
        "bytes": sum(each.custom_bytes for each in operators if each.custom_code == EDGETPU_OPERATOR),
        "cpu": left,
    }


def _graph_json(model: TfliteModel, graph: Subgraph) -> dict[str, Any]:
    runtimes = runtime_table()

    def operator_json(operator: Operator) -> dict[str, Any]:
        return {
            "index": operator.index,
            "name": operator.label,
            "builtin": operator.name,
            "version": operator.version,
            "min_runtime": runtimes.get((operator.name, operator.version)),
            "activation": operator.activation or None,
            "inputs": operator.inputs,
            "input_shapes": [graph.tensors[index].shape if index >= 0 else None for index in operator.inputs],
            "outputs": operator.outputs,
            "output_shapes": [graph.tensors[index].shape if index >= 0 else None for index in operator.outputs],
            "output_name": next((graph.tensors[index].name for index in operator.outputs if index >= 0), None),
            "options": dict(operator.options),
            "custom_bytes": operator.custom_bytes,
            "macs": operator_macs(graph, operator),
            "parameter_bytes": operator_parameter_bytes(graph, operator),
        }

    return {
        "name": graph.name,
        "inputs": graph.inputs,
        "outputs": graph.outputs,
        "tensors": (tensor_json(model, tensor) for tensor in graph.tensors),
        "operators": map(operator_json, graph.operators),
    }


def tensor_json(model: TfliteModel, tensor: Tensor) -> dict[str, Any]:
    """Return one tensor as JSON values; `name` is that of the signature, where it has one."""
    found = tensor.quantization
    return {
        "index": tensor.index,
        "name": model.public_name(tensor),
        "tensor": tensor.name,
        "shape": tensor.shape,
        "shape_signature": tensor.shape_signature,
        "dtype": tensor.dtype,
        "granularity": "none" if found is None else "per-channel" if found.per_channel else "per-tensor",
        "scales": found.scales if found else (),
        "zero_points": found.zero_points if found else (),
        "axis": found.axis if found and found.per_channel else None,
        "is_variable": tensor.is_variable,
        "buffer": tensor.buffer,
        "constant_bytes": tensor.constant_bytes,
    }
