"""`templates/<soc>/target.toml` read and checked: a folder of SoC folders becomes a mapping of `Soc` values.

In: template folders, the tool's and then the project's own. Out: SoCs; one of the project's own folder adds to, or
replaces, the one of the same name. Nothing here renders a template or looks at a model.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from dlpubuild.errors import ErrorCode, Location, ManifestError, Problem, TemplateError
from dlpubuild.resources import schema_path
from dlpubuild.targets.lint.load import lint_table
from dlpubuild.targets.model import GateRules, Soc

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from dlpubuild.manifest.load import KnownGood

STEPS_TEMPLATE = "steps.toml.j2"
TARGET_FILE = "target.toml"
# What a manifest may ask of a toolchain that quantizes itself.
_OPTIONS = ("activations", "coefficients", "input-format", "parser")


def soc_names(folder: Path) -> tuple[str, ...]:
    """Return the names of the SoC folders below `folder`, sorted; a folder counts if it has a `target.toml`.

    A folder that is not there has none.

    Raises:
        TemplateError: it cannot be listed.
    """
    try:
        return tuple(sorted(p.name for p in folder.iterdir() if (p / TARGET_FILE).is_file()))
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise TemplateError(
            ErrorCode.TEMPLATE, f"cannot be read: {error.strerror}", location=Location(str(folder))
        ) from error


def load_socs(
    folders: Sequence[Path],
    *,
    trusted: Path,
    known_good: KnownGood | None = None,
    parse: Callable[[str], dict[str, Any]] = tomllib.loads,
) -> Mapping[str, Soc]:
    """Return every SoC of `folders` by name; a later folder overrides an earlier one.

    Files below `trusted` (the tool's own templates, checked by its tests) are not validated again on each start, nor
    are those that `known_good` knows. `parse` reads TOML; one that remembers spares every start the parsing.

    Raises:
        ManifestError: a `target.toml` that is not what `schemas/target.schema.json` asks for.
        TemplateError: one that contradicts itself, or the name of its folder.
    """
    socs: dict[str, Soc] = {}
    for position, folder in enumerate(folders):
        search_path = tuple(reversed(folders[: position + 1]))
        for name in soc_names(folder):
            document = read_checked_toml(
                folder / name / TARGET_FILE,
                None if folder == trusted else "target",
                code=ErrorCode.TEMPLATE,
                known_good=known_good,
                parse=parse,
            )
            socs[name] = _soc(name, folder / name, document, search_path)
    return MappingProxyType(dict(sorted(socs.items())))


def read_checked_toml(
    path: Path,
    schema: str | None,
    *,
    code: ErrorCode,
    known_good: KnownGood | None = None,
    parse: Callable[[str], dict[str, Any]] = tomllib.loads,
) -> dict[str, Any]:
    """Return the TOML document at `path`, validated against `schemas/<schema>.schema.json` where one is named.

    Raises:
        ManifestError: unreadable, not UTF-8, not TOML, or not what the schema asks for; every fault is listed.
    """
    try:
        document = parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ManifestError([_problem(code, path, "", str(error))]) from error
    if schema is None:
        return document
    key = _validity_key(document, schema)
    if known_good is None or key not in known_good:
        check_document(document, schema, place=path, code=code)
        if known_good is not None:
            known_good.add(key)
    return document


def _validity_key(document: object, schema: str) -> str:
    """Stands for a document together with the schema that it is held against."""
    sha = hashlib.sha256(schema_path(schema).read_bytes())
    sha.update(json.dumps(document, sort_keys=True, default=str).encode())
    return sha.hexdigest()


def check_document(document: object, schema: str, *, place: Path, code: ErrorCode) -> None:
    """Validate a parsed document against `schemas/<schema>.schema.json`.

    Raises:
        ManifestError: every fault, each with the path of the key.
    """
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - slow to import

    validator = Draft202012Validator(json.loads(schema_path(schema).read_text(encoding="utf-8")))
    problems = [
        _problem(code, place, ".".join(str(part) for part in error.absolute_path), error.message)
        for error in validator.iter_errors(document)
    ]
    if problems:
        raise ManifestError(problems)


def _problem(code: ErrorCode, path: Path, key: str, message: str) -> Problem:
    return Problem(code=code, location=Location(str(path)), path=key, message=message)


def _soc(name: str, folder: Path, document: Mapping[str, Any], search_path: tuple[Path, ...]) -> Soc:
    if document["soc"] != name:
        message = f'soc = "{document["soc"]}", but the folder is called "{name}"'
        raise _contradiction(folder, message, "give both the same name")
    defaults, allowed, gate = document["defaults"], document["allowed"], document["gate"]
    for key in ("quantization", "toolchain"):
        if defaults[key] not in allowed[key]:
            raise _contradiction(folder, f'defaults.{key} = "{defaults[key]}" is not in allowed.{key}')
    io = defaults["io"]
    for value in io.values() if isinstance(io, dict) else (io,):
        if value not in allowed["io"]:
            raise _contradiction(folder, f'defaults.io has "{value}", which is not in allowed.io')
    not_yet = document.get("not-yet", "")
    if not not_yet and not (folder / STEPS_TEMPLATE).is_file():
        not_yet = f"the file {STEPS_TEMPLATE}"
    return Soc(
        name=name,
        title=document["title"],
        larod_device=document["larod-device"],
        architecture=document["architecture"],
        deep_learning_processor=document["deep-learning-processor"],
        model_file=document["model-file"],
        not_yet=not_yet,
        default_quantization=defaults["quantization"],
        default_io=MappingProxyType(dict(io) if isinstance(io, dict) else {"": io}),
        default_toolchain=defaults["toolchain"],
        allowed_quantization=tuple(allowed["quantization"]),
        allowed_io=tuple(allowed["io"]),
        allowed_toolchain=tuple(allowed["toolchain"]),
        gate=GateRules(integer_only=gate["integer-only"], static_shapes=gate["static-shapes"], batch=gate.get("batch")),
        folder=folder,
        search_path=search_path,
        needs_calibration=document.get("needs-calibration", False),
        allowed_options=MappingProxyType({key: tuple(allowed[key]) for key in _OPTIONS if key in allowed}),
        input_layout=document.get("input", {}).get("layout", "NHWC"),
        input_is_inferred=document.get("input", {}).get("inferred", False),
        lint=None
        if "lint" not in document
        else lint_table(name, folder / TARGET_FILE, document["lint"], integer_only=gate["integer-only"]),
    )


def _contradiction(folder: Path, message: str, hint: str = "") -> TemplateError:
    return TemplateError(ErrorCode.TEMPLATE, message, location=Location(str(folder / TARGET_FILE)), hint=hint)
