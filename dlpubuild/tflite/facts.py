"""What a person wants to know of a model: operators, size, work, and the quantization it really has.

In: a `TfliteModel`. Out: `ModelFacts`, drawn from tensors and operators alone: neither a converter's flags nor
the metadata have a say, but for `min_runtime`, which is what the converter wrote.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from dlpubuild.tflite.weights import (
    EIGHT_BIT_TYPES,
    QUANTIZED_TYPES,
    is_float,
    operands,
    used_tensors,
    weight_uses,
)
from dlpubuild.tflite.work import count_macs, parameter_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dlpubuild.tflite.model import Operator, Tensor, TfliteModel
    from dlpubuild.tflite.weights import WeightUse

Granularity = Literal["none", "per-tensor", "per-channel"]
QuantizationLabel = Literal["none", "float16", "dynamic", "per-tensor", "per-channel"]

# Prefixes of custom codes that only TensorFlow's Flex delegate can run.
FLEX_PREFIX = "Flex"
# The custom code of what the Edge TPU compiler made of the operators that it mapped.
EDGETPU_OPERATOR = "edgetpu-custom-op"
_RUNTIME_KEY = "min_runtime_version"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """A model summed up over all its subgraphs, each counted once.

    Attributes:
        operators: count by name, in the order of names; a custom operator counts under its custom code.
        macs: multiply-accumulates of one run; see `count_macs`.
        parameter_bytes: bytes of all constants, those of a shared buffer once; what a custom operator keeps in
            its options is not known.
        granularity: `per-channel` where any tensor has more than one scale, `per-tensor` where a constant has
            one, else `none`.
        weight_kind: type of the weights of convolutions and the like, or, where there are none, of all float and
            quantized constants; `mixed` for several types, `none` for no constants.
        quantization: `per-tensor` and `per-channel` compute in integers, `dynamic` has integer weights and float
            activations, `float16` stores weights so and computes in float32.
        per_channel_tensors: tensors with more than one scale, biases included.
        float_tensors: float tensors that an operator takes or gives.
        dynamic_tensors: tensors in use with a dimension that is only known at run time.
        flex_operators: custom codes of operators that need TensorFlow's Flex delegate, each once, sorted.
        custom_operators: custom codes of all other custom operators, each once, sorted.
        min_runtime: oldest TensorFlow Lite that runs the file, as the converter noted it; empty where it did not:
            TensorFlow 2.19 leaves it blank in what it quantizes after calibration.
    """

    operators: Mapping[str, int]
    macs: int
    parameter_bytes: int
    granularity: Granularity
    weight_kind: str
    quantization: QuantizationLabel
    per_channel_tensors: tuple[Tensor, ...]
    float_tensors: tuple[Tensor, ...]
    dynamic_tensors: tuple[Tensor, ...]
    flex_operators: tuple[str, ...]
    custom_operators: tuple[str, ...]
    min_runtime: str


def summarise(model: TfliteModel) -> ModelFacts:
    """Return the facts of `model`."""
    uses = weight_uses(model)
    custom = sorted({operator.custom_code for operator in _operators(model) if operator.is_custom})
    return ModelFacts(
        operators=MappingProxyType(dict(sorted(Counter(op.label for op in _operators(model)).items()))),
        macs=count_macs(model),
        parameter_bytes=parameter_bytes(model),
        granularity=_granularity(model),
        weight_kind=_weight_kind(model, uses),
        quantization=_quantization(model, uses),
        per_channel_tensors=tuple(_per_channel(model)),
        float_tensors=tuple(_float_tensors(model)),
        dynamic_tensors=tuple(t for graph in model.subgraphs for t in used_tensors(graph) if t.is_dynamic),
        flex_operators=tuple(code for code in custom if is_flex(code)),
        custom_operators=tuple(code for code in custom if not is_flex(code)),
        min_runtime=_min_runtime(model),
    )


def is_flex(custom_code: str) -> bool:
    """Return whether a custom code names one of TensorFlow's own operators, kept as it was."""
    return custom_code.startswith(FLEX_PREFIX)


def _operators(model: TfliteModel) -> Iterator[Operator]:
    for graph in model.subgraphs:
        yield from graph.operators


def _constants(model: TfliteModel) -> Iterator[Tensor]:
    for graph in model.subgraphs:
        yield from (tensor for tensor in graph.tensors if tensor.is_constant)


def _per_channel(model: TfliteModel) -> Iterator[Tensor]:
    for graph in model.subgraphs:
        yield from (tensor for tensor in graph.tensors if tensor.quantization and tensor.quantization.per_channel)


def _float_tensors(model: TfliteModel) -> Iterator[Tensor]:
    for graph in model.subgraphs:
        computing = {t.index for operator in graph.operators for t in operands(graph, operator) if is_float(t)}
        yield from (graph.tensors[index] for index in sorted(computing))


def _granularity(model: TfliteModel) -> Granularity:
    if any(_per_channel(model)):
        return "per-channel"
    quantized = any(t.quantization and t.dtype in QUANTIZED_TYPES for t in _constants(model))
    return "per-tensor" if quantized else "none"


def _weight_kind(model: TfliteModel, uses: Sequence[WeightUse]) -> str:
    kinds = {use.tensor.dtype for use in uses} or {
        tensor.dtype
        for tensor in _constants(model)
        if is_float(tensor) or (tensor.quantization and tensor.dtype in QUANTIZED_TYPES)
    }
    if len(kinds) > 1:
        return "mixed"
    return next(iter(kinds), "none")


def _quantization(model: TfliteModel, uses: Sequence[WeightUse]) -> QuantizationLabel:
    if _computes_in_integers(model, uses):
        return "per-channel" if any(_per_channel(model)) else "per-tensor"
    if any(use.quantized for use in uses):
        return "dynamic"
    if any(tensor.dtype == "float16" for tensor in _constants(model)):
        return "float16"
    return "none"


def _computes_in_integers(model: TfliteModel, uses: Sequence[WeightUse]) -> bool:
    """Return whether quantized weights meet integer activations, or, without weights, activations are quantized."""
    if uses:
        return any(use.quantized and not use.in_float for use in uses)
    return any(
        tensor.quantization and tensor.dtype in EIGHT_BIT_TYPES and not tensor.is_constant
        for graph in model.subgraphs
        for tensor in used_tensors(graph)
    )


def _min_runtime(model: TfliteModel) -> str:
    """Return the version as text; the converter pads it with NUL to 16 bytes."""
    return model.metadata.get(_RUNTIME_KEY, b"").partition(b"\0")[0].decode("ascii", errors="replace")
