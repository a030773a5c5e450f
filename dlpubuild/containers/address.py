"""Where the container engine is, found as the `docker` program finds it, and where rootless Docker and Podman listen.

In: the environment and the home folder, with the Docker configuration they lead to. Out: an `EngineAddress`, or None
where nothing says that there is an engine. Nothing here connects to one: an address may well be dead.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dlpubuild.errors import EngineMissingError, ErrorCode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dlpubuild.containers.context import ContextEndpoint

DEFAULT_SOCKET = "/var/run/docker.sock"
_PODMAN_SOCKET = "/run/podman/podman.sock"
# The ports that IANA registered for Docker, without and with TLS.
_PLAIN_PORT, _TLS_PORT = 2375, 2376
_PORTS = {"http": 80, "https": 443}
# Compiled where they are needed: most addresses are sockets.
_NETWORK = r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]@?#-][^\s:/\[\]@?#]*)?(?::(?P<port>\d{1,5}))?/?"
# A host or user that begins with "-" would be an option to ssh.
_SSH = (
    r"(?:(?P<user>[^\s:/@-][^\s:/@]*)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]@?#-][^\s:/\[\]@?#]*)"
    r"(?::(?P<port>\d{1,5}))?(?P<path>/[^\s?#]*)?"
)
_FORMS = "addresses look like unix:///var/run/docker.sock, tcp://HOST:2376 or ssh://USER@HOST"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """What TLS needs: whom to trust, and who we are; PEM files, None where there is none.

    `folder` holds them as `ca.pem`, `cert.pem` and `key.pem`. Without `ca` the system's authorities are trusted.
    With `verify` false the engine's certificate is not looked at.
    """

    folder: Path
    ca: Path | None
    certificate: Path | None
    key: Path | None
    verify: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineAddress:
    """Where an engine is said to be.

    `url` is `unix:///path`, `tcp://host:port` (with TLS where `tls` is set) or `ssh://[user@]host[:port][/path]`.
    `source` says to a person where it came from.
    """

    url: str
    source: str
    tls: TlsFiles | None = None

    def __str__(self) -> str:
        return f"{self.url} ({self.source})"

    @property
    def scheme(self) -> str:
        """`unix`, `tcp` or `ssh`."""
        return self.url.partition("://")[0]

    @property
    def socket(self) -> str:
        """Path of the socket; empty where the engine is not reached by one."""
        return self.url.removeprefix("unix://") if self.scheme == "unix" else ""

    @property
    def endpoint(self) -> tuple[str, int]:
        """Host and port of a `tcp` address, an IPv6 address without its brackets."""
        host, _, port = self.url.removeprefix("tcp://").rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def ssh(self) -> tuple[str, str, int, str]:
        """User, host, port and far socket of an `ssh` address; empty or 0 where ssh or the far side decides."""
        match = re.fullmatch(_SSH, self.url.removeprefix("ssh://"))
        if match is None:
            raise ValueError(f"{self.url} is no ssh address")
        return match["user"] or "", match["host"].strip("[]"), int(match["port"] or 0), match["path"] or ""

    @property
    def variables(self) -> Mapping[str, str]:
        """The variables that lead the `docker` program to the same engine; it must get no other `DOCKER_` one."""
        if self.tls is None:
            return {"DOCKER_HOST": self.url}
        verify = {"DOCKER_TLS_VERIFY": "1"} if self.tls.verify else {"DOCKER_TLS": "1"}
        return {"DOCKER_HOST": self.url, "DOCKER_CERT_PATH": str(self.tls.folder), **verify}


def find_address(
    environ: Mapping[str, str],
    home: Path,
    exists: Callable[[str], bool] = os.path.exists,
    may_use: Callable[[str], bool] = lambda path: os.access(path, os.R_OK | os.W_OK),
) -> EngineAddress | None:
    """Return where the engine is: as `DOCKER_HOST` says, else as the Docker context says, else at a usual socket.

    Of the usual sockets it is the first that this user may write to; where there is none, the first that exists, so
    that the fault says why it cannot be used.

    Raises:
        EngineMissingError: what the user set cannot be followed.
    """
    folder = Path(environ.get("DOCKER_CONFIG") or home / ".docker")
    if host := environ.get("DOCKER_HOST", "").strip():
        return _from_variable(host, environ, folder, exists)
    if environ.get("DOCKER_CONTEXT") or exists(str(folder / "config.json")):
        from dlpubuild.containers.context import find_endpoint  # noqa: PLC0415 - most machines are spared it

        if endpoint := find_endpoint(environ, folder):
            return _from_context(endpoint, exists)
    return _from_sockets(environ, exists, may_use)


def _from_sockets(
    environ: Mapping[str, str], exists: Callable[[str], bool], may_use: Callable[[str], bool]
) -> EngineAddress | None:
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    places = [(DEFAULT_SOCKET, "Docker's usual socket")]
    if runtime.startswith("/"):
        places.append((f"{runtime}/docker.sock", "the socket of rootless Docker"))
        places.append((f"{runtime}/podman/podman.sock", "the socket of rootless Podman"))
    places.append((_PODMAN_SOCKET, "Podman's socket"))
    found = [EngineAddress(url=f"unix://{path}", source=source) for path, source in places if exists(path)]
    return next((address for address in found if may_use(address.socket)), found[0] if found else None)


def _from_variable(host: str, environ: Mapping[str, str], folder: Path, exists: Callable[[str], bool]) -> EngineAddress:
    source = "DOCKER_HOST"
    # As Docker's own clients take them: a folder of certificates alone asks for TLS, only DOCKER_TLS_VERIFY for trust.
    is_https = host.startswith("https:")
    verify = bool(environ.get("DOCKER_TLS_VERIFY")) or is_https
    named = environ.get("DOCKER_CERT_PATH", "")
    if not _takes_tls(host) or not (verify or environ.get("DOCKER_TLS") or named):
        return EngineAddress(url=_normalised(host, source, has_tls=False), source=source)
    if named and not exists(named):
        raise _fault(f"DOCKER_CERT_PATH={named} names no folder", "it is the folder with ca.pem, cert.pem and key.pem")
    tls = _tls_files(Path(named) if named else folder, exists, verify=verify)
    if verify and tls.ca is None and not is_https:
        raise _fault(
            f"DOCKER_TLS_VERIFY is set, but there is no {tls.folder / 'ca.pem'} to verify the engine with",
            "set DOCKER_CERT_PATH to the folder with ca.pem, cert.pem and key.pem",
        )
    return EngineAddress(url=_normalised(host, source, has_tls=True), source=source, tls=tls)


def _from_context(endpoint: ContextEndpoint, exists: Callable[[str], bool]) -> EngineAddress:
    label = f'Docker context "{endpoint.name}"'
    tls = None
    if _takes_tls(endpoint.host):
        files = _tls_files(endpoint.tls_folder, exists, verify=not endpoint.skips_verify)
        if files.ca or files.certificate or not files.verify or endpoint.host.startswith("https:"):
            tls = files
    url = _normalised(endpoint.host, label, has_tls=tls is not None)
    return EngineAddress(url=url, source=f"{label}, {endpoint.source}", tls=tls)


def _takes_tls(host: str) -> bool:
    return host.startswith(("tcp:", "https:"))


def _tls_files(folder: Path, exists: Callable[[str], bool], *, verify: bool) -> TlsFiles:
    ca, certificate, key = (
        path if exists(str(path)) else None for path in (folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
    )
    if (certificate is None) != (key is None):
        missing = folder / ("cert.pem" if certificate is None else "key.pem")
        raise _fault(f"{missing} is missing: a certificate and its key come together", "copy it to this folder")
    return TlsFiles(folder=folder, ca=ca, certificate=certificate, key=key, verify=verify)


def _normalised(host: str, source: str, *, has_tls: bool) -> str:
    """Return `host` in the one form that `EngineAddress.url` has."""
    scheme, separator, rest = host.partition("://")
    if not separator:
        scheme, rest = "", host
    # A context's file can hold what no variable can.
    match scheme if host.isprintable() else None:
        case "unix":
            path = rest or DEFAULT_SOCKET
            if path.startswith("/"):
                return f"unix://{path}"
        case "tcp" | "http" | "https":
            match = re.fullmatch(_NETWORK, rest)
            port = int(match["port"] or _PORTS.get(scheme) or (_TLS_PORT if has_tls else _PLAIN_PORT)) if match else 0
            if match and 0 < port < 1 << 16:
                return f"tcp://{match['host'] or '127.0.0.1'}:{port}"
        case "ssh":
            match = re.fullmatch(_SSH, rest)
            if match and 0 < int(match["port"] or 22) < 1 << 16:
                return host.removesuffix("/")
        case _:
            pass
    raise _fault(f'{source}: "{host}" is not the address of an engine', _advice(scheme, rest))


def _advice(scheme: str, rest: str) -> str:
    match scheme:
        case "fd":
            advice = (
                f"fd:// is for dockerd, which systemd hands a socket; a client needs a path: unix://{DEFAULT_SOCKET}"
            )
        case "npipe":
            advice = f"a pipe of Windows cannot be reached from here; {_FORMS}"
        case "unix":
            advice = f"a socket is named by its absolute path: unix:///{rest}"
        case "ssh" if ":" in rest.rpartition("@")[0]:
            advice = "ssh takes no password from an address; give it a key: ssh://USER@HOST"
        case "" if rest.startswith("/"):
            advice = f"write a path as unix://{rest}"
        case "" if re.fullmatch(_NETWORK, rest):
            advice = f"write a host as tcp://{rest}"
        case _:
            advice = _FORMS
    return advice


def _fault(message: str, hint: str) -> EngineMissingError:
    return EngineMissingError(ErrorCode.ENGINE, message, hint=hint)
