from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from dlpubuild.cas.store import Store
from dlpubuild.engine.scheduler import Engine
from tests.doubles.executor import ScriptedExecutor

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dlpubuild.engine.events import Event
    from dlpubuild.engine.scheduler import StepOutcome
    from dlpubuild.plan.model import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Works:
    """A store, an executor that does as it is told, and what the engine told."""

    cache: Path
    store: Store
    executor: ScriptedExecutor
    events: list[Event] = field(default_factory=list)
    cancelled: threading.Event = field(default_factory=threading.Event)

    def engine(self, *, jobs: int = 1, keep_going: bool = False) -> Engine:
        return Engine(
            store=self.store,
            executor=self.executor,
            logs=self.cache,
            running=self.cache / "running",
            jobs=jobs,
            keep_going=keep_going,
            observe=self.events.append,
            cancelled=self.cancelled,
        )

    def run(self, plan: Plan, *, jobs: int = 1, keep_going: bool = False) -> Mapping[str, StepOutcome]:
        return self.engine(jobs=jobs, keep_going=keep_going).run(plan)

    def told(self, kind: type[Event]) -> list[str]:
        """The steps of the events of one kind, in order."""
        return [getattr(event, "step", "") for event in self.events if isinstance(event, kind)]


@pytest.fixture
def works(tmp_path: Path) -> Works:
    cache = tmp_path / "cache"
    cache.mkdir()
    store = Store(cache, now_ns=time.time_ns)
    return Works(cache=cache, store=store, executor=ScriptedExecutor(store=store))
