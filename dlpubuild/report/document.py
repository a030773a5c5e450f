"""The report of a build as one document: what was made for each SoC, by which steps, of what.

In: a `BuildFacts`, what a build left as values. Out: a dict of JSON values that `schemas/report.schema.json` describes;
the views beside this module show it. Pure: no clock, no file, nothing drawn. `content_key` names all of it but the
times, so that a build that had nothing to do can leave the report of the one before as it is.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from dlpubuild import __version__
from dlpubuild.report.document_target import target_json
from dlpubuild.report.provenance import provenance_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dlpubuild.cas.digest import Digest
    from dlpubuild.package.compiled import BuiltModel
    from dlpubuild.plan.model import Plan
    from dlpubuild.project.model import Project
    from dlpubuild.report.build import BuildResult
    from dlpubuild.report.provenance import InputFacts
    from dlpubuild.targets.model import Soc

SCHEMA_VERSION = 1
PENDING = "pending"
# What two builds of the same things may differ in: when and how long, by whom, and what was in the cache.
_TIMES = frozenset({"created", "seconds", "state", "executor", "command"})


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildFacts:
    """All that a report is made from.

    `socs` are those that are known, by name. `built` has, by target, what its steps left, where they succeeded.
    `tables` has, by the digest of a model's file, what `document_model.model_table` says of it; a target whose table is
    not there has no operators and figures. `executor` says what ran the steps, `created_s` when, in seconds since 1970;
    `epoch_s` is the time in packages.
    """

    result: BuildResult
    project: Project
    socs: Mapping[str, Soc]
    built: Mapping[str, BuiltModel]
    inputs: Sequence[InputFacts]
    executor: str
    created_s: int
    epoch_s: int
    tables: Mapping[Digest, Mapping[str, Any]] = field(default_factory=lambda: MappingProxyType({}))


def report_document(facts: BuildFacts) -> dict[str, Any]:
    """Return the report of a build, whatever of it succeeded."""
    result, project = facts.result, facts.project
    section = project.manifest.project
    planned = {each.target.name: each for each in result.plan.targets}
    return {
        "schema": SCHEMA_VERSION,
        "tool": {"name": "dlpubuild", "version": __version__},
        "created": utc_text(facts.created_s),
        "ok": not result.errors,
        "seconds": round(result.seconds, 3),
        "command": list(result.command),
        "executor": facts.executor,
        "project": {
            "name": section.name,
            "version": section.version,
            "vendor": section.vendor,
            "license": section.license,
            "manifest_sha256": project.manifest.sha256,
        },
        "targets": [
            target_json(
                target,
                soc=facts.socs.get(target.soc),
                planned=planned.get(target.soc),
                built=facts.built.get(target.soc),
                tables=facts.tables,
                has_verify=project.manifest.verify is not None,
            )
            for target in result.targets
        ],
        "plan": {"steps": _steps(result.plan, result)},
        "provenance": provenance_json(facts.inputs, project.toolchains.values(), epoch_s=facts.epoch_s),
    }


def utc_text(seconds: int) -> str:
    """Return a moment, in seconds since 1970, as ISO 8601 has it."""
    return datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def content_key(document: Mapping[str, Any]) -> str:
    """Return a sha256 (lower-case hex) over all of a report but times, and what the cache had to do with it."""
    text = json.dumps(_without_times(document), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def encode_report(document: Mapping[str, Any]) -> bytes:
    """Return a report as it is written: UTF-8; what UTF-8 cannot say becomes a question mark."""
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode("utf-8", "replace")


def _steps(plan: Plan, result: BuildResult) -> list[dict[str, Any]]:
    return [
        {
            "key": step.key,
            "name": step.name,
            "title": step.title,
            "toolchain": step.toolchain.name,
            "targets": list(step.targets),
            "needs": list(step.needs),
            "state": str(result.outcomes[step.key].state) if step.key in result.outcomes else PENDING,
            "seconds": round(result.outcomes[step.key].seconds, 3) if step.key in result.outcomes else 0.0,
        }
        for step in plan.steps
    ]


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_times(each) for name, each in value.items() if name not in _TIMES}
    return [_without_times(each) for each in value] if isinstance(value, list) else value
