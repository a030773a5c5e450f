"""Whether a built `.tflite` file is what an SoC needs.

In: a `TfliteModel` and `ModelNeeds`. Out: one `GateFinding` per fault. Only tensors and operators are judged: no
flag, file name or metadata is believed, because converters have been seen to ignore what they were asked for
(TensorFlow 1.15 quantizes per channel after training whatever the option says). Nothing is repaired here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from math import prod
from typing import TYPE_CHECKING, Final, Literal

from dlpubuild.errors import ErrorCode, GateError
from dlpubuild.tflite.detection import DETECTION_OPERATOR
from dlpubuild.tflite.facts import is_flex, summarise
from dlpubuild.tflite.weights import (
    EIGHT_BIT_TYPES,
    is_float,
    operands,
    subgraph_weight_uses,
    used_tensors,
    weight_uses,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import PurePath

    from dlpubuild.tflite.facts import QuantizationLabel
    from dlpubuild.tflite.model import Operator, Subgraph, Tensor, TfliteModel

SHOWN_PER_RULE: Final = 8
SHOWN_NAME: Final = 60
# TensorFlow's dynamic-range quantization leaves smaller weights as floats
# (minimum_elements_for_weights of tensorflow/compiler/mlir/lite/transforms).
DYNAMIC_RANGE_MIN_ELEMENTS: Final = 1024
_INTEGER_SCHEMES: Final = frozenset({"per-tensor", "per-channel"})
# Inputs and outputs that hold indices, counts or flags have no scale and no 8-bit form.
_INDEX_TYPES: Final = frozenset({"int32", "int64", "bool"})


class GateRule(StrEnum):
    """What a file can fail, in the order in which findings are shown: causes before consequences."""

    NOT_QUANTIZED = "not-quantized"
    UNWANTED_QUANTIZATION = "unwanted-quantization"
    INPUT_TYPE = "input-type"
    OUTPUT_TYPE = "output-type"
    BATCH_SIZE = "batch-size"
    DYNAMIC_SHAPE = "dynamic-shape"
    PER_CHANNEL_TENSOR = "per-channel-tensor"
    WEIGHT_TYPE = "weight-type"
    FLOAT_OPERATOR = "float-operator"
    FLEX_OPERATOR = "flex-operator"
    CUSTOM_OPERATOR = "custom-operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelNeeds:
    """What a file must be.

    Attributes:
        quantization: the scheme asked for. `per-tensor` forbids a second scale anywhere; `per-channel` allows it
            and does not demand it: fully connected layers, and models without convolutions, have none.
        input_type: type of every input that is a real value; indices (int32, int64, bool without a scale) pass.
        output_type: the same of every output, but for those of the detection, which are float.
        integer_only: no float computation, no Flex and no custom operator, but for the detection that TensorFlow Lite
            brings itself.
        static_shapes: every size is known at build time.
        batch: first dimension of every input of two or more dimensions; `None` leaves it free.
        compiled_operator: custom code of the one custom operator that is allowed, and has to be there: what an SoC's
            own compiler made of a model. Quantization is not judged then: it is hidden there.
    """

    quantization: QuantizationLabel
    input_type: Literal["uint8", "int8", "float32"]
    output_type: Literal["uint8", "int8", "float32"]
    integer_only: bool
    static_shapes: bool
    batch: int | None
    compiled_operator: str | None = None

    @property
    def is_integer(self) -> bool:
        """True where activations are to be integers."""
        return self.quantization in _INTEGER_SCHEMES


@dataclass(frozen=True, slots=True, kw_only=True)
class GateFinding:
    """One thing in a file that an SoC cannot use.

    `subject` names the tensor or operator with its index, or is `model`. `found` and `wanted` are phrases that
    complete "found ..., wanted ...". `change` is what to do, and is the same for all findings of a rule.
    """

    rule: GateRule
    subject: str
    found: str
    wanted: str
    change: str

    def __str__(self) -> str:
        return f"{self.subject}: found {self.found}, wanted {self.wanted}"


def gate_findings(model: TfliteModel, needs: ModelNeeds) -> tuple[GateFinding, ...]:
    """Return every fault of `model`, grouped by rule in the order of `GateRule`, then in file order."""
    found = [
        *_quantization(model, needs),
        *_io_types(model, needs),
        *_batch(model, needs),
        *_shapes(model, needs),
        *_scales(model, needs),
        *_weight_types(model, needs),
        *_operators(model, needs),
    ]
    order = list(GateRule)
    return tuple(sorted(found, key=lambda finding: order.index(finding.rule)))


def raise_for_findings(findings: Sequence[GateFinding], *, soc: str, file: str | PurePath) -> None:
    """Raise `GateError` where there are findings; its text shows at most eight of each rule and counts the rest.

    Args:
        findings: what `gate_findings` returned.
        soc: name of the SoC that the file is for, as it stands in the text.
        file: the file as the user knows it.

    Raises:
        GateError: there is at least one finding.
    """
    if not findings:
        return
    lines = [f"{file} is not what {soc} needs:"]
    for rule, group in groupby(findings, key=lambda finding: finding.rule):
        members = list(group)
        lines.append(f"  {rule} ({len(members)}): {members[0].change}")
        lines.extend(f"    {finding}" for finding in members[:SHOWN_PER_RULE])
        if len(members) > SHOWN_PER_RULE:
            lines.append(f"    and {len(members) - SHOWN_PER_RULE} more")
    raise GateError(
        ErrorCode.GATE,
        "\n".join(lines),
        hint=f"change what is said above in the model or under [target.{soc}] of the manifest, and build again",
    )


# How a person would say what `QuantizationLabel` names.
_SCHEMES: Final[Mapping[QuantizationLabel, str]] = {
    "none": "nothing quantized",
    "float16": "float16 weights and float activations",
    "dynamic": "integer weights and float activations",
    "per-tensor": "integer weights and activations, one scale per tensor",
    "per-channel": "integer weights and activations, scales per channel",
}


def _quantization(model: TfliteModel, needs: ModelNeeds) -> Iterator[GateFinding]:
    if needs.compiled_operator is not None:
        yield from _compiled(model, needs.compiled_operator)
        return
    found = summarise(model).quantization
    if found == needs.quantization or (needs.is_integer and found in _INTEGER_SCHEMES):
        return
    # More quantized than asked for is another fault than less.
    order = list(_SCHEMES)
    if order.index(found) > order.index(needs.quantization):
        rule = GateRule.UNWANTED_QUANTIZATION
        change = "start from the float model, and ask the converter for no more than this"
    elif not needs.is_integer and not _has_quantizable_weight(model, needs):
        return
    else:
        rule = GateRule.NOT_QUANTIZED
        change = "quantize with calibration data" if needs.is_integer else "ask the converter to quantize the weights"
    yield GateFinding(
        rule=rule, subject="model", found=_SCHEMES[found], wanted=_SCHEMES[needs.quantization], change=change
    )


def _compiled(model: TfliteModel, custom_code: str) -> Iterator[GateFinding]:
    if custom_code not in summarise(model).custom_operators:
        yield GateFinding(
            rule=GateRule.CUSTOM_OPERATOR,
            subject="model",
            found="no compiled part",
            wanted=f"the operator {custom_code}",
            change="compile it for this SoC",
        )


def _has_quantizable_weight(model: TfliteModel, needs: ModelNeeds) -> bool:
    """Return whether a converter that was asked for smaller weights had any to work on."""
    smallest = DYNAMIC_RANGE_MIN_ELEMENTS if needs.quantization == "dynamic" else 1
    return any(prod(use.tensor.shape) >= smallest for use in weight_uses(model))


def _io_types(model: TfliteModel, needs: ModelNeeds) -> Iterator[GateFinding]:
    sides = (
        (GateRule.INPUT_TYPE, "inputs", model.inputs, needs.input_type),
        (GateRule.OUTPUT_TYPE, "outputs", model.outputs, needs.output_type),
    )
    # TensorFlow Lite brings this custom operator itself (tensorflow/lite/core/kernels/register.cc): it runs on the CPU
    # of every camera. Axis' model zoo has detectors that end with it, for ARTPEC-7, -8 and -9. It computes in float.
    detected = {at for each in model.main.operators if each.custom_code == DETECTION_OPERATOR for at in each.outputs}
    for rule, side, tensors, wanted in sides:
        for tensor in tensors:
            if side == "outputs" and tensor.index in detected and tensor.dtype == "float32":
                continue
            is_index = tensor.dtype in _INDEX_TYPES and tensor.quantization is None
            if tensor.dtype != wanted and not is_index:
                yield GateFinding(
                    rule=rule,
                    subject=tensor_subject(0, tensor),
                    found=tensor.dtype,
                    wanted=wanted,
                    change=f"ask the converter for {wanted} {side}",
                )


def _batch(model: TfliteModel, needs: ModelNeeds) -> Iterator[GateFinding]:
    for tensor in model.inputs:
        sizes = tensor.shape_signature
        if needs.batch is None or len(sizes) < 2 or sizes[0] == needs.batch:  # noqa: PLR2004 - rank 1 has no batch
            continue
        if tensor.is_dynamic and needs.static_shapes:
            continue  # reported once, as a dynamic shape
        yield GateFinding(
            rule=GateRule.BATCH_SIZE,
            subject=tensor_subject(0, tensor),
            found=f"shape {_shape(tensor)}",
            wanted=f"a first dimension of {needs.batch}",
            change=f"export the model for a batch of {needs.batch}, or set `shape` under [[model.input]]",
        )


def _shapes(model: TfliteModel, needs: ModelNeeds) -> Iterator[GateFinding]:
    for number, graph in enumerate(model.subgraphs):
        for tensor in used_tensors(graph):
            if needs.static_shapes and tensor.is_dynamic:
                yield GateFinding(
                    rule=GateRule.DYNAMIC_SHAPE,
                    subject=tensor_subject(number, tensor),
                    found=f"shape {_shape(tensor)}",
                    wanted="every size known at build time",
                    change="fix the input by `shape` under [[model.input]]; a size computed by the model must go",
                )


def _scales(model: TfliteModel, needs: ModelNeeds) -> Iterator[GateFinding]:
    if needs.quantization != "per-tensor":
        return
    for number, graph in enumerate(model.subgraphs):
        for tensor in graph.tensors:
            if tensor.quantization and tensor.quantization.per_channel:
                yield GateFinding(
                    rule=GateRule.PER_CHANNEL_TENSOR,
                    subject=tensor_subject(number, tensor),
                    found=f"{len(tensor.quantization.scales)} scales along dimension {tensor.quantization.axis}",
                    wanted="one scale",
                    change="quantize again with per-channel scales disabled",
                )


def _weight_types(model: TfliteModel, needs: ModelNeeds) -> Iterator[GateFinding]:
    if not (needs.is_integer and needs.integer_only) or needs.compiled_operator is not None:
        return
    for number, graph in enumerate(model.subgraphs):
        stored = {use.tensor.index: use.tensor for use in subgraph_weight_uses(graph)}
        for _, tensor in sorted(stored.items()):
            # Float weights make their operator a float operator, which is reported there.
            if is_float(tensor) or (tensor.dtype in EIGHT_BIT_TYPES and tensor.quantization):
                continue
            yield GateFinding(
                rule=GateRule.WEIGHT_TYPE,
                subject=tensor_subject(number, tensor),
                found=tensor.dtype if tensor.quantization else f"{tensor.dtype} without a scale",
                wanted="int8 or uint8 with a scale",
                change="quantize the weights to 8 bits",
            )


def _operators(model: TfliteModel, needs: ModelNeeds) -> Iterator[GateFinding]:
    if not needs.integer_only:
        return
    for number, graph in enumerate(model.subgraphs):
        border = _float_border(graph, needs) if number == 0 else {}
        for operator in graph.operators:
            floats = [tensor for tensor in operands(graph, operator) if is_float(tensor)]
            if operator.is_custom:
                if operator.custom_code not in (needs.compiled_operator, DETECTION_OPERATOR):
                    yield _custom_finding(number, operator)
            elif needs.compiled_operator is not None:
                continue  # what was not compiled runs on the CPU, which computes in float as well
            elif not all(tensor.index in border.get(operator.name, ()) for tensor in floats):
                yield GateFinding(
                    rule=GateRule.FLOAT_OPERATOR,
                    subject=operator_subject(number, operator),
                    found=_float_phrase(number, floats),
                    wanted="integers only",
                    change="use operators that have an integer form, or move this part into the application",
                )


def _float_border(graph: Subgraph, needs: ModelNeeds) -> Mapping[str, frozenset[int]]:
    """Return, by operator, the float tensors it may touch: those promised to an application, and detection's own."""
    detection = [each for each in graph.operators if each.custom_code == DETECTION_OPERATOR]
    taken = {index for each in detection for index in each.inputs}
    return {
        "QUANTIZE": frozenset(graph.inputs if needs.input_type == "float32" else ()),
        "DEQUANTIZE": frozenset(graph.outputs if needs.output_type == "float32" else ()) | taken,
    }


