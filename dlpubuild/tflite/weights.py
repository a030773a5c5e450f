"""Which tensors of a graph are weights, which take part in computation, and which of them are floats.

In: a `Subgraph` or a `TfliteModel`. Out: its tensors, picked by what operators do with them. Nothing is judged
here: `dlpubuild.tflite.facts` sums up and `dlpubuild.targets.gate` judges.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dlpubuild.tflite.model import Operator, Subgraph, Tensor, TfliteModel

FLOAT_TYPES: Final = frozenset({"float16", "bfloat16", "float32", "float64", "complex64", "complex128"})
# What quantization stores real values in; wider integers are biases, accumulators, shapes and indices.
QUANTIZED_TYPES: Final = frozenset({"int4", "int8", "uint8"})
EIGHT_BIT_TYPES: Final = frozenset({"int8", "uint8"})
# GATHER and BATCH_MATMUL also work on these, and then on indices rather than on weights.
_INDEX_TYPES: Final = frozenset({"int32", "int64", "bool", "string"})

_LSTM = (*range(1, 9), 16)
# The inputs of an operator that hold its learned matrix, by position (tensorflow/lite/kernels).
_WEIGHT_INPUTS: Final[Mapping[str, tuple[int, ...]]] = {
    "BATCH_MATMUL": (0, 1),
    "BIDIRECTIONAL_SEQUENCE_LSTM": (*_LSTM, *range(18, 26), 33),
    "BIDIRECTIONAL_SEQUENCE_RNN": (1, 2, 5, 6),
    "CONV_2D": (1,),
    "CONV_3D": (1,),
    "CONV_3D_TRANSPOSE": (1,),
    "DEPTHWISE_CONV_2D": (1,),
    "EMBEDDING_LOOKUP": (1,),
    "FULLY_CONNECTED": (1,),
    "GATHER": (0,),
    "LSTM": _LSTM,
    "RNN": (1, 2),
    "SVDF": (1, 2),
    "TRANSPOSE_CONV": (1,),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _LSTM,
    "UNIDIRECTIONAL_SEQUENCE_RNN": (1, 2),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightUse:
    """A constant matrix and the operator that multiplies by it or looks rows up in it.

    `tensor` is what the file stores, also where a DEQUANTIZE stands between it and `operator`. `in_float` is
    true where the operator gives floats, whatever its weights are stored as.
    """

    operator: Operator
    tensor: Tensor
    in_float: bool

    @property
    def quantized(self) -> bool:
        """True for integers of at most 8 bits that have a scale."""
        return self.tensor.dtype in QUANTIZED_TYPES and self.tensor.quantization is not None


def operands(subgraph: Subgraph, operator: Operator) -> Iterator[Tensor]:
    """Yield the tensors an operator takes and gives, absent optional ones left out."""
    for index in (*operator.inputs, *operator.outputs):
        if index >= 0:
            yield subgraph.tensors[index]


def is_float(tensor: Tensor) -> bool:
    """Return whether the tensor holds floats of any width."""
    return tensor.dtype in FLOAT_TYPES


def used_tensors(subgraph: Subgraph) -> tuple[Tensor, ...]:
    """Return, by index, the tensors that are inputs or outputs of the graph or of one of its operators.

    Others are notes of the converter, such as the float intermediates of a quantized LSTM.
    """
    used = {*subgraph.inputs, *subgraph.outputs}
    used.update(tensor.index for operator in subgraph.operators for tensor in operands(subgraph, operator))
    return tuple(subgraph.tensors[index] for index in sorted(used))


def weight_uses(model: TfliteModel) -> tuple[WeightUse, ...]:
    """Return every use of a weight in all subgraphs, in execution order."""
    return tuple(use for subgraph in model.subgraphs for use in subgraph_weight_uses(subgraph))


def subgraph_weight_uses(subgraph: Subgraph) -> Iterator[WeightUse]:
    """Yield every use of a weight in one subgraph, in execution order."""
    stored = _dequantized_constants(subgraph)
    for operator in subgraph.operators:
        in_float = any(is_float(subgraph.tensors[index]) for index in operator.outputs if index >= 0)
        for position in _WEIGHT_INPUTS.get(operator.name, ()):
            index = operator.inputs[position] if position < len(operator.inputs) else -1
            if index < 0:
                continue
            tensor = stored.get(index, subgraph.tensors[index])
            if tensor.is_constant and tensor.dtype not in _INDEX_TYPES:
                yield WeightUse(operator=operator, tensor=tensor, in_float=in_float)


def _dequantized_constants(subgraph: Subgraph) -> dict[int, Tensor]:
    """Map each output of a DEQUANTIZE of a constant to that constant."""
    return {
        operator.outputs[0]: subgraph.tensors[operator.inputs[0]]
        for operator in subgraph.operators
        if operator.name == "DEQUANTIZE"
        and operator.inputs
        and operator.outputs
        and operator.inputs[0] >= 0
        and subgraph.tensors[operator.inputs[0]].is_constant
    }
