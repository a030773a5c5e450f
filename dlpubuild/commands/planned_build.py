"""The steps of a planned build are run, and what they made is packaged.

In: a plan and where it is to run. Out: how each step and each target ended, whatever succeeded and whatever failed.
Progress is told to an observer; nothing is printed here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlpubuild.cas.faults import BlobMissingError
from dlpubuild.commands.execution import opened_engine
from dlpubuild.commands.made import built_model, keep_own_model
from dlpubuild.commands.wiring import open_store
from dlpubuild.engine.events import Notice
from dlpubuild.engine.scheduler import State, merged
from dlpubuild.errors import DlpuError, ErrorCode, StoreError
from dlpubuild.package.examined import examined
from dlpubuild.package.target import package_target
from dlpubuild.report.build import TargetResult

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from dlpubuild.cas.memo import Memo
    from dlpubuild.cas.store import Store
    from dlpubuild.commands.execution import EngineParts, Execution
    from dlpubuild.commands.interrupts import Interrupts
    from dlpubuild.commands.wiring import Host
    from dlpubuild.engine.events import Observer
    from dlpubuild.engine.scheduler import Engine, StepOutcome
    from dlpubuild.package.eap.compressor import Gzip
    from dlpubuild.package.target import PackagedTarget
    from dlpubuild.plan.model import Plan, PlannedTarget
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
class BuildLimits:
    """`SOURCE_DATE_EPOCH` and `DLPU_CACHE_BUDGET`, read and found good."""

    epoch_s: int
    budget_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedBuild:
    """A planned build on this machine."""

    host: Host
    memo: Memo
    project: Project
    plan: Plan
    execution: Execution
    out_dir: Path
    gzip: Gzip | None
    limits: BuildLimits
    observe: Observer

    def run(
        self, parts: EngineParts, interrupts: Interrupts
    ) -> tuple[tuple[TargetResult, ...], Mapping[str, StepOutcome]]:
        """Run the steps, package what they made, and return how both ended.

        Raises:
            InterruptedBuildError: a signal came; nothing runs any more.
        """
        store = open_store(self.host)
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
