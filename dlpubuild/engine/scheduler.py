"""Runs a plan: ready steps in plan order, as many at once as there are jobs, nothing that is in the cache.

Guarantees: a step starts after all it needs has a result; the order among ready steps is the plan's; with
fail-fast no step starts after a failure, with keep-going every step that can still succeed runs; when this returns
or raises no step is running. Failed actions are not cached. A blob that turns out to be damaged is made again.
"""

from __future__ import annotations

import queue
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from dlpubuild.cas.faults import BlobMissingError
from dlpubuild.engine.bind import bind_step
from dlpubuild.engine.events import Notice, StepFailed, StepFinished, StepMessage, StepSkipped, StepStarted
from dlpubuild.engine.lookup import cached_result
from dlpubuild.engine.single_flight import only_one
from dlpubuild.engine.step_log import Listener, step_failure, tail
from dlpubuild.errors import DlpuError, ErrorCode, InterruptedBuildError, StepFailedError
from dlpubuild.executors.base import Run

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping
    from pathlib import Path

    from dlpubuild.cas.action import ActionResult
    from dlpubuild.cas.store import Store
    from dlpubuild.engine.events import Observer
    from dlpubuild.executors.base import BoundAction, Executor
    from dlpubuild.plan.model import Plan, Step

_NS = 1_000_000_000


class State(StrEnum):
    """How a step ended."""

    CACHED = "cached"
    RAN = "ran"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOutcome:
    """How one step ended; `result` where it succeeded, `error` where it failed."""

    state: State
    seconds: float = 0.0
    result: ActionResult | None = None
    error: DlpuError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """What it takes to run plans on this machine.

    `logs` and `running` are folders of the cache. `cancelled` is set to stop everything.
    """

    store: Store
    executor: Executor
    logs: Path
    running: Path
    jobs: int
    keep_going: bool
    observe: Observer
    cancelled: threading.Event

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise ValueError(f"an engine needs at least one job, not {self.jobs}")

    def run(self, plan: Plan) -> Mapping[str, StepOutcome]:
        """Return how each step of `plan` ended, by key.

        Raises:
            InterruptedBuildError: the build was interrupted; nothing runs any more.
            StoreError: the cache folder cannot be used.
        """
        outcomes = _Round(engine=self, plan=plan).run()
        # A damaged blob was removed when it was read, so the step that makes it runs again: one more in each round.
        for _ in plan.steps:
            damaged = [each.error for each in outcomes.values() if isinstance(each.error, BlobMissingError)]
            if not damaged:
                break
            self.observe(Notice(text=f"{damaged[0].message}; making it again"))
            told = frozenset(key for key, each in outcomes.items() if each.result is not None)
            outcomes = merged(outcomes, _Round(engine=self, plan=plan, told=told).run())
        for step in plan.steps:
            outcome = outcomes[step.key]
            if outcome.state is State.SKIPPED:
                self.observe(StepSkipped(step=step.name))
            elif isinstance(outcome.error, BlobMissingError):
                self.observe(StepFailed(step=step.name, error=outcome.error))
        return outcomes

    def log_path(self, step: Step, bound: BoundAction) -> Path:
        """Where the log of a step's last run lies."""
        return self.logs / f"{step.id}-{bound.digest.short}.log"


def merged(first: Mapping[str, StepOutcome], last: Mapping[str, StepOutcome]) -> dict[str, StepOutcome]:
    """Return `last`, where a step that ran in `first` counts as run: that is what the user wants to know."""
    return {
        key: replace(outcome, state=State.RAN)
        if outcome.state is State.CACHED and first[key].state is State.RAN
        else outcome
        for key, outcome in last.items()
    }


