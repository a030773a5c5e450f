"""A package verified from end to end: its checksums, its model, the project's step that measures, the gates.

In: what the user asked for. Out: a `VerifiedPackage`. Progress goes to standard error; nothing is printed to standard
output here, and nothing is written but the cache.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dlpubuild.cas.digest import digest_bytes
from dlpubuild.commands.execution import EngineParts, choose_execution, opened_engine, wanted_limits
from dlpubuild.commands.made import made_digest
from dlpubuild.commands.progress import watched
from dlpubuild.commands.wiring import (
    load_project,
    names_of,
    open_store,
    pinned,
    read_manifest,
    read_socs,
    select_targets,
)
from dlpubuild.engine.events import Notice
from dlpubuild.errors import BuildFailedError, DlpuError, ErrorCode, Location, UsageError
from dlpubuild.package.accuracy import hold_against_accuracy, read_measured_accuracy
from dlpubuild.package.sealed import open_sealed
from dlpubuild.plan.measuring import for_another_model, measures, only_measuring
from dlpubuild.plan.model import OutputOf, Plan
from dlpubuild.plan.planner import plan_build
from dlpubuild.plan.remembered import remembering
from dlpubuild.plan.toolchains import toolchains_named
from dlpubuild.report.verified import VerifiedPackage
from dlpubuild.targets.accuracy_gate import AccuracyError
from dlpubuild.tflite.facts import EDGETPU_OPERATOR, summarise
from dlpubuild.tflite.read import read_model

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dlpubuild.cas.memo import Memo
    from dlpubuild.commands.execution import Execution, LimitOptions
    from dlpubuild.commands.interrupts import Interrupts
    from dlpubuild.commands.wiring import Host
    from dlpubuild.engine.events import Event
    from dlpubuild.engine.scheduler import Engine, StepOutcome
    from dlpubuild.package.sealed import SealedPackage
    from dlpubuild.plan.model import PlannedTarget, Step
    from dlpubuild.project.model import Project
    from dlpubuild.targets.model import Soc

_TFLITE = ".tflite"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyRequest:
    """What the user asked for; `executor` and `limits` as the command line has them."""

    package: Path
    manifest: Path
    target: str | None
    jobs: int
    offline: bool
    quiet: bool
    executor: str
    limits: LimitOptions


def run_verify(host: Host, memo: Memo, request: VerifyRequest, interrupts: Interrupts) -> VerifiedPackage:
    """Verify what `request` asks for.

    Raises:
        OutOfDateError: a file of the package is not what its checksums say.
        BuildFailedError: a step failed.
        DlpuError: nothing could be begun: no package, a manifest at fault or without `[verify]`, no such target.
    """
    sealed = open_sealed(request.package)
    manifest = read_manifest(request.manifest, memo)
    if manifest.verify is None:
        raise UsageError(
            ErrorCode.MISSING_KEY,
            "the manifest has no [verify], so it does not say what to measure on",
            location=manifest.locate(""),
            hint='add it: [verify] with data = "data/validation"; docs/verify.md says what there can be',
        )
    socs = read_socs(manifest, memo)
    selected = select_targets(manifest, socs, [_target(sealed, socs, request)])
    # Applications are not packed, so what packs them need not be there.
    plain = replace(manifest, package=replace(manifest.package, formats=("bundle",)))
    loaded = load_project(memo, plain, socs, selected)
    full = remembering(memo)
    rendered: dict[str, Any] = {}

    def render(soc: Soc, context: Mapping[str, Any]) -> dict[str, Any]:
        document = full(soc, context)
        rendered.update(document)
        if not measures(document):
            raise UsageError(
                ErrorCode.TARGET_UNAVAILABLE,
                f"nothing that is built for {soc.title} runs in a toolchain, so it cannot be measured here",
                location=manifest.locate(f"target.{soc.name}"),
            )
        return only_measuring(soc, document)

    toolchains = toolchains_named(loaded, render=render)
    execution = choose_execution(host, request.executor, plain, names_of(toolchains))
    project = pinned(loaded, toolchains, execution.pin_of)
    plan = plan_build(project, render=render)
    return _Work(
        host=host,
        project=project,
        plan=plan,
        execution=execution,
        sealed=sealed,
        is_compiled="compiled" in rendered,
        is_binary="binary" in rendered,
    ).run(request, interrupts)


def _target(sealed: SealedPackage, socs: Mapping[str, Soc], request: VerifyRequest) -> str:
    """Return the SoC that the package is for."""
    said = sealed.soc
    if said is None:
        from dlpubuild.package.eap.overview import eap_overview  # noqa: PLC0415 - only of an .eap

        devices = eap_overview(sealed.path, {soc.larod_device for soc in socs.values()}).larod_devices
        named = [name for name, soc in socs.items() if soc.larod_device in devices]
        said = named[0] if len(named) == 1 else None
    if request.target is not None:
        if said is not None and said != request.target and sealed.soc is not None:
            raise UsageError(
                ErrorCode.CONFLICT,
                f"the package was built for {said}, not for {request.target}",
                hint="leave --target out",
            )
        return request.target
    if said is None:
        raise UsageError(
            ErrorCode.USAGE,
            "the package does not say what it was built for",
            location=Location(str(sealed.path)),
            hint="say it with --target",
        )
    return said


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """A package, and the part of the project's plan that measures."""

    host: Host
    project: Project
    plan: Plan
    execution: Execution
    sealed: SealedPackage
    is_compiled: bool
    is_binary: bool

    def run(self, request: VerifyRequest, interrupts: Interrupts) -> VerifiedPackage:
        (planned,) = self.plan.targets
        store = open_store(self.host)
        member = self._member()
        with watched(self.host, self.plan.steps, quiet=request.quiet) as observe:
            observe(Notice(text=f"executor: {self.execution.told}"))
            parts = EngineParts(
                jobs=request.jobs,
                keep_going=False,
                offline=request.offline,
                observe=observe,
                cancelled=interrupts.cancelled,
                limits=wanted_limits(self.project.manifest.limits, request.limits),
            )
            pins = tuple(self.project.toolchains.values())
            with store.running_build(), opened_engine(self.host, store, self.execution, pins, parts) as engine:
                with interrupts.deferred():
                    step, outcomes, is_built_here = self._measure(engine, planned, member)
                verification = read_measured_accuracy(
                    self.project,
                    made_digest(OutputOf(step=step.key, path=_verified(planned).path), outcomes),
                    store,
                    is_compiled=self.is_compiled,
                    is_binary=self.is_binary,
                )
        error = None
        try:
            hold_against_accuracy(self.project, planned.target, verification, file=self._told(member))
        except AccuracyError as raised:
            error = raised
        return VerifiedPackage(
            package=str(request.package),
            target=planned.target.name,
            had_checksums=self.sealed.has_checksums,
            model=member,
            is_built_here=is_built_here,
            verification=verification,
            error=error,
        )

    def _told(self, member: str | None) -> str:
        return str(self.sealed.path) if member is None else f"{self.sealed.path}: {member}"

    def _member(self) -> str | None:
        """Return the model of the package that can run in a toolchain, None where it has none."""
        name = self.sealed.uncompiled or self.sealed.loaded
        if not name.endswith(_TFLITE):
            return None
        try:
            model = read_model(self.sealed.models[name])
        except DlpuError as error:
            error.location = Location(f"{self.sealed.path}: {name}")
            raise
        return None if EDGETPU_OPERATOR in summarise(model).custom_operators else name

    def _measure(
        self, engine: Engine, planned: PlannedTarget, member: str | None
    ) -> tuple[Step, Mapping[str, StepOutcome], bool]:
        """Run what measuring needs, then measure; return the step that did, all outcomes, and whose model it was."""
        step = self.plan.step(_verified(planned).step)
        before = tuple(each for each in self.plan.steps if each.key != step.key)
        outcomes = _good(engine.run(Plan(steps=before, targets=())))
        content = None if member is None else self.sealed.models[member]
        is_built_here = content is not None and digest_bytes(content) == made_digest(planned.result, outcomes)
        if content is not None and not is_built_here:
            step = for_another_model(step, content)
        # All but the last step are there now, and told.
        told = {each.name for each in before}
        last = replace(engine, observe=lambda event: None if _name_of(event) in told else engine.observe(event))
        return step, _good(last.run(Plan(steps=(*before, step), targets=()))), is_built_here


def _verified(planned: PlannedTarget) -> OutputOf:
    if planned.verified is None:
        raise AssertionError("only targets that measure are planned")
    return planned.verified


def _name_of(event: Event) -> str:
    return "" if isinstance(event, Notice) else event.step


def _good(outcomes: Mapping[str, StepOutcome]) -> Mapping[str, StepOutcome]:
    errors = [each.error for each in outcomes.values() if each.error is not None]
    if errors:
        raise BuildFailedError(errors, ())
    return outcomes
