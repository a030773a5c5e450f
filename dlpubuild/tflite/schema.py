"""What the numbers of a `.tflite` file mean, as data.

In: nothing. Out: names of operators, tensor types and enumerations by their code, and the fields of the
builtin options. All of it is `tensorflow/lite/schema/schema.fbs` as of TensorFlow 2.19 (schema version 3),
which only ever grows at its ends: an unknown code is a newer file, and is named after its number.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FILE_IDENTIFIER = b"TFL3"
SCHEMA_VERSION = 3
CUSTOM_CODE = 32

# BuiltinOperator, from code 0 without a gap.
OPERATOR_NAMES: tuple[str, ...] = tuple(
    """
    ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE EMBEDDING_LOOKUP
    FLOOR FULLY_CONNECTED HASHTABLE_LOOKUP L2_NORMALIZATION L2_POOL_2D LOCAL_RESPONSE_NORMALIZATION LOGISTIC
    LSH_PROJECTION LSTM MAX_POOL_2D MUL RELU RELU_N1_TO_1 RELU6 RESHAPE RESIZE_BILINEAR RNN SOFTMAX
    SPACE_TO_DEPTH SVDF TANH CONCAT_EMBEDDINGS SKIP_GRAM CALL CUSTOM EMBEDDING_LOOKUP_SPARSE PAD
    UNIDIRECTIONAL_SEQUENCE_RNN GATHER BATCH_TO_SPACE_ND SPACE_TO_BATCH_ND TRANSPOSE MEAN SUB DIV SQUEEZE
    UNIDIRECTIONAL_SEQUENCE_LSTM STRIDED_SLICE BIDIRECTIONAL_SEQUENCE_RNN EXP TOPK_V2 SPLIT LOG_SOFTMAX
    DELEGATE BIDIRECTIONAL_SEQUENCE_LSTM CAST PRELU MAXIMUM ARG_MAX MINIMUM LESS NEG PADV2 GREATER
    GREATER_EQUAL LESS_EQUAL SELECT SLICE SIN TRANSPOSE_CONV SPARSE_TO_DENSE TILE EXPAND_DIMS EQUAL NOT_EQUAL
    LOG SUM SQRT RSQRT SHAPE POW ARG_MIN FAKE_QUANT REDUCE_PROD REDUCE_MAX PACK LOGICAL_OR ONE_HOT LOGICAL_AND
    LOGICAL_NOT UNPACK REDUCE_MIN FLOOR_DIV REDUCE_ANY SQUARE ZEROS_LIKE FILL FLOOR_MOD RANGE
    RESIZE_NEAREST_NEIGHBOR LEAKY_RELU SQUARED_DIFFERENCE MIRROR_PAD ABS SPLIT_V UNIQUE CEIL REVERSE_V2 ADD_N
    GATHER_ND COS WHERE RANK ELU REVERSE_SEQUENCE MATRIX_DIAG QUANTIZE MATRIX_SET_DIAG ROUND HARD_SWISH IF
    WHILE NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5 SCATTER_ND SELECT_V2 DENSIFY SEGMENT_SUM BATCH_MATMUL
    PLACEHOLDER_FOR_GREATER_OP_CODES CUMSUM CALL_ONCE BROADCAST_TO RFFT2D CONV_3D IMAG REAL COMPLEX_ABS
    HASHTABLE HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_SIZE REDUCE_ALL CONV_3D_TRANSPOSE VAR_HANDLE
    READ_VARIABLE ASSIGN_VARIABLE BROADCAST_ARGS RANDOM_STANDARD_NORMAL BUCKETIZE RANDOM_UNIFORM MULTINOMIAL
    GELU DYNAMIC_UPDATE_SLICE RELU_0_TO_1 UNSORTED_SEGMENT_PROD UNSORTED_SEGMENT_MAX UNSORTED_SEGMENT_SUM
    ATAN2 UNSORTED_SEGMENT_MIN SIGN BITCAST BITWISE_XOR RIGHT_SHIFT STABLEHLO_LOGISTIC STABLEHLO_ADD
    STABLEHLO_DIVIDE STABLEHLO_MULTIPLY STABLEHLO_MAXIMUM STABLEHLO_RESHAPE STABLEHLO_CLAMP
    STABLEHLO_CONCATENATE STABLEHLO_BROADCAST_IN_DIM STABLEHLO_CONVOLUTION STABLEHLO_SLICE
    STABLEHLO_CUSTOM_CALL STABLEHLO_REDUCE STABLEHLO_ABS STABLEHLO_AND STABLEHLO_COSINE STABLEHLO_EXPONENTIAL
    STABLEHLO_FLOOR STABLEHLO_LOG STABLEHLO_MINIMUM STABLEHLO_NEGATE STABLEHLO_OR STABLEHLO_POWER
    STABLEHLO_REMAINDER STABLEHLO_RSQRT STABLEHLO_SELECT STABLEHLO_SUBTRACT STABLEHLO_TANH STABLEHLO_SCATTER
    STABLEHLO_COMPARE STABLEHLO_CONVERT STABLEHLO_DYNAMIC_SLICE STABLEHLO_DYNAMIC_UPDATE_SLICE STABLEHLO_PAD
    STABLEHLO_IOTA STABLEHLO_DOT_GENERAL STABLEHLO_REDUCE_WINDOW STABLEHLO_SORT STABLEHLO_WHILE
    STABLEHLO_GATHER STABLEHLO_TRANSPOSE DILATE STABLEHLO_RNG_BIT_GENERATOR REDUCE_WINDOW STABLEHLO_COMPOSITE
    STABLEHLO_SHIFT_LEFT STABLEHLO_CBRT STABLEHLO_CASE
    """.split()  # noqa: SIM905 - as quoted strings it could not be read beside the schema
)

# TensorType, in lower case.
TENSOR_TYPES: tuple[str, ...] = (
    "float32", "float16", "int32", "uint8", "int64", "string", "bool", "int16", "complex64", "int8", "float64",
    "complex128", "uint64", "resource", "variant", "uint32", "uint16", "int4", "bfloat16",
)  # fmt: skip
PADDINGS: tuple[str, ...] = ("SAME", "VALID")
ACTIVATIONS: tuple[str, ...] = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGN_BIT")
MIRROR_MODES: tuple[str, ...] = ("REFLECT", "SYMMETRIC")
WEIGHT_FORMATS: tuple[str, ...] = ("DEFAULT", "SHUFFLED4x16INT8")
LSTM_KERNELS: tuple[str, ...] = ("FULL", "BASIC")


def name_of(names: Sequence[str], code: int) -> str:
    """Return the name of `code`, or `UNKNOWN_<code>` for one of a newer schema."""
    return names[code] if 0 <= code < len(names) else f"UNKNOWN_{code}"


def tensor_type(code: int) -> str:
    """Return the name of a tensor type, or `unknown_<code>`."""
    return name_of(TENSOR_TYPES, code).lower()


class OptionKind(StrEnum):
    """How a field of builtin options is stored, and what it is read as."""

    INT32 = "int32"
    INT32_VECTOR = "int32-vector"
    FLOAT32 = "float32"
    BOOL = "bool"
    PADDING = "padding"
    ACTIVATION = "activation"
    TENSOR_TYPE = "tensor-type"
    MIRROR_MODE = "mirror-mode"
    WEIGHT_FORMAT = "weight-format"
    LSTM_KERNEL = "lstm-kernel"


# Enumerations are stored as one signed byte.
ENUMERATIONS: Mapping[OptionKind, tuple[str, ...]] = {
    OptionKind.PADDING: PADDINGS,
    OptionKind.ACTIVATION: ACTIVATIONS,
    OptionKind.TENSOR_TYPE: TENSOR_TYPES,
    OptionKind.MIRROR_MODE: MIRROR_MODES,
    OptionKind.WEIGHT_FORMAT: WEIGHT_FORMATS,
    OptionKind.LSTM_KERNEL: LSTM_KERNELS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionField:
    """A field of an options table: schema name, field number, kind, and what an absent field means."""

    name: str
    number: int
    kind: OptionKind
    default: int = 0


def _fields(*entries: tuple[str, OptionKind] | tuple[str, OptionKind, int] | None) -> tuple[OptionField, ...]:
    """Return the fields of a table in the schema's order; `None` is a number that is not in use any more."""
    return tuple(
        OptionField(name=entry[0], number=number, kind=entry[1], default=entry[2] if len(entry) > 2 else 0)  # noqa: PLR2004 - the third, optional value
        for number, entry in enumerate(entries)
        if entry is not None
    )


