"""The steps that pack applications, added to a plan whose project names an SDK to do it with.

In: a project with its toolchains pinned, and the plan of its models. Out: the plan with one step more for each target,
which takes the target's model, and the same plan where no SDK is named. Nothing is run.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dlpubuild.package.request import unbuilt_request
from dlpubuild.plan.model import OutputOf, Plan
from dlpubuild.plan.toolchains import sdk_of

if TYPE_CHECKING:
    from dlpubuild.project.model import Project


def with_applications(plan: Plan, project: Project, *, epoch_s: int) -> Plan:
    """Return `plan` with the steps that pack the applications.

    Raises:
        ManifestError: every fault of an application.
    """
    if not any(sdk_of(project.manifest, planned.target) for planned in plan.targets):
        return plan
    from dlpubuild.package.eap.of_project import eap_request  # noqa: PLC0415 - only an .eap needs it
    from dlpubuild.package.eap.sdk_step import PACKAGE, sdk_step  # noqa: PLC0415 - as above

    steps, targets = list(plan.steps), []
    for planned in plan.targets:
        name = sdk_of(project.manifest, planned.target)
        request = eap_request(project, unbuilt_request(project, planned.target, epoch_s))
        if name is None or request.sdk is None:
            raise AssertionError("an SDK packs the applications of all targets or of none")
        step = sdk_step(request, request.sdk, planned, project.toolchains[name], locate=project.manifest.locate)
        steps.append(step)
        made = OutputOf(step=step.key, path=PACKAGE)
        targets.append(replace(planned, steps=(*planned.steps, step.key), application=made))
    return Plan(steps=tuple(steps), targets=tuple(targets))
