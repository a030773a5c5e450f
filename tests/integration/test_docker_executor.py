"""What a step sees inside its container, what it may leave, and what comes back, on a real engine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dlpubuild.cas.digest import digest_bytes
from dlpubuild.containers.connect import Connection
from dlpubuild.errors import ErrorCode, StepFailedError, ToolchainError
from dlpubuild.executors.base import Run
from dlpubuild.executors.docker.executor import ToolchainMount
from dlpubuild.executors.docker.limits import Limits
from dlpubuild.executors.docker.transfer import BindTransfer, StreamTransfer
from tests.factories.actions import ENVIRONMENT, RESULT, make_action
from tests.factories.containers import LIMITS, DockerBench, docker_bench, shell
from tests.factories.engines import podman_engine, remapping_engine, rootless_engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from dlpubuild.containers.address import EngineAddress
    from dlpubuild.executors.docker.executor import FileTransfer
    from tests.factories.engines import PrivateEngine

pytestmark = pytest.mark.engine
ROOT = Path(__file__).resolve().parents[2]
# Engines put these into every container.
ENGINES_OWN = {"/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/run/.containerenv", "/run/secrets"}
MIB = 1 << 20


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


def refused(bench: DockerBench, script: str, *outputs: str) -> StepFailedError:
    with pytest.raises(StepFailedError) as caught:
        bench.run(shell(script, outputs=outputs or (RESULT,)))
    assert caught.value.code is ErrorCode.STEP_OUTPUT
    assert caught.value.log == str(bench.log)
    return caught.value


# What a step sees


def test_a_step_has_no_rights(bench: DockerBench) -> None:
    status = dict(line.split(":\t", 1) for line in bench.told("cat /proc/self/status").splitlines() if ":\t" in line)
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[name], 16) == 0, name
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    ids = {int(number) for key in ("Uid", "Gid") for number in status[key].split()}
    assert 0 not in ids


def test_a_step_of_roots_runs_as_nobody_and_of_others_as_themselves(bench: DockerBench) -> None:
    expected = os.getuid() if os.getuid() and bench.mode == "bind" else 65532
    assert bench.told("id -u").strip() == str(expected)


def test_the_image_cannot_be_written(bench: DockerBench) -> None:
    places = "/ /etc /usr/bin /root /var /w /w/src /w/in"
    script = f"for place in {places}; do touch $place/x 2>/dev/null && echo $place; done > {RESULT}; true"
    assert bench.result_of(shell(script, inputs={"in/x": b""})) == b""


def test_inputs_cannot_be_changed(bench: DockerBench) -> None:
    script = f"""
    echo evil > in/x; chmod 777 in/x; rm -f in/x; mv in in2; mv out out2; rmdir out; ln in/x out/x
    cat in/x > {RESULT}
    """
    assert bench.result_of(shell(script, inputs={"in/x": b"good"})) == b"good"


def test_there_is_no_network(bench: DockerBench) -> None:
    devices = [line.split(":")[0].strip() for line in bench.told("cat /proc/net/dev").splitlines()[2:]]
    # The kernel may offer tunnels in every network; only lo is up.
    assert "lo" in devices
    assert not [name for name in devices if name.startswith(("eth", "en", "veth"))]
    assert bench.told("cat /proc/net/route").splitlines()[1:] == []


def test_the_environment_is_that_of_the_action_and_nothing_else(bench: DockerBench) -> None:
    environment = {**ENVIRONMENT, "ODD": "a=b 'c' \"d\" é\nnext"}
    script = f"cat /proc/1/environ > {RESULT}"
    seen = bench.result_of(shell(script, environment=environment)).decode().rstrip("\0").split("\0")
    assert sorted(seen) == sorted(f"{name}={value}" for name, value in environment.items())


def test_limits_hold(bench: DockerBench) -> None:
    bench = replace(bench, limits=Limits(memory_bytes=200 * MIB, cpus=0.5, pids=33))
    script = """
    cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null
    cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null
    cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu.max 2>/dev/null
    true
    """
    assert [line.split()[0] for line in bench.told(script).splitlines()] == [str(200 * MIB), "33", "50000"]


def test_more_processes_than_allowed_cannot_be_started(bench: DockerBench) -> None:
    bench = replace(bench, limits=replace(LIMITS, pids=8))
    result = bench.run(shell("i=0; while [ $i -lt 20 ]; do sleep 5 & i=$((i+1)); done; echo made > out/result"))
    assert result.exit_code != 0
    assert "fork" in bench.log.read_text()


def test_the_only_mounts_are_the_steps_own(bench: DockerBench) -> None:
    places = {line.split()[1]: line.split() for line in bench.told("cat /proc/mounts").splitlines()}
    system = re.compile(r"/|/(proc|sys|dev)(/.*)?")
    own = {place for place in places if not system.fullmatch(place)} - ENGINES_OWN
    assert own == ({"/w", "/w/out", "/tmp"} if bench.mode == "bind" else {"/w", "/tmp"})
    assert {"ro"} <= set(places["/"][3].split(","))
    tmp = places["/tmp"]
    assert tmp[2] == "tmpfs"
    assert {"rw", "nosuid", "nodev", f"size={256 * 1024}k"} <= set(tmp[3].split(","))
    assert "noexec" not in tmp[3]
    if bench.mode == "bind":
        assert "ro" in places["/w"][3].split(",")


def test_the_working_folder_holds_the_inputs_and_an_empty_out(bench: DockerBench) -> None:
    inputs = {"in/data/a.bin": b"a", "in/run": b"#!/bin/sh\necho ran\n"}
    script = f"{{ pwd; hostname; find . -type f -exec stat -c '%n %a' {{}} + | sort; ls out; in/run; }} > {RESULT}"
    seen = bench.result_of(shell(script, inputs=inputs, executable=["in/run"], outputs=[RESULT, "out/result"][:1]))
    assert seen.decode().splitlines() == [
        "/w",
        "dlpubuild",
        "./in/data/a.bin 444",
        "./in/run 555",
        "./out/result " + seen.decode().splitlines()[4].split()[1],
        "./src/step.py 444",
        "result",
        "ran",
    ]


def test_files_in_tmp_can_be_run(bench: DockerBench) -> None:
    assert bench.told("printf '#!/bin/sh\\necho ran\\n' > /tmp/x; chmod +x /tmp/x; /tmp/x") == "ran\n"


def test_a_toolchain_folder_is_mounted_read_only(bind_bench: DockerBench, tmp_path: Path) -> None:
    vendor = tmp_path / "vendor"
    vendor.mkdir()
    (vendor / "tool").write_text("licensed")
    bench = replace(bind_bench, mounts=(ToolchainMount(source=vendor, target="/opt/vendor"),))
    assert bench.told("cat /opt/vendor/tool; touch /opt/vendor/x 2>/dev/null && echo written; true") == "licensed"


def test_a_toolchain_folder_that_is_not_there_is_told(bind_bench: DockerBench, tmp_path: Path) -> None:
    bench = replace(bind_bench, mounts=(ToolchainMount(source=tmp_path / "none", target="/opt/vendor"),))
    with pytest.raises(ToolchainError) as caught:
        bench.run(shell("true"))
    assert str(tmp_path / "none") in caught.value.message
    assert not (tmp_path / "none").exists()


def test_a_toolchain_folder_cannot_be_streamed(bind_bench: DockerBench, tmp_path: Path) -> None:
    bench = replace(bind_bench, mode="stream", mounts=(ToolchainMount(source=tmp_path, target="/opt/vendor"),))
    with pytest.raises(ToolchainError) as caught:
        bench.run(shell("true"))
    assert caught.value.code is ErrorCode.TOOLCHAIN
    assert "does not see" in caught.value.message


# What comes back


def test_an_output_is_in_the_store_under_its_digest(bench: DockerBench) -> None:
    result = bench.run(
        shell(
            "printf made > out/result; mkdir -p out/deep; printf x > out/deep/x; chmod 755 out/deep/x",
            outputs=[RESULT, "out/deep/x"],
        )
    )
    assert [(each.path, each.digest, each.is_executable) for each in result.output_files] == [
        (RESULT, digest_bytes(b"made"), False),
        ("out/deep/x", digest_bytes(b"x"), True),
    ]
    assert result.worker == "docker"
    assert 0 < result.started_ns < result.completed_ns


def test_outputs_belong_to_the_caller_and_carry_no_odd_modes(bench: DockerBench) -> None:
    result = bench.run(shell("echo x > out/result; chmod 6755 out/result"))
    state = bench.store.blob_path(result.output_files[0].digest).stat()
    assert (state.st_uid, state.st_gid, state.st_mode & 0o7777) == (os.getuid(), os.getgid(), 0o444)


def test_large_outputs_and_many_inputs_pass(bench: DockerBench) -> None:
    inputs: dict[str, bytes | Path] = {f"in/{number}": b"%d" % number for number in range(2000)}
    inputs["in/large"] = bytes(50 * MIB)
    script = f"ls in | wc -l; sha256sum in/1999 in/large; cat in/large in/large > {RESULT}"
    digest = bench.run(shell(script, inputs=inputs)).output_files[0].digest
    assert digest == digest_bytes(bytes(100 * MIB))
    assert bench.lines[0] == "2001"
    assert bench.lines[1].split()[0] == digest_bytes(b"1999").hash
    assert bench.lines[2].split()[0] == digest_bytes(bytes(50 * MIB)).hash


def test_log_and_observer_get_what_is_written_as_it_comes(bench: DockerBench) -> None:
    came: list[tuple[float, str]] = []
    script = f"for i in 1 2 3; do echo out $i; echo err $i >&2; sleep 0.4; done; echo x > {RESULT}"
    run = Run(log=bench.log, observe=lambda line: came.append((time.monotonic(), line)), cancelled=threading.Event())
    bench.cache.mkdir()
    result = bench.executor().run(shell(script), run)
    ended = time.monotonic()
    assert [line for _, line in came] == ["out 1", "out 2", "out 3"]
    assert ended - came[0][0] > 1.0, "the first line came when it was written, not at the end"
    assert came[2][0] - came[0][0] > 0.6
    assert sorted(bench.log.read_text().splitlines()) == ["err 1", "err 2", "err 3", "out 1", "out 2", "out 3"]
    assert result.stdout == digest_bytes(bench.log.read_bytes())


def test_ten_megabytes_of_output_arrive(bench: DockerBench) -> None:
    bench.run(shell(f"seq 1 1500000; echo x > {RESULT}"))
    assert len(bench.lines) == 1_500_000
    assert bench.lines[-1] == "1500000"
    assert bench.log.stat().st_size > 10_000_000


@pytest.mark.parametrize(
    ("script", "code"),
    [("exit 3", 3), ("kill -9 $$; sh -c 'kill -9 $$'", 137), ("sh -c 'kill -6 $$'", 134), ("no-such-command", 127)],
)
def test_a_failure_has_an_exit_code_a_log_and_no_outputs(bench: DockerBench, script: str, code: int) -> None:
    result = bench.run(shell(f"echo x > {RESULT}; echo so far; {script}"))
    assert result.exit_code == code
    assert result.output_files == ()
    assert result.stdout is not None
    assert b"so far" in bench.store.read(result.stdout)


@pytest.mark.parametrize(("program", "code"), [("no-such-program", 127), ("/etc/passwd", 126)])
def test_a_program_that_does_not_start_has_the_code_of_shells(bench: DockerBench, program: str, code: int) -> None:
    assert bench.run(make_action("", arguments=(program,))).exit_code == code
    assert program in bench.log.read_text()


def test_a_process_left_behind_ends_with_its_step(bench: DockerBench) -> None:
    started = time.monotonic()
    assert bench.run(shell(f"sleep 60 & echo x > {RESULT}")).exit_code == 0
    assert time.monotonic() - started < 20


def test_a_step_that_closes_its_output_is_waited_for(bench: DockerBench) -> None:
    assert bench.run(shell(f"exec >&- 2>&-; sleep 1; echo x > {RESULT}")).exit_code == 0


def test_several_steps_at_once(bench: DockerBench) -> None:
    executor = bench.executor()
    bench.cache.mkdir()
    found: dict[int, bytes] = {}

    def run(number: int) -> None:
        lines: list[str] = []
        one = Run(log=bench.cache / f"{number}.log", observe=lines.append, cancelled=threading.Event())
        result = executor.run(shell(f"echo {number}; sleep 0.5; echo {number} > {RESULT}"), one)
        assert lines == [str(number)]
        found[number] = bench.store.read(result.output_files[0].digest)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == {number: b"%d\n" % number for number in range(6)}


# What a hostile step leaves


@pytest.mark.parametrize(
    "script",
    [
        "true",
        f"ln -s /etc/shadow {RESULT}",
        f"ln -s gone {RESULT}",
        f"ln -s step.py {RESULT}",
        f"mkdir {RESULT}",
        f"mkfifo {RESULT}",
        f"ln in/x {RESULT}; true",
        f"echo x > out/a; ln out/a {RESULT}",
        f"echo x > {RESULT}; chmod 0 {RESULT}",
        f"mknod {RESULT} c 1 3; true",
        "cd out; nc -l -U result & sleep 0.2; true",
    ],
    ids=["missing", "shadow", "dangling", "link", "folder", "pipe", "input", "second", "closed", "device", "socket"],
)
def test_an_output_that_is_not_a_plain_file_fails_the_step(bench: DockerBench, script: str) -> None:
    with pytest.raises(StepFailedError) as caught:
        bench.run(shell(script, inputs={"in/x": b"good"}))
    assert caught.value.code is ErrorCode.STEP_OUTPUT
    assert RESULT in caught.value.message


@pytest.mark.parametrize(
    "script",
    [
        "rmdir out/deep; ln -s /etc out/deep",
        "rmdir out/deep; ln -s .. out/deep; echo x > out/passwd",
        "rmdir out/deep; echo x > out/deep",
    ],
)
def test_a_folder_that_became_something_else_is_not_followed(bench: DockerBench, script: str) -> None:
    error = refused(bench, script, "out/deep/passwd")
    assert "out/deep" in error.message


def test_out_itself_cannot_be_replaced(bench: DockerBench) -> None:
    refused(bench, "rmdir out; mv out x; ln -s / out; true", "out/etc/passwd")


@pytest.mark.parametrize("mode", ["0", "111", "1777"])
def test_a_closed_out_hurts_nobody(bench: DockerBench, mode: str) -> None:
    bound = shell(f"echo x > {RESULT}; chmod {mode} out")
    if os.getuid() and bench.mode == "bind" and mode == "0":
        with pytest.raises(StepFailedError):
            bench.run(bound)
    else:
        assert bench.result_of(bound) == b"x\n"


def test_what_is_not_declared_hurts_nobody(bench: DockerBench) -> None:
    script = f"""
    cd out; ln -s / root; ln -s /etc/shadow shadow; ln -s loop loop; mkfifo pipe; echo s > setuid; chmod 4755 setuid
    mkdir -p a/b; echo x > a/b/c; chmod 0 a/b; chmod 0 a; touch 'new
