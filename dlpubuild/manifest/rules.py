"""What the schema cannot say about a manifest and no other file is needed to see.

In: a TOML document, perhaps with faults against the schema, and the places of its keys. Out: one `Problem` for
each fault. Values of a wrong type are passed over: the schema reports them. No file is opened.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from dlpubuild.errors import ErrorCode, Problem
from dlpubuild.manifest.source import walk_values
from dlpubuild.manifest.wording import counted, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dlpubuild.manifest.locate import SourceIndex

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_IMAGE_RANK = 4
_CHANNELS_OF_COLOR = {"rgb": 3, "bgr": 3, "gray": 1}


def rule_problems(document: Mapping[str, Any], places: SourceIndex) -> list[Problem]:
    """Return every fault: names given twice, channels that do not agree, values that no number or text has.

    Args:
        document: a TOML document as plain values; need not satisfy the schema.
        places: where the document's keys and values stand.
    """
    found = (*_bad_values(document), *_repeated_names(document, places), *_channel_conflicts(document))
    return [
        Problem(code=code, location=places.value_at(path), path=path, message=message) for code, path, message in found
    ]


def _bad_values(document: Mapping[str, Any]) -> Iterator[tuple[ErrorCode, str, str]]:
    for path, value in walk_values(document):
        if isinstance(value, float) and not math.isfinite(value):
            yield ErrorCode.MANIFEST_SCHEMA, path, f"{value} cannot be used: it is not a finite number"
        elif isinstance(value, str):
            control = _CONTROL.search(value)
            if control is not None:
                message = f"{quoted(value)} holds the control character U+{ord(control[0]):04X}"
                yield ErrorCode.MANIFEST_SCHEMA, path, message


def _repeated_names(document: Mapping[str, Any], places: SourceIndex) -> Iterator[tuple[ErrorCode, str, str]]:
    for array in ("input", "output"):
        first: dict[str, str] = {}
        for path, table in _model_tables(document, array):
            name = table.get("name")
            if not isinstance(name, str):
                continue
            if name in first:
                message = f"{quoted(name)} names an {array} already, at {places.value_at(first[name])}"
                yield ErrorCode.DUPLICATE_NAME, f"{path}.name", message
            first.setdefault(name, f"{path}.name")


def _channel_conflicts(document: Mapping[str, Any]) -> Iterator[tuple[ErrorCode, str, str]]:
    channels_may_be_first = _is_onnx(document)
    for path, table in _model_tables(document, "input"):
        shape, color = table.get("shape"), table.get("color")
        in_color = _CHANNELS_OF_COLOR.get(color) if isinstance(color, str) else None
        in_shape = _channels_of_shape(shape, channels_may_be_first=channels_may_be_first)
        if in_color and in_shape and in_color not in in_shape:
            message = f"has {counted(in_shape[0], 'channel')}, but color {quoted(color)} has {in_color}"
            yield ErrorCode.CONFLICT, f"{path}.shape", message
        expected = (in_color,) if in_color else in_shape
        yield from _length_conflicts(path, table, expected)


def _length_conflicts(
    path: str, table: Mapping[str, Any], channels: tuple[int, ...]
) -> Iterator[tuple[ErrorCode, str, str]]:
    """Compare `mean` and `std` with the channels where these are known, else with each other."""
    lengths = {key: len(table[key]) for key in ("mean", "std") if isinstance(table.get(key), list)}
    if channels:
        for key, length in lengths.items():
            if length not in channels:
                message = f"has {counted(length, 'value')} for {counted(channels[0], 'channel')}"
                yield ErrorCode.CONFLICT, f"{path}.{key}", message
    elif len(set(lengths.values())) > 1:
        message = f"has {counted(lengths['std'], 'value')}, but mean has {lengths['mean']}"
        yield ErrorCode.CONFLICT, f"{path}.std", message


def _channels_of_shape(shape: Any, *, channels_may_be_first: bool) -> tuple[int, ...]:
    """Return how many channels an image input of this shape can have; nothing for other inputs."""
    if not isinstance(shape, list) or len(shape) != _IMAGE_RANK:
        return ()
    candidates = (shape[1], shape[3]) if channels_may_be_first else (shape[3],)
    return tuple(size for size in candidates if isinstance(size, int))


def _is_onnx(document: Mapping[str, Any]) -> bool:
    model = document.get("model")
    if not isinstance(model, dict):
        return False
    return model.get("format") == "onnx" or str(model.get("source", "")).lower().endswith(".onnx")


def _model_tables(document: Mapping[str, Any], array: str) -> Iterator[tuple[str, dict[str, Any]]]:
    model = document.get("model")
    tables = model.get(array) if isinstance(model, dict) else None
    for index, table in enumerate(tables if isinstance(tables, list) else ()):
        if isinstance(table, dict):
            yield f"model.{array}[{index}]", table