_ACTIVATION = ("fused_activation_function", OptionKind.ACTIVATION)
_PADDING = ("padding", OptionKind.PADDING)
_STRIDES = (("stride_w", OptionKind.INT32), ("stride_h", OptionKind.INT32))
_DILATIONS = (("dilation_w_factor", OptionKind.INT32, 1), ("dilation_h_factor", OptionKind.INT32, 1))
_ASYMMETRIC = ("asymmetric_quantize_inputs", OptionKind.BOOL)
_POT_SCALE = ("pot_scale_int16", OptionKind.BOOL, 1)
_AXIS = ("axis", OptionKind.INT32)
_CLIPS = (("cell_clip", OptionKind.FLOAT32), ("proj_clip", OptionKind.FLOAT32))
_CENTERS = (("align_corners", OptionKind.BOOL), ("half_pixel_centers", OptionKind.BOOL))
_TIME_MAJOR = ("time_major", OptionKind.BOOL)
_BODY = ("body_subgraph_index", OptionKind.INT32)

# By member number of the union BuiltinOptions. Tables without fields are left out, as are those of operators
# that no DLPU table and no CPU fallback of the supported SoCs knows. `quantized_bias_type`, the last field of
# some, is left out too: absent means "as the kernel likes it" but would read as float32.
OPTION_FIELDS: Mapping[int, tuple[OptionField, ...]] = {
    1: _fields(_PADDING, *_STRIDES, _ACTIVATION, *_DILATIONS),  # Conv2D
    2: _fields(  # DepthwiseConv2D
        _PADDING, *_STRIDES, ("depth_multiplier", OptionKind.INT32), _ACTIVATION, *_DILATIONS
    ),
    5: _fields(  # Pool2D
        _PADDING,
        *_STRIDES,
        ("filter_width", OptionKind.INT32),
        ("filter_height", OptionKind.INT32),
        _ACTIVATION,
    ),
    6: _fields(("rank", OptionKind.INT32), _ACTIVATION, _ASYMMETRIC),  # SVDF
    7: _fields(_ACTIVATION, _ASYMMETRIC),  # RNN
    8: _fields(  # FullyConnected
        _ACTIVATION,
        ("weights_format", OptionKind.WEIGHT_FORMAT),
        ("keep_num_dims", OptionKind.BOOL),
        _ASYMMETRIC,
    ),
    9: _fields(("beta", OptionKind.FLOAT32)),  # Softmax
    10: _fields(_AXIS, _ACTIVATION),  # Concatenation
    11: _fields(_ACTIVATION, _POT_SCALE),  # Add
    12: _fields(_ACTIVATION),  # L2Norm
    13: _fields(  # LocalResponseNormalization
        ("radius", OptionKind.INT32),
        ("bias", OptionKind.FLOAT32),
        ("alpha", OptionKind.FLOAT32),
        ("beta", OptionKind.FLOAT32),
    ),
    14: _fields(_ACTIVATION, *_CLIPS, ("kernel_type", OptionKind.LSTM_KERNEL), _ASYMMETRIC),  # LSTM
    15: _fields(None, None, *_CENTERS),  # ResizeBilinear
    17: _fields(("new_shape", OptionKind.INT32_VECTOR)),  # Reshape
    19: _fields(("block_size", OptionKind.INT32)),  # SpaceToDepth
    21: _fields(_ACTIVATION),  # Mul
    23: _fields(_AXIS, ("batch_dims", OptionKind.INT32)),  # Gather
    27: _fields(("keep_dims", OptionKind.BOOL)),  # Reducer: MEAN, SUM, REDUCE_*
    28: _fields(_ACTIVATION, _POT_SCALE),  # Sub
    29: _fields(_ACTIVATION),  # Div
    30: _fields(("squeeze_dims", OptionKind.INT32_VECTOR)),  # Squeeze
    31: _fields(_TIME_MAJOR, _ACTIVATION, _ASYMMETRIC),  # SequenceRNN
    32: _fields(  # StridedSlice
        ("begin_mask", OptionKind.INT32),
        ("end_mask", OptionKind.INT32),
        ("ellipsis_mask", OptionKind.INT32),
        ("new_axis_mask", OptionKind.INT32),
        ("shrink_axis_mask", OptionKind.INT32),
        ("offset", OptionKind.BOOL),
    ),
    35: _fields(("num_splits", OptionKind.INT32)),  # Split
    37: _fields(("in_data_type", OptionKind.TENSOR_TYPE), ("out_data_type", OptionKind.TENSOR_TYPE)),  # Cast
    40: _fields(("output_type", OptionKind.TENSOR_TYPE)),  # ArgMax
    49: _fields(_PADDING, *_STRIDES, _ACTIVATION),  # TransposeConv
    55: _fields(("out_type", OptionKind.TENSOR_TYPE)),  # Shape
    57: _fields(("output_type", OptionKind.TENSOR_TYPE)),  # ArgMin
    58: _fields(  # FakeQuant
        ("min", OptionKind.FLOAT32),
        ("max", OptionKind.FLOAT32),
        ("num_bits", OptionKind.INT32),
        ("narrow_range", OptionKind.BOOL),
    ),
    59: _fields(("values_count", OptionKind.INT32), _AXIS),  # Pack
    61: _fields(_AXIS),  # OneHot
    64: _fields(("num", OptionKind.INT32), _AXIS),  # Unpack
    69: _fields(  # BidirectionalSequenceLSTM
        _ACTIVATION,
        *_CLIPS,
        ("merge_outputs", OptionKind.BOOL),
        ("time_major", OptionKind.BOOL, 1),
        _ASYMMETRIC,
    ),
    71: _fields(  # UnidirectionalSequenceLSTM
        _ACTIVATION, *_CLIPS, _TIME_MAJOR, _ASYMMETRIC, ("diagonal_recurrent_tensors", OptionKind.BOOL)
    ),
    74: _fields(*_CENTERS),  # ResizeNearestNeighbor
    75: _fields(("alpha", OptionKind.FLOAT32)),  # LeakyRelu
    77: _fields(("mode", OptionKind.MIRROR_MODE)),  # MirrorPad
    79: _fields(("num_splits", OptionKind.INT32)),  # SplitV
    87: _fields(("seq_dim", OptionKind.INT32), ("batch_dim", OptionKind.INT32)),  # ReverseSequence
    92: _fields(("then_subgraph_index", OptionKind.INT32), ("else_subgraph_index", OptionKind.INT32)),  # If
    93: _fields(("cond_subgraph_index", OptionKind.INT32), _BODY),  # While
    94: _fields(("block_size", OptionKind.INT32)),  # DepthToSpace
    101: _fields(("adj_x", OptionKind.BOOL), ("adj_y", OptionKind.BOOL), _ASYMMETRIC),  # BatchMatMul
    102: _fields(("exclusive", OptionKind.BOOL), ("reverse", OptionKind.BOOL)),  # Cumsum
    103: _fields(("init_subgraph_index", OptionKind.INT32)),  # CallOnce
    106: _fields(  # Conv3D
        _PADDING,
        ("stride_d", OptionKind.INT32),
        *_STRIDES,
        _ACTIVATION,
        ("dilation_d_factor", OptionKind.INT32, 1),
        *_DILATIONS,
    ),
    116: _fields(("approximate", OptionKind.BOOL)),  # Gelu
}
