"""`templates/<soc>/target.toml` read and checked: a folder of SoC folders becomes a mapping of `Soc` values.

A project may bring its own template folder; an SoC there adds to, or replaces, the one of the same name.
Nothing here renders a template or looks at a model.
"""

from __future__ import annotations

import tomllib
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from dlpubuild.errors import DlpuError, ErrorCode, Location, ManifestError, Problem
from dlpubuild.resources import schema_path
from dlpubuild.targets.model import GateRules, Soc

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

STEPS_TEMPLATE = "steps.toml.j2"
TARGET_FILE = "target.toml"


def soc_names(folder: Path) -> tuple[str, ...]:
    """Return the names of the SoC folders below `folder`, sorted; a folder counts if it has a `target.toml`."""
    if not folder.is_dir():
        return ()
    return tuple(sorted(p.name for p in folder.iterdir() if (p / TARGET_FILE).is_file()))


def load_socs(folders: Sequence[Path], *, trusted: Path) -> Mapping[str, Soc]:
    """Return every SoC of `folders` by name; a later folder overrides an earlier one.

    Files below `trusted` (the tool's own templates, checked by its tests) are not validated again on each start.

    Raises:
        ManifestError: a `target.toml` that is not what `schemas/target.schema.json` asks for.
    """
    socs: dict[str, Soc] = {}
    for position, folder in enumerate(folders):
        search_path = tuple(reversed(folders[: position + 1]))
        for name in soc_names(folder):
            document = read_checked_toml(
                folder / name / TARGET_FILE, None if folder == trusted else "target", code=ErrorCode.TEMPLATE
            )
            socs[name] = _soc(name, folder / name, document, search_path)
    return MappingProxyType(dict(sorted(socs.items())))


def read_checked_toml(path: Path, schema: str | None, *, code: ErrorCode) -> dict[str, Any]:
    """Return the TOML document at `path`, validated against `schemas/<schema>.schema.json` where one is named.

    Raises:
        ManifestError: unreadable, not UTF-8, not TOML, or not what the schema asks for; every fault is listed.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ManifestError([_problem(code, path, "", str(error))]) from error
    if schema is not None:
        check_document(document, schema, place=path, code=code)
    return document


def check_document(document: object, schema: str, *, place: Path, code: ErrorCode) -> None:
    """Validate a parsed document against `schemas/<schema>.schema.json`.

    Raises:
        ManifestError: every fault, each with the path of the key.
    """
    import json  # noqa: PLC0415 - only needed together with jsonschema, which is slow to import

    from jsonschema import Draft202012Validator  # noqa: PLC0415

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
        raise DlpuError(
            ErrorCode.TEMPLATE,
            f'soc = "{document["soc"]}", but the folder is called "{name}"',
            location=Location(str(folder / TARGET_FILE)),
            hint="give both the same name",
        )
    defaults, allowed, gate = document["defaults"], document["allowed"], document["gate"]
    io = defaults["io"]
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
    )
