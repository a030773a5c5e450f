"""The JSON Schema of the manifest, as it stands for one project.

In: `schemas/dlpu.schema.json`, and the names of the SoCs that the project brings itself. Out: the schema as
a dictionary in which those SoCs are known, and the name under which a check against it may be remembered.
Nothing is validated here.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import dlpubuild
from dlpubuild import resources

if TYPE_CHECKING:
    from collections.abc import Sequence

_TEMPLATE_TARGET = {"$ref": "#/$defs/template-target"}


def schema_bytes() -> bytes:
    """Return the content of `schemas/dlpu.schema.json`."""
    return resources.schema_path("dlpu").read_bytes()


def project_schema(schema: bytes, socs: Sequence[str] = ()) -> dict[str, Any]:
    """Return `schema` with a general `[target.<soc>]` table for each of `socs`.

    An SoC of that name in the schema is replaced: the project's own `target.toml` then says what is allowed.
    """
    document: dict[str, Any] = json.loads(schema)
    document["properties"]["target"]["properties"].update(dict.fromkeys(socs, _TEMPLATE_TARGET))
    return document


def validity_key(manifest: bytes, schema: bytes, socs: Sequence[str]) -> str:
    """Return the name of the fact that `manifest` satisfies `schema` with `socs` added: 64 hex digits."""
    sha = hashlib.sha256()
    for part in (dlpubuild.__version__.encode(), schema, manifest, *(soc.encode() for soc in sorted(socs))):
        sha.update(len(part).to_bytes(8, "big"))
        sha.update(part)
    return sha.hexdigest()


def resolve_reference(schema: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """Return `part` of `schema` with what its `$ref` points to filled in; its own keywords win."""
    while "$ref" in part:
        name = part["$ref"].removeprefix("#/$defs/")
        own = {keyword: value for keyword, value in part.items() if keyword != "$ref"}
        part = schema["$defs"][name] | own
    return part


def key_homes(schema: dict[str, Any]) -> dict[str, str]:
    """Return for the name of each key where it belongs, as the end of a sentence that begins with the key.

    A name that several tables have is listed for the first of them.
    """
    homes: dict[str, str] = {}
    _add_homes(schema, schema, "", homes)
    return homes


def _add_homes(schema: dict[str, Any], table: dict[str, Any], header: str, homes: dict[str, str]) -> None:
    for name, reference in table["properties"].items():
        part = resolve_reference(schema, reference)
        path = f"{header}.{name}" if header else name
        items = part.get("items", {})
        if "properties" in part:
            homes.setdefault(name, f"is a table: [{path}]")
            _add_homes(schema, part, path, homes)
        elif "properties" in items:
            homes.setdefault(name, f"is an array of tables: [[{path}]]")
            _add_homes(schema, items, path, homes)
        elif header:
            homes.setdefault(name, f"is a key of [{header}]")
        else:
            homes.setdefault(name, "belongs at the top of the file, above the first [table]")
