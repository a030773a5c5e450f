"""One question to the engine, asked so cheaply that every build can ask it: HTTP over a socket, nothing imported.

In: an address and a path of the Engine API. Out: status and body, or the fault that says why there is no answer.
This is no client: what needs TLS, ssh, a body or a stream goes through `Connection`.
"""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlpubuild.containers.faults import engine_fault

if TYPE_CHECKING:
    from dlpubuild.containers.address import EngineAddress

_CHUNK_BYTES = 1 << 16
_MAX_BYTES = 16 << 20
DEFAULT_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the engine said: an HTTP status and the body, mostly JSON."""

    status: int
    body: bytes


def can_ask(address: EngineAddress) -> bool:
    """Return whether `ask` knows the way to this address: a socket, or TCP without TLS."""
    return address.scheme == "unix" or (address.scheme == "tcp" and address.tls is None)


def ask(address: EngineAddress, path: str, timeout_s: float = DEFAULT_TIMEOUT_S) -> Answer:
    """Return the answer to `GET path`, with `path` as in `/_ping` or `/images/NAME/json`, percent-encoded.

    No proxy is used, whatever the environment says. `timeout_s` covers the whole exchange.

    Raises:
        EngineMissingError: nobody answers in time, or not as an HTTP server does.
        ValueError: `can_ask` is false for this address, or the path is not one.
    """
    if not can_ask(address):
        raise ValueError(f"{address} has to be asked through a Connection")
    if not path.startswith("/") or not path.isascii() or any(c.isspace() for c in path):
        raise ValueError(f"{path!r} is not an encoded path")
    try:
        answer = _exchange(address, path, time.monotonic() + timeout_s)
    except OSError as error:
        raise engine_fault(address, error) from error
    head, separator, body = answer.partition(b"\r\n\r\n")
    # HTTP/1.0 200 OK
    words = head.split(b"\r\n")[0].split(maxsplit=2)
    if not separator or len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():  # noqa: PLR2004
        raise engine_fault(address, ValueError("the answer is not HTTP"))
    if _stated_length(head) not in {None, len(body)}:
        raise engine_fault(address, ConnectionResetError("the answer ended midway"))
    return Answer(status=int(words[1]), body=body)


def _exchange(address: EngineAddress, path: str, deadline: float) -> bytes:
    # Asked in HTTP/1.0 the server neither cuts its answer into chunks nor keeps the connection.
    request = f"GET {path} HTTP/1.0\r\nHost: docker\r\nUser-Agent: dlpubuild\r\n\r\n".encode()
    answer = bytearray()
    with _connected(address, deadline) as stream:
        stream.sendall(request)
        while chunk := _receive(stream, deadline):
            answer += chunk
            if len(answer) > _MAX_BYTES:
                raise ConnectionResetError("the answer does not end")
    return bytes(answer)


def _connected(address: EngineAddress, deadline: float) -> socket.socket:
    if address.scheme == "tcp":
        return socket.create_connection(address.endpoint, timeout=_left(deadline))
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        stream.settimeout(_left(deadline))
        stream.connect(address.socket)
    except BaseException:
        stream.close()
        raise
    return stream


def _receive(stream: socket.socket, deadline: float) -> bytes:
    stream.settimeout(_left(deadline))
    return stream.recv(_CHUNK_BYTES)


def _left(deadline: float) -> float:
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise TimeoutError("timed out")
    return left_s


def _stated_length(head: bytes) -> int | None:
    """The body's length in bytes as the header says it, None where it does not."""
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            return int(value)
    return None
