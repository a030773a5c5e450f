"""An engine that is not well: a small HTTP server that is too old, hangs, talks rubbish, or dies midway.

It stands where a socket or a port of an engine is. Real engines are used wherever a real one can be brought to do the
same; these faults no real one shows on demand.
"""

from __future__ import annotations

import json
import socket
import tempfile
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlpubuild.containers.address import EngineAddress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

VERSION: Mapping[str, Any] = {
    "Version": "99.1",
    "ApiVersion": "1.41",
    "MinAPIVersion": "1.12",
    "Os": "linux",
    "Arch": "amd64",
    "Components": [{"Name": "Engine", "Version": "99.1"}],
}
INFO: Mapping[str, Any] = {
    "Name": "double",
    "NCPU": 8,
    "MemTotal": 16 << 30,
    "Architecture": "x86_64",
    "CgroupVersion": "2",
    "MemoryLimit": True,
    "CpuCfsQuota": True,
    "PidsLimit": True,
    "SecurityOptions": ["name=seccomp,profile=default", "name=cgroupns"],
}


@dataclass(slots=True, kw_only=True)
class EngineDouble:
    """What the server says and what it was asked.

    `replies` maps a path without its API version to the bytes of the whole reply; a path that it lacks is answered
    with 404. None: the connection stays open and nothing comes. `asked` holds request lines in order, `heads` whole
    heads. `connections` is how many there were.
    """

    replies: Mapping[str, bytes | None]
    address: EngineAddress
    asked: list[str] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    connections: int = 0


def reply(content: object, *, status: str = "200 OK", length: int | None = None) -> bytes:
    """Return an HTTP reply with `content`, as JSON unless it is bytes; `length` is what it claims to have."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    said = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {said}\r\n\r\n".encode() + body


def healthy(**version: object) -> dict[str, bytes | None]:
    """Return the replies of an engine that is well, with other values in what `/version` says."""
    return {"/_ping": reply(b"OK"), "/version": reply({**VERSION, **version}), "/info": reply(INFO)}


@contextmanager
def engine_double(replies: Mapping[str, bytes | None], *, tcp: bool = False) -> Iterator[EngineDouble]:
    """Serve `replies` on a socket, or on a port of the loopback interface, until the block ends."""
    with tempfile.TemporaryDirectory(prefix="dlpu-") as folder:
        server = socket.socket(socket.AF_INET if tcp else socket.AF_UNIX, socket.SOCK_STREAM)
        with server:
            if tcp:
                server.bind(("127.0.0.1", 0))
                url = f"tcp://127.0.0.1:{server.getsockname()[1]}"
            else:
                path = Path(folder) / "d.sock"
                server.bind(str(path))
                url = f"unix://{path}"
            server.listen(64)
            double = EngineDouble(replies=replies, address=EngineAddress(url=url, source="a double"))
            with _serving(server, lambda stream: _converse(stream, double), double):
                yield double


@contextmanager
def _serving(server: socket.socket, converse: Callable[[socket.socket], None], double: EngineDouble) -> Iterator[None]:
    open_streams: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def accept() -> None:
        while True:
            try:
                stream, _ = server.accept()
            except OSError:
                return
            double.connections += 1
            open_streams.append(stream)
            threads.append(threading.Thread(target=converse, args=(stream,), daemon=True))
            threads[-1].start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield
    finally:
        # Closing alone does not wake a thread that waits in accept or recv.
        for stream in (server, *open_streams):
            with suppress(OSError):
                stream.shutdown(socket.SHUT_RDWR)
        acceptor.join()
        for thread in threads:
            thread.join()


def _converse(stream: socket.socket, double: EngineDouble) -> None:
    with stream, suppress(OSError):
        while head := _read_head(stream):
            line = head.split("\r\n")[0]
            double.asked.append(line)
            double.heads.append(head)
            path = line.split()[1].partition("?")[0]
            if path.startswith("/v1."):
                path = "/" + path[1:].partition("/")[2]
            answer = double.replies.get(path, reply({"message": "page not found"}, status="404 Not Found"))
            if answer is None:
                stream.recv(1)
                return
            stream.sendall(answer)
            if not _is_whole(answer) or " HTTP/1.0" in line:
                return


def _read_head(stream: socket.socket) -> str:
    head = b""
    while b"\r\n\r\n" not in head:
        chunk = stream.recv(4096)
        if not chunk:
            return ""
        head += chunk
    return head.decode("latin-1")


def _is_whole(answer: bytes) -> bool:
    """Whether a reply keeps its promise, so that the connection can serve another request."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return f"Content-Length: {len(body)}\r\n".encode() in head + b"\r\n"
