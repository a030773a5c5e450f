"""How far a `.tflite` or a `.bin` is on its way to an SoC."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlpubuild.project.ready_model import guess_bin_soc, read_compiled_binary, read_tflite, tflite_state
from dlpubuild.project.signature import UnreadableModelError
from dlpubuild.tflite.facts import summarise
from tests.factories.tflite_factory import (
    ModelSpec,
    custom_model,
    encode,
    float_model,
    integer_model,
    with_dynamic_batch,
)
from tests.unit.tflite.shared_models import shared_model

CV25 = bytes.fromhex("0800020203000000") + bytes(8)
CV75 = bytes.fromhex("030003008eea5d0eefbeedfe09000000")


@pytest.mark.parametrize(
    ("spec", "state", "quantization"),
    [
        (float_model(), "float", "none"),
        (float_model(weights="float16"), "weight-only", "float16"),
        (float_model(weights="int8"), "weight-only", "dynamic"),
        (integer_model(), "integer", "per-tensor"),
        (integer_model(per_channel=True), "integer", "per-channel"),
        (custom_model("edgetpu-custom-op"), "compiled", None),
    ],
)
def test_the_state_is_what_is_in_the_file(
    tmp_path: Path, spec: ModelSpec, state: str, quantization: str | None
) -> None:
    (tmp_path / "m.tflite").write_bytes(encode(spec))
    reading = read_tflite(tmp_path / "m.tflite")
    assert reading.state == state
    assert quantization in (None, reading.quantization)


def test_names_shapes_and_types_are_those_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(encode(with_dynamic_batch(integer_model(io="uint8"))))
    (image,) = read_tflite(tmp_path / "m.tflite").signature.inputs
    assert image.shape is not None
    assert (image.name, image.shape[0], image.dtype) == ("image", -1, "uint8")


@pytest.mark.parametrize("name", ["mobilenet_v1_0.25_128_quant", "deeplabv3_mnv2_dm05_pascal_quant", "split_concat"])
def test_published_models_are_integer_and_their_compiled_halves_compiled(name: str) -> None:
    assert tflite_state(summarise(shared_model(name))) == "integer"
    assert tflite_state(summarise(shared_model(f"{name}_edgetpu"))) == "compiled"


@pytest.mark.parametrize("data", [b"", b"no model", b"\x08\x01\x12", encode(float_model())[:200]])
def test_what_is_no_tflite_is_told(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "m.tflite").write_bytes(data)
    with pytest.raises(UnreadableModelError):
        read_tflite(tmp_path / "m.tflite")


@pytest.mark.parametrize("data", [CV25, CV75, b"\x01", bytes(100)])
def test_a_bin_is_compiled_and_says_nothing(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "m.bin").write_bytes(data)
    reading = read_compiled_binary(tmp_path / "m.bin")
    assert (reading.state, reading.signature.inputs, reading.signature.outputs) == ("compiled", (), ())


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04...", encode(float_model()), b"<!DOCTYPE html>", b"\x7fELF\x02"])
def test_what_plainly_is_no_compiled_model_is_told(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "m.bin").write_bytes(data)
    with pytest.raises(UnreadableModelError):
        read_compiled_binary(tmp_path / "m.bin")


def test_the_soc_of_a_bin_is_a_guess() -> None:
    assert [guess_bin_soc(head) for head in (CV25, CV75, b"", bytes(16))] == ["cv25", "cv75", None, None]
