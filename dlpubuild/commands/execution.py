"""How steps are run: which executor, in which toolchains, and the engine that uses it.

In: the host, a manifest, and what `--executor` says. Out: an `Execution`, which pins every toolchain in use to a locked
environment or to a container image, and from it an `Engine`. This module and `wiring` are the only ones that know
concrete executors. A build with nothing to do never imports the Docker SDK: an engine is asked over its socket.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dlpubuild.commands.wiring import parse_size
from dlpubuild.errors import (
    EngineMissingError,
    ErrorCode,
    ToolchainError,
    UsageError,
)
from dlpubuild.toolchains.acap_sdk import is_sdk, sdk_toolchain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from dlpubuild.cas.store import Store
    from dlpubuild.commands.wiring import Host
    from dlpubuild.containers.connect import Connection
    from dlpubuild.engine.events import Observer
    from dlpubuild.engine.scheduler import Engine
    from dlpubuild.executors.base import Executor
    from dlpubuild.executors.docker.limits import Limits
    from dlpubuild.manifest.model import LimitsSection, Manifest
    from dlpubuild.project.lock import LockedImage
    from dlpubuild.toolchains.pins import ToolchainPin

_LOGS_KEPT = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """How the steps of one build are run.

    `told` says to a person which executor it is, and why. `pin_of` returns the pin of a toolchain by name.
    `connection` is to the container engine, None where steps run on this machine.
    """

    name: str
    told: str
    pin_of: Callable[[str], ToolchainPin]
    connection: Connection | None = None


def own_images(manifest: Manifest) -> Mapping[str, str]:
    """Return the images that the manifest brings, by the name of the toolchain; ids among them are of Axis' SDK."""
    sdk = manifest.package.acap.sdk_image
    images = {} if sdk is None else {"aarch64": sdk.aarch64, "armv7hf": sdk.armv7hf}
    return {
        **{each.name: each.image for each in manifest.toolchains if each.image is not None},
        **{sdk_toolchain(architecture): image for architecture, image in images.items() if image is not None},
    }


def choose_execution(host: Host, requested: str, manifest: Manifest, toolchains: Sequence[str]) -> Execution:
    """Return how steps are run where `--executor` says `requested`.

    `auto` takes Docker where an engine answers that has, or can pull, the image of each toolchain in use; else this
    machine. It says which, and why.

    Args:
        toolchains: names of those that the steps run in.

    Raises:
        UsageError: there is no such executor, or the lock file cannot be read.
        EngineMissingError: Docker was asked for, or is needed, and there is no engine.
        ToolchainError: an image of the project's own is needed and missing, or is not what was pinned.
    """
    if requested == "local":
        _refuse_sdk(manifest, toolchains)
        return _local(host, "local", manifest)
    if requested == "docker":
        return _docker(host, manifest, toolchains, connect_engine(host))
    if requested == "auto":
        return _auto(host, manifest, toolchains)
    if requested == "remote":
        raise EngineMissingError(
            ErrorCode.EXECUTOR,
            "the remote executor is not part of this version",
            hint="use --executor docker or --executor local: they run the same steps on this machine",
        )
    raise UsageError(
        ErrorCode.UNKNOWN_VALUE, f'--executor: unknown executor "{requested}"', hint="known: auto, docker, local"
    )


def _refuse_sdk(manifest: Manifest, toolchains: Sequence[str]) -> None:
    if any(is_sdk(name) for name in toolchains):
        raise UsageError(
            ErrorCode.EXECUTOR,
            "acap-build runs in a container, and --executor local has none",
            hint="use --executor docker; or remove [package.acap.sdk-image], and the tool packs the .eap itself",
            location=manifest.locate("package.acap.sdk-image"),
        )


def local_pins(host: Host, manifest: Manifest) -> Callable[[str], ToolchainPin]:
    """Return what pins a toolchain to its locked environment on this machine, or to the manifest's own folder."""
    from dlpubuild.commands.brought import is_brought, with_brought  # noqa: PLC0415 - as above
    from dlpubuild.commands.wiring import open_memo  # noqa: PLC0415
    from dlpubuild.toolchains.pins import folder_pin, load_pin  # noqa: PLC0415

    folders = {each.name: manifest.folder / each.path for each in manifest.toolchains if each.path is not None}

    def hashes_of(paths: Sequence[Path]) -> list[str]:
        with open_memo(host) as memo:
            return [digest.hash for digest in memo.digest_files(paths)]

    def pin_of(name: str) -> ToolchainPin:
        if is_brought(name):
            return with_brought(host, manifest, load_pin(name, machine=host.machine, system=host.system))
        if name in folders:
            return folder_pin(
                name, folders[name].absolute(), machine=host.machine, system=host.system, hashes_of=hashes_of
            )
        return load_pin(name, machine=host.machine, system=host.system)

    return pin_of


