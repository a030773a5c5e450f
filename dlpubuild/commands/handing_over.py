"""`dlpubuild render --hand-over`: everything up to a toolchain that is not public, for somebody who has it.

In: a project and a folder. Out: a folder for each target that needs such a toolchain, with what the step's own script
lays out there: the model, the calibration data, the toolchain's command lines as a script. What comes before runs as
in a build; the toolchain itself need not be here. The script is run by this interpreter: it needs no packages.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dlpubuild.commands.brought import is_brought
from dlpubuild.commands.execution import (
    EngineParts,
    LimitOptions,
    choose_execution,
    opened_engine,
    wanted_limits,
)
from dlpubuild.commands.progress import watched
from dlpubuild.commands.selecting import plan_until
from dlpubuild.commands.wiring import (
    declared_pins,
    load_project,
    names_of,
    open_store,
    pinned,
    plan_project,
    read_manifest,
    read_socs,
    select_targets,
    toolchains_of,
)
from dlpubuild.engine.events import Notice
from dlpubuild.engine.export import claim_folder, export_step
from dlpubuild.engine.status import plan_status
from dlpubuild.engine.step_log import event_of
from dlpubuild.errors import ErrorCode, StepFailedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dlpubuild.cas.memo import Memo
    from dlpubuild.cas.store import Store
    from dlpubuild.commands.execution import Execution
    from dlpubuild.commands.interrupts import Interrupts
    from dlpubuild.commands.wiring import Host
    from dlpubuild.plan.model import Plan, Step
    from dlpubuild.project.model import Project
    from dlpubuild.toolchains.pins import ToolchainPin

_TIMEOUT_S = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOverRequest:
    """What the user asked for; `folder` is where everything goes, `step` one step to hand over, None for all."""

    manifest: Path
    targets: tuple[str, ...]
    folder: Path
    step: str | None
    executor: str
    offline: bool


def hand_over_work(host: Host, memo: Memo, request: HandOverRequest, interrupts: Interrupts) -> tuple[Path, ...]:
    """Run what comes before, and return the folders that were filled.

    Raises:
        UsageError: no target needs a toolchain that can be handed work.
        StepFailedError: a step before failed, or the script refuses the model or the data.
        DlpuError: as a build.
    """
    manifest = read_manifest(request.manifest, memo)
    socs = read_socs(manifest, memo)
    loaded = load_project(memo, manifest, socs, select_targets(manifest, socs, request.targets))
    toolchains = toolchains_of(loaded, memo)
    names = [name for name in names_of(toolchains) if not is_brought(name)]
    execution = choose_execution(host, request.executor, manifest, names)
    declared = declared_pins(host, manifest)

    def pin_of(name: str) -> ToolchainPin:
        return declared(name) if is_brought(name) else execution.pin_of(name)

    project = pinned(loaded, toolchains, pin_of)
    plan = plan_project(project, memo, epoch_s=host.epoch_s)
    if request.step is not None:
        plan = plan_until(plan, request.step)
    steps = [step for step in plan.steps if step.hands_over]
    if not steps:
        raise UsageError(
            ErrorCode.USAGE,
            "--hand-over: none of the selected targets needs a toolchain that is not public",
            hint="leave --hand-over out to lay all steps out",
        )
    claim_folder(request.folder)
    store = open_store(host)
    _run_before(host, project, plan, steps, store, execution, request, interrupts)
    statuses = plan_status(plan, store)
    made = []
    for step in steps:
        target = request.folder / "+".join(step.targets)
        with tempfile.TemporaryDirectory(prefix="dlpubuild-") as temporary:
            _lay_out(export_step(step, plan, statuses, store, Path(temporary)), step, target.absolute())
        made.append(target)
    return tuple(made)


def _run_before(
    host: Host,
    project: Project,
    plan: Plan,
    steps: list[Step],
    store: Store,
    execution: Execution,
    request: HandOverRequest,
    interrupts: Interrupts,
) -> None:
    wanted = {step.key for step in steps}
    needed: set[str] = set(wanted)
    for each in reversed(plan.steps):
        if each.key in needed:
            needed.update(each.needs)
    before = replace(plan, steps=tuple(s for s in plan.steps if s.key in needed - wanted), targets=())
    if not before.steps:
        return
    with watched(host, before.steps, quiet=False) as observe:
        observe(Notice(text=f"executor: {execution.told}"))
        parts = EngineParts(
            jobs=host.cores,
            keep_going=False,
            offline=request.offline,
            observe=observe,
            cancelled=interrupts.cancelled,
            limits=wanted_limits(project.manifest.limits, LimitOptions()),
        )
        pins = tuple(step.toolchain for step in before.steps)
        engine_of = opened_engine(host, store, execution, pins, parts)
        with store.running_build(), engine_of as engine, interrupts.deferred():
            outcomes = engine.run(before)
    for outcome in outcomes.values():
        if outcome.error is not None:
            raise outcome.error


def _lay_out(folder: Path, step: Step, target: Path) -> None:
    """Have the step's script fill `target`; `folder` is where the step is laid out."""
    done = subprocess.run(
        [sys.executable, "-E", "-s", f"src/{step.scripts[0].name}", "src/params.json", str(target)],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_TIMEOUT_S,
        check=False,
    )
    if done.returncode == 0:
        return
    told = next((event for line in done.stdout.splitlines() if _is_error(event := event_of(line))), None)
    lines = tuple(done.stderr.strip().splitlines()[-10:])
    if told is None:
        raise StepFailedError(
            ErrorCode.STEP_FAILED, f"step {step.name} cannot be handed over: exit code {done.returncode}", tail=lines
        )
    code = str(told.get("code"))
    raise StepFailedError(
        ErrorCode(code) if code in {each.value for each in ErrorCode} else ErrorCode.STEP_FAILED,
        f"step {step.name} cannot be handed over: {told.get('message')}",
        hint=str(told.get("hint", "")),
    )


def _is_error(event: Mapping[str, object] | None) -> bool:
    return event is not None and event.get("event") == "error"
