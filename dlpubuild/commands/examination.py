"""What `doctor` looks at; changes nothing and runs nothing but `--version` and the like."""

from __future__ import annotations

import platform
import shutil
import subprocess
import tempfile
from typing import TYPE_CHECKING

from dlpubuild import __version__
from dlpubuild.commands.brought import is_brought, with_brought
from dlpubuild.commands.containers import ask_tool_image, tool_image
from dlpubuild.commands.execution import connect_engine
from dlpubuild.commands.wiring import read_socs
from dlpubuild.containers.connect import describe_engine
from dlpubuild.errors import DlpuError, EngineMissingError, ToolchainError
from dlpubuild.report.doctor import Finding
from dlpubuild.report.text import size_text
from dlpubuild.toolchains.environment import environment_bytes, find_environment
from dlpubuild.toolchains.installer import find_uv
from dlpubuild.toolchains.pins import container_pin, load_pin, toolchain_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dlpubuild.commands.wiring import Host
    from dlpubuild.containers.connect import Connection

# A prepared TensorFlow environment, and room for uv's downloads beside it.
_NEEDED_BYTES = 3 << 30
_TIMEOUT_S = 20


def examine(host: Host) -> tuple[Finding, ...]:
    """Return what was found, in the order in which a build would need it."""
    machine = f"{host.system} {host.machine}, {host.cores} cores"
    return (
        Finding(topic="dlpubuild", state="ok", found=f"{__version__} on Python {platform.python_version()}, {machine}"),
        _cache(host),
        _uv(host),
        *_toolchains(host),
        Finding(topic="executor local", state="ok", found="runs steps in a hash-locked environment on this machine"),
        *_docker(host),
        *_targets(),
    )


def _cache(host: Host) -> Finding:
    folder = host.cache
    try:
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        return Finding(
            topic="cache",
            state="missing",
            found=f"{folder} cannot be written: {error.strerror}",
            todo="set DLPU_CACHE_DIR to a folder that can be written",
        )
    free = shutil.disk_usage(existing).free
    found = f"{folder}, {size_text(free)} free"
    if free < _NEEDED_BYTES:
        return Finding(
            topic="cache",
            state="note",
            found=found,
            todo=f"preparing a toolchain takes up to {size_text(_NEEDED_BYTES)}: free some space or set DLPU_CACHE_DIR",
        )
    return Finding(topic="cache", state="ok", found=found)


def _uv(host: Host) -> Finding:
    try:
        path = find_uv()
    except DlpuError as error:
        return Finding(topic="uv", state="missing", found=error.message, todo=error.hint)
    return Finding(topic="uv", state="ok", found=_first_line([path, "--version"], host) or path)


def _toolchains(host: Host) -> Iterator[Finding]:
    for name in toolchain_names():
        topic = f"toolchain {name}"
        try:
            pin = load_pin(name, machine=host.machine, system=host.system)
            if is_brought(name):
                pin = with_brought(host, None, pin)
        except DlpuError as error:
            if is_brought(name):
                yield Finding(topic=topic, state="note", found=error.message, todo=error.hint)
                continue
            yield Finding(topic=topic, state="missing", found=error.message, todo=error.hint)
            continue
        found = find_environment(pin, host.cache, ready=host.ready_toolchains)
        if found is None:
            yield Finding(
                topic=topic,
                state="note",
                found=f"{pin.title}: not prepared; the first build does it, with network",
                todo=f"to do it now: dlpubuild toolchain prepare {name}",
            )
            continue
        version = _first_line([str(found.python), "--version"], host)
        if version is None:
            yield Finding(
                topic=topic,
                state="missing",
                found=f"{found.folder}: its interpreter does not start",
                todo=f"dlpubuild toolchain remove {name}, and build again",
            )
        else:
            yield Finding(
                topic=topic, state="ok", found=f"{pin.title}: {found.folder} ({size_text(environment_bytes(found))})"
            )


def _docker(host: Host) -> Iterator[Finding]:
    """The container engine, and the image of each toolchain; a machine without an engine is as good."""
    topic = "executor docker"
    try:
        with connect_engine(host) as connection:
            yield Finding(topic=topic, state="ok", found=describe_engine(connection.facts(), connection.address))
            for name in toolchain_names():
                yield _image(connection, name)
    except EngineMissingError as error:
        yield Finding(topic=topic, state="note", found=error.message, todo=error.hint)


def _image(connection: Connection, name: str) -> Finding:
    topic = f"image {name}"
    try:
        image = ask_tool_image(connection, container_pin(name))
    except ToolchainError as error:
        return Finding(topic=topic, state="note", found=error.message, todo=f"to use containers: {error.hint}")
    return Finding(topic=topic, state="ok", found=f"{tool_image(name)}, {image.id}")


def _targets() -> Iterator[Finding]:
    for name, soc in read_socs(None, None).items():
        if soc.can_be_built:
            yield Finding(topic=f"target {name}", state="ok", found=f"{soc.title}, larod device {soc.larod_device}")
        else:
            yield Finding(topic=f"target {name}", state="note", found=f"{soc.title}: not yet; lacks {soc.not_yet}")


def _first_line(arguments: list[str], host: Host) -> str | None:
    try:
        done = subprocess.run(
            arguments,
            env=dict(host.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip().partition("\n")[0]
