"""`inspect` on ONNX files: what is in one, as text and as JSON, and what is none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from dlpubuild.errors import ExitCode
from tests.factories.onnx_factory import graph, model, node, small_model, tensor

if TYPE_CHECKING:
    from tests.unit.commands.conftest import Tool

PAGE = """\
file        m.onnx
size        {size} B
format      ONNX, opset 17, IR version 8
written by  by hand
weights in  w.data

inputs  shape    type
image   1x3x?x?  float32

outputs  shape  type
scores   1x4    float32

operators (3)
Relu               2
com.example.Fancy  1
"""


def write(empty: Tool) -> int:
    own = [node("Relu"), node("Relu"), node("Fancy", domain="com.example")]
    data = small_model((1, 3, "h", "w"), nodes=own, weights=[tensor("w", location="w.data")])
    return (empty.folder / "m.onnx").write_bytes(data)


def test_a_page_says_what_is_in_the_file(empty: Tool) -> None:
    size = write(empty)
    done = empty.run("inspect", "m.onnx")
    assert (done.code, done.out) == (0, PAGE.format(size=size))


def test_json_says_the_same(empty: Tool) -> None:
    size = write(empty)
    told = json.loads(empty.run("inspect", "m.onnx", "--json").out)
    assert told == {
        "schema": 1,
        "format": "onnx",
        "size_bytes": size,
        "ir_version": 8,
        "opset": 17,
        "producer": "by hand",
        "external_weights": ["w.data"],
        "operator_counts": {"Relu": 2, "com.example.Fancy": 1},
        "inputs": [{"name": "image", "shape": [1, 3, -1, -1], "dtype": "float32"}],
        "outputs": [{"name": "scores", "shape": [1, 4], "dtype": "float32"}],
    }


def test_names_cannot_move_the_cursor(empty: Tool) -> None:
    data = model(graph(inputs={"a\x1b[2J": (1,)}, outputs={"b": None}), producer="x\x07")
    (empty.folder / "m.onnx").write_bytes(data)
    done = empty.run("inspect", "m.onnx")
    assert done.code == 0
    assert not {"\x1b", "\x07"} & set(done.out)
    assert "unknown" in done.out


@pytest.mark.parametrize("content", [None, b"", b"no model", small_model()[:40]])
def test_what_is_no_onnx_model_is_told(empty: Tool, content: bytes | None) -> None:
    if content is not None:
        (empty.folder / "m.onnx").write_bytes(content)
    done = empty.run("inspect", "m.onnx")
    assert done.code not in (0, ExitCode.INTERNAL)
    assert "m.onnx" in done.err
    assert "Traceback" not in done.err
