"""The sizes of what TFLite_Detection_PostProcess gives, which files mostly leave out.

In: a model as `read` returns it. Out: a shape per tensor. Converters write such outputs as scalars, because nothing in
a TensorFlow graph says their sizes: the operator sets them when it is prepared, from its options
(tensorflow/lite/kernels/detection_postprocess.cc). These are a FlexBuffer map
(https://flatbuffers.dev/flatbuffers_internals/, "FlexBuffers"); what cannot be read leaves the shape as it is stored.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dlpubuild.tflite.model import Operator, TfliteModel

DETECTION_OPERATOR: Final = "TFLite_Detection_PostProcess"
_DETECTIONS, _CLASSES = "max_detections", "max_classes_per_detection"
_OUTPUTS: Final = 4
_COORDINATES: Final = 4
_MOST_OPTION_BYTES: Final = 1 << 16
_MOST_OPTIONS: Final = 64
_MOST_NAME_BYTES: Final = 64
# A detector has ten to some hundred; far beyond that the options are not what they seem.
_MOST_DETECTIONS: Final = 1 << 20
_MAP, _INTEGERS, _INDIRECT = 9, (1, 2), (6, 7)
_WIDTHS: Final = (1, 2, 4, 8)


def detection_shapes(model: TfliteModel) -> Mapping[int, tuple[int, ...]]:
    """Return the real shape of each output of detection in the main subgraph that is stored as a scalar, by tensor."""
    found: dict[int, tuple[int, ...]] = {}
    for operator in model.main.operators:
        if operator.custom_code != DETECTION_OPERATOR or len(operator.outputs) != _OUTPUTS:
            continue
        count = _count(model, operator)
        if count is None:
            continue
        shapes = ((1, count, _COORDINATES), (1, count), (1, count), (1,))
        tensors = model.main.tensors
        sizes = zip(operator.outputs, shapes, strict=True)
        found |= {at: shape for at, shape in sizes if 0 <= at < len(tensors) and not tensors[at].shape}
    return MappingProxyType(found)


def _count(model: TfliteModel, operator: Operator) -> int | None:
    length, start = operator.custom_bytes, operator.custom_offset
    if not start or length > _MOST_OPTION_BYTES:
        return None
    try:
        options = _integers(bytes(model.data[start : start + length]))
        count = options[_DETECTIONS] * options[_CLASSES]
    except (IndexError, KeyError, ValueError):
        return None
    return count if 0 < count <= _MOST_DETECTIONS else None


def _integers(data: bytes) -> dict[str, int]:
    """Return the integers of a FlexBuffer map.

    Raises:
        IndexError, ValueError: it is damaged, or no map.
    """
    root_width, root_type = data[-1], data[-2]
    if root_type >> 2 != _MAP:
        raise ValueError
    width = _WIDTHS[root_type & 3]
    values = _followed(data, len(data) - 2 - root_width, root_width)
    names = _followed(data, values - 3 * width, width)
    name_width = _unsigned(data, values - 2 * width, width)
    count = _unsigned(data, values - width, width)
    if count > _MOST_OPTIONS:
        raise ValueError
    found = {}
    for number in range(count):
        start = _followed(data, names + number * name_width, name_width)
        end = data.index(0, start, start + _MOST_NAME_BYTES)
        packed = data[values + count * width + number]
        place, size = values + number * width, width
        if packed >> 2 in _INDIRECT:
            place, size = _followed(data, place, width), _WIDTHS[packed & 3]
        elif packed >> 2 not in _INTEGERS:
            continue
        found[data[start:end].decode("ascii", "replace")] = _unsigned(data, place, size)
    return found


def _followed(data: bytes, place: int, width: int) -> int:
    """Return where the distance at `place` leads: back."""
    return _inside(data, place - _unsigned(data, place, width), 0)


def _unsigned(data: bytes, place: int, width: int) -> int:
    if width not in _WIDTHS:
        raise ValueError
    return int.from_bytes(data[_inside(data, place, width) : place + width], "little")


def _inside(data: bytes, place: int, width: int) -> int:
    if not 0 <= place <= len(data) - width:
        raise IndexError
    return place
