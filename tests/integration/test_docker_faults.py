"""Bad days in containers, on a real engine: no time, no memory, signals, a dead engine; and never a container left."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dlpubuild.cas.lease import living
from dlpubuild.containers.connect import Connection
from dlpubuild.errors import (
    DlpuError,
    EngineMissingError,
    ErrorCode,
    InterruptedBuildError,
    StepFailedError,
    ToolchainError,
    UsageError,
)
from dlpubuild.executors.docker.calls import Calls
from dlpubuild.executors.docker.container import EXPIRES_LABEL, LEASE_LABEL, OWNER_LABEL
from dlpubuild.executors.docker.limits import Limits
from dlpubuild.executors.docker.sweep import sweep_containers
from dlpubuild.executors.staging import sweep_scratch
from tests.engine_fixtures import _static_busybox, small_image_archive
from tests.factories.actions import RESULT
from tests.factories.containers import LIMITS, DockerBench, docker_bench, shell
from tests.factories.engines import private_engine
from tests.factories.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dlpubuild.containers.address import EngineAddress
    from dlpubuild.executors.base import BoundAction
    from dlpubuild.executors.docker.executor import FileTransfer
    from tests.factories.engines import PrivateEngine

pytestmark = pytest.mark.engine
ROOT = Path(__file__).resolve().parents[2]
# Seconds; generous, because tests share a machine. What is waited for takes half a second at most.
SOON_S = 15.0
FOREVER = "echo started; while true; do sleep 1; done"
HUNGRY = "x=0123456789; while true; do x=$x$x; done"


@pytest.fixture(params=["bind", "stream"])
def bench(
    request: pytest.FixtureRequest, engine_address: EngineAddress, small_image: str, tmp_path: Path
) -> Iterator[DockerBench]:
    mode: FileTransfer = request.param
    with docker_bench(engine_address, tmp_path / "cache", small_image, mode) as made:
        yield made


@pytest.fixture
def bind_bench(engine_address: EngineAddress, small_image: str, tmp_path: Path) -> Iterator[DockerBench]:
    with docker_bench(engine_address, tmp_path / "cache", small_image, "bind") as made:
        yield made


def in_thread(bench: DockerBench, bound: BoundAction) -> tuple[threading.Thread, list[BaseException]]:
    """Run an action in a thread of its own; what it raises is in the list afterwards."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            bench.run(bound)
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, raised


def ended(thread: threading.Thread) -> float:
    """Wait for the thread and return how long that took, in seconds."""
    started = time.monotonic()
    thread.join(SOON_S)
    assert not thread.is_alive()
    return time.monotonic() - started


# Time and memory


def test_the_timeout_ends_the_step(bench: DockerBench) -> None:
    with pytest.raises(StepFailedError) as caught:
        bench.run(shell(FOREVER, timeout_s=1))
    assert caught.value.code is ErrorCode.STEP_TIMEOUT
    assert bench.log.read_text() == "started\n"
    assert bench.left() == []


def test_a_step_that_writes_for_ever_meets_its_timeout(bench: DockerBench) -> None:
    with pytest.raises(StepFailedError) as caught:
        bench.run(shell("yes", timeout_s=0.5))
    assert caught.value.code is ErrorCode.STEP_TIMEOUT


@pytest.mark.parametrize("script", [HUNGRY, f"sh -c '{HUNGRY}'; exit 5"], ids=["step", "child"])
def test_running_out_of_memory_is_told_with_the_limit(bench: DockerBench, script: str) -> None:
    bench = replace(bench, limits=replace(LIMITS, memory_bytes=48 << 20))
    with pytest.raises(StepFailedError) as caught:
        bench.run(shell(script))
    assert caught.value.code is ErrorCode.STEP_MEMORY
    assert "48MiB" in caught.value.message
    assert "--memory" in caught.value.hint


def test_files_in_tmp_count_as_memory(bench: DockerBench) -> None:
    bench = replace(bench, limits=replace(LIMITS, memory_bytes=48 << 20))
    with pytest.raises(StepFailedError) as caught:
        bench.run(shell("exec cat /dev/zero > /tmp/large"))
    assert caught.value.code is ErrorCode.STEP_MEMORY


def test_a_limit_with_which_nothing_can_run_is_refused(bind_bench: DockerBench) -> None:
    with pytest.raises(UsageError):
        replace(bind_bench, limits=Limits(memory_bytes=1 << 20, cpus=None, pids=64)).run(shell("true"))


def test_a_limit_of_more_cores_than_there_are_is_no_limit(bind_bench: DockerBench) -> None:
    limits = Limits(memory_bytes=None, cpus=10_000, pids=64)
    assert replace(bind_bench, limits=limits).run(shell("echo x > out/result")).exit_code == 0


# Cancelling and signals


