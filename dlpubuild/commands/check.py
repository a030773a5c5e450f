"""`dlpubuild check`: the manifest and everything it names."""

from __future__ import annotations

import json
import sys

from dlpubuild.commands import options
from dlpubuild.commands.wiring import (
    declared_pins,
    load_project,
    open_memo,
    pinned,
    plan_project,
    read_host,
    read_manifest,
    read_socs,
    select_targets,
    toolchains_of,
)
from dlpubuild.errors import DlpuError, Location, ManifestError, Problem
from dlpubuild.manifest.wording import counted


def check(
    manifest: options.ManifestOption = options.DEFAULT,
    target: options.TargetOption = [],  # noqa: B006 - typer copies it
    as_json: options.JsonOption = False,
) -> None:
    """Check the manifest and every file it names.

    All faults are told at once, each with file, line and column, the TOML path, what was found and what is allowed.
    Every calibration image is decoded, not only those that a build would pick. A model that would be packaged as it is
    is held against what each SoC needs. Nothing is built or fetched.

    \b
    Examples:
      dlpubuild check
      dlpubuild check --target artpec8
      dlpubuild check -f release/dlpu.toml --json

    \b
    Exit codes: 0 nothing is wrong, 2 there are faults, 3 nothing selected, 5 a ready model is not what an SoC needs.
    """  # noqa: D301 - click wants the character itself
    from dlpubuild.commands.brought import notes_on_missing  # noqa: PLC0415
    from dlpubuild.package.ready import check_ready_models  # noqa: PLC0415
    from dlpubuild.package.target import check_packages  # noqa: PLC0415
    from dlpubuild.project.resolve import notes_on  # noqa: PLC0415

    host = read_host()
    with open_memo(host) as memo:
        try:
            read = read_manifest(manifest, memo)
            socs = read_socs(read, memo)
            loaded = load_project(memo, read, socs, select_targets(read, socs, target), every_image=True)
            toolchains = toolchains_of(loaded, memo)
            project = pinned(loaded, toolchains, declared_pins(host, read))
            found = notes_on_missing(host, read, toolchains)
            found += check_packages(project, socs, epoch_s=host.epoch_s)
            plan = plan_project(project, memo, epoch_s=host.epoch_s)
            found += check_ready_models(project, plan)
        except DlpuError as error:
            if as_json:
                _print_json(error)
            raise
    notes = (*notes_on(project), *found)
    if as_json:
        sys.stdout.write(json.dumps({"schema": 1, "ok": True, "problems": [], "notes": list(notes)}, indent=2) + "\n")
        return
    for note in notes:
        sys.stderr.write(f"note: {note}\n")
    names = ", ".join(each.name for each in project.targets)
    sys.stdout.write(f"{manifest}: nothing is wrong; it builds {names} in {counted(len(plan.steps), 'step')}\n")


def _print_json(error: DlpuError) -> None:
    problems = error.problems if isinstance(error, ManifestError) else (_problem(error),)
    rows = [
        {
            "code": str(problem.code),
            "file": problem.location.file,
            "line": problem.location.line,
            "column": problem.location.column,
            "path": problem.path,
            "message": problem.message,
            "hint": problem.hint,
        }
        for problem in problems
    ]
    sys.stdout.write(json.dumps({"schema": 1, "ok": False, "problems": rows, "notes": []}, indent=2) + "\n")


def _problem(error: DlpuError) -> Problem:
    location = error.location or Location("")
    return Problem(code=error.code, location=location, path="", message=error.message, hint=error.hint)
