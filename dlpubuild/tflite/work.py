"""What each operator costs: multiply-accumulates of one run, and bytes of parameters.

In: a `Subgraph` and one of its operators, or a `TfliteModel`. Out: integers of any size, for the shapes are what the
file claims. Nothing is multiplied but shapes.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dlpubuild.tflite.model import Operator, Subgraph, Tensor, TfliteModel


def count_macs(model: TfliteModel) -> int:
    """Return the multiply-accumulates of all operators; see `operator_macs`."""
    return sum(operator_macs(graph, operator) for graph in model.subgraphs for operator in graph.operators)


def operator_macs(graph: Subgraph, operator: Operator) -> int:
    """Return the multiply-accumulates of CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV, FULLY_CONNECTED, BATCH_MATMUL.

    Biases, activations and all other operators count nothing, recurrent ones included. Padding counts as if it
    were multiplied. A dimension that is only known at run time counts with the size stored, which is 1.
    """
    if operator.name not in _COUNTED:
        return 0
    first, weights, third = (_shape(graph, operator.inputs, position) for position in range(3))
    output = _size(_shape(graph, operator.outputs, 0))
    macs = 0
    match operator.name:
        case "CONV_2D":  # weights [out, h, w, in / groups]
            macs = output * _size(weights[1:])
        case "DEPTHWISE_CONV_2D":  # weights [1, h, w, out]
            macs = output * _size(weights[1:3])
        case "TRANSPOSE_CONV":  # inputs: output shape, weights [out, h, w, in], activations
            macs = _size(third) * _size(weights[:3])
        case "FULLY_CONNECTED":  # weights [out, in]
            macs = output * _size(weights[-1:])
        case _:  # BATCH_MATMUL: first [..., rows, inner], or [..., inner, rows] where adj_x
            macs = output * _size(first[-2:-1] if operator.options.get("adj_x") else first[-1:])
    return macs


_COUNTED = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "BATCH_MATMUL"})


def operator_parameter_bytes(graph: Subgraph, operator: Operator) -> int:
    """Return the bytes of the constants that an operator takes, those of a buffer that it takes twice once.

    A constant that several operators take counts for each of them, so the sum may exceed `parameter_bytes`. What a
    custom operator keeps in its options is not among them: that is `Operator.custom_bytes`.
    """
    return _bytes(graph.tensors[index] for index in operator.inputs if index >= 0)


def parameter_bytes(model: TfliteModel) -> int:
    """Return the bytes of all constants of a model, those of a shared buffer once."""
    return _bytes(tensor for graph in model.subgraphs for tensor in graph.tensors)


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum({tensor.buffer: tensor.constant_bytes for tensor in tensors}.values())


def _shape(graph: Subgraph, indices: Sequence[int], position: int) -> tuple[int, ...]:
    index = indices[position] if position < len(indices) else -1
    return graph.tensors[index].shape if index >= 0 else ()


def _size(shape: Sequence[int]) -> int:
    return prod(1 if dimension < 0 else dimension for dimension in shape)
