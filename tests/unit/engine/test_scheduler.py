"""Which steps run, in which order, how many at once, and what becomes of them when something goes wrong."""

from __future__ import annotations

import threading
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from dlpubuild.engine.events import (
    Notice,
    StepFailed,
    StepFinished,
    StepMessage,
    StepProgress,
    StepSkipped,
    StepStarted,
)
from dlpubuild.engine.scheduler import Engine, State
from dlpubuild.engine.status import CacheState, plan_status
from dlpubuild.errors import ErrorCode, InterruptedBuildError, StepFailedError, StoreError
from tests.factories.plans import OUTPUT, make_plan, make_step
from tests.factories.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from dlpubuild.cas.digest import Digest
    from dlpubuild.engine.scheduler import StepOutcome
    from dlpubuild.executors.base import BoundAction, Run
    from dlpubuild.plan.model import Plan
    from tests.unit.engine.conftest import Works

SOON_S = 10.0


def chain(folder: Path) -> Plan:
    """import, then calibrate, then quantize."""
    return make_plan(
        make_step("import", folder),
        make_step("calibrate", folder, needs=["import"]),
        make_step("quantize", folder, needs=["calibrate"]),
    )


def fan(folder: Path, count: int) -> Plan:
    """Steps that need nothing."""
    return make_plan(*(make_step(f"s{number}", folder) for number in range(count)))


def states(outcomes: Mapping[str, StepOutcome]) -> dict[str, str]:
    return {key: str(outcome.state) for key, outcome in outcomes.items()}


def fail(_bound: BoundAction, _run: Run) -> int:
    return 1


def raising(error: Exception) -> Callable[[BoundAction, Run], int]:
    def act(_bound: BoundAction, _run: Run) -> int:
        raise error

    return act


def output_of(works: Works, plan: Plan, key: str) -> Digest:
    result = plan_status(plan, works.store)[key].result
    assert result is not None
    return next(output.digest for output in result.output_files if output.path == OUTPUT)


def damage(works: Works, digest: Digest) -> None:
    """Change a blob in place, its size as before."""
    path = works.store.blob_path(digest)
    path.chmod(0o644)
    path.write_bytes(b"\0" * digest.size_bytes)


def forget(works: Works, plan: Plan, key: str) -> None:
    """Remove the result of a step's action."""
    bound = plan_status(plan, works.store)[key].bound
    assert bound is not None
    (works.cache / "ac" / bound.digest.hash[:2] / bound.digest.hash).unlink()


def test_a_step_starts_after_what_it_needs(works: Works, tmp_path: Path) -> None:
    outcomes = works.run(chain(tmp_path), jobs=4)
    assert works.executor.begun == ["step import", "step calibrate", "step quantize"]
    assert states(outcomes) == {"import": "ran", "calibrate": "ran", "quantize": "ran"}
    assert [outcome.seconds for outcome in outcomes.values()] == [1.0, 1.0, 1.0]
    assert works.told(StepStarted) == works.told(StepFinished) == ["import", "calibrate", "quantize"]


def test_ready_steps_start_in_plan_order(works: Works, tmp_path: Path) -> None:
    works.run(fan(tmp_path, 6), jobs=1)
    assert works.executor.begun == [f"step s{number}" for number in range(6)]


def test_no_more_steps_run_at_once_than_there_are_jobs(works: Works, tmp_path: Path) -> None:
    two = threading.Barrier(2)

    def meet(_bound: BoundAction, _run: Run) -> None:
        two.wait(SOON_S)

    works.executor.acts = {f"step s{number}": meet for number in range(6)}
    works.run(fan(tmp_path, 6), jobs=2)
    assert works.executor.most_at_once == 2


def test_an_engine_needs_a_job(works: Works) -> None:
    with pytest.raises(ValueError, match="at least one job"):
        works.engine(jobs=0)


def test_what_is_cached_does_not_run_again(works: Works, tmp_path: Path) -> None:
    plan = chain(tmp_path)
    works.run(plan)
    works.events.clear()
    outcomes = works.run(plan)
    assert set(states(outcomes).values()) == {"cached"}
    assert len(works.executor.begun) == 3
    assert works.told(StepStarted) == []
    assert [event.cached for event in works.events if isinstance(event, StepFinished)] == [True, True, True]


