"""The tables of `inspect`, a row for each operator and each tensor, as text that a terminal and a page both show.

In: a model. Out: rows, one after another, so that a table of any length takes little memory. Names are as they stand in
the file: who shows them makes them harmless. Nothing is read here.
"""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING, NamedTuple

from dlpubuild.tflite.runtime import runtime_table
from dlpubuild.tflite.work import operator_macs, operator_parameter_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from dlpubuild.tflite.model import Operator, OptionValue, Subgraph, Tensor, TfliteModel

_MANY = 10**18
# Options that are told in another way, or that say nothing where they have this value.
_QUIET: dict[str, OptionValue] = {
    "fused_activation_function": "",
    "dilation_w_factor": 1,
    "dilation_h_factor": 1,
    "depth_multiplier": 1,
    "pot_scale_int16": True,
    "weights_format": "DEFAULT",
}
_PAIRS = (("stride", "stride_h", "stride_w"), ("filter", "filter_height", "filter_width"))
_SHOWN_INPUTS = 8
_SHOWN_SIZES = 16


class OperatorRow(NamedTuple):
    """An operator in words; `runtime` is the first TensorFlow that has its version, `custom`, or empty if unknown."""

    number: int
    label: str
    version: int
    runtime: str
    activation: str
    options: str
    inputs: str
    outputs: str
    output_name: str
    macs: int
    parameter_bytes: int
    custom_bytes: int


class TensorRow(NamedTuple):
    """A tensor in words; `role` is `input`, `output`, `constant`, `variable` or empty."""

    number: int
    name: str
    role: str
    shape: str
    dtype: str
    scale: str
    zero_point: str
    bytes: int


def operator_rows(graph: Subgraph) -> Iterator[OperatorRow]:
    """Yield the operators of a graph in order of execution."""
    runtimes = runtime_table()
    for operator in graph.operators:
        outputs = [graph.tensors[index] for index in operator.outputs if index >= 0]
        yield OperatorRow(
            number=operator.index,
            label=operator.label,
            version=operator.version,
            runtime="custom" if operator.is_custom else runtimes.get((operator.name, operator.version), ""),
            activation=operator.activation,
            options=options_text(graph, operator),
            inputs=_shapes(graph, operator.inputs),
            outputs=_shapes(graph, operator.outputs),
            output_name=outputs[0].name if outputs else "",
            macs=operator_macs(graph, operator),
            parameter_bytes=operator_parameter_bytes(graph, operator),
            custom_bytes=operator.custom_bytes,
        )


def tensor_rows(graph: Subgraph) -> Iterator[TensorRow]:
    """Yield the tensors of a graph by number."""
    inputs, outputs = frozenset(graph.inputs), frozenset(graph.outputs)
    for tensor in graph.tensors:
        role = "variable" if tensor.is_variable else "constant" if tensor.is_constant else ""
        role = "input" if tensor.index in inputs else "output" if tensor.index in outputs else role
        scale, zero_point = scale_texts(tensor)
        yield TensorRow(
            number=tensor.index,
            name=tensor.name,
            role=role,
            shape=shape_text(tensor),
            dtype=tensor.dtype,
            scale=scale,
            zero_point=zero_point,
            bytes=tensor.constant_bytes,
        )


def shape_text(tensor: Tensor) -> str:
    """Return `1x224x224x3`, with `?` for what is only known at run time."""
    sizes, stated = tensor.shape, tensor.shape_signature
    if len(stated) == len(sizes):
        sizes = tuple(min(size, -1) if open_ < 0 else size for size, open_ in zip(sizes, stated, strict=True))
    return sizes_text(sizes)


def sizes_text(sizes: Sequence[int]) -> str:
    """Return sizes as `1x8`; -1 is shown as `?`, other negative sizes as they are."""
    shown = "x".join("?" if size == -1 else str(size) for size in sizes[:_SHOWN_SIZES])
    return f"{shown}x…" if len(sizes) > _SHOWN_SIZES else shown or "scalar"


