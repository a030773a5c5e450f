"""ONNX files written field by field: no test of the reader needs the onnx package, and any damage can be made."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_FLOAT = 1


def varint(value: int) -> bytes:
    """A number as protocol buffers write it."""
    value &= (1 << 64) - 1
    found = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        found.append(low | (0x80 if value else 0))
        if not value:
            return bytes(found)


def field(number: int, value: int | bytes | str) -> bytes:
    """One field: a number, a text, or a message that is encoded already."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    content = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(content)) + content


def value_info(name: str, shape: Sequence[int | str] | None, element: int = _FLOAT) -> bytes:
    """An input or output; a size that is text is dynamic, and so is one that is empty text."""
    kind = field(1, element)
    if shape is not None:
        dims = [field(1, size) if isinstance(size, int) else field(2, size) if size else b"" for size in shape]
        kind += field(2, b"".join(field(1, dim) for dim in dims))
    return field(1, name) + field(2, field(1, kind))


def tensor(name: str, *, raw: bytes = b"", location: str | None = None) -> bytes:
    """A weight, in the file or in another one."""
    content = field(1, 1) + field(2, _FLOAT) + field(8, name)
    if location is None:
        return content + field(9, raw)
    return (
        content + field(13, field(1, "offset") + field(2, "0")) + field(13, field(1, "location") + field(2, location))
    )


def node(kind: str, *, domain: str = "", attributes: Sequence[bytes] = ()) -> bytes:
    """An operator."""
    content = field(1, "x") + field(2, "y") + field(4, kind) + b"".join(field(5, each) for each in attributes)
    return content + (field(7, domain) if domain else b"")


def graph(
    *,
    inputs: Mapping[str, Sequence[int | str] | None],
    outputs: Mapping[str, Sequence[int | str] | None],
    nodes: Sequence[bytes] = (),
    weights: Sequence[bytes] = (),
) -> bytes:
    """A graph."""
    return b"".join(
        [
            *(field(1, each) for each in nodes or [node("Relu")]),
            *(field(5, each) for each in weights),
            *(field(11, value_info(name, shape)) for name, shape in inputs.items()),
            *(field(12, value_info(name, shape)) for name, shape in outputs.items()),
        ]
    )


def model(body: bytes, *, opset: int = 17, producer: str = "by hand", extra: bytes = b"") -> bytes:
    """A whole file."""
    opsets = field(8, field(1, "") + field(2, opset)) + field(8, field(1, "com.example") + field(2, 99))
    return field(1, 8) + field(2, producer) + field(7, body) + opsets + extra


def small_model(shape: Sequence[int | str] = (1, 3, 8, 8), *, weights: Sequence[bytes] = (), **more: object) -> bytes:
    """A model with the input `image` and the output `scores`."""
    nodes = more.get("nodes", ())
    assert isinstance(nodes, (list, tuple))
    return model(graph(inputs={"image": shape}, outputs={"scores": (1, 4)}, weights=weights, nodes=nodes))
