"""What `inspect` tells of a model, for people and for programs."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from dlpubuild.report.inspect import inspect_text
from dlpubuild.report.inspect_json import inspect_json
from dlpubuild.report.json_text import json_chunks
from dlpubuild.tflite.facts import summarise
from dlpubuild.tflite.read import read_model
from tests.factories.tflite_factory import custom_model, encode, float_model, integer_model, with_tensor


def page(data: bytes, name: str = "model.tflite") -> str:
    model = read_model(data)
    return inspect_text(name, model, summarise(model))


def test_a_page_tells_file_tensors_and_operators() -> None:
    data = encode(integer_model(io="uint8"))
    lines = [line.split() for line in page(data, "dist/m.tflite").splitlines()]
    assert ["file", "dist/m.tflite"] in lines
    assert ["quantization", "per-tensor"] in lines
    assert ["QUANTIZE", "2", "1", "-", "-"] in lines
    assert ["CONV_2D", "1", "3", "3.5", "k", "248", "B"] in lines
    heads = [line[0] for line in lines if line]
    assert [head for head in heads if head in ("inputs", "outputs", "operators")] == ["inputs", "outputs", "operators"]


def test_scales_per_channel_are_counted() -> None:
    assert "2 tensors have a scale per channel" in page(encode(integer_model(per_channel=True)))
    assert "per channel" not in page(encode(integer_model()))


def test_a_float_model_has_no_scales() -> None:
    (line,) = [line for line in page(encode(float_model())).splitlines() if line.startswith("image")]
    assert line.split()[-2:] == ["-", "-"]


def test_names_in_a_file_do_not_steer_the_terminal() -> None:
    spec = custom_model("\x1b[31mFlex\n")
    tensor = replace(spec.graphs[0].tensors[7], name="out\x1b]0;owned\x07")
    data = encode(replace(with_tensor(spec, 7, tensor), signatures=(), description="\x1b[2J"))
    text = page(data)
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\\x1b[31mFlex\\n" in text


@pytest.mark.parametrize(
    "data",
    [encode(float_model()), encode(integer_model(per_channel=True, io="float32")), encode(custom_model("FlexErf"))],
    ids=["float", "per-channel", "flex"],
)
def test_the_json_is_json_and_holds_every_tensor_and_operator(data: bytes) -> None:
    model = read_model(data)
    document = json.loads("".join(json_chunks(inspect_json(model, summarise(model)))))
    (graph,) = document["subgraphs"]
    assert len(graph["tensors"]) == len(model.main.tensors)
    assert [operator["name"] for operator in graph["operators"]] == [each.label for each in model.main.operators]
    assert document["size_bytes"] == len(data)
    assert sum(document["operator_counts"].values()) == len(graph["operators"])


def test_the_axis_is_told_where_there_is_one() -> None:
    model = read_model(encode(integer_model(per_channel=True)))
    document = json.loads("".join(json_chunks(inspect_json(model, summarise(model)))))
    tensors = document["subgraphs"][0]["tensors"]
    assert [tensor["axis"] for tensor in tensors if len(tensor["scales"]) > 1] == [0, 0]
    assert {tensor["axis"] for tensor in tensors if len(tensor["scales"]) == 1} == {None}
