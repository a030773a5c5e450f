"""A build from end to end: manifest, project, plan, steps, packages.

In: what the user asked for. Out: a `BuildResult`, whatever succeeded and whatever failed. Progress goes to standard
error; nothing is printed to standard output here.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dlpubuild import __version__
from dlpubuild.cas.faults import BlobMissingError
from dlpubuild.commands.execution import (
    EngineParts,
    choose_execution,
    opened_engine,
    wanted_limits,
)
from dlpubuild.commands.made import built_model, keep_own_model
from dlpubuild.commands.reporting import Reporter, ReportRequest, Seen, check_copies, cut_short
from dlpubuild.commands.selecting import buildable_targets, plan_until, with_toolchains
from dlpubuild.commands.wiring import (
    DEFAULT_MANIFEST,
    load_project,
    names_of,
    open_store,
    plan_project,
    read_manifest,
    read_socs,
    toolchains_of,
)
from dlpubuild.engine.events import Notice
from dlpubuild.engine.scheduler import State, merged
from dlpubuild.errors import DlpuError, ErrorCode, InterruptedBuildError, OutputError, StoreError
from dlpubuild.package.examined import examined
from dlpubuild.package.target import check_packages, package_target
from dlpubuild.plan.model import Plan
from dlpubuild.project.resolve import notes_on
from dlpubuild.report.build import BuildResult, TargetResult
from dlpubuild.report.console import watching

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from dlpubuild.cas.memo import Memo
    from dlpubuild.cas.store import Store
    from dlpubuild.commands.execution import Execution, LimitOptions
    from dlpubuild.commands.interrupts import Interrupts
    from dlpubuild.commands.wiring import Host
    from dlpubuild.engine.events import Observer
    from dlpubuild.engine.scheduler import Engine, StepOutcome
    from dlpubuild.manifest.model import Manifest
    from dlpubuild.package.eap.compressor import Gzip
    from dlpubuild.package.target import PackagedTarget
    from dlpubuild.plan.model import PlannedTarget
    from dlpubuild.project.model import Project

# Where the manifest names what a step found at fault.
_FAULT_PLACES = {
    ErrorCode.MODEL_UNREADABLE: "model.source",
    ErrorCode.MODEL_FORMAT: "model.source",
    ErrorCode.MODEL_SHAPE: "model.input",
    ErrorCode.MODEL_INPUT: "model.input",
    ErrorCode.MODEL_OUTPUT: "model.output",
    ErrorCode.CONVERSION: "model.source",
    ErrorCode.CALIBRATION_UNREADABLE: "calibration.data",
    ErrorCode.VALIDATION_EMPTY: "verify.data",
    ErrorCode.VALIDATION_UNREADABLE: "verify.data",
    ErrorCode.VALIDATION_LABEL: "verify.data",
}
_REPAIR_ROUNDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """What the user asked for; `executor` and `limits` as the command line has them."""

    manifest: Path
    targets: tuple[str, ...]
    jobs: int
    keep_going: bool
    output: Path | None
    step: str | None
    offline: bool
    locked: bool
    quiet: bool
    executor: str
    limits: LimitOptions
    report: ReportRequest = field(default_factory=ReportRequest)


def run_build(host: Host, memo: Memo, request: BuildRequest, interrupts: Interrupts) -> BuildResult:
    """Build what `request` asks for, as far as it goes.

    Raises:
        InterruptedBuildError: a signal came; nothing runs any more.
        DlpuError: nothing could be begun: the manifest is at fault, nothing is selected, a folder cannot be used.
    """
    started_s = time.monotonic()
    # What a variable says is looked at now, not when the work is done.
    limits = _Limits(epoch_s=host.epoch_s, budget_bytes=host.budget_bytes)
    check_copies(request.report.copies)
    manifest = read_manifest(request.manifest, memo)
    socs = read_socs(manifest, memo)
    selected, refused = buildable_targets(manifest, socs, request.targets, keep_going=request.keep_going)
    loaded = load_project(memo, manifest, socs, selected)
    toolchains = toolchains_of(loaded, memo)
    execution = choose_execution(host, request.executor, manifest, names_of(toolchains))
    project, without_toolchain = with_toolchains(loaded, toolchains, execution, keep_going=request.keep_going)
    if request.locked:
        _require_locked(manifest, project, whole=not request.targets)
    notes = (*notes_on(project), *check_packages(project, socs, epoch_s=limits.epoch_s))
    plan = plan_project(project, memo, epoch_s=limits.epoch_s)
    if request.step is not None:
        plan = plan_until(plan, request.step)
    out_dir = (request.output or manifest.folder / "dist").absolute()
    gzip = None
    if request.step is None:
        _require_writable(out_dir)
        gzip = _gzip(host, manifest)
    width = max((len(step.name) for step in plan.steps), default=0)
    with watching(
        sys.stderr,
        live=host.draws_on(sys.stderr),
        colored=host.colors_on(sys.stderr),
        width=width,
        quiet=request.quiet,
        clock=time.monotonic,
    ) as observe:
        observe(Notice(text=f"executor: {execution.told}"))
        for note in notes:
            observe(Notice(text=f"note: {note}"))
        if request.step is not None and request.report.copies:
            observe(Notice(text="note: a build that stops after a step makes no report"))
        seen = Seen(observe)
        work = _Work(
            host=host,
            memo=memo,
            project=project,
            plan=plan,
            execution=execution,
            out_dir=out_dir,
            gzip=gzip,
            limits=limits,
            observe=seen,
        )
        reporter = Reporter(
            project=project,
            socs=socs,
            store=open_store(host),
            memo=memo,
            out_dir=out_dir,
            executor=execution.told,
            epoch_s=limits.epoch_s,
            now_ns=host.now_ns,
            request=request.report,
        )

        def ended(outcomes: Mapping[str, StepOutcome], targets: Iterable[TargetResult]) -> BuildResult:
            asked = [section.soc for section in manifest.targets]
            every = (*refused, *without_toolchain, *targets)
            return BuildResult(
                plan=plan,
                outcomes=outcomes,
                targets=tuple(sorted(every, key=lambda each: asked.index(each.soc))),
                command=_command(request),
                seconds=time.monotonic() - started_s,
                until_step=request.step,
            )

        try:
            targets, outcomes = work.run(request, interrupts)
        except (DlpuError, KeyboardInterrupt) as error:
            fault = (
                error if isinstance(error, DlpuError) else InterruptedBuildError(ErrorCode.INTERRUPTED, "interrupted")
            )
            unfinished = ended(seen.outcomes(plan), cut_short(plan, fault))
            if reporter.with_report(unfinished).report_error is not None:
                observe(Notice(text="note: the report of this build could not be written"))
            raise
        return reporter.with_report(ended(outcomes, targets))


def _require_locked(manifest: Manifest, project: Project, *, whole: bool) -> None:
    from dlpubuild.project.lock import (  # noqa: PLC0415 - see `_collect`
        LOCK_NAME,
        Pins,
        pins_of,
        read_pins,
        require_equal,
    )

    path = manifest.folder / LOCK_NAME
    locked, found = read_pins(path), pins_of(project, __version__)
    if not whole:
        # Some of the targets may need no calibration data, and then there is nothing to compare its pin with.
        locked = Pins(values={name: value for name, value in locked.values.items() if name in found.values})
    require_equal(path, locked, found)


def _gzip(host: Host, manifest: Manifest) -> Gzip | None:
    """Find out before minutes of work, not after, that an `.eap` cannot be compressed."""
    if "eap" not in manifest.package.formats or manifest.package.acap.sdk_image is not None:
        return None
    from dlpubuild.package.eap.compressor import find_gzip  # noqa: PLC0415 - only an .eap needs it

    return find_gzip(host.environ.get("PATH"))


def _command(request: BuildRequest) -> tuple[str, ...]:
    """The command line that asks for the same build; names of steps depend on manifest and targets."""
    manifest = () if request.manifest == DEFAULT_MANIFEST else ("--manifest", str(request.manifest))
    return ("dlpubuild", "build", *manifest, *(word for soc in request.targets for word in ("--target", soc)))


def _require_writable(out_dir: Path) -> None:
    """Find out before minutes of work, not after, that packages cannot be written."""
    import tempfile  # noqa: PLC0415

    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out_dir):
            pass
    except OSError as error:
        raise OutputError(
            ErrorCode.OUTPUT,
            f"packages cannot be written to {out_dir}: {error.strerror}",
            hint="name another folder with --output DIR or DLPU_OUTPUT_DIR",
        ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limits:
    """`SOURCE_DATE_EPOCH` and `DLPU_CACHE_BUDGET`, read and found good."""

    epoch_s: int
    budget_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """A planned build on this machine."""

    host: Host
    memo: Memo
    project: Project
    plan: Plan
    execution: Execution
    out_dir: Path
    gzip: Gzip | None
    limits: _Limits
    observe: Observer

    def run(
        self, request: BuildRequest, interrupts: Interrupts
    ) -> tuple[tuple[TargetResult, ...], Mapping[str, StepOutcome]]:
        store = open_store(self.host)
        parts = EngineParts(
            jobs=request.jobs,
            keep_going=request.keep_going,
            offline=request.offline,
            observe=self.observe,
            cancelled=interrupts.cancelled,
            limits=wanted_limits(self.project.manifest.limits, request.limits),
        )
        pins = tuple(self.project.toolchains.values())
        with store.running_build(), opened_engine(self.host, store, self.execution, pins, parts) as engine:
            with interrupts.deferred():
                outcomes = engine.run(self.plan)
            targets = self._package_all(engine, outcomes)
            for _ in range(_REPAIR_ROUNDS):
                if not any(isinstance(each.error, BlobMissingError) for each in targets):
                    break
                # The damaged blob is gone from the store, so the step that makes it runs again.
                self.observe(Notice(text="a built model was damaged in the cache; making it again"))
                with interrupts.deferred():
                    outcomes = merged(outcomes, engine.run(self.plan))
                targets = self._package_all(engine, outcomes)
        for each in targets:
            for note in each.package.notes if each.package is not None else ():
                self.observe(Notice(text=f"note: {each.soc}: {note}"))
        if any(each.state is State.RAN for each in outcomes.values()):
            self._collect(store)
        self._say_where(outcomes)
        return targets, outcomes

    def _say_where(self, outcomes: Mapping[str, StepOutcome]) -> None:
        """Point faults of the model and of the data, which a step only knows by their staged names, at the manifest."""
        for outcome in outcomes.values():
            error = outcome.error
            if error is not None and error.location is None and error.code in _FAULT_PLACES:
                error.location = self.project.manifest.locate(_FAULT_PLACES[error.code])

    def _collect(self, store: Store) -> None:
        """Keep the cache within its budget; that this fails is no fault of the build."""
        from dlpubuild.cas.collect import collect  # noqa: PLC0415 - a build with nothing to do pays for none of this

        try:
            collect(store, budget_bytes=self.limits.budget_bytes, now_ns=self.host.now_ns())
        except StoreError as error:
            self.observe(Notice(text=f"note: old results could not be removed: {error.message}"))

    def _package_all(self, engine: Engine, outcomes: Mapping[str, StepOutcome]) -> tuple[TargetResult, ...]:
        keep_own_model(self.plan, engine.store)
        results: list[TargetResult] = []
        for planned in self.plan.targets:
            if not engine.keep_going and any(result.error is not None for result in results):
                results.append(TargetResult(soc=planned.target.name))
            else:
                results.append(self._package(engine, planned, outcomes))
        return tuple(results)

    def _package(self, engine: Engine, planned: PlannedTarget, outcomes: Mapping[str, StepOutcome]) -> TargetResult:
        name = planned.target.name
        failed = [(key, outcomes[key]) for key in planned.steps if outcomes[key].result is None]
        if failed:
            key, outcome = next(((k, o) for k, o in failed if o.error is not None), failed[0])
            return TargetResult(soc=name, error=outcome.error, failed_step=self.plan.step(key).name)
        built = built_model(planned, outcomes)
        try:
            package = package_target(
                self.project,
                planned,
                built,
                store=engine.store,
                memo=self.memo,
                out_dir=self.out_dir,
                gzip=self.gzip,
                epoch_s=self.limits.epoch_s,
            )
        except DlpuError as error:
            lint, verification = examined(self.project, planned, built, engine.store, self.memo)
            seconds = sum(outcomes[key].seconds for key in planned.steps)
            return TargetResult(soc=name, error=error, seconds=seconds, lint=lint, verification=verification)
        return _target_result(planned, package, outcomes)


def _target_result(
    planned: PlannedTarget, package: PackagedTarget, outcomes: Mapping[str, StepOutcome]
) -> TargetResult:
    own: Sequence[StepOutcome] = [outcomes[key] for key in planned.steps]
    return TargetResult(
        soc=planned.target.name,
        package=package,
        io=package.io,
        seconds=sum(outcome.seconds for outcome in own),
        ran=any(outcome.state is State.RAN for outcome in own),
        steps=len(own),
        lint=package.lint,
        verification=package.verification,
    )
