"""The Docker executor: one container per action, hardened, on whatever engine the connection leads to.

In: a bound action. Out: its result. A command sees its inputs, `out/`, its image, and nothing else: no network, no
variable, no file of the host. When `run` returns or raises, its container is gone with all that ran in it; only where
this process is killed, or the engine dies, a container can stay, and the next build's sweep finds it by its labels.
"""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from dlpubuild.cas.action import ActionResult
from dlpubuild.cas.faults import store_faults
from dlpubuild.errors import ErrorCode, StepFailedError
from dlpubuild.executors.docker.calls import Calls, created
from dlpubuild.executors.docker.container import Marks, container_config
from dlpubuild.executors.docker.follow import Attachment, follow
from dlpubuild.executors.docker.image import RunImage, ToolchainMount
from dlpubuild.executors.docker.limits import settle_limits, size
from dlpubuild.executors.docker.probe import sees_our_files
from dlpubuild.executors.docker.transfer import BindTransfer, StreamTransfer, caller
from dlpubuild.executors.staging import collect_outputs, scratch_folder, stage
from dlpubuild.executors.watching import POLL_S, Output, check_limits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from dlpubuild.cas.action import OutputFile
    from dlpubuild.cas.store import Store
    from dlpubuild.containers.connect import Connection
    from dlpubuild.executors.base import BoundAction, Run
    from dlpubuild.executors.docker.calls import State
    from dlpubuild.executors.docker.limits import Limits, SettledLimits
    from dlpubuild.executors.docker.transfer import Transfer

__all__ = ["DockerExecutor", "RunImage", "ToolchainMount"]

FileTransfer = Literal["auto", "bind", "stream"]
# Beyond its timeout: to send inputs before, and to fetch outputs after.
_SPARE_S = 3600
_NS = 1_000_000_000
_KILLED = 128 + 9
_TERMINATED = 128 + 15
# What an engine takes to end, or to remove a container, once it has killed what ran in it.
_AFTERMATH_S = 2.0