def test_cancelling_ends_the_step(bench: DockerBench) -> None:
    thread, raised = in_thread(bench, shell(FOREVER))
    wait_until(lambda: bench.lines == ["started"], "the first line")
    bench.cancelled.set()
    ended(thread)
    assert [type(error) for error in raised] == [InterruptedBuildError]
    assert bench.left() == []


def test_a_build_that_was_cancelled_starts_nothing(bench: DockerBench) -> None:
    bench.cancelled.set()
    with pytest.raises(InterruptedBuildError):
        bench.run(shell(FOREVER))


def test_cancelling_while_inputs_are_sent_leaves_nothing(bind_bench: DockerBench, tmp_path: Path) -> None:
    large = tmp_path / "large"
    with large.open("wb") as stream:
        stream.truncate(400 << 20)
    bench = replace(bind_bench, mode="stream")
    thread, raised = in_thread(bench, shell("echo started", inputs={"in/large": large}))
    wait_until(lambda: bench.left() == ["created"], "a container")
    bench.cancelled.set()
    ended(thread)
    assert [type(error) for error in raised] == [InterruptedBuildError]
    assert bench.lines == []


PROGRAM = """
import sys, threading
sys.path.insert(0, {root!r})
from dataclasses import replace
from pathlib import Path
from dlpubuild.containers.address import EngineAddress
from dlpubuild.containers.connect import Connection
from tests.factories.containers import DockerBench, shell
with Connection(EngineAddress(url={url!r}, source="a test"), {{}}) as connection:
    bench = DockerBench(
        connection=connection, cache=Path({cache!r}), image={image!r}, mode={mode!r}, owner={owner!r}
    )
    connection.facts()
    print("ready", flush=True)
    bench.run(shell({script!r}))
"""


def start_tool(bench: DockerBench, script: str = FOREVER) -> subprocess.Popen[str]:
    """Start a process that runs a step with the bench's executor, and wait until it is about to."""
    program = PROGRAM.format(
        root=str(ROOT),
        url=bench.connection.address.url,
        cache=str(bench.cache),
        image=bench.image,
        mode=bench.mode,
        owner=bench.owner,
        script=script,
    )
    tool = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert tool.stdout is not None
    assert tool.stdout.readline() == "ready\n"
    return tool


def test_ctrl_c_removes_the_container(bench: DockerBench) -> None:
    tool = start_tool(bench)
    wait_until(lambda: bench.left() == ["running"], "a running container")
    tool.send_signal(signal.SIGINT)
    _, err = tool.communicate(timeout=SOON_S)
    assert tool.returncode != 0
    assert "KeyboardInterrupt" in err
    assert bench.left() == []
    assert list(bench.scratch.iterdir()) == []


@pytest.mark.parametrize("delay_s", [0.0, 0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.3])
def test_ctrl_c_at_any_time_leaves_no_container(bind_bench: DockerBench, delay_s: float) -> None:
    tool = start_tool(bind_bench)
    time.sleep(delay_s)
    tool.send_signal(signal.SIGINT)
    tool.communicate(timeout=SOON_S)
    assert bind_bench.left() == []


def sweep(bench: DockerBench, owner: str | None = None) -> int:
    return sweep_containers(
        bench.connection,
        owner or bench.owner,
        lambda: {Path(path).name for path in living(bench.scratch)},
        time.time_ns() // 1_000_000_000,
    )


def test_what_a_killed_process_leaves_is_swept(bench: DockerBench) -> None:
    volumes = set(volume_names(bench))
    tool = start_tool(bench)
    wait_until(lambda: bench.left() == ["running"], "a running container")
    assert sweep(bench) == 0, "its lease is held"
    tool.kill()
    tool.communicate()
    assert bench.left() == ["running"]
    assert sweep(bench, owner=uuid.uuid4().hex) == 0, "another machine knows nothing of it, and it has not expired"
    assert sweep(bench) == 1
    assert bench.left() == []
    assert sweep_scratch(bench.scratch) == 1
    assert set(volume_names(bench)) <= volumes


def volume_names(bench: DockerBench) -> list[str]:
    return [volume.name for volume in bench.connection.client().volumes.list()]


def test_a_container_of_another_machine_is_swept_once_it_has_expired(bind_bench: DockerBench) -> None:
    calls = Calls(bind_bench.connection)
    now_s = time.time_ns() // 1_000_000_000
    for expires_s in (now_s - 1000, now_s - 100, now_s + 1000):
        calls.create(
            {
                "Image": bind_bench.image,
                "Labels": {OWNER_LABEL: bind_bench.owner, LEASE_LABEL: "x", EXPIRES_LABEL: str(expires_s)},
            }
        )
    assert sweep(bind_bench, owner="somebody else") == 1
    assert len(bind_bench.left()) == 2
    assert sweep(bind_bench) == 2


# Images and the engine


