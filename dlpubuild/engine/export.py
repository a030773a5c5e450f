"""Steps laid out in folders, where a person can run them by hand (`dlpubuild render`).

In: a plan and what is known of its steps. Out: a folder per step with `src/`, `in/`, `out/` and a `run` script that
takes the toolchain's interpreter. An input that an earlier step has yet to make is fetched by `run` from that step's
folder.
"""

from __future__ import annotations

import shlex
import shutil
from typing import TYPE_CHECKING

from dlpubuild.cas.faults import output_faults
from dlpubuild.engine.bind import output_digest, params_json
from dlpubuild.errors import ErrorCode, OutputError
from dlpubuild.plan.model import FilesInput, MadeInput

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dlpubuild.cas.store import Store
    from dlpubuild.engine.status import StepStatus
    from dlpubuild.plan.model import OutputInput, Plan, Step

MARKER = ".dlpubuild-rendered"


def export_steps(plan: Plan, statuses: Mapping[str, StepStatus], store: Store, folder: Path) -> tuple[Path, ...]:
    """Write every step of `plan` below `folder` and return the steps' folders, in plan order.

    Raises:
        OutputError: `folder` holds something that was not rendered here, or cannot be written.
        BlobMissingError: an input was damaged in the store.
    """
    claim_folder(folder)
    return tuple(export_step(step, plan, statuses, store, folder) for step in plan.steps)


def folder_name(step: Step) -> str:
    """Return the name of a step's folder: its own, without the colon that some file systems refuse."""
    return step.name.replace(":", "-")


def claim_folder(folder: Path) -> None:
    """Make `folder`; only ever replace what an earlier render made.

    Raises:
        OutputError: it holds something else, or cannot be written.
    """
    with output_faults(folder, needed_bytes=0):
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            if not (folder / MARKER).is_file():
                raise OutputError(
                    ErrorCode.OUTPUT,
                    f"{folder} exists and was not made by render",
                    hint="name a new or empty folder",
                )
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARKER).write_text("made by: dlpubuild render\n", encoding="utf-8")


def export_step(step: Step, plan: Plan, statuses: Mapping[str, StepStatus], store: Store, top: Path) -> Path:
    """Write one step of `plan` to a folder of its name below `top`, and return it.

    Raises:
        OutputError: it cannot be written.
        BlobMissingError: an input was damaged in the store.
    """
    folder = top / folder_name(step)
    fetched: list[str] = []
    with output_faults(folder, needed_bytes=0):
        for name in ("src", "in", "out"):
            (folder / name).mkdir(parents=True)
        for path in step.outputs:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
        for script in step.scripts:
            shutil.copyfile(script, folder / "src" / script.name)
        (folder / "src" / "params.json").write_bytes(params_json(step))
        for each in step.inputs:
            if isinstance(each, FilesInput):
                _copy_files(each, folder)
            elif isinstance(each, MadeInput):
                _write_made(each, folder)
            else:
                fetched += _place_output(each, plan, statuses, store, folder)
        run = folder / "run"
        run.write_text(_run_script(step, fetched), encoding="utf-8")
        run.chmod(0o755)
    return folder


def _copy_files(each: FilesInput, folder: Path) -> None:
    for file in each.files:
        target = folder / each.at / file.staged if file.staged else folder / each.at
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file.path, target)
        if file.is_executable:
            target.chmod(0o755)


def _write_made(each: MadeInput, folder: Path) -> None:
    target = folder / each.at
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(each.content)
    if each.is_executable:
        target.chmod(0o755)


def _place_output(
    each: OutputInput, plan: Plan, statuses: Mapping[str, StepStatus], store: Store, folder: Path
) -> list[str]:
    target = folder / each.at
    target.parent.mkdir(parents=True, exist_ok=True)
    result = statuses[each.output.step].result
    if result is not None:
        store.copy_to(output_digest(result, each.output.path), target)
        return []
    maker = folder_name(plan.step(each.output.step))
    return [f"cp {shlex.quote(f'../{maker}/{each.output.path}')} {shlex.quote(each.at)}"]


def command_line(step: Step) -> str:
    """Return the shell command that runs a step by hand, from its folder; `PYTHON` is the toolchain's interpreter."""
    # PATH and HOME of an action name places that only an image has.
    variables = {k: v for k, v in step.toolchain.environment.items() if k not in ("PATH", "HOME")}
    assignments = " ".join(shlex.quote(f"{name}={value}") for name, value in sorted(variables.items()))
    command = f'"$PYTHON" src/{step.scripts[0].name} src/params.json'
    return f'env -i PATH="$PATH" HOME="${{HOME:-/}}" {assignments} {command}'


def _run_script(step: Step, fetched: list[str]) -> str:
    lines = [
        "#!/bin/sh",
        f"# {step.title}, by hand. Usage: PYTHON=<interpreter of toolchain {step.toolchain.name}> ./run",
        "set -eu",
        'cd "$(dirname "$0")"',
        f': "${{PYTHON:?set PYTHON to the interpreter of toolchain {step.toolchain.name}}}"',
        *fetched,
        f"exec {command_line(step)}",
    ]
    return "\n".join(lines) + "\n"
