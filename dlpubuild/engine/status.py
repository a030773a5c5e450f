"""Which steps of a plan are in the cache, without running any.

In: a plan and the store. Out: a `StepStatus` per step. A step whose inputs do not exist yet has no action, and so no
digest: its status is unknown until what it needs has run. Nothing in the store is changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from dlpubuild.engine.bind import bind_step
from dlpubuild.engine.lookup import cached_result

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dlpubuild.cas.action import ActionResult
    from dlpubuild.cas.store import Store
    from dlpubuild.executors.base import BoundAction
    from dlpubuild.plan.model import Plan


class CacheState(StrEnum):
    """Whether a build would run a step."""

    CACHED = "cached"
    TO_RUN = "to run"
    AFTER_OTHERS = "after others"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStatus:
    """The status of one step; `bound` is its action where that is known."""

    state: CacheState
    bound: BoundAction | None
    result: ActionResult | None


def plan_status(plan: Plan, store: Store) -> Mapping[str, StepStatus]:
    """Return the status of every step, by key, in plan order."""
    found: dict[str, StepStatus] = {}
    results: dict[str, ActionResult] = {}
    for step in plan.steps:
        if any(key not in results for key in step.needs):
            found[step.key] = StepStatus(state=CacheState.AFTER_OTHERS, bound=None, result=None)
            continue
        bound = bind_step(step, results)
        result = cached_result(store, bound, mark=False)
        if result is not None:
            results[step.key] = result
        state = CacheState.CACHED if result is not None else CacheState.TO_RUN
        found[step.key] = StepStatus(state=state, bound=bound, result=result)
    return found
