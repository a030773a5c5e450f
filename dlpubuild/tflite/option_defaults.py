"""What the options of an operator are where the file does not write them.

In: the name of a builtin operator. Out: its options with the schema's defaults, by schema name. A converter leaves out
a field that has its default, and the whole table where all have; what is read of a file is not changed here.
"""

from __future__ import annotations

from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from dlpubuild.tflite.schema import ENUMERATIONS, OPTION_FIELDS, OptionKind, name_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dlpubuild.tflite.model import Operator, OptionValue
    from dlpubuild.tflite.schema import OptionField

# By operator, the member number of the union BuiltinOptions: only those with fields that the reader knows.
_TABLES: Final[Mapping[str, int]] = MappingProxyType(
    {
        "ADD": 11,
        "ARG_MAX": 40,
        "ARG_MIN": 57,
        "AVERAGE_POOL_2D": 5,
        "BATCH_MATMUL": 101,
        "BIDIRECTIONAL_SEQUENCE_LSTM": 69,
        "CALL_ONCE": 103,
        "CAST": 37,
        "CONCATENATION": 10,
        "CONV_2D": 1,
        "CONV_3D": 106,
        "CONV_3D_TRANSPOSE": 106,
        "CUMSUM": 102,
        "DEPTH_TO_SPACE": 94,
        "DEPTHWISE_CONV_2D": 2,
        "DIV": 29,
        "FAKE_QUANT": 58,
        "FULLY_CONNECTED": 8,
        "GATHER": 23,
        "GELU": 116,
        "IF": 92,
        "L2_NORMALIZATION": 12,
        "L2_POOL_2D": 5,
        "LEAKY_RELU": 75,
        "LOCAL_RESPONSE_NORMALIZATION": 13,
        "LSTM": 14,
        "MAX_POOL_2D": 5,
        "MEAN": 27,
        "MIRROR_PAD": 77,
        "MUL": 21,
        "ONE_HOT": 61,
        "PACK": 59,
        "REDUCE_ALL": 27,
        "REDUCE_ANY": 27,
        "REDUCE_MAX": 27,
        "REDUCE_MIN": 27,
        "REDUCE_PROD": 27,
        "RESHAPE": 17,
        "RESIZE_BILINEAR": 15,
        "RESIZE_NEAREST_NEIGHBOR": 74,
        "REVERSE_SEQUENCE": 87,
        "RNN": 7,
        "SHAPE": 55,
        "SOFTMAX": 9,
        "SPACE_TO_DEPTH": 19,
        "SPLIT": 35,
        "SPLIT_V": 79,
        "SQUEEZE": 30,
        "STRIDED_SLICE": 32,
        "SUB": 28,
        "SUM": 27,
        "SVDF": 6,
        "TRANSPOSE_CONV": 49,
        "UNIDIRECTIONAL_SEQUENCE_LSTM": 71,
        "UNIDIRECTIONAL_SEQUENCE_RNN": 31,
        "UNPACK": 64,
        "WHILE": 93,
    }
)


@cache
def default_options(name: str) -> Mapping[str, OptionValue]:
    """Return every option of the operator `name` with its default; none of an operator that has none or is unknown."""
    fields = OPTION_FIELDS.get(_TABLES.get(name, 0), ())
    return MappingProxyType({field.name: _default(field) for field in fields})


def complete_options(operator: Operator) -> Mapping[str, OptionValue]:
    """Return the options of `operator`, those that its file leaves out with their default."""
    defaults = default_options(operator.name)
    if defaults.keys() <= operator.options.keys():
        return operator.options
    return {**defaults, **operator.options}


@cache
def option_names() -> frozenset[str]:
    """Return the name of every option that any operator has."""
    return frozenset(field.name for fields in OPTION_FIELDS.values() for field in fields)


def _default(field: OptionField) -> OptionValue:
    if field.kind is OptionKind.INT32:
        return field.default
    if field.kind is OptionKind.INT32_VECTOR:
        return ()
    if field.kind is OptionKind.FLOAT32:
        return float(field.default)
    if field.kind is OptionKind.BOOL:
        return bool(field.default)
    return name_of(ENUMERATIONS[field.kind], field.default)