def test_a_changed_step_runs_again_and_so_does_what_needs_it(works: Works, tmp_path: Path) -> None:
    works.run(chain(tmp_path))
    works.executor.begun.clear()
    plan = chain(tmp_path)
    (tmp_path / "calibrate.py").write_text("# another script\n")
    works.run(plan)
    # What calibrate makes is the same as before, so quantize has the same inputs and is cached.
    assert works.executor.begun == ["step calibrate"]


def test_equal_actions_run_once(works: Works, tmp_path: Path) -> None:
    steps = [
        make_step(f"import:{soc}", tmp_path / soc, key=soc, script="# same\n", script_name="same.py") for soc in "ab"
    ]
    outcomes = works.run(make_plan(*steps), jobs=2)
    assert len(works.executor.begun) == 1
    assert sorted(states(outcomes).values()) == ["cached", "ran"]


def test_fail_fast_starts_nothing_after_a_failure(works: Works, tmp_path: Path) -> None:
    works.executor.acts = {"step s1": fail}
    outcomes = works.run(fan(tmp_path, 4))
    assert states(outcomes) == {"s0": "ran", "s1": "failed", "s2": "skipped", "s3": "skipped"}
    assert works.told(StepFailed) == ["s1"]
    assert works.told(StepSkipped) == ["s2", "s3"]


def test_fail_fast_lets_running_steps_end(works: Works, tmp_path: Path) -> None:
    def wait(_bound: BoundAction, _run: Run) -> None:
        wait_until(lambda: works.told(StepFailed), "the failure of s1")

    works.executor.acts = {"step s0": wait, "step s1": fail}
    outcomes = works.run(fan(tmp_path, 3), jobs=2)
    assert states(outcomes) == {"s0": "ran", "s1": "failed", "s2": "skipped"}


def test_keep_going_runs_all_that_can_still_succeed(works: Works, tmp_path: Path) -> None:
    works.executor.acts = {"step import": fail}
    plan = make_plan(*chain(tmp_path).steps, *fan(tmp_path, 2).steps)
    outcomes = works.run(plan, keep_going=True)
    assert states(outcomes) == {
        "import": "failed",
        "calibrate": "skipped",
        "quantize": "skipped",
        "s0": "ran",
        "s1": "ran",
    }


def test_a_failed_action_is_not_cached(works: Works, tmp_path: Path) -> None:
    works.executor.acts = {"step s0": fail}
    works.run(fan(tmp_path, 1))
    works.executor.acts = {}
    assert states(works.run(fan(tmp_path, 1))) == {"s0": "ran"}


def test_a_failure_names_step_log_and_last_lines(works: Works, tmp_path: Path) -> None:
    def act(_bound: BoundAction, run: Run) -> int:
        lines = [f"line {number}" for number in range(100)]
        run.log.write_text("\n".join([*lines, '{"event": "message", "text": "x"}', "\x1b[31mred\x1b[0m"]) + "\n")
        return 3

    works.executor.acts = {"step s0": act}
    error = works.run(fan(tmp_path, 1))["s0"].error
    assert isinstance(error, StepFailedError)
    assert error.code is ErrorCode.STEP_FAILED
    assert "exit code 3" in error.message
    assert error.step == "s0"
    assert error.log.startswith(str(works.cache / "s0-"))
    assert error.tail[-2:] == ("line 99", "red")
    assert len(error.tail) == 15


@pytest.mark.parametrize(("exit_code", "words"), [(137, "SIGKILL"), (134, "SIGABRT"), (255, "exit code 255")])
def test_a_step_that_was_killed_is_said_to_have_been(works: Works, tmp_path: Path, exit_code: int, words: str) -> None:
    works.executor.acts = {"step s0": lambda _bound, _run: exit_code}
    error = works.run(fan(tmp_path, 1))["s0"].error
    assert error is not None
    assert words in error.message
    assert bool(error.hint) == (exit_code == 137)


def test_what_a_step_tells_becomes_events_and_its_error_the_message(works: Works, tmp_path: Path) -> None:
    def act(_bound: BoundAction, run: Run) -> int:
        # As the scripts write it: keys sorted, so that the event is not the first of them.
        run.observe('{"done": 3, "event": "progress", "total": 7, "unit": "images"}')
        run.observe('{"event": "message", "text": "reading"}')
        run.observe('{"code": "model-shape", "event": "error", "hint": "fix it", "message": "no shape"}')
        return 1

    works.executor.acts = {"step s0": act}
    error = works.run(fan(tmp_path, 1))["s0"].error
    assert StepProgress(step="s0", done=3, total=7, unit="images") in works.events
    assert StepMessage(step="s0", text="reading") in works.events
    assert error is not None
    assert (error.code, error.hint) == (ErrorCode.MODEL_SHAPE, "fix it")
    assert "no shape" in error.message


