"""The tables of the schema, where a slip would go unseen: codes, gaps and newer files."""

from __future__ import annotations

import pytest

from dlpubuild.tflite import schema


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (0, "ADD"), (3, "CONV_2D"), (9, "FULLY_CONNECTED"), (32, "CUSTOM"), (67, "TRANSPOSE_CONV"), (98, "LEAKY_RELU"),
        (114, "QUANTIZE"), (127, "PLACEHOLDER_FOR_GREATER_OP_CODES"), (150, "GELU"), (162, "STABLEHLO_LOGISTIC"),
        (203, "DILATE"), (209, "STABLEHLO_CASE"),
    ],
)  # fmt: skip
def test_an_operator_code_has_the_name_of_the_schema(code: int, name: str) -> None:
    assert schema.name_of(schema.OPERATOR_NAMES, code) == name


def test_there_are_as_many_names_as_codes_in_tensorflow_2_19() -> None:
    assert len(schema.OPERATOR_NAMES) == len(set(schema.OPERATOR_NAMES)) == 210
    assert len(schema.TENSOR_TYPES) == 19


@pytest.mark.parametrize("code", [-1, 210])
def test_an_operator_of_a_newer_schema_is_named_after_its_code(code: int) -> None:
    assert schema.name_of(schema.OPERATOR_NAMES, code) == f"UNKNOWN_{code}"


def test_a_tensor_type_of_a_newer_schema_is_named_after_its_code() -> None:
    assert (schema.tensor_type(9), schema.tensor_type(99)) == ("int8", "unknown_99")


def test_retired_fields_keep_their_numbers() -> None:
    align_corners, half_pixel_centers = schema.OPTION_FIELDS[15]

    assert (align_corners.name, align_corners.number) == ("align_corners", 2)
    assert (half_pixel_centers.name, half_pixel_centers.number) == ("half_pixel_centers", 3)