line' "$(printf '\\377')"; truncate -s 100M sparse; cd ..; echo x > {RESULT}
    """
    assert bench.result_of(shell(script)) == b"x\n"


@pytest.mark.slow
def test_a_hundred_thousand_files_hurt_nobody(bench: DockerBench) -> None:
    script = f"cd out; for i in $(seq 1 100000); do : > $i; done; cd ..; echo x > {RESULT}"
    assert bench.result_of(shell(script, timeout_s=120)) == b"x\n"


def test_folders_deeper_than_a_path_can_say_hurt_nobody(bench: DockerBench) -> None:
    name = "d" * 100
    script = f"echo x > {RESULT}; cd out; for i in $(seq 1 300); do mkdir {name} && cd -P {name} || exit 1; done"
    assert bench.result_of(shell(script)) == b"x\n"


# How files get there


def test_an_engine_on_this_machine_sees_our_files(bind_bench: DockerBench) -> None:
    bench = replace(bind_bench, mode="auto")
    executor = bench.executor()
    bench.cache.mkdir()
    assert executor.run(shell(f"echo x > {RESULT}"), run_of(bench)).exit_code == 0
    facts = bench.connection.facts()
    expected = StreamTransfer if facts.is_rootless or facts.remaps_users else BindTransfer
    assert isinstance(executor._found.transfer, expected)
    assert bench.left() == []


def run_of(bench: DockerBench) -> Run:
    return Run(log=bench.log, observe=bench.lines.append, cancelled=bench.cancelled)


ELSEWHERE = """
import sys
sys.path.insert(0, {root!r})
from pathlib import Path
from dlpubuild.containers.address import EngineAddress
from tests.factories.containers import docker_bench, shell
from dlpubuild.executors.base import Run
with docker_bench(EngineAddress(url={url!r}, source="a test"), Path({cache!r}), {image!r}, "auto") as bench:
    executor = bench.executor()
    result = executor.run(shell("cat in/x > out/result", inputs={{"in/x": b"seen"}}),
        Run(log=bench.log, observe=print, cancelled=bench.cancelled))
    print(type(executor._found.transfer).__name__, bench.store.read(result.output_files[0].digest).decode())