def _custom_finding(graph_number: int, operator: Operator) -> GateFinding:
    flex = is_flex(operator.custom_code)
    return GateFinding(
        rule=GateRule.FLEX_OPERATOR if flex else GateRule.CUSTOM_OPERATOR,
        subject=operator_subject(graph_number, operator),
        found="an operator of TensorFlow itself" if flex else "a custom operator",
        wanted="operators of TensorFlow Lite only",
        change="express it in built-in operators; cameras have no Flex delegate"
        if flex
        else "leave it out of the exported graph, and compute it in the application",
    )


def _float_phrase(graph_number: int, tensors: Sequence[Tensor]) -> str:
    first = tensors[0]
    rest = f" and {len(tensors) - 1} more" if len(tensors) > 1 else ""
    return f"{first.dtype} in {tensor_subject(graph_number, first)}{rest}"


def operator_subject(graph_number: int, operator: Operator) -> str:
    """Return how a finding names an operator of subgraph `graph_number`."""
    label = "".join(sign if sign.isprintable() else "?" for sign in operator.label[:SHOWN_NAME])
    return f"operator {operator.index} {label}{_place(graph_number)}"


def tensor_subject(graph_number: int, tensor: Tensor) -> str:
    """Return how a finding names a tensor of subgraph `graph_number`."""
    # Converters join the names of all that was fused into one tensor with ";".
    name = tensor.name.partition(";")[0]
    shown = name if len(name) <= SHOWN_NAME else f"...{name[3 - SHOWN_NAME :]}"
    return f"tensor {tensor.index} {shown!r}{_place(graph_number)}"


def _place(graph_number: int) -> str:
    return f" of subgraph {graph_number}" if graph_number else ""


def _shape(tensor: Tensor) -> str:
    return "x".join("?" if size < 0 else str(size) for size in tensor.shape_signature)
