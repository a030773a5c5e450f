"""A build from end to end: manifest, project, plan, steps, packages.

In: what the user asked for. Out: a `BuildResult`, whatever succeeded and whatever failed. Progress goes to standard
error; nothing is printed to standard output here.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dlpubuild import __version__
from dlpubuild.commands.execution import EngineParts, choose_execution, wanted_limits
from dlpubuild.commands.planned_build import BuildLimits, PlannedBuild
from dlpubuild.commands.progress import watched
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
from dlpubuild.errors import DlpuError, ErrorCode, InterruptedBuildError, OutputError
from dlpubuild.package.target import check_packages
from dlpubuild.project.resolve import notes_on
from dlpubuild.report.build import BuildResult, TargetResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from dlpubuild.cas.memo import Memo
    from dlpubuild.commands.execution import LimitOptions
    from dlpubuild.commands.interrupts import Interrupts
    from dlpubuild.commands.wiring import Host
    from dlpubuild.engine.scheduler import StepOutcome
    from dlpubuild.manifest.model import Manifest
    from dlpubuild.package.eap.compressor import Gzip
    from dlpubuild.project.model import Project


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
    limits = BuildLimits(epoch_s=host.epoch_s, budget_bytes=host.budget_bytes)
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
    with watched(host, plan.steps, quiet=request.quiet) as observe:
        observe(Notice(text=f"executor: {execution.told}"))
        for note in notes:
            observe(Notice(text=f"note: {note}"))
        if request.step is not None and request.report.copies:
            observe(Notice(text="note: a build that stops after a step makes no report"))
        seen = Seen(observe)
        work = PlannedBuild(
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
        parts = EngineParts(
            jobs=request.jobs,
            keep_going=request.keep_going,
            offline=request.offline,
            observe=seen,
            cancelled=interrupts.cancelled,
            limits=wanted_limits(manifest.limits, request.limits),
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
            targets, outcomes = work.run(parts, interrupts)
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