"""


def test_an_engine_that_sees_other_files_under_the_same_path_is_streamed_to(
    bind_bench: DockerBench, tmp_path: Path
) -> None:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("hiding files from the engine needs root and unshare")
    program = ELSEWHERE.format(
        root=str(ROOT), url=bind_bench.connection.address.url, cache=str(tmp_path), image=bind_bench.image
    )
    hidden = ["unshare", "--mount", "sh", "-c", f"mount -t tmpfs tmpfs '{tmp_path}' && exec \"$@\"", "sh"]
    done = subprocess.run([*hidden, sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "StreamTransfer seen\n"


@pytest.mark.slow
@pytest.mark.parametrize("start", [remapping_engine, rootless_engine, podman_engine])
def test_other_engines_run_steps_and_fetch_files_as_they_can(
    start: Callable[[Path], AbstractContextManager[PrivateEngine]],
    bind_bench: DockerBench,
    tmp_path: Path,
) -> None:
    image = b"".join(bind_bench.connection.client().images.get(bind_bench.image).save(named=True))
    with start(tmp_path) as engine, Connection(engine.address, {}) as connection:
        own = connection.client().images.load(image)[0]
        bench = replace(bind_bench, connection=connection, image=str(own.id), mode="auto", cache=tmp_path / "own")
        bench.cache.mkdir()
        executor = bench.executor()
        bound = shell("echo out; echo err >&2; id -u; cat in/x > out/result", inputs={"in/x": b"seen"})
        result = executor.run(bound, run_of(bench))
        assert bench.store.read(result.output_files[0].digest) == b"seen"
        assert bench.lines == ["out", "65532" if os.getuid() == 0 or start is not podman_engine else str(os.getuid())]
        assert sorted(bench.log.read_text().splitlines()) == sorted([*bench.lines, "err"])
        expected = BindTransfer if start is podman_engine else StreamTransfer
        assert isinstance(executor._found.transfer, expected)
        environment = "cat /proc/1/environ > out/result"
        assert b"container=" not in bench.result_of(shell(environment))
        for transfer in ("bind", "stream") if start is podman_engine else ("stream",):
            other = replace(bench, mode=transfer)
            assert other.run(shell("exit 3")).exit_code == 3
            with pytest.raises(StepFailedError) as caught:
                other.run(shell(f"ln -s /etc/shadow {RESULT}"))
            assert caught.value.code is ErrorCode.STEP_OUTPUT
            with pytest.raises(StepFailedError) as caught:
                other.run(shell("while true; do sleep 1; done", timeout_s=1))
            assert caught.value.code is ErrorCode.STEP_TIMEOUT
            if "memory" not in connection.facts().unlimited:
                with pytest.raises(StepFailedError) as caught:
                    other.run(shell("x=0123456789; while true; do x=$x$x; done"))
                assert caught.value.code is ErrorCode.STEP_MEMORY
        assert bench.left() == []
        assert connection.client().volumes.list() == []
        assert list(bench.scratch.iterdir()) == []


# Runs a step, to import all that one needs, then gives up root's rights: the interpreter may lie where only root reads.
AS_A_USER = """
import os, sys
sys.path.insert(0, {root!r})
from pathlib import Path
from dataclasses import replace
from dlpubuild.containers.address import EngineAddress
from tests.factories.containers import docker_bench, shell
url, cache, mode = {url!r}, Path({cache!r}), {mode!r}
with docker_bench(EngineAddress(url=url, source="a test"), cache, {image!r}, mode) as bench:
    replace(bench, cache=cache / "first").run(shell("echo x > out/result"))
    group = os.stat(url.removeprefix("unix://")).st_gid
    os.setgroups([group])
    os.setgid(12345)
    os.setuid(12345)
    os.umask(0o077)
    script = "id -u; id -g; cat in/x > out/result; chmod 700 out/result"
    result = bench.run(shell(script, inputs={{"in/x": b"seen"}}))
    state = bench.store.blob_path(result.output_files[0].digest).stat()
    print(*bench.lines[:2], state.st_uid, state.st_gid, bench.store.read(result.output_files[0].digest).decode())
"""


@pytest.fixture
def their_folder() -> Iterator[Path]:
    """A folder that another user can reach, which a `tmp_path` of root's is not."""
    with tempfile.TemporaryDirectory(prefix="dlpu-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        cache = folder / "cache"
        cache.mkdir()
        os.chown(cache, 12345, 12345)
        yield cache


@pytest.mark.parametrize("mode", ["auto", "stream"])
def test_a_caller_without_roots_rights_owns_what_comes_back(
    engine_address: EngineAddress, small_image: str, their_folder: Path, mode: str
) -> None:
    if os.geteuid() != 0 or engine_address.scheme != "unix":
        pytest.skip("becoming another user needs root, and a socket whose group is known")
    program = AS_A_USER.format(
        root=str(ROOT), url=engine_address.url, cache=str(their_folder), image=small_image, mode=mode
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    inside = "12345 12345" if mode == "auto" else "65532 65532"
    assert done.stdout == f"{inside} 12345 12345 seen\n"
