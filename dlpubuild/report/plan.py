"""A plan as a table, JSON, Mermaid, DOT or a shell script.

In: a plan and the status of its steps. Out: text. Nothing is looked up here.
"""

from __future__ import annotations

import json
import shlex
from base64 import b64encode
from typing import TYPE_CHECKING, Any

from dlpubuild.cas.digest import digest_bytes
from dlpubuild.engine.bind import params_json
from dlpubuild.engine.export import command_line, folder_name
from dlpubuild.plan.model import FilesInput, MadeInput, ProjectModel
from dlpubuild.report.text import Paint, columns, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dlpubuild.engine.status import StepStatus
    from dlpubuild.plan.model import OutputInput, OutputOf, Plan, Step

    Statuses = Mapping[str, StepStatus]

_COLORS = {"cached": "#d5e8d4", "to run": "#ffe6cc", "after others": "#f5f5f5"}


def plan_table(plan: Plan, statuses: Statuses, *, colored: bool) -> str:
    """Return one row per step: name, targets, toolchain, what it needs, whether it is cached."""
    paint = Paint(colored)
    names = {step.key: step.name for step in plan.steps}
    rows = [
        (
            step.name,
            ", ".join(step.targets),
            step.toolchain.name,
            ", ".join(names[key] for key in step.needs) or "-",
            _state(str(statuses[step.key].state), paint),
            step.title,
        )
        for step in plan.steps
    ]
    header = [paint.strong(name) for name in ("step", "for", "toolchain", "needs", "status", "what it does")]
    table = columns(rows, header=header) + "\n" if rows else ""
    return table + "".join(
        f"{planned.target.name}: {printable(planned.result.file.name)} is packaged as it is\n"
        for planned in plan.targets
        if isinstance(planned.result, ProjectModel)
    )


def _state(state: str, paint: Paint) -> str:
    return {"cached": paint.good, "to run": paint.warn}.get(state, paint.dim)(state)


def plan_json(plan: Plan, statuses: Statuses) -> str:
    """Return the plan as JSON; `action` is the digest of the action where it is known."""
    document = {
        "schema": 1,
        "steps": [_step_json(step, statuses[step.key]) for step in plan.steps],
        "targets": [
            {
                "soc": planned.target.name,
                "quantization": planned.target.quantization,
                "io": planned.target.io,
                "result": _made_json(planned.result),
                "steps": list(planned.steps),
            }
            for planned in plan.targets
        ],
    }
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _made_json(made: OutputOf | ProjectModel) -> dict[str, str]:
    if isinstance(made, ProjectModel):
        return {"file": made.file.name, "sha256": made.file.digest.hash}
    return {"step": made.step, "path": made.path}


def _step_json(step: Step, status: StepStatus) -> dict[str, Any]:
    return {
        "key": step.key,
        "name": step.name,
        "title": step.title,
        "targets": list(step.targets),
        "toolchain": step.toolchain.name,
        "script": step.scripts[0].name,
        "params": dict(step.params),
        "inputs": [_input_json(each) for each in step.inputs],
        "outputs": list(step.outputs),
        "needs": list(step.needs),
        "timeout_s": step.timeout_s,
        "status": str(status.state),
        "action": str(status.bound.digest) if status.bound else None,
    }


def _input_json(each: FilesInput | MadeInput | OutputInput) -> dict[str, Any]:
    if isinstance(each, MadeInput):
        return {"at": each.at, "sha256": digest_bytes(each.content).hash}
    if isinstance(each, FilesInput):
        files = [{"name": file.name, "staged": file.staged, "sha256": file.digest.hash} for file in each.files]
        return {"at": each.at, "files": files}
    return {"at": each.at, "step": each.output.step, "path": each.output.path}


def plan_mermaid(plan: Plan, statuses: Statuses) -> str:
    """Return a Mermaid flow chart, for Markdown pages and pull requests."""
    lines = ["flowchart LR"]
    lines += [f'  {_node(s)}["{s.name}<br/><i>{statuses[s.key].state}</i>"]' for s in plan.steps]
    # A quote would end the label; Mermaid has its own spelling for it.
    titles = {p.target.name: p.target.soc.title.replace('"', "#quot;") for p in plan.targets}
    lines += [f'  t_{_identifier(name)}(["{title}"])' for name, title in titles.items()]
    lines += [f"  s_{key} --> {_node(step)}" for step in plan.steps for key in step.needs]
    lines += [f"  {_made_by(p.result)} --> t_{_identifier(p.target.name)}" for p in plan.targets]
    lines += [f"  style {_node(s)} fill:{_COLORS[str(statuses[s.key].state)]},color:#000" for s in plan.steps]
    return "\n".join(lines) + "\n"


