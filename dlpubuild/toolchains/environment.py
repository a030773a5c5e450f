"""Python environments made by `uv` from a hash-locked requirements file.

In: a `ToolchainPin` and the cache folder. Out: the path of an interpreter whose packages are exactly those of the
lock. An environment is built aside under a file lock and renamed into place, so it is whole or absent: a second
build that wants it waits, and what a killed build left is removed by the next. Nothing here runs a build step.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlpubuild.errors import ErrorCode, InterruptedBuildError, ToolchainError
from dlpubuild.toolchains.archive import ArchiveSource, install_archive
from dlpubuild.toolchains.installer import Uv, find_uv, uv_variables
from dlpubuild.toolchains.interpreter import find_python
from dlpubuild.toolchains.pins import without_packages
from dlpubuild.toolchains.programs import copy_programs

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from dlpubuild.toolchains.pins import ToolchainPin

_MARKER = "dlpubuild-environment.json"
_POLL_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """A prepared environment: its folder and its interpreter."""

    pin: ToolchainPin
    folder: Path

    @property
    def python(self) -> Path:
        """The interpreter."""
        return self.folder / "bin" / "python"


def environment_folder(pin: ToolchainPin, root: Path) -> Path:
    """Return where the environment of `pin` lies below the cache folder `root`, whether or not it exists.

    The name holds the lock's digest and the Python version: another lock is another folder. A folder of the user's, to
    which an environment links, is in the name as well.
    """
    return root / "toolchains" / _folder_name(pin)


def _folder_name(pin: ToolchainPin) -> str:
    name = f"{pin.name}-py{pin.python}-{pin.lock_sha256[:16]}"
    if pin.folder is None:
        return name
    # Equal trees at two places are two environments: one build must not turn the link that another one uses.
    return f"{name}-{hashlib.sha256(os.fsencode(pin.folder)).hexdigest()[:8]}"


def find_environment(pin: ToolchainPin, root: Path, *, ready: Path | None = None) -> Environment | None:
    """Return the prepared environment of `pin`, or None; costs two stat calls.

    Args:
        pin: the toolchain.
        root: the cache folder.
        ready: a folder of environments that are looked at first, and only read: those that an image brings.
    """
    folders = [environment_folder(pin, root)]
    if ready is not None:
        folders.insert(0, ready / _folder_name(pin))
    for folder in folders:
        environment = Environment(pin=pin, folder=folder)
        if (folder / _MARKER).is_file() and environment.python.exists() and _leads_to_folder(environment):
            return environment
    return None


def _leads_to_folder(environment: Environment) -> bool:
    """Whether the link to a folder of the user's is right: the same tree may have been moved."""
    pin = environment.pin
    return pin.folder is None or (environment.folder / pin.name).resolve() == pin.folder


def prepare_environment(
    pin: ToolchainPin,
    root: Path,
    *,
    ready: Path | None = None,
    offline: bool,
    variables: Mapping[str, str],
    say: Callable[[str], None],
    cancelled: threading.Event,
) -> Environment:
    """Return the environment of `pin`, building it first where it is not there.

    Args:
        pin: the toolchain.
        root: the cache folder.
        ready: see `find_environment`.
        offline: use what uv already has in its cache, never the network.
        variables: the user's environment variables: proxies, CA bundles and package index settings reach uv.
        say: is told one line per stage.

    Raises:
        ToolchainError: uv could not build it; nothing half-made is left under the environment's name.
        InterruptedBuildError: `cancelled` was set.
    """
    found = find_environment(pin, root, ready=ready)
    if found is not None:
        return found
    folder = environment_folder(pin, root)
    with _folder_faults(folder), _locked(folder, pin, say, cancelled) as lock:
        found = find_environment(pin, root)
        if found is None:
            run = Uv(
                program=find_uv(),
                variables=uv_variables(variables, offline=offline),
                offline=offline,
                say=say,
                cancelled=cancelled,
                pin=pin,
                folder=folder,
                lock=lock,
            )
            _build(pin, folder, run)
            found = find_environment(pin, root)
    if found is None:
        raise ToolchainError(ErrorCode.TOOLCHAIN, f"the environment in {folder} vanished while it was being prepared")
    return found


