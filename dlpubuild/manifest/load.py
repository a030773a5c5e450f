"""From the path of a `dlpu.toml` to a `Manifest`: parse, validate, convert, complete.

In: a path. Out: a `Manifest`, or one `ManifestError` with all faults that can be seen without opening another
file. The only other thing looked at is which SoC folders lie in `[project] templates`. What the manifest
names is resolved and checked later, in `dlpubuild.project`.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Protocol

from dlpubuild.errors import ManifestError, Problem
from dlpubuild.manifest.convert import manifest_of
from dlpubuild.manifest.problems import schema_problems
from dlpubuild.manifest.rules import rule_problems
from dlpubuild.manifest.schema import project_schema, schema_bytes, validity_key
from dlpubuild.manifest.source import Source, parse_manifest, read_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from dlpubuild.manifest.model import Manifest


class KnownGood(Protocol):
    """Remembers which manifests satisfied the schema; a `set[str]` is one, a folder of empty files another.

    The members are 64 hex digits that stand for the manifest's bytes, the schema, the project's own SoCs and the
    version of the tool. Forgetting one costs 0.1 s.
    """

    def __contains__(self, key: object, /) -> bool:
        """Return whether the fact is known."""
        ...

    def add(self, key: str, /) -> None:
        """Remember the fact."""
        ...


def template_socs(folder: Path) -> Sequence[str]:
    """Return the names of the SoC folders in a project's template folder, sorted; none where it is missing."""
    try:
        return sorted(target.parent.name for target in folder.glob("*/target.toml"))
    except (OSError, ValueError):
        return ()  # dlpubuild.project reports a folder that cannot be read


def load_manifest(
    path: Path,
    *,
    socs_of: Callable[[Path], Sequence[str]] = template_socs,
    known_good: KnownGood | None = None,
) -> Manifest:
    """Return the manifest at `path`, checked, with the defaults filled in.

    Args:
        path: the `dlpu.toml`; locations show it as it is given here.
        socs_of: names the SoCs in the folder of `[project] templates`; for these the schema takes a general
            `[target.<soc>]` table.
        known_good: where it knows the manifest, the check against the schema is left out, which saves the import
            of jsonschema.

    Raises:
        ManifestError: carries every fault of the file, in file order.
    """
    return manifest_from_bytes(read_manifest(path), path=path, socs_of=socs_of, known_good=known_good)


def manifest_from_bytes(
    data: bytes,
    *,
    path: Path,
    socs_of: Callable[[Path], Sequence[str]] = template_socs,
    known_good: KnownGood | None = None,
) -> Manifest:
    """Return the manifest whose content is `data`, as `load_manifest` does for a file at `path`."""
    source = parse_manifest(data, str(path))
    socs = _socs(source.document, path.parent, socs_of)
    problems = _schema_faults(data, source, socs, known_good)
    reported = {problem.path for problem in problems}
    problems += [problem for problem in rule_problems(source.document, source.places) if problem.path not in reported]
    if problems:
        raise ManifestError(problems)
    return manifest_of(source, path=path, sha256=hashlib.sha256(data).hexdigest())


def _schema_faults(data: bytes, source: Source, socs: Sequence[str], known_good: KnownGood | None) -> list[Problem]:
    schema = schema_bytes()
    key = validity_key(data, schema, socs)
    if known_good is not None and key in known_good:
        return []
    problems = schema_problems(source.document, project_schema(schema, socs), source.places)
    if not problems and known_good is not None:
        known_good.add(key)
    return problems


def _socs(document: dict[str, Any], folder: Path, socs_of: Callable[[Path], Sequence[str]]) -> Sequence[str]:
    project = document.get("project")
    templates = project.get("templates") if isinstance(project, dict) else None
    return socs_of(folder / templates) if isinstance(templates, str) and templates else ()
