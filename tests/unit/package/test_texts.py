from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dlpubuild.package.acap_fragment import manifest_fragment
from dlpubuild.package.readme import license_file, readme
from tests.unit.package.specs import (
    ARTPEC7,
    COMPILED,
    CPU,
    DESCRIPTION,
    IMAGE,
    PROBABILITIES,
    RGB_0_TO_1,
    placeless_spec,
)

if TYPE_CHECKING:
    from dlpubuild.package.spec import BundleSpec

GOLDEN = Path(__file__).parent / "golden"
FLOAT_CPU = placeless_spec(
    replace(
        DESCRIPTION,
        inputs=(replace(IMAGE, dtype="float32", scale=None, zero_point=None),),
        outputs=(replace(PROBABILITIES, dtype="float32", scale=None, zero_point=None),),
        quantization="none",
        granularity="none",
        min_runtime=None,
    ),
    soc=CPU,
    requested_quantization="none",
    labels=None,
    vendor=None,
)


@pytest.mark.parametrize(
    ("name", "spec"),
    [
        ("README-artpec8.md", placeless_spec(accuracy={"top1": 0.96875})),
        ("README-cpu.md", FLOAT_CPU),
        ("README-artpec7.md", placeless_spec(soc=ARTPEC7, compiled=COMPILED)),
    ],
)
def test_the_readme_reads_as_agreed(name: str, spec: BundleSpec) -> None:
    """Rewritten by running the test with UPDATE_GOLDEN=1."""
    golden = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_bytes(readme(spec))
    assert readme(spec).decode() == golden.read_text("utf-8")


def test_the_readme_escapes_what_the_user_wrote() -> None:
    tensors = replace(DESCRIPTION, inputs=(replace(IMAGE, name="a|b`c"),))
    text = readme(placeless_spec(tensors, vendor="Ett* [bolag](x) | AB\nnext", preprocessing=())).decode()
    assert r"A neural network by Ett\* \[bolag\](x) \| AB next, converted" in text
    assert r"| input 0 | ``a\|b`c`` |" in text


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"dtype": "int8", "zero_point": -128}, "The stored value is then `pixel - 128`, for every pixel."),
        ({"dtype": "float32", "scale": None}, "The input takes `x` itself, as float32"),
        ({"scale": 0.0187, "zero_point": 114}, "multiplier 0.20970955 and offset 114.0"),
    ],
)
def test_the_readme_says_how_pixels_are_fed(change: dict[str, object], sentence: str) -> None:
    tensor = replace(IMAGE, **change)  # type: ignore[arg-type]
    text = readme(placeless_spec(replace(DESCRIPTION, inputs=(tensor,)))).decode()
    assert sentence in text


def test_the_readme_names_each_channel_where_they_differ() -> None:
    how = replace(RGB_0_TO_1, mean=(123.675, 116.28, 103.53))
    assert "mean (123.675, 116.28, 103.53) and std 255.0." in readme(placeless_spec(preprocessing=(how,))).decode()


def test_the_fragment_asks_for_the_dlpu_and_starts_the_model() -> None:
    assert json.loads(manifest_fragment(placeless_spec(app_name="my_digits").request)) == {
        "acapPackageConf": {
            "setup": {
                "runOptions": "/usr/local/packages/my_digits/model/model.tflite "
                "/usr/local/packages/my_digits/label/labels.txt -c axis-a8-dlpu-tflite"
            }
        },
        "resources": {"deepLearningProcessor": {"enabled": True, "required": True}},
    }


def test_an_soc_without_a_dlpu_to_ask_for_has_no_resources() -> None:
    assert json.loads(manifest_fragment(FLOAT_CPU.request)) == {
        "acapPackageConf": {"setup": {"runOptions": "/usr/local/packages/digits/model/model.tflite -c cpu-tflite"}}
    }


@pytest.mark.parametrize(
    ("license_text", "license_id", "content"),
    [
        (b"All rights reserved.\r\n", "MIT", b"All rights reserved.\r\n"),
        (None, "MIT OR Apache-2.0", b"SPDX-License-Identifier: MIT OR Apache-2.0\n"),
        (None, None, b"No license was declared for this model.\n"),
    ],
)
def test_the_license_is_the_text_or_else_what_is_known(
    license_text: bytes | None, license_id: str | None, content: bytes
) -> None:
    request = placeless_spec(license=license_id, license_text=license_text).request
    assert license_file(request) == content