@dataclass(slots=True)
class _Found:
    """What was found out about the engine, once per executor."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    transfer: Transfer | None = None
    limits: SettledLimits | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerExecutor:
    """Runs actions in containers; threads may share it.

    `scratch` is on the same file system as the store, so that outputs are moved, not copied. `image_of` returns the
    image that an action's platform names, once it is on the engine. `owner` is the id of the cache folder, by which
    containers of killed builds are found again. `now_ns` is the wall clock, for the record in results and for the time
    after which a container can be nobody's any more. `file_transfer` is for tests: `auto` asks the engine.
    """

    store: Store
    scratch: Path
    connection: Connection
    image_of: Callable[[Mapping[str, str]], RunImage]
    limits: Limits
    owner: str
    now_ns: Callable[[], int]
    file_transfer: FileTransfer = "auto"
    _found: _Found = field(default_factory=_Found, init=False, repr=False, compare=False)

    @property
    def name(self) -> str:
        """The name `--executor` takes."""
        return "docker"

    def run(self, bound: BoundAction, run: Run) -> ActionResult:
        """Run the action; see `Executor.run`.

        Raises:
            EngineMissingError: the engine refuses (ENGINE), or was lost (ENGINE_LOST).
            UsageError: the engine cannot give what the limits ask for.
        """
        image = self.image_of(bound.command.platform)
        with store_faults(self.scratch):
            transfer, limits = self._prepared(image)
            transfer.check_image(image, self.connection.address)
            with scratch_folder(self.scratch) as folder:
                root = folder / "root"
                root.mkdir()
                stage(bound, self.store, root)
                config = container_config(
                    bound.command,
                    image,
                    limits,
                    self._marks(folder, bound.action.timeout_s),
                    transfer.user,
                    transfer.mounts(root),
                )
                if not self.connection.facts().is_podman:
                    # Podman 4 sets up a timer for a check that is none.
                    config["Healthcheck"] = {"Test": ["NONE"]}
                started_ns = self.now_ns()
                step = _Step(calls=Calls(self.connection), bound=bound, run=run, transfer=transfer, root=root)
                exit_code, outputs = step.run_in(config, limits, self.store)
                log = self.store.put_file(run.log)
        return ActionResult(
            output_files=outputs,
            exit_code=exit_code,
            stdout=log,
            worker="docker",
            started_ns=started_ns,
            completed_ns=self.now_ns(),
        )

    def close(self) -> None:
        """Do nothing: no container outlives its `run`, and whoever made the connection closes it."""

    def _prepared(self, image: RunImage) -> tuple[Transfer, SettledLimits]:
        """How files come and go, and what a step may use: found out with the first step."""
        with self._found.lock:
            if self._found.limits is None:
                facts = self.connection.facts()
                self._found.limits = settle_limits(self.limits, facts)
            if self._found.transfer is None:
                self._found.transfer = BindTransfer(caller()) if self._can_bind(image) else StreamTransfer()
            return self._found.transfer, self._found.limits

    def _can_bind(self, image: RunImage) -> bool:
        facts = self.connection.facts()
        if self.file_transfer != "auto":
            return self.file_transfer == "bind"
        if facts.is_rootless or facts.remaps_users:
            # A container's user is another one here than there.
            return False
        with scratch_folder(self.scratch) as folder:
            return sees_our_files(
                Calls(self.connection), image, folder, self._marks(folder, 0), caller(), is_podman=facts.is_podman
            )

    def _marks(self, folder: Path, timeout_s: float) -> Marks:
        # A scratch folder has the name of its lease, and an ending.
        expires_s = self.now_ns() // _NS + math.ceil(timeout_s) + _SPARE_S
        return Marks(owner=self.owner, lease=folder.stem, expires_s=expires_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """One action on its way through a container."""

    calls: Calls
    bound: BoundAction
    run: Run
    transfer: Transfer
    root: Path

    def run_in(self, config: dict[str, Any], limits: SettledLimits, store: Store) -> tuple[int, tuple[OutputFile, ...]]:
        """Return the exit code, and the outputs where it is 0."""
        run, calls = self.run, self.calls
        self.check()
        # What a process of an earlier run may still write to the old log must not end up in this one.
        run.log.unlink(missing_ok=True)
        with run.log.open("ab", buffering=0) as log, Attachment() as attachment, created(calls, config) as container:
            self.transfer.send(calls, container, self.root, self.check)
            attachment.open(calls, container, self.check)
            self.check()
            calls.start(container, config["Image"])
            deadline = time.monotonic() + self.bound.action.timeout_s
            output = Output(log=log, observe=run.observe)
            state = follow(calls, container, attachment, output, lambda: check_limits(deadline, self.bound, run))
            if state.exit_code:
                self._explain(container, state, limits)
                return state.exit_code, ()
            folder = self.transfer.receive(calls, container, self.root, self.bound, run)
            return 0, collect_outputs(self.bound, store, folder, run.log)

    def check(self) -> None:
        """Raise InterruptedBuildError once the build was cancelled; where the step does not run, no time is up."""
        check_limits(math.inf, self.bound, self.run)

    def _explain(self, container: str, state: State, limits: SettledLimits) -> None:
        """Raise where the exit code says less than is known of why the step ended.

        Podman 4 does not tell that the kernel killed a process for want of memory, and with cgroups 2 Docker may
        learn of it too late.
        """
        facts = self.calls.connection.facts()
        is_killed = state.exit_code in {_KILLED, _TERMINATED}
        if is_killed and not state.is_oom_killed:
            self._see_whether_all_ends(container)
        is_likely = state.exit_code == _KILLED and (facts.is_podman or facts.cgroups != 1)
        if state.is_oom_killed or is_likely:
            what = "ran out of memory" if state.is_oom_killed else "was killed, probably because it ran out of memory"
            raise StepFailedError(
                ErrorCode.STEP_MEMORY,
                f"{self.bound.mnemonic} {what}: it may use {size(limits.memory_bytes)}, its files in /tmp included",
                hint="give it more with [limits] memory in dlpu.toml or --memory; fewer calibration samples need less",
                log=str(self.run.log),
            )

    def _see_whether_all_ends(self, container: str) -> None:
        """Raise EngineMissingError where the step was killed because its container is removed, or the engine stops."""
        until = time.monotonic() + _AFTERMATH_S
        while time.monotonic() < until:
            self.calls.inspect(container)
            time.sleep(POLL_S)
