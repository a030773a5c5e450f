"""A Docker executor on a real engine, with a store and a place for logs, and actions that are shell scripts."""

from __future__ import annotations

import threading
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dlpubuild.cas.store import Store
from dlpubuild.containers.connect import Connection
from dlpubuild.executors.base import Run
from dlpubuild.executors.docker.container import OWNER_LABEL
from dlpubuild.executors.docker.executor import DockerExecutor, RunImage
from dlpubuild.executors.docker.limits import Limits
from tests.factories.actions import RESULT, make_action

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from dlpubuild.cas.action import ActionResult
    from dlpubuild.containers.address import EngineAddress
    from dlpubuild.executors.base import BoundAction
    from dlpubuild.executors.docker.executor import FileTransfer, ToolchainMount

LIMITS = Limits(memory_bytes=256 << 20, cpus=None, pids=64)


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerBench:
    """A Docker executor; `lines` is what the last action told."""

    connection: Connection
    cache: Path
    image: str
    mode: FileTransfer
    owner: str
    limits: Limits = LIMITS
    mounts: tuple[ToolchainMount, ...] = ()
    lines: list[str] = field(default_factory=list)
    cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def store(self) -> Store:
        return Store(self.cache, now_ns=time.time_ns)

    @property
    def scratch(self) -> Path:
        return self.cache / "scratch"

    @property
    def log(self) -> Path:
        return self.cache / "step.log"

    def executor(self) -> DockerExecutor:
        return DockerExecutor(
            store=self.store,
            scratch=self.scratch,
            connection=self.connection,
            image_of=lambda _: RunImage(name=self.image, mounts=self.mounts),
            limits=self.limits,
            owner=self.owner,
            now_ns=time.time_ns,
            file_transfer=self.mode,
        )

    def run(self, bound: BoundAction) -> ActionResult:
        self.cache.mkdir(parents=True, exist_ok=True)
        return self.executor().run(bound, Run(log=self.log, observe=self.lines.append, cancelled=self.cancelled))

    def result_of(self, bound: BoundAction) -> bytes:
        """Run an action that must succeed and return the bytes of its output `out/result`."""
        result = self.run(bound)
        assert result.exit_code == 0, self.log.read_text()
        (digest,) = [output.digest for output in result.output_files if output.path == RESULT]
        return self.store.read(digest)

    def told(self, script: str) -> str:
        """Run a script that must succeed and return what it writes to standard output."""
        return self.result_of(shell(f"{{ {script}\n}} > {RESULT}")).decode()

    def left(self) -> list[str]:
        """The states of this bench's containers on the engine."""
        filters = {"label": f"{OWNER_LABEL}={self.owner}"}
        return [each["State"] for each in self.connection.client().api.containers(all=True, filters=filters)]


@contextmanager
def docker_bench(
    address: EngineAddress,
    cache: Path,
    image: str,
    mode: FileTransfer,
    *,
    limits: Limits = LIMITS,
    mounts: tuple[ToolchainMount, ...] = (),
) -> Iterator[DockerBench]:
    """A bench for the time of a `with` block, after which it has left nothing behind."""
    with Connection(address, {}) as connection:
        bench = DockerBench(
            connection=connection,
            cache=cache,
            image=image,
            mode=mode,
            owner=uuid.uuid4().hex,
            limits=limits,
            mounts=mounts,
        )
        yield bench
        assert bench.left() == []
        assert not bench.scratch.exists() or list(bench.scratch.iterdir()) == []


def shell(
    script: str,
    *,
    outputs: Sequence[str] = (RESULT,),
    inputs: Mapping[str, bytes | Path] | None = None,
    executable: Sequence[str] = (),
    timeout_s: float = 60.0,
    environment: Mapping[str, str] | None = None,
) -> BoundAction:
    """Return the action that runs `script` in the image's shell."""
    return make_action(
        script,
        outputs=outputs,
        inputs=inputs,
        executable=executable,
        timeout_s=timeout_s,
        environment=environment,
        arguments=("sh", "src/step.py"),
    )