def scale_texts(tensor: Tensor) -> tuple[str, str]:
    """Return scale and zero point; of several the least and the greatest, how many, and along which axis."""
    found = tensor.quantization
    if found is None or not found.scales:
        return ("-", "-")
    points = f"{min(found.zero_points)}" if found.zero_points else "-"
    if found.zero_points and min(found.zero_points) != max(found.zero_points):
        points += f" to {max(found.zero_points)}"
    if not found.per_channel:
        return (scale_text(found.scales[0]), points)
    sound = [scale for scale in found.scales if not isnan(scale)] or [found.scales[0]]
    spread = f"{min(sound):.3g} to {max(sound):.3g}"
    return (f"{spread} ({len(found.scales)} on axis {found.axis})", points)


def scale_text(scale: float) -> str:
    """Return a scale with all the digits that a 32-bit float has."""
    return f"{scale:.9g}"


def count_text(count: int) -> str:
    """Return a count for people, whole where it is small: `864`, `10.8 M`, and a power of ten beyond all reason."""
    if count >= _MANY:
        return f"10^{len(str(count)) - 1}"
    size = float(count)
    for unit in ("", " k", " M", " G", " T", " P"):
        if round(size, 1) < 1000 or unit == " P":  # noqa: PLR2004 - the next unit
            return f"{size:.1f}{unit}" if unit else str(count)
        size /= 1000
    raise AssertionError


def whole_text(count: int) -> str:
    """Return a count in full, in groups of three; beyond all reason the power of ten."""
    return count_text(count) if count >= _MANY else f"{count:,}"


def options_text(graph: Subgraph, operator: Operator) -> str:
    """Return kernel and options of an operator in a few words; what says nothing is left out."""
    options = dict(operator.options)
    parts = []
    if operator.name in ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV") and len(operator.inputs) > 1:
        weights = graph.tensors[operator.inputs[1]].shape if operator.inputs[1] >= 0 else ()
        parts += [f"kernel {sizes_text(weights[1:3])}"] if len(weights) == 4 else []  # noqa: PLR2004 - filters, h, w, depth
    for name, height, width in _PAIRS:
        if height in options and width in options:
            parts.append(f"{name} {options.pop(height)}x{options.pop(width)}")
    dilation = options.pop("dilation_h_factor", 1), options.pop("dilation_w_factor", 1)
    if dilation != (1, 1):
        parts.append(f"dilation {dilation[0]}x{dilation[1]}")
    if "padding" in options:
        parts.append(str(options.pop("padding")))
    for name, value in options.items():
        if name in _QUIET and value in (_QUIET[name], "NONE"):
            continue
        if name != "fused_activation_function" and value is not False and value != ():
            parts.append(_option(name, value))
    return ", ".join(parts)


def _option(name: str, value: OptionValue) -> str:
    words = name.replace("_", " ")
    if value is True:
        return words
    if isinstance(value, tuple):
        return f"{words} {sizes_text(value)}"
    return f"{words} {value:.6g}" if isinstance(value, float) else f"{words} {value}"


def _shapes(graph: Subgraph, indices: Iterable[int]) -> str:
    indices = tuple(indices)
    shown = ("absent" if index < 0 else shape_text(graph.tensors[index]) for index in indices[:_SHOWN_INPUTS])
    more = f" and {len(indices) - _SHOWN_INPUTS} more" if len(indices) > _SHOWN_INPUTS else ""
    return ", ".join(shown) + more


class KindRow(NamedTuple):
    """All operators of one name: how many, their versions, and what they cost together."""

    label: str
    times: int
    versions: str
    macs: int
    parameter_bytes: int
    custom_bytes: int


def kind_rows(model: TfliteModel) -> list[KindRow]:
    """Return the operators of all subgraphs, summed up by name."""
    kinds: dict[str, list[int]] = {}
    versions: dict[str, set[int]] = {}
    for graph in model.subgraphs:
        for operator in graph.operators:
            row = kinds.setdefault(operator.label, [0, 0, 0, 0])
            row[0] += 1
            row[1] += operator_macs(graph, operator)
            row[2] += operator_parameter_bytes(graph, operator)
            row[3] += operator.custom_bytes
            versions.setdefault(operator.label, set()).add(operator.version)
    return [
        KindRow(label, row[0], _few(sorted(versions[label])), row[1], row[2], row[3])
        for label, row in sorted(kinds.items())
    ]


def _few(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers[:4])) + (", …" if len(numbers) > 4 else "")  # noqa: PLR2004 - as many as fit
