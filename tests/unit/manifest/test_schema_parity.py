"""The dataclasses and the schema say the same, key by key, in both directions."""

from __future__ import annotations

import dataclasses
import tomllib
import types
import typing
from dataclasses import MISSING
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import jsonschema
import pytest

from dlpubuild import resources
from dlpubuild.errors import Location
from dlpubuild.manifest import model
from dlpubuild.manifest.schema import project_schema, resolve_reference, schema_bytes
from dlpubuild.manifest.wording import value_message

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SCHEMA = project_schema(schema_bytes())
SOCS = SCHEMA["properties"]["target"]["properties"]
TOOLCHAINS = SCHEMA["properties"]["toolchain"]["properties"]
HINTS_NAMESPACE = {"Path": Path, "Location": Location, "Mapping": dict}

TABLES = {"targets": "target", "toolchains": "toolchain", "rules": "rules"}
NAMES = {"inputs": "input", "outputs": "output", **TABLES}
NOT_IN_THE_FILE = {
    model.Manifest: {"path", "sha256", "locations"},
    model.TargetSection: {"soc"},
    model.ToolchainSection: {"name"},
    model.LintRuleSection: {"id"},
}


def property_of(table: dict[str, Any], key: str) -> dict[str, Any]:
    return resolve_reference(SCHEMA, table["properties"][key])


