"""HTTP through the ssh program: each connection is one ssh, which talks to the engine on the far side.

In: where ssh leads, and the environment it is to have. Out: a pool of connections for the SDK's client. What ssh says
when it fails is kept for the error. Keys, hosts and jumps are the user's ssh configuration; nothing is asked.
"""

from __future__ import annotations

import shlex
import socket
import subprocess
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from dlpubuild.containers.faults import SshError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dlpubuild.containers.address import EngineAddress

_CONNECT_TIMEOUT_S = 10
_END_S = 5.0
# Of what ssh says; the reason comes last.
_LINES = 3


def ssh_command(address: EngineAddress) -> list[str]:
    """Return the command that connects its standard input and output to the engine at an `ssh` address.

    `docker system dial-stdio` is what Docker's own client runs on the far side.
    """
    user, host, port, far = address.ssh
    named = ["--host", f"unix://{far}"] if far else []
    # Never a question on the terminal; and a far side that vanished is noticed, also by a stream without a timeout.
    options = ["BatchMode=yes", "LogLevel=ERROR", f"ConnectTimeout={_CONNECT_TIMEOUT_S}", "ServerAliveInterval=20"]
    return [
        *("ssh", "-T"),
        *(word for option in options for word in ("-o", option)),
        *(("-l", user) if user else ()),
        *(("-p", str(port)) if port else ()),
        *("--", host, shlex.join(["docker", *named, "system", "dial-stdio"])),
    ]


@dataclass(slots=True)
class _SshProcess:
    """One ssh; `errors` is a file, because a pipe that nobody reads would fill up and block it."""

    process: subprocess.Popen[bytes]
    errors: IO[bytes]
    lock: threading.Lock = field(default_factory=threading.Lock)
    said: str | None = None

    def words(self) -> str:
        """What ssh said when it failed; empty where it did not, or still runs."""
        try:
            code = self.process.wait(timeout=_END_S)
        except subprocess.TimeoutExpired:
            return ""
        return (self._read() or f"it ended with exit code {code}") if code else ""

    def has_ended(self) -> bool:
        if self.process.poll() is None:
            return False
        self._read()
        return True

    def end(self) -> None:
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=_END_S)
        self.process.kill()
        self.process.wait()
        self._read()

    def _read(self) -> str:
        with self.lock:
            if self.said is None:
                self.errors.seek(0)
                lines = [line.strip() for line in self.errors.read().decode("utf-8", "replace").splitlines()]
                self.said = "; ".join([line for line in lines if line][-_LINES:])
                self.errors.close()
            return self.said


@dataclass(slots=True)
class SshProgram:
    """Starts ssh, once per connection, and keeps what it started until it has ended."""

    command: Sequence[str]
    environ: Mapping[str, str]
    lock: threading.Lock = field(default_factory=threading.Lock)
    running: list[_SshProcess] = field(default_factory=list)

    def start(self) -> tuple[socket.socket, _SshProcess]:
        """Return a new ssh, and the socket that is its standard input and output.

        Raises:
            SshError: there is no such program.
        """
        ours, theirs = socket.socketpair()
        errors = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        try:
            with theirs:
                # A session of its own: Ctrl-C must not end the way by which containers are removed after it.
                process = subprocess.Popen(
                    self.command,
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    stderr=errors,
                    env=dict(self.environ),
                    start_new_session=True,
                )
        except BaseException as error:
            ours.close()
            errors.close()
            if isinstance(error, OSError):
                raise SshError(f'the program "ssh" cannot be started: {error.strerror}') from error
            raise
        started = _SshProcess(process, errors)
        with self.lock:
            self.running = [*(known for known in self.running if not known.has_ended()), started]
        return ours, started

    def close(self) -> None:
        """End every ssh that still runs."""
        with self.lock:
            running, self.running = self.running, []
        for known in running:
            known.end()


class _SshConnection(HTTPConnection):
    """HTTP through ssh, whose standard input and output are one end of a pair of sockets."""

    def __init__(self, *positional: Any, ssh: SshProgram, **named: Any) -> None:
        super().__init__(*positional, **named)
        self._ssh = ssh
        self._started: _SshProcess | None = None

    def connect(self) -> None:
        self.sock, self._started = self._ssh.start()

    def getresponse(self) -> Any:
        try:
            return super().getresponse()
        except ConnectionError as error:
            # Not closed with the connection: a stream that has left the pool still runs through it.
            if self._started is not None and (said := self._started.words()):
                raise SshError(said) from error
            raise


class SshPool(HTTPConnectionPool):
    """Connections through ssh; takes the program as `ssh=`."""

    ConnectionCls = _SshConnection
