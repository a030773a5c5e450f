"""What is wrong with a manifest by its schema, in words a person can act on.

In: a TOML document, the schema, and the places of the document's keys. Out: one `Problem` for each fault, all
of them, naming the exact key, what was found, what is allowed, and the nearest known name. Nothing is
raised and nothing is changed. This is the only module here that imports jsonschema.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dlpubuild.errors import ErrorCode, Problem
from dlpubuild.manifest.schema import key_homes, resolve_reference
from dlpubuild.manifest.tomlpath import join_path, path_of
from dlpubuild.manifest.wording import did_you_mean, in_a_row, nearest_name, nearest_value, quoted, value_message

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from dlpubuild.manifest.locate import SourceIndex

_CODES = {
    "const": ErrorCode.UNKNOWN_VALUE,
    "enum": ErrorCode.UNKNOWN_VALUE,
    "minProperties": ErrorCode.MISSING_KEY,
    "not": ErrorCode.CONFLICT,
    "uniqueItems": ErrorCode.DUPLICATE_NAME,
}
_NOUNS = {"target": "SoC", "toolchain": "toolchain"}
_KEY_CUTOFF = 0.6
_STRONG_CUTOFF = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finding:
    """What jsonschema says: `value` at `path` violates `keyword: limit` of the schema `part`.

    `conditional` tells that the rule stands in a `then`.
    """

    path: str
    keyword: str
    value: Any
    limit: Any
    part: dict[str, Any]
    conditional: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fault:
    """A problem, how directly the schema states it (0 is best), and for unknown keys which one was meant."""

    problem: Problem
    rank: int = 1
    meant: str = ""


def schema_problems(document: Mapping[str, Any], schema: dict[str, Any], places: SourceIndex) -> list[Problem]:
    """Return every fault of `document` against `schema`, at most one for each path.

    A wrong type hides what else is wrong with the value, and a key that is missing because it is misspelt is
    one fault, not two.

    Args:
        document: a TOML document as plain values.
        schema: what `schema.project_schema` returned.
        places: where the document's keys and values stand.
    """
    best: dict[str, _Fault] = {}
    for finding in _findings(document, schema):
        for fault in _faults(finding, schema, places):
            path = fault.problem.path
            if path not in best or fault.rank < best[path].rank:
                best[path] = fault
    meant = {fault.meant for fault in best.values()}
    return [
        fault.problem
        for path, fault in best.items()
        if not (fault.problem.code is ErrorCode.MISSING_KEY and path in meant)
    ]


def _findings(document: Mapping[str, Any], schema: dict[str, Any]) -> Iterator[_Finding]:
    for error in _validator(schema).iter_errors(document):
        yield _Finding(
            path=path_of(error.absolute_path),
            keyword=error.validator,
            value=error.instance,
            limit=error.validator_value,
            part=error.schema,
            conditional="then" in error.absolute_schema_path,
        )


def _validator(schema: dict[str, Any]) -> Any:
    """Return a validator for which 1.0 is not an integer, as TOML sees it and JSON Schema does not."""
    from jsonschema import Draft202012Validator, validators  # noqa: PLC0415 - takes 90 ms, needed seldom

    integers = Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    )
    strict = validators.extend(Draft202012Validator, type_checker=integers)  # type: ignore[no-untyped-call]
    return strict(schema)


def _faults(finding: _Finding, schema: dict[str, Any], places: SourceIndex) -> Iterable[_Fault]:
    match finding.keyword:
        case "additionalProperties":
            return _unknown_keys(finding, schema, places)
        case "required":
            return _missing_keys(finding, schema, places)
        case _:
            return (_bad_value(finding, places),)


def _unknown_keys(finding: _Finding, schema: dict[str, Any], places: SourceIndex) -> Iterator[_Fault]:
    known = finding.part["properties"]
    patterns = tuple(finding.part.get("patternProperties", ()))
    homes = key_homes(schema)
    for key in finding.value:
        if key in known or any(re.search(pattern, key) for pattern in patterns):
            continue
        path = join_path(finding.path, key)
        if patterns:
            message = f"unknown key; {finding.part['errorMessage']}"
            yield _Fault(
                problem=Problem(code=ErrorCode.UNKNOWN_KEY, location=places.key_at(path), path=path, message=message)
            )
            continue
        # A key of another table is more telling than one here that is only a bit alike.
        guess = nearest_name(key, known, cutoff=_STRONG_CUTOFF if key in homes else _KEY_CUTOFF)
        what, row = _NOUNS.get(finding.path, "key"), f"; known here are {in_a_row(known)}"
        if key in homes and not guess:
            row = f"; {quoted(key)} {homes[key]}"
        elif guess and finding.path != "target":
            row = ""
        yield _Fault(
            problem=Problem(
                code=ErrorCode.UNKNOWN_KEY,
                location=places.key_at(path),
                path=path,
                message=f"unknown {what}{row}{did_you_mean(guess)}",
            ),
            meant=join_path(finding.path, guess) if guess else "",
        )


def _missing_keys(finding: _Finding, schema: dict[str, Any], places: SourceIndex) -> Iterator[_Fault]:
    for key in finding.limit:
        if key in finding.value:
            continue
        why = finding.part["errorMessage"] if finding.conditional else _example(key, finding.part, schema)
        yield _Fault(
            problem=Problem(
                code=ErrorCode.MISSING_KEY,
                location=places.value_at(finding.path),
                path=join_path(finding.path, key),
                message=f"missing; {why}",
            ),
            rank=2 if finding.conditional else 1,
        )


def _example(key: str, part: dict[str, Any], schema: dict[str, Any]) -> str:
    wanted = resolve_reference(schema, part["properties"][key])
    if "minProperties" in wanted:
        return str(wanted["errorMessage"])
    if wanted["type"] == "object":
        return f"add the table [{key}]: {wanted['description']}"
    return f"for example {key} = {json.dumps(wanted['examples'][0], ensure_ascii=False)}"


def _bad_value(finding: _Finding, places: SourceIndex) -> _Fault:
    code = _CODES.get(finding.keyword, ErrorCode.MANIFEST_SCHEMA)
    rule = finding.part.get("errorMessage", "")
    return _Fault(
        problem=Problem(
            code=ErrorCode.CONFLICT if finding.conditional else code,
            location=places.value_at(finding.path),
            path=finding.path,
            message=value_message(finding.keyword, finding.value, finding.limit, rule),
            hint=_hint(finding),
        ),
        rank=0 if finding.keyword == "type" else 2 if finding.conditional else 1,
    )


def _hint(finding: _Finding) -> str:
    match finding.keyword, finding.limit, finding.value:
        # The brackets are the commonest slip in TOML.
        case "type", "array", dict():
            return f"write [[{finding.path}]], with double brackets, above each of them"
        case "type", "object", list():
            return f"write [{finding.path}], with single brackets"
        case "enum", known, str(word) if not nearest_value(word, known):
            return str(finding.part["description"]) if "examples" in finding.part else ""
        case _:
            return ""
