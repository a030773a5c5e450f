"""A project becomes a plan.

In: a `Project`. Out: a `Plan`. Each target's template is rendered, its references are followed, and steps that come out
equal for several targets are merged. Guarantees: the order is topological, it depends on the project alone, and equal
work has equal keys on every machine. Nothing is run, and no file but the templates is read.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from dlpubuild.errors import ErrorCode, Location, TemplateError
from dlpubuild.plan.context import template_context
from dlpubuild.plan.model import (
    Binary,
    Compiled,
    FilesInput,
    OutputInput,
    OutputOf,
    Plan,
    PlannedTarget,
    ProjectModel,
    Step,
)
from dlpubuild.plan.render import render_steps
from dlpubuild.resources import steps_dir, templates_dir
from dlpubuild.targets.load import STEPS_TEMPLATE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from dlpubuild.project.model import Project
    from dlpubuild.targets.model import Soc, Target
    from dlpubuild.toolchains.pins import ToolchainPin

# Reads and writes for all scripts; it travels beside them.
_SUPPORT_SCRIPT = "stepio.py"
# The engine adds it to the outputs of every step.
_RECORD = "out/step.json"
# What a step that is named under [verified] leaves.
_MEASURED = "out/verify.json"
# How a template names the project's model.
_MODEL = "@model"


def render_checked(soc: Soc, context: Mapping[str, Any]) -> dict[str, Any]:
    """Render the steps of `soc`; those of a project's own template folder are validated."""
    return render_steps(soc, context, validate=soc.folder.parent != templates_dir())


def plan_build(
    project: Project, *, render: Callable[[Soc, Mapping[str, Any]], dict[str, Any]] = render_checked
) -> Plan:
    """Return the plan for every target of `project`.

    Raises:
        TemplateError: a template cannot be rendered, or refers to a step, script or toolchain that is not there.
        ManifestError: what a template renders to is not what the steps schema asks for.
    """
    steps: dict[str, Step] = {}
    planned = []
    for target in project.targets:
        document = render(target.soc, template_context(project, target))
        own = _target_steps(project, target, document)
        for step in own.values():
            known = steps.get(step.key)
            steps[step.key] = step if known is None else replace(known, targets=(*known.targets, target.name))
        ((file, reference),) = document["result"].items()
        if file != target.soc.model_file:
            raise _template_error(target, f'the result is "{file}", but target.toml says "{target.soc.model_file}"')
        result, compiled = _made(project, reference, own, target), _compiled(project, document, own, target)
        binary = _binary(project, document, own, target)
        planned.append(
            PlannedTarget(
                target=target,
                result=result,
                compiled=compiled,
                binary=binary,
                toolchain=_converter(document, own, target)
                if binary is not None
                else _toolchain_of(result if compiled is None else compiled.source, own),
                checked=_checked(document, own, target),
                verified=_verified(document, own, target),
                steps=tuple(dict.fromkeys(step.key for step in own.values())),
            )
        )
    return Plan(steps=_named(tuple(steps.values())), targets=tuple(planned))


def _compiled(
    project: Project, document: Mapping[str, Any], own: Mapping[str, Step], target: Target
) -> Compiled | None:
    """Return what the result was compiled from, and by which step, where it is the output of a compiler."""
    table = document.get("compiled")
    if table is None:
        return None
    if table["by"] not in own:
        raise _template_error(target, f'the result is compiled by step "{table["by"]}", which is not there')
    step = own[table["by"]]
    return Compiled(source=_made(project, table["from"], own, target), step=step.key, toolchain=step.toolchain)


def _binary(project: Project, document: Mapping[str, Any], own: Mapping[str, Step], target: Target) -> Binary | None:
    """Return which step made a result that only the camera can read."""
    table = document.get("binary")
    if table is None:
        return None
    if table["by"] not in own:
        raise _template_error(target, f'the result is made by step "{table["by"]}", which is not there')
    step = own[table["by"]]
    return Binary(source=_made(project, table["from"], own, target), step=step.key, toolchain=step.toolchain)


def _converter(document: Mapping[str, Any], own: Mapping[str, Step], target: Target) -> ToolchainPin | None:
    """Return the toolchain of the step that made what was compiled to a binary; of the compiler, where none did."""
    reference = document["binary"]["from"]
    if reference == _MODEL:
        return own[document["binary"]["by"]].toolchain
    return _toolchain_of(_output_of(reference, own, target), own)


def _checked(document: Mapping[str, Any], own: Mapping[str, Step], target: Target) -> str | None:
    """Return the key of the step that measured the integer model, where the template names one."""
    table = document.get("checked")
    if table is None:
        return None
    if table["by"] not in own:
        raise _template_error(target, f'the model is measured by step "{table["by"]}", which is not there')
    return own[table["by"]].key


def _verified(document: Mapping[str, Any], own: Mapping[str, Step], target: Target) -> OutputOf | None:
    """Return what was measured on the validation data, where the template names the step that does."""
    table = document.get("verified")
    return None if table is None else _output_of(f"{table['by']}:{_MEASURED}", own, target)


def _made(project: Project, reference: str, own: Mapping[str, Step], target: Target) -> OutputOf | ProjectModel:
    """Return what a package is made from: an output of a step, or for `@model` the project's model, one file."""
    if reference != _MODEL:
        return _output_of(reference, own, target)
    if len(project.model.files) != 1:
        raise _template_error(target, f"{_MODEL} can only be packaged where the model is one file")
    return ProjectModel(file=project.model.files[0])


def _toolchain_of(made: OutputOf | ProjectModel, own: Mapping[str, Step]) -> ToolchainPin | None:
    if isinstance(made, ProjectModel):
        return None
    return next(step.toolchain for step in own.values() if step.key == made.step)