def every_property(table: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for key in table.get("properties", {}):
        part = property_of(table, key)
        yield f"{path}{key}", part
        yield from every_property(part, f"{path}{key}.")
        yield from every_property(part.get("items", {}), f"{path}{key}[].")


PROPERTIES = [*every_property(SCHEMA), *every_property({"properties": SCHEMA["$defs"]}, "$defs.")]
SECTIONS = {
    "": (model.Manifest, SCHEMA),
    "project": (model.ProjectSection, property_of(SCHEMA, "project")),
    "model": (model.ModelSection, property_of(SCHEMA, "model")),
    "model.input": (model.ModelInput, property_of(property_of(SCHEMA, "model"), "input")["items"]),
    "model.output": (model.ModelOutput, property_of(property_of(SCHEMA, "model"), "output")["items"]),
    "calibration": (model.CalibrationSection, property_of(SCHEMA, "calibration")),
    "verify": (model.VerifySection, property_of(SCHEMA, "verify")),
    "verify.boxes": (model.BoxesSection, property_of(property_of(SCHEMA, "verify"), "boxes")),
    "target.<template>": (model.TargetSection, SCHEMA["$defs"]["template-target"]),
    "toolchain.<name>": (model.ToolchainSection, SCHEMA["$defs"]["toolchain"]),
    "limits": (model.LimitsSection, property_of(SCHEMA, "limits")),
    "lint": (model.LintSection, property_of(SCHEMA, "lint")),
    "lint.rules.<rule>": (model.LintRuleSection, SCHEMA["$defs"]["lint-rule"]),
    "package": (model.PackageSection, property_of(SCHEMA, "package")),
    "package.acap": (model.AcapSection, property_of(property_of(SCHEMA, "package"), "acap")),
    "package.acap.sdk-image": (
        model.SdkImages,
        property_of(property_of(property_of(SCHEMA, "package"), "acap"), "sdk-image"),
    ),
}


def types_of(section: type) -> dict[str, Any]:
    return typing.get_type_hints(section, globalns={**vars(model), **HINTS_NAMESPACE})


def file_fields(section: type) -> dict[str, dataclasses.Field[Any]]:
    """Return the fields that stand in the file, by the name they have there."""
    return {
        NAMES.get(field.name, field.name.replace("_", "-")): field
        for field in dataclasses.fields(section)
        if field.name not in NOT_IN_THE_FILE.get(section, set())
    }


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", SECTIONS)
def test_dataclass_and_schema_have_the_same_keys(name: str) -> None:
    section, table = SECTIONS[name]
    assert sorted(file_fields(section)) == sorted(table["properties"])


@pytest.mark.parametrize("name", SECTIONS)
def test_what_the_schema_requires_has_no_default_and_the_other_way_round(name: str) -> None:
    section, table = SECTIONS[name]
    without_default = {
        key
        for key, field in file_fields(section).items()
        if field.default is MISSING and field.default_factory is MISSING
    }
    assert without_default == set(table.get("required", ()))


@pytest.mark.parametrize("name", SECTIONS)
def test_defaults_are_the_same(name: str) -> None:
    section, table = SECTIONS[name]
    for key, field in file_fields(section).items():
        part = property_of(table, key)
        if field.default is not MISSING and field.default is not None:
            default = list(field.default) if isinstance(field.default, tuple) else field.default
            assert part["default"] == ({} if field.name in TABLES else default), key
        elif field.default_factory is not MISSING:
            assert part["default"] == {}, key
        else:
            assert "default" not in part, key


@pytest.mark.parametrize("name", SECTIONS)
def test_types_are_the_same(name: str) -> None:
    section, table = SECTIONS[name]
    for key, field in file_fields(section).items():
        if field.name not in TABLES:
            assert type_matches(types_of(section)[field.name], property_of(table, key)), key


def type_matches(hint: Any, part: Mapping[str, Any]) -> bool:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in {typing.Union, types.UnionType}:
        (hint,) = (argument for argument in arguments if argument is not type(None))
        return type_matches(hint, part)
    if origin is tuple:
        return part["type"] == "array" and type_matches(arguments[0], resolve_reference(SCHEMA, part["items"]))
    if origin is Literal:
        return bool(part["type"] == "string" and set(part["enum"]) == set(arguments))
    if dataclasses.is_dataclass(hint):
        return bool(part["type"] == "object")
    names = {str: "string", int: "integer", float: "number", bool: "boolean"}
    return bool(part["type"] == names[hint] and "enum" not in part)


@pytest.mark.parametrize("soc", SOCS)
def test_each_soc_allows_some_of_what_the_dataclass_can_hold(soc: str) -> None:
    table = resolve_reference(SCHEMA, SOCS[soc])
    general = SCHEMA["$defs"]["template-target"]
    for key in [name for name in table["properties"] if "enum" in property_of(table, name)]:
        allowed = set(property_of(table, key)["enum"])
        assert allowed <= set(property_of(general, key).get("enum", allowed)), key


@pytest.mark.parametrize("key", ["quantization", "io", "activations"])
def test_every_value_of_a_target_is_allowed_somewhere(key: str) -> None:
    tables = [resolve_reference(SCHEMA, soc) for soc in SOCS.values()]
    allowed = {value for table in tables if key in table["properties"] for value in property_of(table, key)["enum"]}
    assert allowed == set(property_of(SCHEMA["$defs"]["template-target"], key)["enum"])


@pytest.mark.parametrize("soc", SOCS)
def test_each_soc_takes_what_its_target_file_allows(soc: str) -> None:
    table = resolve_reference(SCHEMA, SOCS[soc])
    target = tomllib.loads((resources.templates_dir() / soc / "target.toml").read_text(encoding="utf-8"))
    for key in set(table["properties"]) & {"quantization", "io", "toolchain"}:
        part = property_of(table, key)
        assert set(target["allowed"][key]) <= set(part["enum"]), key
        if "default" in part:
            assert target["defaults"][key] == part["default"], key
    for key in set(table["properties"]) & {"quantization", "io"}:
        assert set(target["allowed"][key]) == set(property_of(table, key)["enum"]), key


@pytest.mark.parametrize(("path", "part"), PROPERTIES, ids=[path for path, _ in PROPERTIES])
def test_every_property_is_described_closed_and_shown(path: str, part: dict[str, Any]) -> None:
    assert part["description"].endswith("."), "a sentence that could stand in the manual"
    if part["type"] == "object":
        assert part["additionalProperties"] is False
    if not path.startswith("$defs.") or "." in path.removeprefix("$defs."):
        assert part["examples"]
    if "pattern" in part or "const" in part or "minProperties" in part:
        assert part["errorMessage"], "people do not read regular expressions"
    validator = jsonschema.Draft202012Validator({**part, "$defs": SCHEMA["$defs"]})
    for example in [*part.get("examples", ()), *([part["default"]] if "default" in part else ())]:
        validator.validate(example)


def keywords_of(part: Any) -> Iterator[str]:
    """Yield each keyword that can be violated; conditions (`if`) are left out, as they only decide."""
    for keyword, value in part.items():
        yield keyword
        if keyword in {"properties", "patternProperties", "$defs"}:
            for inner in value.values():
                yield from keywords_of(inner)
        elif keyword in {"items", "then"}:
            yield from keywords_of(value)
        elif keyword == "prefixItems":
            for inner in value:
                yield from keywords_of(inner)


def test_there_are_words_for_every_keyword_that_the_schema_uses() -> None:
    annotations = {"$schema", "$id", "$ref", "$defs", "title", "description", "default", "examples", "errorMessage"}
    structure = {"properties", "patternProperties", "items", "prefixItems", "if", "then", "additionalProperties"}
    structure.add("required")
    limits = {"type": "string", "enum": ["a"], "uniqueItems": True}
    for keyword in sorted(set(keywords_of(SCHEMA)) - annotations - structure):
        assert value_message(keyword, ["a", "a"], limits.get(keyword, 1), "rule")


def test_no_error_can_be_hidden_in_a_choice() -> None:
    assert not {"oneOf", "anyOf", "allOf", "else", "contains"} & set(keywords_of(SCHEMA))
