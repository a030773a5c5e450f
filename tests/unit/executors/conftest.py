from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from dlpubuild.cas.store import Store
from dlpubuild.executors.base import Run
from dlpubuild.executors.local import LocalExecutor
from tests.factories.actions import RESULT, python_environment

if TYPE_CHECKING:
    from pathlib import Path

    from dlpubuild.cas.action import ActionResult
    from dlpubuild.executors.base import BoundAction


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A local executor with a store and a place for logs; `lines` is what the last action told."""

    store: Store
    scratch: Path
    environment: Path
    log: Path
    lines: list[str] = field(default_factory=list)
    cancelled: threading.Event = field(default_factory=threading.Event)

    def run(self, bound: BoundAction) -> ActionResult:
        executor = LocalExecutor(
            store=self.store, scratch=self.scratch, environment_of=lambda _: self.environment, now_ns=time.time_ns
        )
        run = Run(log=self.log, observe=self.lines.append, cancelled=self.cancelled)
        return executor.run(bound, run)

    def result_of(self, bound: BoundAction) -> bytes:
        """Run an action that must succeed and return the bytes of its output `out/result`."""
        result = self.run(bound)
        assert result.exit_code == 0, self.log.read_text()
        (digest,) = [output.digest for output in result.output_files if output.path == RESULT]
        return self.store.read(digest)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    cache = tmp_path / "cache"
    return Bench(
        store=Store(cache, now_ns=time.time_ns),
        scratch=cache / "scratch",
        environment=python_environment(tmp_path / "environment"),
        log=tmp_path / "step.log",
    )
