"""Container engines of a test's own, which it may starve, kill or lock: the machine's is never touched."""

from __future__ import annotations

import fcntl
import itertools
import os
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dlpubuild.containers.address import EngineAddress
from dlpubuild.containers.ask import ask
from dlpubuild.errors import EngineMissingError
from tests.engine_fixtures import not_available

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_BRIDGES = itertools.count()
# From linux/sockios.h.
_SIOCSIFFLAGS, _SIOCBRADDBR, _SIOCBRDELBR = 0x8914, 0x89A0, 0x89A1
_START_S = 60.0
_STOP_S = 20.0
# An engine gives its containers ten seconds to end; nobody needs them any more.
_GRACE_S = 3.0
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
# A user that no machine has, and the ids it gives away in a user namespace.
_NAME, _USER, _SUBORDINATE = "dlpu-test", 54_321, 600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateEngine:
    """An engine that runs for one test; `log` is what it says, `root` a folder of its own."""

    address: EngineAddress
    process: subprocess.Popen[bytes]
    log: Path
    root: Path

    def kill(self) -> None:
        """End the engine and its containerd at once, as a crash would; containers' processes are left behind."""
        _signal_group(self.process, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """Ask the engine to end, as `systemctl stop docker` does, and wait for it: containers end, too."""
        self.process.terminate()
        self.process.wait(timeout=_STOP_S)


@contextmanager
def private_engine(tmp: Path, *, extra_args: Sequence[str] = ()) -> Iterator[PrivateEngine]:
    """Start `dockerd` without networks, with all that it keeps below `tmp`; skip where this machine cannot.

    `extra_args` go behind the others, for instance `--tlsverify -H tcp://127.0.0.1:PORT`. When the block ends the
    engine, its containerd and every container of it are gone.
    """
    _needs("dockerd")
    with _folders(tmp) as (short, root), _bridge() as bridge:
        command = [*_dockerd(short, root, bridge), *extra_args]
        with _running(command, short, root, source="a test's own engine") as engine:
            yield engine


@contextmanager
def remapping_engine(tmp: Path) -> Iterator[PrivateEngine]:
    """Start `dockerd --userns-remap`: root in its containers is another user; skip where this machine cannot."""
    _needs("dockerd", "unshare")
    with _folders(tmp) as (short, root):
        # What it keeps must be where that user may look.
        short.chmod(0o755)
        command = [*_dockerd(short, short), f"--userns-remap={_NAME}", "--storage-driver=vfs"]
        with _running(_with_user(command, short), short, root, source="a test's own remapping engine") as engine:
            yield engine


@contextmanager
def rootless_engine(tmp: Path) -> Iterator[PrivateEngine]:
    """Start a rootless `dockerd`; skip where this machine cannot."""
    _needs("dockerd", "rootlesskit", "newuidmap", "setpriv", "unshare")
    with _folders(tmp) as (short, root):
        home = short / "home"
        home.mkdir(mode=0o700)
        os.chown(home, _USER, _USER)
        short.chmod(0o755)
        # rootlesskit gives it an /etc and a /run of its own, which lead to the machine's engine unless removed.
        inside = f"rm -f /run/docker /run/containerd /run/xtables.lock; exec {shlex.join(_dockerd(home, home))}"
        command = [
            *("setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--clear-groups"),
            *("env", "-i", f"HOME={home}", f"XDG_RUNTIME_DIR={home}", f"PATH={_PATH}"),
            *("rootlesskit", "--net=host", "--copy-up=/etc", "--copy-up=/run", "--propagation=rslave"),
            *(f"--state-dir={home}/kit", "sh", "-c", f"{inside} --rootless --storage-driver=vfs"),
        ]
        with _running(_with_user(command, short), home, root, source="a test's own rootless engine") as engine:
            yield engine


@contextmanager
def podman_engine(tmp: Path) -> Iterator[PrivateEngine]:
    """Start Podman's service, as root and with all that it keeps below `tmp`; skip where this machine cannot."""
    _needs("podman", "runc")
    with _folders(tmp) as (short, root):
        settings = root / "containers.conf"
        # runc, because crun refuses machines with cgroups of both versions; limits that any root may set.
        settings.write_text(
            '[containers]\ndefault_ulimits=["nofile=4096:4096", "nproc=4096:4096"]\n[engine]\nruntime="runc"\n'
        )
        command = [
            *("podman", "--root", str(root / "data"), "--runroot", str(short / "run"), "--tmpdir", str(short / "tmp")),
            *("--storage-driver", "vfs", "--cgroup-manager", "cgroupfs"),
            *("system", "service", "--time=0", f"unix://{short / 'd.sock'}"),
        ]
        environ = {"PATH": _PATH, "HOME": str(root), "CONTAINERS_CONF": str(settings)}
        with _running(command, short, root, source="a test's own Podman", environ=environ) as engine:
            yield engine


def _needs(*programs: str) -> None:
    """Skip where a program is missing; that of Docker itself must be there in CI, which sets it up where it is root."""
    if os.geteuid() != 0:
        pytest.skip("an engine of the test's own needs root")
    missing = [program for program in programs if shutil.which(program, path=_PATH) is None]
    if "dockerd" in missing:
        not_available("no dockerd to start an engine of the test's own with")
    if missing:
        pytest.skip(f"an engine of this kind needs {', '.join(missing)}")


def _with_user(command: Sequence[str], short: Path) -> list[str]:
    """The command, where /etc knows one user more with ids to give away; no other process sees that."""
    etc = short / "etc"
    etc.mkdir()
    ids = f"{_NAME}:{_SUBORDINATE}:65536\n"
    added = {
        "passwd": f"{_NAME}:x:{_USER}:{_USER}::{short / 'home'}:/bin/sh\n",
        "group": f"{_NAME}:x:{_USER}:\n",
        "subuid": ids,
        "subgid": ids,
    }
    for name, line in added.items():
        (etc / name).write_text(Path("/etc", name).read_text() + line)
    mounts = [f"mount --bind {etc}/{name} /etc/{name}" for name in added]
    return ["unshare", "--mount", "--net", "sh", "-e", "-c", "; ".join([*mounts, f"exec {shlex.join(command)}"])]


@contextmanager
def _bridge() -> Iterator[str]:
    """A network bridge of the engine's own: one that is told to have none removes docker0, which is the machine's."""
    name = f"dlpu{os.getpid()}-{next(_BRIDGES)}"
    assert len(name) < 16, "an interface's name has at most 15 bytes"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
        fcntl.ioctl(control, _SIOCBRADDBR, f"{name}\0".encode())
        try:
            yield name
        finally:
            # One that is up cannot be removed; flags of zero take it down.
            fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh14x", name.encode(), 0))
            fcntl.ioctl(control, _SIOCBRDELBR, f"{name}\0".encode())


def _dockerd(short: Path, root: Path, bridge: str = "none") -> list[str]:
    return [
        *("dockerd", f"--host=unix://{short / 'd.sock'}", f"--pidfile={short / 'pid'}"),
        *(f"--data-root={root / 'data'}", f"--exec-root={short / 'x'}", f"--config-file={short / 'none.json'}"),
        *(f"--bridge={bridge}", "--iptables=false"),
    ]


@contextmanager
def _folders(tmp: Path) -> Iterator[tuple[Path, Path]]:
    """A folder whose path is short, because that of a socket has at most 107 bytes, and one for the rest."""
    short = Path(tempfile.mkdtemp(prefix="dlpu-", dir="/tmp"))
    root = Path(tempfile.mkdtemp(prefix="engine-", dir=tmp))
    try:
        yield short, root
    finally:
        _unmount(short, root)
        shutil.rmtree(short, ignore_errors=True)
        shutil.rmtree(root, ignore_errors=True)


@contextmanager
def _running(
    command: Sequence[str], short: Path, root: Path, *, source: str, environ: Mapping[str, str] | None = None
) -> Iterator[PrivateEngine]:
    """The engine that `command` starts, which listens at `d.sock` in `short` and names that folder to its children."""
    (short / "none.json").write_text("{}")
    log = root / "log"
    with log.open("wb") as output:
        # A session of its own: what it starts belongs to the group that is killed in the end.
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environ, start_new_session=True
        )
    address = EngineAddress(url=f"unix://{short / 'd.sock'}", source=source)
    engine = PrivateEngine(address=address, process=process, log=log, root=root)
    try:
        _wait_until_ready(engine)
        yield engine
    finally:
        _end(engine, short)


