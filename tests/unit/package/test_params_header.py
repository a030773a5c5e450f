from __future__ import annotations

import re
import shutil
import struct
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from dlpubuild.package.params_header import c_string, params_header
from tests.unit.package.specs import CPU, DESCRIPTION, IMAGE, PROBABILITIES, placeless_spec

if TYPE_CHECKING:
    from pathlib import Path

    from dlpubuild.package.spec import BundleSpec

SINGLE = placeless_spec()
DETECTOR = placeless_spec(
    replace(DESCRIPTION, outputs=(replace(PROBABILITIES, shape=(1, 25200, 85), scale=0.00419051, zero_point=1),))
)
SEVERAL = placeless_spec(
    replace(
        DESCRIPTION,
        inputs=(IMAGE, replace(IMAGE, name="mood", shape=(1, 4), dtype="int8", zero_point=-128)),
        outputs=(
            replace(PROBABILITIES, name='a "quoted" \\ näme ??=', scale=1e-7, zero_point=-3, dtype="int8"),
            replace(PROBABILITIES, name="count", shape=(), dtype="float32", scale=None, zero_point=None),
        ),
    ),
    preprocessing=(),
    labels=None,
)
FLOAT = placeless_spec(
    replace(DESCRIPTION, outputs=(replace(PROBABILITIES, dtype="float32", scale=None, zero_point=None),)),
    soc=CPU,
    labels=None,
)


def defined(spec: BundleSpec) -> dict[str, str]:
    pairs = re.findall(r"^#define (\w+) (.+)$", params_header(spec).decode("ascii"), flags=re.MULTILINE)
    assert len({name for name, _ in pairs}) == len(pairs)
    return dict(pairs)


def test_the_names_of_axis_examples_are_defined() -> None:
    constants = defined(DETECTOR)
    assert constants["MODEL_INPUT_HEIGHT"] == "32"
    assert constants["MODEL_INPUT_WIDTH"] == "24"
    assert constants["QUANTIZATION_SCALE"] == "0.00419051f"
    assert constants["QUANTIZATION_ZERO_POINT"] == "1"
    assert constants["NUM_CLASSES"] == "3"
    assert constants["NUM_DETECTIONS"] == "25200"


@pytest.mark.parametrize(
    ("shape", "detections"),
    [((1, 7, 8400), "8400"), ((1, 8400, 8), "8400"), ((1, 7, 8), "7"), ((1, 7, 7), "7"), ((1, 9, 4), "9")],
)
def test_boxes_in_the_last_dimension_are_counted_where_labels_tell(shape: tuple[int, ...], detections: str) -> None:
    spec = placeless_spec(replace(DESCRIPTION, outputs=(replace(PROBABILITIES, shape=shape),)))
    assert defined(spec)["NUM_DETECTIONS"] == detections


def test_the_guard_is_that_of_axis_examples() -> None:
    text = params_header(SINGLE).decode("ascii")
    assert "#ifndef MODEL_PARAMS_H\n#define MODEL_PARAMS_H\n" in text
    assert text.endswith("#endif /* MODEL_PARAMS_H */\n")


def test_the_larod_device_is_a_string() -> None:
    assert defined(SINGLE)["MODEL_LAROD_DEVICE"] == '"axis-a8-dlpu-tflite"'


def test_several_outputs_are_numbered() -> None:
    constants = defined(SEVERAL)
    assert "QUANTIZATION_SCALE" not in constants
    assert constants["OUTPUT_0_QUANTIZATION_SCALE"] == "1e-07f"
    assert constants["OUTPUT_0_QUANTIZATION_ZERO_POINT"] == "(-3)"
    assert constants["OUTPUT_1_QUANTIZATION_SCALE"] == "1.0f"
    assert constants["MODEL_INPUT_1_QUANTIZATION_ZERO_POINT"] == "(-128)"
    assert constants["MODEL_INPUT_0_CHANNELS"] == "3"
    assert "MODEL_INPUT_1_CHANNELS" not in constants


def test_without_labels_the_classes_are_those_of_the_output() -> None:
    assert defined(placeless_spec(labels=None))["NUM_CLASSES"] == "3"