@pytest.mark.parametrize(
    "line",
    [
        '{"event": "progress"}',
        '{"event": "progress", "done": "many", "total": 3}',
        '{"event": "progress", "done": Infinity, "total": 3}',
        '{"event": "dance"}',
        '{"event"',
        "event",
        '["event"]',
        '{"a": "event"}',
        "{" * 100_000 + '"event"',
        '{"event": ["unhashable"]}',
    ],
)
def test_a_line_that_only_looks_like_an_event_is_log_text(works: Works, tmp_path: Path, line: str) -> None:
    works.executor.acts = {"step s0": lambda _bound, run: run.observe(line)}
    assert states(works.run(fan(tmp_path, 1))) == {"s0": "ran"}
    assert works.told(StepProgress) == works.told(StepMessage) == []


def test_an_error_code_nobody_knows_is_a_failed_step(works: Works, tmp_path: Path) -> None:
    def act(_bound: BoundAction, run: Run) -> int:
        run.observe('{"event": "error", "code": "no-such-code", "message": "odd"}')
        return 1

    works.executor.acts = {"step s0": act}
    error = works.run(fan(tmp_path, 1))["s0"].error
    assert error is not None
    assert error.code is ErrorCode.STEP_FAILED


def test_an_error_of_the_executor_is_the_steps_and_has_the_end_of_the_log(works: Works, tmp_path: Path) -> None:
    def act(_bound: BoundAction, run: Run) -> int:
        run.log.write_text("before the timeout\n")
        raise StepFailedError(ErrorCode.STEP_TIMEOUT, "too slow", log=str(run.log))

    works.executor.acts = {"step s0": act}
    error = works.run(fan(tmp_path, 1))["s0"].error
    assert isinstance(error, StepFailedError)
    assert (error.code, error.step, error.tail) == (ErrorCode.STEP_TIMEOUT, "s0", ("before the timeout",))


def test_a_path_that_cannot_be_staged_fails_its_step_alone(works: Works, tmp_path: Path) -> None:
    plan = make_plan(make_step("bad", tmp_path, outputs=["out/../../etc"]), make_step("good", tmp_path))
    outcomes = works.run(plan, keep_going=True)
    error = outcomes["bad"].error
    assert error is not None
    assert error.code is ErrorCode.PATH_KIND
    assert outcomes["good"].state is State.RAN


def test_a_fault_of_ours_surfaces_as_itself_once_nothing_runs(works: Works, tmp_path: Path) -> None:
    def wait(_bound: BoundAction, run: Run) -> int:
        assert run.cancelled.wait(SOON_S)
        raise InterruptedBuildError(ErrorCode.INTERRUPTED, "stopped")

    works.executor.acts = {"step s0": wait, "step s1": raising(RuntimeError("ours"))}
    with pytest.raises(RuntimeError, match="ours"):
        works.run(fan(tmp_path, 3), jobs=2)
    assert works.executor.at_once == 0
    assert sorted(works.executor.begun) == ["step s0", "step s1"]


def test_a_cache_that_cannot_be_used_ends_the_build(works: Works, tmp_path: Path) -> None:
    (works.cache / "running").write_text("not a folder")
    outcomes = works.run(fan(tmp_path, 1))
    error = outcomes["s0"].error
    assert isinstance(error, StoreError)


@pytest.mark.parametrize("keep_going", [False, True])
def test_cancelling_stops_what_runs_and_starts_nothing_more(works: Works, tmp_path: Path, keep_going: bool) -> None:
    both = threading.Barrier(2)

    def cancel(_bound: BoundAction, run: Run) -> int:
        both.wait(SOON_S)
        run.cancelled.set()
        raise InterruptedBuildError(ErrorCode.INTERRUPTED, "stopped")

    def wait(_bound: BoundAction, run: Run) -> int:
        both.wait(SOON_S)
        wait_until(lambda: len(works.executor.ended) == 1, "the end of the other step")
        # Long enough for the engine to start a step in its place, if it did.
        assert not two_more.wait(0.1)
        raise InterruptedBuildError(ErrorCode.INTERRUPTED, "stopped")

    two_more = threading.Event()
    works.executor.acts = {"step s0": cancel, "step s1": wait, "step s2": lambda _bound, _run: two_more.set()}
    with pytest.raises(InterruptedBuildError):
        works.run(fan(tmp_path, 4), jobs=2, keep_going=keep_going)
    assert sorted(works.executor.begun) == sorted(works.executor.ended) == ["step s0", "step s1"]
    assert works.told(StepFailed) == []