def _target_steps(project: Project, target: Target, document: Mapping[str, Any]) -> dict[str, Step]:
    """Return the steps of one target by id, in an order in which each follows what it needs."""
    listed = document.get("step", [])
    tables = {table["id"]: table for table in listed}
    if len(tables) < len(listed):
        raise _template_error(target, "two steps have the same id")
    done: dict[str, Step] = {}
    pending = dict(tables)
    while pending:
        ready = [name for name, table in pending.items() if all(n in done for n in _needed(table, tables, target))]
        if not ready:
            raise _template_error(target, f"steps need one another in a circle: {', '.join(pending)}")
        for name in ready:
            done[name] = _step(project, target, pending.pop(name), done)
    return done


def _needed(table: Mapping[str, Any], tables: Mapping[str, Any], target: Target) -> list[str]:
    needed = [ref.partition(":")[0] for ref in table["inputs"].values() if not ref.startswith("@")]
    for name in needed:
        if name not in tables:
            raise _template_error(target, f'step "{table["id"]}" needs step "{name}", which is not there')
    return needed


def _step(project: Project, target: Target, table: Mapping[str, Any], done: Mapping[str, Step]) -> Step:
    pin = project.toolchains.get(table["toolchain"])
    if pin is None:
        raise _template_error(
            target, f'step "{table["id"]}" wants toolchain "{table["toolchain"]}", which this target does not have'
        )
    inputs = tuple(
        _step_input(project, target, at, reference, done) for at, reference in sorted(table["inputs"].items())
    )
    _check_outputs(target, table)
    scripts = [_script(target, name) for name in (table["script"], *table.get("modules", ()))]
    content = _Content(
        table=table,
        inputs=inputs,
        scripts=[f"{origin}{script.name}" for script, origin in scripts],
        lock=pin.content_name,
    )
    try:
        key = content.key()
    except (TypeError, ValueError) as error:
        raise _template_error(target, f'the params of step "{table["id"]}" are not JSON: {error}') from error
    return Step(
        key=key,
        id=table["id"],
        name=table["id"],
        title=table["title"],
        scripts=(*(script for script, _ in scripts), steps_dir() / _SUPPORT_SCRIPT),
        params=MappingProxyType(table["params"]),
        toolchain=pin,
        inputs=inputs,
        outputs=tuple(sorted(table["outputs"])),
        timeout_s=table["timeout"],
        targets=(target.name,),
        hands_over=table.get("hand-over", False),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Content:
    """All that makes a step what it is; `scripts` says which ones without where they lie on this machine."""

    table: Mapping[str, Any]
    inputs: tuple[FilesInput | OutputInput, ...]
    scripts: Sequence[str]
    lock: str

    def key(self) -> str:
        described = {
            "id": self.table["id"],
            "inputs": [_describe(each) for each in self.inputs],
            "lock": self.lock,
            "outputs": sorted(self.table["outputs"]),
            "params": self.table["params"],
            "script": self.scripts[0],
            "timeout": self.table["timeout"],
            "toolchain": self.table["toolchain"],
        } | ({"modules": list(self.scripts[1:])} if self.scripts[1:] else {})
        text = json.dumps(described, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _describe(each: FilesInput | OutputInput) -> list[Any]:
    if isinstance(each, OutputInput):
        return [each.at, each.output.step, each.output.path]
    return [each.at, [[file.staged, file.digest.hash, file.is_executable] for file in each.files]]


def _step_input(
    project: Project, target: Target, at: str, reference: str, done: Mapping[str, Step]
) -> FilesInput | OutputInput:
    if reference == _MODEL:
        return FilesInput(at=at, files=project.model.files)
    if reference == "@calibration":
        if project.calibration is None:
            raise _template_error(target, "a step needs @calibration, but the manifest has no [calibration]")
        return FilesInput(at=at, files=project.calibration.files)
    if reference == "@verification":
        if project.verification is None:
            raise _template_error(target, "a step needs @verification, but the manifest has no [verify]")
        return FilesInput(at=at, files=project.verification.samples.files)
    return OutputInput(at=at, output=_output_of(reference, done, target))


def _output_of(reference: str, steps: Mapping[str, Step], target: Target) -> OutputOf:
    name, _, path = reference.partition(":")
    if name not in steps or path not in steps[name].outputs:
        raise _template_error(target, f'"{reference}" is not an output of any step')
    return OutputOf(step=steps[name].key, path=path)


def _script(target: Target, name: str) -> tuple[Path, str]:
    """Return a script and whose it is: of the project's own template folder, `<soc>/`, else the tool's, nothing."""
    own, shared = target.soc.folder / name, steps_dir() / name
    if name != _SUPPORT_SCRIPT:
        if own.is_file():
            return own, f"{target.name}/"
        if shared.is_file():
            return shared, ""
    raise _template_error(target, f'there is no script "{name}"')


def _check_outputs(target: Target, table: Mapping[str, Any]) -> None:
    outputs = [*table["outputs"], _RECORD]
    for path in outputs:
        if outputs.count(path) > 1 or any(other.startswith(f"{path}/") for other in outputs):
            raise _template_error(
                target,
                f'step "{table["id"]}" has the output "{path}" twice, or another below it; {_RECORD} is always one',
            )


def _named(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Give each step a name of its own: its id, with the targets it serves where several steps share the id."""
    counts: dict[str, int] = {}
    for step in steps:
        counts[step.id] = counts.get(step.id, 0) + 1
    return tuple(
        step if counts[step.id] == 1 else replace(step, name=f"{step.id}:{'+'.join(step.targets)}") for step in steps
    )


def _template_error(target: Target, message: str) -> TemplateError:
    return TemplateError(ErrorCode.TEMPLATE, message, location=Location(str(target.soc.folder / STEPS_TEMPLATE)))
