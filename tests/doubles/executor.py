"""An executor that runs nothing: it does as it is told, and remembers what it was asked to do."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dlpubuild.cas.action import ActionResult, OutputFile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dlpubuild.cas.store import Store
    from dlpubuild.executors.base import BoundAction, Run

SECOND = 1_000_000_000


@dataclass(slots=True, kw_only=True)
class ScriptedExecutor:
    """Every action succeeds after one second on paper, and its outputs hold its mnemonic and their path.

    `acts` says by mnemonic what else to do first: raise, wait, write, or return another exit code than 0. Its inputs
    from the store are read, as a real executor does.
    """

    store: Store
    acts: Mapping[str, Callable[[BoundAction, Run], int | None]] = field(default_factory=dict)
    name: str = "scripted"
    begun: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, bound: BoundAction, run: Run) -> ActionResult:
        with self.lock:
            self.begun.append(bound.mnemonic)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return self._run(bound, run)
        finally:
            with self.lock:
                self.ended.append(bound.mnemonic)
                self.at_once -= 1

    def _run(self, bound: BoundAction, run: Run) -> ActionResult:
        for file in bound.tree.files.values():
            if file.digest not in bound.content:
                self.store.read(file.digest)
        run.log.touch()
        act = self.acts.get(bound.mnemonic)
        exit_code = (act(bound, run) or 0) if act else 0
        paths = bound.command.output_paths if exit_code == 0 else ()
        outputs = tuple(
            OutputFile(path=path, digest=self.store.put_bytes(f"{bound.mnemonic} {path}".encode())) for path in paths
        )
        return ActionResult(
            output_files=outputs,
            exit_code=exit_code,
            stdout=self.store.put_file(run.log),
            worker=self.name,
            started_ns=SECOND,
            completed_ns=2 * SECOND,
        )
