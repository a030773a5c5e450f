from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from dlpubuild.package.model_json import model_json
from dlpubuild.resources import schema_path
from tests.unit.package.specs import ARTPEC7, COMPILED, CPU, DESCRIPTION, IMAGE, PROBABILITIES, placeless_spec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dlpubuild.package.spec import BundleSpec

SCHEMA = json.loads(schema_path("model").read_text("utf-8"))

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
    license=None,
    preprocessing=(),
)
SEVERAL = placeless_spec(
    replace(
        DESCRIPTION,
        inputs=(replace(IMAGE, name="left"), replace(IMAGE, name="mood", shape=(1, 4), dtype="int8")),
        outputs=(PROBABILITIES, replace(PROBABILITIES, name="boxes", shape=(1, 10, 4), zero_point=3)),
    ),
    preprocessing=(),
    vendor="Åkerlund & Söner 株式会社",
    accuracy={"top1": 0.97},
)

EDGE_TPU = placeless_spec(soc=ARTPEC7, compiled=COMPILED)
OWN_COMPILER = placeless_spec(
    compiled=replace(
        COMPILED,
        compiler=replace(COMPILED.compiler, archive_sha256=None),
        mapping=replace(COMPILED.mapping, subgraphs=None, on_chip_used=None, off_chip_streamed=None),
    )
)


def load(spec: BundleSpec) -> Any:
    return json.loads(model_json(spec))


@pytest.mark.parametrize("spec", [placeless_spec(), FLOAT_CPU, SEVERAL, EDGE_TPU, OWN_COMPILER])
def test_model_json_is_what_its_schema_says(spec: BundleSpec) -> None:
    Draft202012Validator(SCHEMA).validate(load(spec))


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def walk_properties(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if not isinstance(schema, dict):
        return
    for name, value in schema.get("properties", {}).items():
        yield f"{path}.{name}", value
        yield from walk_properties(value, f"{path}.{name}")
    yield from walk_properties(schema.get("items"), f"{path}[]")


def test_every_key_of_the_schema_is_described_and_required() -> None:
    properties = dict(walk_properties(SCHEMA))
    assert len(properties) > 50
    assert [path for path, schema in properties.items() if not schema.get("description")] == []
    for schema in (SCHEMA, *properties.values()):
        if "properties" in schema:
            assert schema["required"] == list(schema["properties"])
            assert schema["additionalProperties"] is False


def test_the_examples_of_the_schema_hold() -> None:
    for path, schema in walk_properties(SCHEMA):
        for value in schema.get("examples", ()):
            errors = list(Draft202012Validator({**schema, "$defs": SCHEMA["$defs"]}).iter_errors(value))
            assert errors == [], path


def test_an_unknown_key_is_no_model_json() -> None:
    document = load(placeless_spec())
    document["built-at"] = "today"
    assert not Draft202012Validator(SCHEMA).is_valid(document)


def test_the_text_is_sorted_indented_and_ended_by_a_newline() -> None:
    text = model_json(SEVERAL).decode()
    document = json.loads(text)
    assert text == json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    assert "Åkerlund & Söner 株式会社" in text


def test_scales_are_the_shortest_decimals_of_the_stored_float32() -> None:
    stored = replace(IMAGE, scale=0.003921568859368563)
    text = model_json(placeless_spec(replace(DESCRIPTION, inputs=(stored,)))).decode()
    assert '"scale": 0.003921569,' in text


def test_an_image_input_says_how_pixels_are_fed() -> None:
    preprocessing = load(placeless_spec())["inputs"][0]["preprocessing"]
    assert preprocessing["image"] == {
        "height": 32,
        "width": 24,
        "channels": 3,
        "layout": "NHWC",
        "color": "rgb",
        "resize": "stretch",
    }
    assert preprocessing["std"] == [255.0, 255.0, 255.0]
    assert (preprocessing["pixel-identity"], preprocessing["pixel-shift"]) == (True, 0)


def test_values_that_are_no_image_are_still_described() -> None:
    vector = replace(IMAGE, shape=(1, 3))
    preprocessing = load(placeless_spec(replace(DESCRIPTION, inputs=(vector,))))["inputs"][0]["preprocessing"]
    assert preprocessing["image"] is None
    assert preprocessing["mean"] == [0.0, 0.0, 0.0]


def test_a_compiled_model_says_what_from_by_what_and_what_runs_where() -> None:
    document = load(EDGE_TPU)
    assert document["model"]["uncompiled"] == {
        "file": "model/model_uncompiled.tflite",
        "sha256": COMPILED.source_digest.hash,
        "size-bytes": 6,
    }
    assert document["compiler"] == {
        "name": "edgetpu-compiler",
        "version": "16.0.384591198",
        "archive-sha256": "ab" * 32,
    }
    operators = document["mapping"].pop("operators")
    assert document["mapping"] == {
        "total": 4,
        "mapped": 3,
        "subgraphs": 1,
        "on-chip-used": 70_000,
        "on-chip-remaining": None,
        "off-chip-streamed": 0,
    }
    assert operators[1] == {"name": "SOFTMAX", "count": 1, "mapped": False, "status": "Operation not supported"}


def test_where_the_model_lies_does_not_enter(tmp_path: Path) -> None:
    there = placeless_spec(model_path=tmp_path / "elsewhere")
    assert model_json(there) == model_json(placeless_spec())
    assert str(tmp_path).encode() not in model_json(there)


def test_what_is_not_known_is_null() -> None:
    document = load(FLOAT_CPU)
    assert document["vendor"] is None
    assert document["license"] is None
    assert document["labels"] is None
    assert document["accuracy"] is None
    assert document["model"]["min-runtime"] is None
    assert (document["model"]["uncompiled"], document["compiler"], document["mapping"]) == (None, None, None)
    assert document["inputs"][0]["quantization"] is None
    assert document["inputs"][0]["preprocessing"] is None
