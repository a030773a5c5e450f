"""Which targets and steps of a project a build is for.

In: what the user asked for. Out: the targets that can be built, with the reason for each that was set aside, and the
part of a plan that one step needs. Nothing is run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlpubuild.commands.wiring import select_targets
from dlpubuild.errors import ErrorCode, NothingSelectedError, UsageError
from dlpubuild.plan.model import Plan
from dlpubuild.report.build import TargetResult

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dlpubuild.commands.execution import Execution
    from dlpubuild.manifest.model import Manifest
    from dlpubuild.project.model import Project
    from dlpubuild.targets.model import Soc


def buildable_targets(
    manifest: Manifest, socs: Mapping[str, Soc], wanted: Sequence[str], *, keep_going: bool
) -> tuple[tuple[str, ...], tuple[TargetResult, ...]]:
    """Return the targets to build; with keep-going those that this version cannot build are set aside, not fatal.

    Raises:
        UsageError: a name in `wanted` that is no SoC's.
        NothingSelectedError: no target is left.
    """
    selected = select_targets(manifest, socs, wanted)
    if not keep_going:
        return selected, ()
    refused = tuple(
        TargetResult(
            soc=name,
            error=UsageError(
                ErrorCode.TARGET_UNAVAILABLE,
                f"{socs[name].title} cannot be built by this version: it lacks {socs[name].not_yet}",
                location=manifest.locate(f"target.{name}"),
            ),
        )
        for name in selected
        if name in socs and not socs[name].can_be_built
    )
    names = {each.soc for each in refused}
    left = tuple(name for name in selected if name not in names)
    if not left:
        raise NothingSelectedError(ErrorCode.NOTHING_SELECTED, "none of the selected targets can be built yet")
    return left, refused


def plan_until(plan: Plan, name: str) -> Plan:
    """Return the part of `plan` that the step called `name` needs, itself included.

    Raises:
        UsageError: there is no such step.
    """
    steps = {step.name: step for step in plan.steps}
    if name not in steps:
        raise UsageError(ErrorCode.USAGE, f'--step: there is no step "{name}"; steps: {", ".join(steps)}')
    wanted = {steps[name].key}
    for step in reversed(plan.steps):
        if step.key in wanted:
            wanted.update(step.needs)
    return Plan(steps=tuple(step for step in plan.steps if step.key in wanted), targets=())


def with_toolchains(
    loaded: Project, toolchains: Mapping[str, Sequence[str]], execution: Execution, *, keep_going: bool
) -> tuple[Project, tuple[TargetResult, ...]]:
    """Pin the toolchains; with keep-going targets that lack one are set aside, while there are others.

    Raises:
        ToolchainError: one is missing.
        ManifestError: one cannot be used as the manifest says.
    """
    from dlpubuild.plan.toolchains import pin_toolchains  # noqa: PLC0415 - imports the planner

    found = pin_toolchains(loaded, toolchains, execution.pin_of)
    if found.missing and not (keep_going and found.project.targets):
        raise next(iter(found.missing.values()))
    return found.project, tuple(TargetResult(soc=name, error=error) for name, error in found.missing.items())
