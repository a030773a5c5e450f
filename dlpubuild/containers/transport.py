"""The ways to an engine under the SDK's client: a socket, TCP with or without TLS, and the ssh program.

In: an address and the environment. Out: a client whose requests take that way. The SDK's own ways are not used: its
ssh needs paramiko and a new process for each URL, its pools are made per URL, and its TCP follows proxy variables
even to this machine. Imported by `Connection` only, because it imports the SDK.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import docker
import urllib3
from docker.utils.config import find_config_file
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from dlpubuild.containers.ssh import SshPool, SshProgram, ssh_command
from dlpubuild.errors import EngineMissingError, ErrorCode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from requests import PreparedRequest, Response

    from dlpubuild.containers.address import EngineAddress

CONNECT_TIMEOUT_S = 5.0
# More than any number of steps at once; a connection is made only when all others are busy.
_POOL = 64
# What a socket takes at once, whatever the other side does.
_SHORT_BODY_BYTES = 1 << 16
# A peer that vanished is noticed within a minute and a half, also by a stream that has no timeout.
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4))


class _CappedAdapter(HTTPAdapter):
    """An adapter that waits for a connection for `CONNECT_TIMEOUT_S` only, however long the call itself may take."""

    def send(
        self,
        request: PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> Response:
        # urllib3 sends a body under the time for connecting, too, and an engine that writes files may pause.
        body: Any = request.body
        is_short = body is None or (isinstance(body, (bytes, str)) and len(body) <= _SHORT_BODY_BYTES)
        if is_short and not isinstance(timeout, tuple):
            timeout = (CONNECT_TIMEOUT_S if timeout is None else min(CONNECT_TIMEOUT_S, timeout), timeout)
        return super().send(request, stream, timeout, verify, cert, proxies)


class _TcpAdapter(_CappedAdapter):
    def __init__(self) -> None:
        super().__init__(pool_maxsize=_POOL)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **more: Any) -> None:
        options = [*HTTPConnection.default_socket_options, (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
        options += [(socket.IPPROTO_TCP, option, value) for option, value in _KEEPALIVE]
        super().init_poolmanager(connections, maxsize, block, socket_options=options, **more)


class _OnePoolAdapter(_CappedAdapter):
    """An adapter whose every URL leads to the same engine, so that all requests share one pool; no proxy is asked."""

    def __init__(self, pool: HTTPConnectionPool) -> None:
        super().__init__()
        self._pool = pool

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> HTTPConnectionPool:
        return self._pool

    # The same before requests 2.32.
    get_connection = get_connection_with_tls_context

    def request_url(self, request: PreparedRequest, proxies: Any) -> str:
        del proxies
        return str(request.path_url)

    def close(self) -> None:
        super().close()
        self._pool.close()


class _UnixConnection(HTTPConnection):
    def __init__(self, *positional: Any, path: str, **named: Any) -> None:
        super().__init__(*positional, **named)
        self._path = path

    def connect(self) -> None:
        stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            stream.settimeout(CONNECT_TIMEOUT_S)
            stream.connect(self._path)
            stream.settimeout(self.timeout)
        except BaseException:
            stream.close()
            raise
        self.sock = stream


class _UnixPool(HTTPConnectionPool):
    ConnectionCls = _UnixConnection


class _SshAdapter(_OnePoolAdapter):
    def __init__(self, ssh: SshProgram) -> None:
        super().__init__(SshPool("localhost", maxsize=_POOL, ssh=ssh))
        self._ssh = ssh

    def close(self) -> None:
        super().close()
        self._ssh.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A way to an engine: the SDK's name for where it is, what carries requests, and what TLS and proxy it takes."""

    base_url: str
    adapter: HTTPAdapter
    verify: bool | str = True
    certificate: tuple[str, str] | None = None
    proxies: Mapping[str, str] = field(default_factory=dict)


def open_route(address: EngineAddress, environ: Mapping[str, str]) -> Route:
    """Return the way to `address`; nothing is connected yet."""
    match address.scheme:
        case "unix":
            pool = _UnixPool("localhost", maxsize=_POOL, path=address.socket)
            return Route(base_url=address.url, adapter=_OnePoolAdapter(pool))
        case "ssh":
            # Any name of a socket does: the SDK treats the way as one, and our adapter takes the place of its own.
            ssh = SshProgram(ssh_command(address), environ)
            return Route(base_url="unix:///ssh", adapter=_SshAdapter(ssh))
        case _:
            return _tcp_route(address, environ)


def _tcp_route(address: EngineAddress, environ: Mapping[str, str]) -> Route:
    tls, place = address.tls, address.url.removeprefix("tcp://")
    scheme = "https" if tls else "http"
    verify: bool | str = True
    if tls is not None:
        if not tls.verify:
            verify = False
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        elif tls.ca is not None:
            verify = str(tls.ca)
        else:
            paths = ssl.get_default_verify_paths()
            verify = paths.cafile or paths.capath or True
    proxy = proxy_for(scheme, address.endpoint[0], environ)
    return Route(
        base_url=f"{scheme}://{place}",
        adapter=_TcpAdapter(),
        verify=verify,
        certificate=(str(tls.certificate), str(tls.key)) if tls and tls.certificate else None,
        proxies={scheme: proxy} if proxy else {},
    )


def open_client(route: Route, *, version: str, timeout_s: int) -> docker.DockerClient:
    """Return a client that takes `route` and speaks API `version`; nothing is connected yet.

    Raises:
        EngineMissingError: Docker's configuration, where the SDK finds credentials of registries, is at fault.
    """
    try:
        client = docker.DockerClient(base_url=route.base_url, version=version, timeout=timeout_s)
    except Exception as error:
        # All that it does is to read that file, and it trusts what is in there.
        path = str(find_config_file() or "config.json")
        raise EngineMissingError(
            ErrorCode.ENGINE,
            f"{path} cannot be used: {error}",
            hint="Docker's programs write it; it must be a JSON object",
        ) from error
    # No settings of the process's environment: REQUESTS_CA_BUNDLE would replace the engine's own authority.
    client.api.trust_env = False
    client.api.verify = route.verify
    client.api.cert = route.certificate
    client.api.proxies = dict(route.proxies)
    for prefix in ("http+docker://", "http://", "https://"):
        client.api.mount(prefix, route.adapter)
    return client


def proxy_for(scheme: str, host: str, environ: Mapping[str, str]) -> str:
    """Return the proxy for a host, empty where it is reached directly; this machine always is."""
    name = f"{scheme}_proxy"
    proxy = environ.get(name) or environ.get(name.upper()) or ""
    return "" if _is_direct(host, environ.get("no_proxy") or environ.get("NO_PROXY") or "") else proxy


def _is_direct(host: str, exceptions: str) -> bool:
    try:
        number = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        number = None
    if host == "localhost" or (number is not None and number.is_loopback):
        return True
    for entry in (word.strip().lower() for word in exceptions.split(",")):
        name = entry.removeprefix("*").lstrip(".")
        if entry == "*" or (name and f".{host.lower()}".endswith(f".{name}")):
            return True
        with suppress(ValueError):
            if number is not None and number in ipaddress.ip_network(entry, strict=False):
                return True
    return False
