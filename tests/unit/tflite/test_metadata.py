"""Metadata in words."""

from __future__ import annotations

from dataclasses import replace

import flatbuffers  # type: ignore[import-untyped] # it has neither stubs nor a py.typed marker
import pytest

from dlpubuild.tflite.metadata import MetadataEntry, metadata_entries
from dlpubuild.tflite.read import read_model
from tests.factories.tflite_factory import encode, integer_model
from tests.unit.tflite.shared_models import shared_model


def entries(**metadata: bytes) -> dict[str, MetadataEntry]:
    found = metadata_entries(read_model(encode(replace(integer_model(), metadata=metadata))))
    return {each.name: each for each in found}


def conversion(version: str, source: int, modes: list[int]) -> bytes:
    builder = flatbuffers.Builder(64)
    text = builder.CreateString(version)
    builder.StartVector(4, len(modes), 4)
    for mode in reversed(modes):
        builder.PrependInt32(mode)
    vector = builder.EndVector()
    builder.StartObject(3)
    builder.PrependUOffsetTRelativeSlot(0, text, 0)
    builder.PrependInt32Slot(2, source, 0)
    environment = builder.EndObject()
    builder.StartObject(4)
    builder.PrependUOffsetTRelativeSlot(0, vector, 0)
    builder.PrependBoolSlot(1, True, False)
    options = builder.EndObject()
    builder.StartObject(2)
    builder.PrependUOffsetTRelativeSlot(0, environment, 0)
    builder.PrependUOffsetTRelativeSlot(1, options, 0)
    builder.Finish(builder.EndObject())
    return bytes(builder.Output())


def test_the_runtime_is_text_without_its_padding() -> None:
    assert entries(min_runtime_version=b"2.3.0".ljust(16, b"\0"))["min_runtime_version"] == (
        "min_runtime_version",
        16,
        "2.3.0",
    )


def test_what_a_converter_was_told_is_told() -> None:
    data = conversion("2.19.1", 2, [1003, 7])
    assert entries(CONVERSION_METADATA=data)["CONVERSION_METADATA"].text == (
        "TensorFlow 2.19.1, from a Keras model, full-integer quantization after training, optimization 7, "
        "custom operators allowed"
    )


def test_a_description_is_told() -> None:
    found = {each.name: each.text for each in metadata_entries(shared_model("tf2_mobilenet_v2_1.0_224_ptq"))}
    assert found["TFLITE_METADATA"].startswith("ImageClassifier, Identify the most prominent object")


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("reduced_precision_support", b"fp16accfp32", "fp16accfp32"),
        ("own", b"\x1b[2J", ""),
        ("own", b"a" * 201, ""),
        ("own", b"", ""),
        ("CONVERSION_METADATA", b"\xff" * 40, ""),
        ("CONVERSION_METADATA", b"", ""),
        ("TFLITE_METADATA", b"\0" * 7, ""),
    ],
)
def test_what_cannot_be_read_has_no_text_and_is_no_error(name: str, data: bytes, text: str) -> None:
    assert entries(**{name: data})[name] == (name, len(data), text)