@dataclass(slots=True)
class _Round:
    """One pass over a plan; the only mutable state of the engine, touched by the main thread alone.

    `told` holds the steps whose end an earlier round has told.
    """

    engine: Engine
    plan: Plan
    told: frozenset[str] = frozenset()
    outcomes: dict[str, StepOutcome] = field(default_factory=dict)
    finished: queue.SimpleQueue[tuple[Step, StepOutcome | BaseException]] = field(default_factory=queue.SimpleQueue)
    running: int = 0

    def run(self) -> dict[str, StepOutcome]:
        waiting = deque(self.plan.steps)
        cancelled = self.engine.cancelled
        with ThreadPoolExecutor(max_workers=self.engine.jobs) as pool:
            try:
                while self.running or (waiting and not cancelled.is_set()):
                    if not cancelled.is_set():
                        self._start_ready(waiting, pool)
                    if self.running:
                        self._take_next()
            except BaseException:
                # Whatever it was, Ctrl-C included: stop what runs before anybody hears of it.
                cancelled.set()
                raise
        if cancelled.is_set():
            raise InterruptedBuildError(ErrorCode.INTERRUPTED, "interrupted")
        return self.outcomes

    def _start_ready(self, waiting: deque[Step], pool: ThreadPoolExecutor) -> None:
        """Start or settle every step that can be, in plan order."""
        for _ in range(len(waiting)):
            step = waiting.popleft()
            if self._is_hopeless(step):
                self._take(step, StepOutcome(state=State.SKIPPED))
            elif all(key in self.outcomes for key in step.needs) and self.running < self.engine.jobs:
                self._settle_or_start(step, pool)
            else:
                waiting.append(step)
        if waiting and not self.running:
            raise AssertionError("a plan is in topological order, so a step that waits waits for one that runs")

    def _is_hopeless(self, step: Step) -> bool:
        bad = (State.FAILED, State.SKIPPED)
        if any(key in self.outcomes and self.outcomes[key].state in bad for key in step.needs):
            return True
        return not self.engine.keep_going and any(each.state is State.FAILED for each in self.outcomes.values())

    def _settle_or_start(self, step: Step, pool: ThreadPoolExecutor) -> None:
        try:
            bound = bind_step(step, self._results())
        except DlpuError as error:
            self._take(step, StepOutcome(state=State.FAILED, error=error))
            return
        cached = cached_result(self.engine.store, bound)
        if cached is not None:
            self._take(step, _outcome(cached, State.CACHED))
            return
        self.running += 1
        pool.submit(self._work, step, bound)

    def _results(self) -> dict[str, ActionResult]:
        return {key: each.result for key, each in self.outcomes.items() if each.result is not None}

    def _work(self, step: Step, bound: BoundAction) -> None:
        """Run in a worker thread; every way out of it puts exactly one outcome."""
        ended: StepOutcome | BaseException
        try:
            ended = run_action(self.engine, step, bound)
        except DlpuError as error:
            if isinstance(error, StepFailedError):
                error.step = step.name
            ended = StepOutcome(state=State.FAILED, error=error)
        except BaseException as error:  # noqa: BLE001 - a fault of ours is raised again by the main thread
            ended = error
        self.finished.put((step, ended))

    def _take_next(self) -> None:
        """Wait until a running step ends."""
        step, ended = self.finished.get()
        self.running -= 1
        if isinstance(ended, BaseException):
            raise ended
        self._take(step, ended)

    def _take(self, step: Step, outcome: StepOutcome) -> None:
        self.outcomes[step.key] = outcome
        observe = self.engine.observe
        match outcome.state:
            case State.RAN:
                observe(StepFinished(step=step.name, cached=False, seconds=outcome.seconds))
            case State.CACHED if step.key not in self.told:
                observe(StepFinished(step=step.name, cached=True, seconds=outcome.seconds))
            case State.FAILED if isinstance(outcome.error, InterruptedBuildError):
                self.engine.cancelled.set()
            case State.FAILED if outcome.error is not None and not isinstance(outcome.error, BlobMissingError):
                observe(StepFailed(step=step.name, error=outcome.error))


def run_action(engine: Engine, step: Step, bound: BoundAction) -> StepOutcome:
    """Run the action of a step, or take the result of another build that ran it meanwhile.

    Raises:
        DlpuError: the step failed; or as `Executor.run`.
    """

    def waiting() -> None:
        engine.observe(StepMessage(step=step.name, text="this runs already; waiting for it"))

    with only_one(engine.running, bound.digest, cancelled=engine.cancelled, on_wait=waiting):
        cached = cached_result(engine.store, bound)
        if cached is not None:
            return _outcome(cached, State.CACHED)
        engine.observe(StepStarted(step=step.name, title=step.title))
        listener = Listener(step=step, observe=engine.observe)
        log = engine.log_path(step, bound)
        try:
            result = engine.executor.run(bound, Run(log=log, observe=listener.line, cancelled=engine.cancelled))
        except StepFailedError as error:
            error.tail = tail(log)
            raise
        if result.exit_code:
            raise step_failure(step, result, listener.error, log)
        engine.store.put_action_result(bound.digest, result)
        return _outcome(result, State.RAN)


def _outcome(result: ActionResult, state: State) -> StepOutcome:
    return StepOutcome(state=state, seconds=(result.completed_ns - result.started_ns) / _NS, result=result)