def plan_dot(plan: Plan, statuses: Statuses) -> str:
    """Return a Graphviz graph."""
    lines = ["digraph plan {", "  rankdir=LR;", "  node [shape=box, style=filled, fontname=sans];"]
    for step in plan.steps:
        state = str(statuses[step.key].state)
        lines.append(f'  {_node(step)} [label="{step.name}\\n{state}", fillcolor="{_COLORS[state]}"];')
    titles = {p.target.name: p.target.soc.title.replace("\\", "\\\\").replace('"', '\\"') for p in plan.targets}
    lines += [f'  t_{_identifier(name)} [label="{title}", shape=oval];' for name, title in titles.items()]
    lines += [f"  s_{key} -> {_node(step)};" for step in plan.steps for key in step.needs]
    lines += [f"  {_made_by(p.result)} -> t_{_identifier(p.target.name)};" for p in plan.targets]
    return "\n".join([*lines, "}"]) + "\n"


def _node(step: Step) -> str:
    return f"s_{step.key}"


def _made_by(made: OutputOf | ProjectModel) -> str:
    """The node that a target comes from: a step, or the project's model, whose node needs no more than its name."""
    return "model" if isinstance(made, ProjectModel) else f"s_{made.step}"


def _identifier(name: str) -> str:
    return name.replace("-", "_")


def plan_shell(plan: Plan) -> str:
    """Return a POSIX shell script that runs the plan by hand, one folder per step below the current one.

    It needs the toolchain's Python in the variable PYTHON; the scripts and inputs are copied from where they are.
    """
    lines = [
        "#!/bin/sh",
        "# Runs the steps by hand; for one that is already laid out, see: dlpubuild render",
        "# PYTHON: absolute path of the toolchain's interpreter, as `dlpubuild toolchain list` shows it.",
        "set -eu",
        ': "${PYTHON:?set PYTHON to the interpreter of the toolchain}"',
        'top="$(pwd)/dlpu-steps"',
    ]
    folders = {step.key: f'"$top"/{shlex.quote(folder_name(step))}' for step in plan.steps}
    for step in plan.steps:
        lines += ["", f"# {step.name}: {step.title}", *_shell_step(step, folders)]
    for planned in plan.targets:
        lines += ["", f"echo {shlex.quote(planned.target.name + ':')} {_made_path(planned.result, folders)}"]
    return "\n".join(lines) + "\n"


def _made_path(made: OutputOf | ProjectModel, folders: Mapping[str, str]) -> str:
    if isinstance(made, ProjectModel):
        return shlex.quote(str(made.file.path))
    return f"{folders[made.step]}/{shlex.quote(made.path)}"


def _shell_step(step: Step, folders: Mapping[str, str]) -> list[str]:
    folder = folders[step.key]
    lines = [f"rm -rf {folder}", f"mkdir -p {folder}/src {folder}/in {folder}/out", f"cd {folder}"]
    lines += [f"cp {shlex.quote(str(script))} src/" for script in step.scripts]
    lines += ["cat >src/params.json <<'END_OF_PARAMS'", params_json(step).decode().rstrip("\n"), "END_OF_PARAMS"]
    made: set[str] = set()

    def copy(source: str, target: str) -> None:
        parent = target.rpartition("/")[0]
        if parent not in made:
            lines.append(f"mkdir -p {shlex.quote(parent)}")
            made.add(parent)
        lines.append(f"cp {source} {shlex.quote(target)}")

    for each in step.inputs:
        if isinstance(each, FilesInput):
            for file in each.files:
                copy(shlex.quote(str(file.path)), f"{each.at}/{file.staged}" if file.staged else each.at)
        elif isinstance(each, MadeInput):
            lines += _made_file(each)
        else:
            copy(f"{folders[each.output.step]}/{shlex.quote(each.output.path)}", each.at)
    lines.append(command_line(step))
    return lines


def _made_file(each: MadeInput) -> list[str]:
    """The lines that write a file which lies nowhere; base64, because it need not be text."""
    target, parent = shlex.quote(each.at), shlex.quote(each.at.rpartition("/")[0])
    content = b64encode(each.content).decode()
    lines = [f"mkdir -p {parent}", f"printf %s {shlex.quote(content)} | base64 -d >{target}"]
    return [*lines, f"chmod 755 {target}"] if each.is_executable else lines


FORMATS: Mapping[str, Callable[[Plan, Statuses], str]] = {
    "json": plan_json,
    "mermaid": plan_mermaid,
    "dot": plan_dot,
    "shell": lambda plan, _statuses: plan_shell(plan),
}
