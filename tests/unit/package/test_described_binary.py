"""A `.bin` is described by the model that it was compiled from, and by how the accelerator pads rows."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from dlpubuild.errors import ErrorCode, GateError
from dlpubuild.package.described_binary import BinaryTensor, describe_binary
from dlpubuild.package.model_json import model_json
from dlpubuild.package.params_header import params_header
from dlpubuild.package.readme import readme
from dlpubuild.package.spec import BundleSpec, CompilerFacts, SocFacts, ToolchainFacts
from dlpubuild.resources import schema_path
from tests.unit.package.specs import RGB_0_TO_1, placeless_spec

CV25 = SocFacts(
    name="cv25",
    title="CV25",
    larod_device="ambarella-cvflow",
    architecture="aarch64",
    deep_learning_processor=True,
)
# The sizes of Axis' object-detection-cv25: 300 pixels wide, 20 bytes of padding, a pitch of 320.
IMAGE = BinaryTensor(name="image", shape=(1, 300, 300, 3), layout="NHWC", scale=1 / 255)
CLASSES = BinaryTensor(name="classes", shape=(1, 1001))


def bundle(*inputs: BinaryTensor, outputs: tuple[BinaryTensor, ...] = (CLASSES,), **changes: Any) -> BundleSpec:
    changes = {
        "soc": CV25,
        "model_file": "model.bin",
        "preprocessing": (replace(RGB_0_TO_1, layout="NCHW"),) if len(inputs) == 1 else (),
        "labels": None,
        "requested_quantization": "none",
        "toolchain": ToolchainFacts(name="ambarella", lock_sha256="ab" * 32),
        "binary_compiler": CompilerFacts(name="ambarella-cnngen", version="2.7", archive_sha256=None),
        **changes,
    }
    return placeless_spec(describe_binary(inputs, outputs), **changes)


def document(spec: BundleSpec) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(model_json(spec))
    jsonschema.validate(loaded, json.loads(schema_path("model").read_text(encoding="utf-8")))
    return loaded


def constants(spec: BundleSpec) -> dict[str, str]:
    return dict(re.findall(r"^#define (\w+) (.*)$", params_header(spec).decode(), flags=re.MULTILINE))


def test_the_input_is_planar_bytes_with_rows_padded_to_32() -> None:
    told = document(bundle(IMAGE))["inputs"][0]
    assert (told["shape"], told["dtype"]) == ([1, 3, 300, 300], "uint8")
    assert told["memory"] == {
        "layout": "NCHW",
        "planes": 3,
        "rows": 300,
        "row-bytes": 300,
        "pitch-bytes": 320,
        "padding-bytes": 20,
        "plane-bytes": 96_000,
        "size-bytes": 288_000,
        "inferred": False,
    }
    image = told["preprocessing"]["image"]
    assert (image["layout"], image["height"], image["width"], image["channels"]) == ("NCHW", 300, 300, 3)
    assert told["preprocessing"]["pixel-identity"] is True


def test_a_width_that_is_a_multiple_of_32_has_no_padding() -> None:
    told = document(bundle(replace(IMAGE, shape=(1, 3, 480, 640), layout="NCHW")))["inputs"][0]
    assert (told["shape"], told["memory"]["padding-bytes"]) == ([1, 3, 480, 640], 0)


def test_each_element_of_a_vector_has_a_row_and_that_is_marked_as_inferred() -> None:
    """The accuracy test of Axis' model zoo reads 32032 bytes for 1001 classes."""
    told = document(bundle(IMAGE))["outputs"][0]
    assert told["dtype"] == "float32"
    assert (told["memory"]["pitch-bytes"], told["memory"]["size-bytes"]) == (32, 32_032)
    assert told["memory"]["inferred"] is True


def test_the_header_tells_pitch_layout_and_plane() -> None:
    told = constants(bundle(IMAGE))
    assert (told["MODEL_INPUT_LAYOUT"], told["MODEL_INPUT_PITCH"], told["MODEL_INPUT_PADDING"]) == (
        '"NCHW"',
        "320",
        "20",
    )
    assert (told["MODEL_INPUT_PLANE_BYTES"], told["MODEL_INPUT_SIZE_BYTES"]) == ("96000", "288000")
    assert (told["MODEL_INPUT_HEIGHT"], told["MODEL_INPUT_WIDTH"], told["MODEL_INPUT_CHANNELS"]) == ("300", "300", "3")
    assert told["MODEL_LAROD_DEVICE"] == '"ambarella-cvflow"'
    assert told["OUTPUT_SIZE_BYTES"].startswith("32032 /* inferred")
    assert told["OUTPUT_PITCH"].startswith("32 /* inferred")


def test_several_inputs_and_outputs_have_a_numbered_set_each() -> None:
    mask = BinaryTensor(name="mask", shape=(1, 1, 16, 40))
    told = constants(bundle(IMAGE, mask, outputs=(CLASSES, BinaryTensor(name="boxes", shape=(1, 84, 8400)))))
    assert (told["MODEL_INPUT_0_PITCH"], told["MODEL_INPUT_1_PITCH"]) == ("320", "64")
    assert told["OUTPUT_1_PITCH"].startswith("33600 ")


def test_the_readme_says_how_to_feed_planes_and_marks_what_is_inferred() -> None:
    text = readme(bundle(IMAGE)).decode()
    assert "| input 0 | `image` | 3 | 300 | 300 | 320 | 96000 | 288000 |" in text
    assert "| output 0 | `classes` | 1 | 1001 | 4 | 32 `*` |" in text
    assert "feed the bytes of the image in planes, with the pitch above" in text
    assert "| compiled with | ambarella-cnngen 2.7 |" in text
    assert "larod-client -R 100 -w 5 -p -c ambarella-cvflow -g model.bin -i ''" in text
    for unknown in ("None", "multiply-accumulates", "TensorFlow Lite"):
        assert unknown not in text


def test_what_only_the_camera_can_read_is_not_guessed() -> None:
    told = document(bundle(IMAGE))
    assert (told["model"]["macs"], told["model"]["parameter-bytes"], told["model"]["operators"]) == (None, None, {})
    assert (told["quantization"]["actual"], told["quantization"]["granularity"]) == ("compiled", "unknown")
    assert told["compiler"] == {"name": "ambarella-cnngen", "version": "2.7", "archive-sha256": None}


@pytest.mark.parametrize("shape", [(), (1, -1, 300, 3)])
def test_a_tensor_without_fixed_sizes_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(GateError) as caught:
        describe_binary([replace(IMAGE, shape=shape)], [])
    assert caught.value.code is ErrorCode.MODEL_SHAPE