def connect_engine(host: Host) -> Connection:
    """Return a connection to the container engine of this environment; nothing is sent yet.

    Raises:
        EngineMissingError: none is named and none is found, or the one that is named cannot be.
    """
    from dlpubuild.containers.address import find_address  # noqa: PLC0415
    from dlpubuild.containers.connect import Connection  # noqa: PLC0415

    address = find_address(host.environ, host.home)
    if address is None:
        raise EngineMissingError(
            ErrorCode.ENGINE,
            "no container engine was found",
            hint="install Docker or Podman and start it, name it in DOCKER_HOST, or use --executor local",
        )
    return Connection(address, host.environ)


def _local(host: Host, told: str, manifest: Manifest) -> Execution:
    return Execution(name="local", told=told, pin_of=local_pins(host, manifest))


def _auto(host: Host, manifest: Manifest, toolchains: Sequence[str]) -> Execution:
    if not toolchains:
        return _local(host, "none is needed", manifest)
    from dlpubuild.commands.brought import is_nowhere  # noqa: PLC0415

    needs_engine = not own_images(manifest).keys().isdisjoint(toolchains)
    try:
        connection = connect_engine(host)
        execution = _docker(host, manifest, toolchains, connection, must_be_there=True)
        for name in toolchains:
            # That is missing here and there.
            if not is_nowhere(host, manifest, name):
                execution.pin_of(name)
        about = _ask_about(connection)
    except (EngineMissingError, ToolchainError) as error:
        if needs_engine:
            raise
        hint = f"; to use containers: {error.hint}" if isinstance(error, ToolchainError) else ""
        return _local(host, f"local (auto: {error.message}{hint})", manifest)
    return replace(execution, told=f"docker (auto: {about})")


def _ask_about(connection: Connection) -> str:
    """Who answers at the other end; raises EngineMissingError where nobody does."""
    address = connection.address
    from dlpubuild.containers.ask import ask, can_ask  # noqa: PLC0415

    if not can_ask(address):
        facts = connection.facts()
        return f"{facts.name} {facts.version} at {address.url}"
    ask(address, "/_ping")
    return f"an engine answers at {address.url}"


def _docker(
    host: Host, manifest: Manifest, toolchains: Sequence[str], connection: Connection, *, must_be_there: bool = False
) -> Execution:
    from dlpubuild.commands.brought import brought_folder, is_brought, missing, with_brought  # noqa: PLC0415
    from dlpubuild.commands.containers import ImageBook  # noqa: PLC0415
    from dlpubuild.toolchains.acap_sdk import pin_in_image  # noqa: PLC0415
    from dlpubuild.toolchains.pins import container_pin  # noqa: PLC0415

    book = ImageBook(
        connection=connection,
        own=own_images(manifest),
        locked=_locked_images(manifest) if toolchains else {},
        must_be_there=must_be_there,
    )
    pins: dict[str, ToolchainPin] = {}

    def pin_of(name: str) -> ToolchainPin:
        if name not in pins:
            has_folder = is_brought(name) and brought_folder(host, manifest, name) is not None
            # An image of the user's own may have the toolchain in it.
            if is_brought(name) and not has_folder and name not in book.own:
                raise missing(container_pin(name))
            pin = pin_in_image(name, book.image_of)
            pins[name] = with_brought(host, manifest, pin) if has_folder else pin
        return pins[name]

    return Execution(name="docker", told="docker", pin_of=pin_of, connection=connection)


def _locked_images(manifest: Manifest) -> Mapping[str, LockedImage]:
    from dlpubuild.project.lock import LOCK_NAME, read_pins  # noqa: PLC0415

    path = manifest.folder / LOCK_NAME
    return read_pins(path).images if path.exists() else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitOptions:
    """What the command line says of limits; None leaves it to the manifest. `memory` is a size with a unit."""

    memory: str | None = None
    cpus: float | None = None
    pids: int | None = None


