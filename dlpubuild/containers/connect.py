"""The connection to a container engine: made when first needed, shared by all threads, closed once.

In: an address. Out: the SDK's client, speaking an API version that both sides know, and what the engine is. Every
fault on the way is an `EngineMissingError`. The SDK is imported with the first connection, not before.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from dlpubuild.containers.faults import engine_faults
from dlpubuild.errors import EngineMissingError, ErrorCode

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from docker import DockerClient

    from dlpubuild.containers.address import EngineAddress

# Docker 19.03 has 1.40, Podman 4 has 1.41; Docker 29 has nothing below 1.44.
OLDEST_API = (1, 40)
NEWEST_API = (1, 44)
# For one answer, not for a stream; the wait for the connection itself is capped in `transport`.
CALL_TIMEOUT_S = 60
# Podman says it in Go's words.
_ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}
_API = re.compile(r"(\d{1,4})\.(\d{1,4})")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFacts:
    """What an engine says of itself.

    `api` is the version spoken with it. `is_rootless`: it runs without root's rights, and root in a container is the
    engine's user. `remaps_users`: root in a container is some other user outside (userns-remap). `memory_bytes` and
    `cores` are the whole machine's; `architecture` is in the kernel's words (`x86_64`). `unlimited` names what it
    cannot limit: of `memory`, `cpus` and `pids`, sorted. `cgroups` is 1, 2, or 0 where it does not say.
    """

    version: str
    api: str
    is_podman: bool
    is_rootless: bool
    remaps_users: bool
    memory_bytes: int
    cores: int
    architecture: str
    name: str
    unlimited: tuple[str, ...] = ()
    cgroups: int = 0


@dataclass(slots=True, kw_only=True)
class _State:
    lock: threading.RLock = field(default_factory=threading.RLock)
    client: DockerClient | None = None
    facts: EngineFacts | None = None


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection to the engine at `address`; `environ` is what the ssh program and the proxy settings come from."""

    address: EngineAddress
    environ: Mapping[str, str]
    _state: _State = field(default_factory=_State, init=False, repr=False, compare=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def client(self) -> DockerClient:
        """Return the client, connecting where that has not been done.

        Raises:
            EngineMissingError: nobody answers, or no engine of this kind, or one that is too old.
        """
        with self._state.lock:
            if self._state.client is None:
                with engine_faults(self.address):
                    self._state.client = self._connect()
            return self._state.client

    def facts(self) -> EngineFacts:
        """Return what the engine is; asked once.

        Raises:
            EngineMissingError: as `client`.
        """
        with self._state.lock:
            if self._state.facts is None:
                client = self.client()
                with engine_faults(self.address):
                    version, info = client.version(), client.info()
                self._state.facts = _read_facts(self.address, version, info, client.api.api_version)
            return self._state.facts

    def close(self) -> None:
        """Close the connection; a later call opens a new one."""
        with self._state.lock:
            client, self._state.client = self._state.client, None
        if client is not None:
            client.close()

    def _connect(self) -> DockerClient:
        from dlpubuild.containers.transport import open_client, open_route  # noqa: PLC0415 - imports the SDK

        route = open_route(self.address, self.environ)
        try:
            client = open_client(route, version=_text(NEWEST_API), timeout_s=CALL_TIMEOUT_S)
            version = _negotiated(self.address, client.version(api_version=False))
            if version != NEWEST_API:
                client = open_client(route, version=_text(version), timeout_s=CALL_TIMEOUT_S)
        except BaseException:
            route.adapter.close()
            raise
        return client


def describe_engine(facts: EngineFacts, address: EngineAddress) -> str:
    """Return one line on the engine, for `doctor`."""
    kind = "Podman" if facts.is_podman else "Docker"
    words = [
        f"{kind} {facts.version} (API {facts.api}) at {address}",
        facts.architecture,
        f"{facts.cores} {'core' if facts.cores == 1 else 'cores'}",
        f"{facts.memory_bytes / (1 << 30):.1f} GiB",
    ]
    if facts.is_rootless:
        words.append("rootless")
    if facts.remaps_users:
        words.append("maps users")
    if facts.unlimited:
        words.append(f"cannot limit {', '.join(facts.unlimited)}")
    return ", ".join(words)


def _text(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def _version(value: object) -> tuple[int, int] | None:
    match = _API.fullmatch(value) if isinstance(value, str) else None
    return (int(match[1]), int(match[2])) if match else None


def _negotiated(address: EngineAddress, answer: object) -> tuple[int, int]:
    """The newest API version that both sides know."""
    says: Mapping[str, Any] = answer if isinstance(answer, dict) else {}
    newest = _version(says.get("ApiVersion"))
    if newest is None:
        raise _strange(address, "it names no API version")
    if says.get("Os", "linux") != "linux":
        raise EngineMissingError(
            ErrorCode.ENGINE,
            f"the container engine at {address} runs containers of {says['Os']}, not of Linux",
            hint="switch Docker to Linux containers",
        )
    if newest < OLDEST_API:
        raise EngineMissingError(
            ErrorCode.ENGINE_OLD,
            f"the container engine at {address} is too old: version {says.get('Version', 'unknown')} has API "
            f"{_text(newest)}, and {_text(OLDEST_API)} is needed",
            hint="Docker 19.03 and Podman 4.0 are new enough",
        )
    oldest = _version(says.get("MinAPIVersion")) or OLDEST_API
    return min(max(NEWEST_API, oldest), newest)


def _read_facts(address: EngineAddress, version: object, info: object, api: str) -> EngineFacts:
    if not isinstance(version, dict) or not isinstance(info, dict):
        raise _strange(address, "it does not say what it is")
    components = [str(part.get("Name", "")) for part in version.get("Components") or () if isinstance(part, dict)]
    options = [str(option) for option in info.get("SecurityOptions") or ()]
    memory, cores = info.get("MemTotal"), info.get("NCPU")
    if not (isinstance(memory, int) and memory > 0 and isinstance(cores, int) and cores > 0):
        raise _strange(address, "it does not say how much memory and how many cores it has")
    architecture = str(info.get("Architecture", ""))
    cgroups = str(info.get("CgroupVersion") or "")
    can = {"memory": "MemoryLimit", "cpus": "CpuCfsQuota", "pids": "PidsLimit"}
    return EngineFacts(
        version=str(version.get("Version", "")),
        api=api,
        is_podman=any("podman" in name.lower() for name in components),
        is_rootless=info.get("Rootless") is True or any(_names(option, "rootless") for option in options),
        remaps_users=any(_names(option, "userns") for option in options),
        memory_bytes=memory,
        cores=cores,
        architecture=_ARCHITECTURES.get(architecture, architecture),
        name=str(info.get("Name", "")),
        unlimited=tuple(sorted(word for word, key in can.items() if info.get(key) is False)),
        cgroups=int(cgroups) if cgroups in {"1", "2"} else 0,
    )


def _names(option: str, word: str) -> bool:
    """Whether a security option (`name=seccomp,profile=default`) is that of the name `word`."""
    return f"name={word}" in option.split(",")


def _strange(address: EngineAddress, what: str) -> EngineMissingError:
    return EngineMissingError(
        ErrorCode.ENGINE,
        f"what answers at {address} is no container engine: {what}",
        hint=f"what listens at {address.url}?",
    )