def _wait_until_ready(engine: PrivateEngine) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        with suppress(EngineMissingError):
            if ask(engine.address, "/_ping").status == 200:
                return
        assert engine.process.poll() is None, engine.log.read_text()
        assert time.monotonic() < deadline, engine.log.read_text()
        time.sleep(0.05)


def _end(engine: PrivateEngine, short: Path) -> None:
    if engine.process.poll() is None:
        engine.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            engine.process.wait(timeout=_GRACE_S)
    _signal_group(engine.process, signal.SIGKILL)
    engine.process.wait()
    deadline = time.monotonic() + _STOP_S
    while (left := _left_behind(short)) and time.monotonic() < deadline:
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _left_behind(short: Path) -> list[int]:
    """Processes that name the engine's folder in their command line, and what those started."""
    parents: dict[int, int] = {}
    named: list[int] = []
    for entry in Path("/proc").iterdir():
        with suppress(ValueError, OSError):
            pid = int(entry.name)
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            if state in "ZX" or pid == os.getpid():
                continue
            parents[pid] = int(parent)
            program, *words = (entry / "cmdline").read_bytes().split(b"\0")
            is_engines = program.rpartition(b"/")[2] in {b"containerd-shim-runc-v2", b"containerd", b"conmon"}
            if is_engines and any(f"{short}/".encode() in word for word in words):
                named.append(pid)
    return [*named, *(pid for pid, parent in parents.items() if parent in named)]


def _unmount(*folders: Path) -> None:
    """Unmount what a killed engine left mounted, the deepest first."""
    places = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for place in sorted(places, reverse=True):
        if any(place.startswith(f"{folder}/") for folder in folders):
            subprocess.run(["umount", "-l", place], check=False, capture_output=True)