def test_a_keyboard_interrupt_waits_for_running_steps_to_stop(works: Works, tmp_path: Path) -> None:
    def wait(_bound: BoundAction, run: Run) -> int:
        assert run.cancelled.wait(SOON_S)
        raise InterruptedBuildError(ErrorCode.INTERRUPTED, "stopped")

    def interrupted(event: object) -> None:
        if isinstance(event, StepFinished):
            raise KeyboardInterrupt

    works.executor.acts = {"step s1": wait}
    engine = works.engine(jobs=2)
    with pytest.raises(KeyboardInterrupt):
        Engine(
            store=engine.store,
            executor=engine.executor,
            logs=engine.logs,
            running=engine.running,
            jobs=2,
            keep_going=False,
            observe=interrupted,
            cancelled=engine.cancelled,
        ).run(fan(tmp_path, 2))
    assert works.executor.at_once == 0
    assert works.executor.ended[-1] == "step s1"


def test_a_damaged_output_of_a_cached_step_is_made_again_when_it_is_needed(works: Works, tmp_path: Path) -> None:
    plan = make_plan(make_step("other", tmp_path), *chain(tmp_path).steps)
    works.run(plan)
    digest = output_of(works, plan, "import")
    forget(works, plan, "calibrate")
    damage(works, digest)
    works.events.clear()
    works.executor.begun.clear()
    outcomes = works.run(plan)
    assert states(outcomes) == {"other": "cached", "import": "ran", "calibrate": "ran", "quantize": "cached"}
    # In the second round only what is new is told.
    assert works.told(StepFinished) == ["other", "import", "import", "calibrate", "quantize"]
    assert works.executor.begun == ["step calibrate", "step import", "step calibrate"]
    assert works.store.read(digest) == b"step import out/made"
    assert len([event for event in works.events if isinstance(event, Notice)]) == 1
    assert works.told(StepSkipped) == works.told(StepFailed) == []


def test_damage_all_along_a_chain_is_repaired(works: Works, tmp_path: Path) -> None:
    names = [f"s{number}" for number in range(8)]
    plan = make_plan(
        make_step(names[0], tmp_path),
        *(make_step(name, tmp_path, needs=[before]) for before, name in pairwise(names)),
    )
    works.run(plan)
    digests = [output_of(works, plan, name) for name in names[:-1]]
    forget(works, plan, names[-1])
    for digest in digests:
        damage(works, digest)
    assert set(states(works.run(plan)).values()) == {"ran"}
    for digest in digests:
        works.store.read(digest)


def test_damage_that_comes_back_is_told_in_the_end(works: Works, tmp_path: Path) -> None:
    plan = chain(tmp_path)
    works.run(plan)
    digest = output_of(works, plan, "import")
    forget(works, plan, "calibrate")

    def bad_disk(event: object) -> None:
        works.events.append(event)  # type: ignore[arg-type]
        if isinstance(event, StepStarted) and event.step == "calibrate":
            damage(works, digest)

    engine = works.engine()
    outcomes = Engine(
        store=engine.store,
        executor=engine.executor,
        logs=engine.logs,
        running=engine.running,
        jobs=1,
        keep_going=False,
        observe=bad_disk,
        cancelled=engine.cancelled,
    ).run(plan)
    error = outcomes["calibrate"].error
    assert error is not None
    assert error.code is ErrorCode.BLOB_MISSING
    assert works.told(StepFailed) == ["calibrate"]
    assert works.told(StepSkipped) == ["quantize"]


def test_the_status_of_a_plan_changes_nothing_in_the_cache(works: Works, tmp_path: Path) -> None:
    plan = chain(tmp_path)
    before = plan_status(plan, works.store)
    assert [status.state for status in before.values()] == [
        CacheState.TO_RUN,
        CacheState.AFTER_OTHERS,
        CacheState.AFTER_OTHERS,
    ]
    assert list(works.cache.iterdir()) == []
    works.run(plan)
    times = {path: path.stat().st_mtime_ns for path in works.cache.rglob("*")}
    after = plan_status(plan, works.store)
    assert [status.state for status in after.values()] == [CacheState.CACHED] * 3
    assert {path: path.stat().st_mtime_ns for path in works.cache.rglob("*")} == times