@contextlib.contextmanager
def _folder_faults(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ToolchainError(
            ErrorCode.TOOLCHAIN,
            f"the toolchain folder {folder.parent} cannot be used: {error.strerror or error}",
            hint="make it writable for you, or set DLPU_CACHE_DIR to a folder that is and has room",
        ) from error


def environment_bytes(environment: Environment) -> int:
    """Return the bytes an environment takes on disk; walks all of it."""
    return sum(file.lstat().st_blocks * 512 for file in environment.folder.rglob("*"))


def remove_environment(pin: ToolchainPin, root: Path, *, cancelled: threading.Event) -> Path | None:
    """Remove the environment of `pin`; return its folder, or None where there was none.

    Waits while a build prepares it.

    Raises:
        ToolchainError: it cannot be removed.
        InterruptedBuildError: `cancelled` was set while waiting.
    """
    folder = environment_folder(pin, root)
    if not os.path.lexists(folder):
        return None
    with _folder_faults(folder), _locked(folder, pin, lambda _: None, cancelled):
        _discard(folder)
    return folder


@contextlib.contextmanager
def _locked(folder: Path, pin: ToolchainPin, say: Callable[[str], None], cancelled: threading.Event) -> Iterator[int]:
    """Hold the file lock beside `folder`; the kernel lets go of it when its holders are gone, however they die."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(folder.name + ".lock").open("a") as handle:
        waiting = False
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not waiting:
                    say(f"toolchain {pin.name} is being prepared by another build; waiting for it")
                    waiting = True
                if cancelled.wait(_POLL_S):
                    raise InterruptedBuildError(ErrorCode.INTERRUPTED, "interrupted") from None
        yield handle.fileno()


def _aside(folder: Path) -> Path:
    """Where an environment is built and taken apart: only the holder of the lock may use this name."""
    return folder.with_name(folder.name + ".partial")


def _discard(folder: Path) -> None:
    """Remove an environment; renamed first, so that nobody can start a step in a half-removed one."""
    aside = _aside(folder)
    _remove(aside)
    if os.path.lexists(folder):
        folder.rename(aside)
        _remove(aside)


def _remove(folder: Path) -> None:
    if os.path.lexists(folder):
        shutil.rmtree(folder)


def _build(pin: ToolchainPin, folder: Path, run: Uv) -> None:
    aside = _aside(folder)
    # Left by a build that was killed, or an environment whose interpreter is gone.
    _discard(folder)
    run.say(f"preparing toolchain {pin.name} ({pin.title}), once; it stays in {folder}")
    try:
        # Relocatable, because it is built aside and renamed.
        run(["venv", "--quiet", "--no-project", "--relocatable", *_python_request(pin, run), str(aside)])
        if pin.lock is not None:
            _install(pin, pin.lock, aside, run)
        if pin.archive is not None:
            source = ArchiveSource(variables=run.variables, offline=run.offline, say=run.say, cancelled=run.cancelled)
            install_archive(pin.archive, pin.name, aside, source)
        if pin.own_programs is not None:
            copy_programs(pin.own_programs, aside)
        if pin.folder is not None:
            # Gigabytes, perhaps, and not ours: never copied.
            (aside / pin.name).symlink_to(pin.folder, target_is_directory=True)
        marker = {"lock-sha256": pin.lock_sha256, "python": pin.python, "toolchain": pin.name}
        (aside / _MARKER).write_text(json.dumps(marker, sort_keys=True) + "\n", encoding="utf-8")
        aside.rename(folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    run.say(f"toolchain {pin.name} is ready")


def _python_request(pin: ToolchainPin, run: Uv) -> list[str]:
    """An interpreter that was seen to run; where there is none, what uv fetches."""
    found = find_python(pin.python, uv=run.program, variables=run.variables)
    return ["--python", found] if found else ["--python-preference", "only-managed", "--python", pin.python]


def _install(pin: ToolchainPin, lock: Path, folder: Path, run: Uv) -> None:
    """Install every package of the lock; what was published as source last, built by the locked build tools."""
    install = ["pip", "install", "--python", str(folder / "bin" / "python"), "--require-hashes", "--no-deps"]
    install += ["--only-binary", ":all:", "--compile-bytecode", "--requirement"]
    if pin.source_only:
        wheels = folder / "wheels.txt"
        wheels.write_text(without_packages(lock.read_text(encoding="utf-8"), pin.source_only), encoding="utf-8")
        run([*install, str(wheels)])
        wheels.unlink()
    sources = [word for name in pin.source_only for word in ("--no-binary", name)]
    run([*install, str(lock), *sources, *(["--no-build-isolation"] if sources else [])])