def test_classes_that_nothing_tells_are_not_guessed() -> None:
    assert "NUM_CLASSES" not in defined(replace(DETECTOR, request=replace(DETECTOR.request, labels=None)))
    assert "NUM_CLASSES" not in defined(SEVERAL)


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ("plain", '"plain"'),
        ('say "hi"', r'"say \"hi\""'),
        ("back\\slash", r'"back\\slash"'),
        ("å1", r'"\303\2451"'),
        ("??=", r'"\?\?="'),
        ("a\nb", r'"a\012b"'),
    ],
)
def test_any_text_becomes_a_string_literal(text: str, literal: str) -> None:
    assert c_string(text) == literal


PROGRAM = """\
#include <stdio.h>
#include <stdint.h>
#include "model_params.h"
#include "model_params.h"

int main(void)
{
%s
    return 0;
}
"""


def run_c(folder: Path, spec: BundleSpec, statements: list[str]) -> list[str]:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler is installed")
    (folder / "model_params.h").write_bytes(params_header(spec))
    (folder / "main.c").write_text(PROGRAM % "\n".join(f"    {statement}" for statement in statements))
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    built = subprocess.run(
        [compiler, *flags, "main.c", "-o", "main"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    return subprocess.run([folder / "main"], capture_output=True, text=True, check=True).stdout.splitlines()


def bits(value: float) -> str:
    return struct.pack(">f", value).hex()


FLOAT_BITS = 'union {{ float f; uint32_t u; }} {name} = {{ {macro} }}; printf("%08x\\n", (unsigned){name}.u);'


def test_a_c_program_sees_the_values_of_the_model(tmp_path: Path) -> None:
    lines = run_c(
        tmp_path,
        SINGLE,
        [
            FLOAT_BITS.format(name="scale", macro="QUANTIZATION_SCALE"),
            FLOAT_BITS.format(name="input_scale", macro="MODEL_INPUT_QUANTIZATION_SCALE"),
            "const int shape[MODEL_INPUT_RANK] = MODEL_INPUT_SHAPE;",
            'printf("%d %d %d\\n", shape[1], shape[2], shape[3]);',
            'printf("%d %d %d\\n", MODEL_INPUT_HEIGHT, MODEL_INPUT_WIDTH, MODEL_INPUT_CHANNELS);',
            'MODEL_INPUT_CTYPE pixel = 255; printf("%d %d\\n", (int)sizeof(pixel), MODEL_INPUT_SIZE_BYTES);',
            'printf("%s %s %d\\n", MODEL_NAME, MODEL_LAROD_DEVICE, NUM_CLASSES);',
        ],
    )
    assert lines == [
        bits(1 / 256),
        bits(1 / 255),
        "32 24 3",
        "32 24 3",
        f"1 {32 * 24 * 3}",
        "digits axis-a8-dlpu-tflite 3",
    ]


def test_a_c_program_sees_several_tensors_and_any_name(tmp_path: Path) -> None:
    lines = run_c(
        tmp_path,
        SEVERAL,
        [
            FLOAT_BITS.format(name="scale", macro="OUTPUT_0_QUANTIZATION_SCALE"),
            'int zero = 5 -OUTPUT_0_QUANTIZATION_ZERO_POINT; printf("%d\\n", zero);',
            "puts(OUTPUT_0_NAME);",
            'OUTPUT_1_CTYPE count = 2; printf("%.1f %d\\n", count * OUTPUT_1_QUANTIZATION_SCALE, OUTPUT_1_SIZE_BYTES);',
        ],
    )
    assert lines == [bits(1e-7), "8", 'a "quoted" \\ näme ??=', "2.0 4"]


def test_one_formula_serves_a_float_output_too(tmp_path: Path) -> None:
    statements = [
        "OUTPUT_CTYPE stored = 0.25f;",
        'printf("%g\\n", (stored - QUANTIZATION_ZERO_POINT) * QUANTIZATION_SCALE);',
    ]
    assert run_c(tmp_path, FLOAT, statements) == ["0.25"]