def test_an_image_that_vanished_is_told(bench: DockerBench) -> None:
    with pytest.raises(ToolchainError) as caught:
        replace(bench, image="sha256:" + "0" * 64).run(shell("true"))
    assert caught.value.code is ErrorCode.IMAGE_MISSING


def test_an_image_without_env_is_told(bind_bench: DockerBench) -> None:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name in ("etc", "w", "tmp"):
            member = tarfile.TarInfo(name)
            member.type, member.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(member)
    client = bind_bench.connection.client()
    name = f"dlpubuild-test/empty-{bind_bench.owner}"
    client.api.import_image_from_data(content.getvalue(), repository=name)
    try:
        with pytest.raises(ToolchainError) as caught:
            replace(bind_bench, image=str(client.images.get(name).id)).run(shell("true"))
    finally:
        client.images.remove(name, force=True)
    assert caught.value.code is ErrorCode.TOOLCHAIN
    assert "/usr/bin/env" in caught.value.message


def test_a_container_that_somebody_removes_is_told(bench: DockerBench) -> None:
    thread, raised = in_thread(bench, shell(FOREVER))
    wait_until(lambda: bench.lines == ["started"], "the first line")
    for container in bench.connection.client().containers.list(
        filters={"label": f"{OWNER_LABEL}={bench.owner}"}, ignore_removed=True
    ):
        container.remove(force=True, v=True)
    ended(thread)
    (error,) = raised
    assert isinstance(error, EngineMissingError)
    assert error.code is ErrorCode.ENGINE_LOST


def own_bench(engine: PrivateEngine, cache: Path, mode: FileTransfer) -> DockerBench:
    """A bench on an engine of the test's own, with the small image on it."""
    busybox = _static_busybox()
    if busybox is None:
        pytest.skip("no static busybox to make a small image of")
    content, tag = small_image_archive(busybox.read_bytes())
    connection = Connection(engine.address, {})
    connection.client().images.load(content)
    return DockerBench(
        connection=connection,
        cache=cache,
        image=str(connection.client().images.get(tag).id),
        mode=mode,
        owner=uuid.uuid4().hex,
    )


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["bind", "stream"])
@pytest.mark.parametrize("end", ["kill", "stop"])
def test_an_engine_that_dies_midway_is_told_at_once(tmp_path: Path, mode: FileTransfer, end: str) -> None:
    with private_engine(tmp_path) as engine:
        bench = own_bench(engine, tmp_path / "cache", mode)
        thread, raised = in_thread(bench, shell(FOREVER))
        wait_until(lambda: bench.lines == ["started"], "the first line")
        stopper = threading.Thread(target=engine.kill if end == "kill" else engine.stop)
        stopper.start()
        assert ended(thread) < SOON_S
        (error,) = raised
        assert isinstance(error, EngineMissingError), error
        assert error.code is ErrorCode.ENGINE_LOST
        assert list(bench.scratch.iterdir()) == []
        bench.connection.close()
        stopper.join(60)


def test_what_a_dead_engine_kept_is_swept_when_it_is_back(tmp_path: Path) -> None:
    with private_engine(tmp_path) as engine:
        bench = own_bench(engine, tmp_path / "cache", "bind")
        thread, raised = in_thread(bench, shell(FOREVER))
        wait_until(lambda: bench.lines == ["started"], "the first line")
        engine.kill()
        ended(thread)
        assert len(raised) == 1
        bench.connection.close()
    assert list(bench.scratch.iterdir()) == []


def test_an_engine_that_is_gone_between_two_steps_is_told(tmp_path: Path) -> None:
    with private_engine(tmp_path) as engine:
        bench = own_bench(engine, tmp_path / "cache", "bind")
        bench.result_of(shell(f"echo x > {RESULT}"))
        engine.stop()
        with pytest.raises(EngineMissingError) as caught:
            bench.run(shell(f"echo x > {RESULT}"))
        assert caught.value.code is ErrorCode.ENGINE
        assert list(bench.scratch.iterdir()) == []
        bench.connection.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small-disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(folder)], check=False)
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def test_a_full_disk_of_the_engine_is_told(tmp_path: Path, small_disk: Path) -> None:
    with private_engine(small_disk) as engine:
        bench = own_bench(engine, tmp_path / "cache", "stream")
        with pytest.raises(EngineMissingError) as caught:
            bench.run(shell("true", inputs={"in/large": os.urandom(60 << 20)}))
        assert "full" in caught.value.message
        assert bench.left() == []
        bench.connection.close()


def test_a_full_disk_of_ours_is_told(bind_bench: DockerBench, small_disk: Path) -> None:
    bench = replace(bind_bench, mode="stream", cache=small_disk / "cache")
    with pytest.raises(DlpuError) as caught:
        bench.run(shell(f"dd if=/dev/zero of={RESULT} bs=1M count=60 2>/dev/null"))
    assert caught.value.code is ErrorCode.STORE_FULL
    assert bench.left() == []
    assert list(bench.scratch.iterdir()) == []