def wanted_limits(section: LimitsSection, options: LimitOptions) -> Limits:
    """Return what one step may use in a container: the command line wins over the manifest.

    Raises:
        UsageError: the memory is not a size.
    """
    from dlpubuild.executors.docker.limits import Limits  # noqa: PLC0415

    memory = options.memory or section.memory
    return Limits(
        memory_bytes=None if memory is None else parse_size(memory),
        cpus=section.cpus if options.cpus is None else options.cpus,
        pids=section.pids if options.pids is None else options.pids,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineParts:
    """How a build is to run; the parts of an `Engine` that come from options."""

    jobs: int
    keep_going: bool
    offline: bool
    observe: Observer
    cancelled: threading.Event
    limits: Limits


@contextmanager
def opened_engine(
    host: Host, store: Store, execution: Execution, pins: Sequence[ToolchainPin], parts: EngineParts
) -> Iterator[Engine]:
    """An engine for the time of a `with` block, after removing what killed builds left behind.

    Raises:
        StoreError: the cache folder cannot be used.
    """
    from dlpubuild.cas.faults import store_faults  # noqa: PLC0415
    from dlpubuild.engine.scheduler import Engine  # noqa: PLC0415
    from dlpubuild.executors.staging import sweep_scratch  # noqa: PLC0415

    logs = host.cache / "logs"
    with store_faults(host.cache):
        sweep_scratch(host.cache / "scratch")
        logs.mkdir(parents=True, exist_ok=True)
        _prune_logs(logs)
    with _executor(host, store, execution, pins, parts) as executor:
        yield Engine(
            store=store,
            executor=executor,
            logs=logs,
            running=host.cache / "running",
            jobs=parts.jobs,
            keep_going=parts.keep_going,
            observe=parts.observe,
            cancelled=parts.cancelled,
        )


@contextmanager
def _executor(
    host: Host, store: Store, execution: Execution, pins: Sequence[ToolchainPin], parts: EngineParts
) -> Iterator[Executor]:
    if execution.connection is None:
        from dlpubuild.executors.local import LocalExecutor  # noqa: PLC0415

        environments = _Environments(host=host, pins=pins, parts=parts)
        yield LocalExecutor(
            store=store, scratch=host.cache / "scratch", environment_of=environments.folder_of, now_ns=host.now_ns
        )
        return
    from dlpubuild.commands.containers import docker_executor  # noqa: PLC0415

    with docker_executor(host, store, execution.connection, pins, parts) as executor:
        yield executor


@dataclass(slots=True, kw_only=True)
class _Environments:
    """Finds or prepares the environment that an action's platform names; what failed once is not tried again."""

    host: Host
    pins: Sequence[ToolchainPin]
    parts: EngineParts
    # One thread prepares; a file lock in `prepare_environment` does the same between processes.
    preparing: threading.Lock = field(default_factory=threading.Lock)
    failed: dict[str, ToolchainError] = field(default_factory=dict)

    def folder_of(self, platform: Mapping[str, str]) -> Path:
        from dlpubuild.toolchains.pins import pin_for  # noqa: PLC0415

        with self.preparing:
            return self._prepared(pin_for(self.pins, platform))

    def _prepared(self, pin: ToolchainPin) -> Path:
        from dlpubuild.engine.events import Notice  # noqa: PLC0415
        from dlpubuild.toolchains.environment import prepare_environment  # noqa: PLC0415

        if pin.name in self.failed:
            raise self.failed[pin.name]
        try:
            return prepare_environment(
                pin,
                self.host.cache,
                ready=self.host.ready_toolchains,
                offline=self.parts.offline,
                variables=self.host.environ,
                say=lambda text: self.parts.observe(Notice(text=text)),
                cancelled=self.parts.cancelled,
            ).folder
        except ToolchainError as error:
            self.failed[pin.name] = error
            raise


def _prune_logs(folder: Path) -> None:
    import os  # noqa: PLC0415

    logs = []
    with os.scandir(folder) as entries:
        for entry in entries:
            # Another build may prune at the same time.
            with suppress(FileNotFoundError):
                logs.append((entry.stat().st_mtime_ns, entry.path))
    for _, path in sorted(logs)[: max(0, len(logs) - _LOGS_KEPT)]:
        Path(path).unlink(missing_ok=True)
