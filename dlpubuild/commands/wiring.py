"""The one place that reads the environment and the clock.

In: the process's environment. Out: a `Host` value, and the store, memo, project and plan made from it. Commands take
what they need from here and hand it on; `execution` adds what runs the steps.
"""

from __future__ import annotations

import os
import platform
import re
import time
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, TextIO

from dlpubuild.errors import (
    ErrorCode,
    NothingSelectedError,
    UsageError,
)
from dlpubuild.resources import templates_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dlpubuild.cas.memo import Memo
    from dlpubuild.cas.store import Store
    from dlpubuild.manifest.model import Manifest
    from dlpubuild.plan.model import Plan
    from dlpubuild.project.model import Project
    from dlpubuild.targets.model import Soc
    from dlpubuild.toolchains.pins import ToolchainPin

DEFAULT_MANIFEST = Path("dlpu.toml")
# 1980-01-01: the first time that every archive format can express.
DEFAULT_EPOCH_S = 315_532_800
DEFAULT_BUDGET = "20GiB"
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B?", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What a command may know of the machine and of the user's environment.

    `cache` is the cache folder; `ready_toolchains` one with environments that an image brought, where there is one.
    `machine` and `system` are as `platform` says them, in lower case.
    """

    environ: Mapping[str, str]
    cache: Path
    home: Path
    ready_toolchains: Path | None
    machine: str
    system: str
    cores: int
    now_ns: Callable[[], int] = field(default=time.time_ns)

    def draws_on(self, stream: TextIO) -> bool:
        """Return whether `stream` is a terminal that can be drawn on."""
        return draws_on(stream, self.environ)

    def width_of(self, stream: TextIO) -> int | None:
        """Return the columns of the terminal behind `stream`, or None where there is none."""
        return os.get_terminal_size(stream.fileno()).columns if stream.isatty() else None

    def colors_on(self, stream: TextIO) -> bool:
        """Return whether `stream` takes colors."""
        return colors_on(stream, self.environ)

    @property
    def budget_bytes(self) -> int:
        """`DLPU_CACHE_BUDGET`: how much the cache of results may hold, in bytes or with a unit.

        Raises:
            UsageError: it is not a size.
        """
        return parse_size(self.environ.get("DLPU_CACHE_BUDGET") or DEFAULT_BUDGET)

    @property
    def epoch_s(self) -> int:
        """`SOURCE_DATE_EPOCH`, in seconds since 1970: the one time in packages.

        Raises:
            UsageError: it is not a whole number of seconds.
        """
        text = self.environ.get("SOURCE_DATE_EPOCH", "")
        if not text:
            return DEFAULT_EPOCH_S
        # GNU tar's mtime field holds 33 bits.
        if not (text.isascii() and text.isdigit() and int(text) < 1 << 33):
            raise UsageError(ErrorCode.USAGE, f'SOURCE_DATE_EPOCH="{text}" is not a number of seconds since 1970')
        return int(text)


def draws_on(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Return whether `stream` is a terminal that can be drawn on."""
    return stream.isatty() and environ.get("TERM") != "dumb"


def colors_on(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Return whether `stream` takes colors: a terminal does unless `NO_COLOR` is set; `FORCE_COLOR` says always."""
    if environ.get("NO_COLOR"):
        return False
    return bool(environ.get("FORCE_COLOR")) or draws_on(stream, environ)


def read_host() -> Host:
    """Return this machine and environment, read once.

    Raises:
        UsageError: there is no folder for the cache.
    """
    environ = MappingProxyType(dict(os.environ))
    return Host(
        environ=environ,
        cache=_cache_folder(environ),
        home=Path(environ.get("HOME") or "/"),
        ready_toolchains=Path(environ["DLPU_TOOLCHAINS"]) if environ.get("DLPU_TOOLCHAINS") else None,
        machine=platform.machine().lower(),
        system=platform.system().lower(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
    )


def _cache_folder(environ: Mapping[str, str]) -> Path:
    """`DLPU_CACHE_DIR`, else `dlpubuild` below `XDG_CACHE_HOME`, else below `~/.cache`."""
    # The XDG specification: a relative path there is to be ignored.
    base = environ.get("XDG_CACHE_HOME", "")
    xdg = base if base.startswith("/") else "~/.cache"
    try:
        return Path(environ.get("DLPU_CACHE_DIR") or f"{xdg}/dlpubuild").expanduser().absolute()
    except RuntimeError as error:
        raise UsageError(
            ErrorCode.USAGE,
            "there is no home folder to keep the cache in",
            hint="set DLPU_CACHE_DIR to a folder that can be written",
        ) from error


def parse_size(text: str) -> int:
    """Return a size in bytes: `500000`, `20GiB`, `1.5 GB` (1000-based without the i).

    Raises:
        UsageError: it is not a size.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(ErrorCode.USAGE, f'"{text}" is not a size', hint="write it like 500MB or 20GiB")
    number, unit, binary = match.groups()
    power = " KMGT".index(unit.upper() or " ")
    return int(float(number) * (1024 if binary else 1000) ** power)


def open_store(host: Host) -> Store:
    """Return the store in the cache folder; nothing is made before something is written."""
    from dlpubuild.cas.store import Store  # noqa: PLC0415

    return Store(host.cache, now_ns=host.now_ns)


def open_memo(host: Host) -> Memo:
    """Return the memo of file digests in the cache folder."""
    from dlpubuild.cas.memo import Memo  # noqa: PLC0415

    return Memo(host.cache / "memo.sqlite3", now_ns=host.now_ns)


def read_manifest(path: Path, memo: Memo | None) -> Manifest:
    """Return the manifest at `path`; bytes that were found valid before are not validated again.

    Raises:
        ManifestError: every fault of the manifest.
    """
    from dlpubuild.manifest.load import load_manifest  # noqa: PLC0415

    return load_manifest(path, known_good=None if memo is None else _Valid(memo))


@dataclass(frozen=True, slots=True)
class _Valid:
    """The memo as the set of documents that satisfied their schema."""

    memo: Memo

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self.memo.recall("valid-1", key) is not None

    def add(self, key: str) -> None:
        self.memo.remember("valid-1", key, b"")


def read_socs(manifest: Manifest | None, memo: Memo | None) -> Mapping[str, Soc]:
    """Return every SoC: the tool's, and those of the project's own template folder.

    Raises:
        UsageError: that folder cannot be used.
        ManifestError: an SoC there is not described as the schema asks for.
    """
    from dlpubuild.project.paths import PathRefusedError, project_paths  # noqa: PLC0415
    from dlpubuild.targets.load import load_socs  # noqa: PLC0415

    folders = [templates_dir()]
    if manifest is not None and manifest.project.templates is not None:
        text, place = manifest.project.templates, manifest.locate("project.templates")
        try:
            own = project_paths(manifest.folder, manifest.project.allow_outside).find(text)
        except PathRefusedError as error:
            raise UsageError(error.code, str(error), hint=error.hint, location=place) from error
        if not os.access(own, os.R_OK | os.X_OK) or not own.is_dir():
            raise UsageError(ErrorCode.PATH_KIND, f'"{text}" is not a folder that can be read', location=place)
        folders.append(own)
    if memo is None:
        return load_socs(folders, trusted=templates_dir())
    from dlpubuild.commands.remembered_toml import remembering_toml  # noqa: PLC0415

    return load_socs(folders, trusted=templates_dir(), known_good=_Valid(memo), parse=remembering_toml(memo))


def select_targets(manifest: Manifest, socs: Mapping[str, Soc], wanted: Sequence[str]) -> tuple[str, ...]:
    """Return the SoCs to build, in manifest order: those in `wanted`, or all where it is empty.

    Raises:
        UsageError: a name that is no SoC's.
        NothingSelectedError: no target is left.
    """
    asked = [target.soc for target in manifest.targets]
    for name in wanted:
        if name not in socs:
            near = get_close_matches(name, socs, n=1)
            guess = f'; did you mean "{near[0]}"?' if near else f"; known: {', '.join(socs)}"
            raise UsageError(ErrorCode.UNKNOWN_VALUE, f'--target: unknown SoC "{name}"{guess}')
        if name not in asked:
            raise NothingSelectedError(
                ErrorCode.NOTHING_SELECTED,
                f"--target {name}: {manifest.path} has no [target.{name}]",
                hint=f"it has {', '.join(asked)}; add an empty [target.{name}] table to ask for it",
            )
    if not asked:
        raise NothingSelectedError(
            ErrorCode.NOTHING_SELECTED,
            f"{manifest.path} names no target",
            hint="add a table such as [target.artpec8]",
        )
    return tuple(name for name in asked if not wanted or name in wanted)


def load_project(
    memo: Memo, manifest: Manifest, socs: Mapping[str, Soc], selected: Sequence[str], *, every_image: bool = False
) -> Project:
    """Return the resolved project with the selected targets; `socs` are those that `read_socs` gave.

    Its toolchains are not pinned yet: see `toolchains_of` and `pinned`.

    Raises:
        ManifestError: every fault of what the manifest names.
    """
    from dlpubuild.project.resolve import resolve_project  # noqa: PLC0415

    return resolve_project(manifest, socs, selected=selected, memo=memo, every_image=every_image)


def toolchains_of(project: Project, memo: Memo) -> Mapping[str, tuple[str, ...]]:
    """Return, by target, the names of the toolchains that its steps run in.

    Raises:
        DlpuError: a template cannot be rendered.
    """
    from dlpubuild.plan.remembered import remembering  # noqa: PLC0415
    from dlpubuild.plan.toolchains import toolchains_named  # noqa: PLC0415

    return toolchains_named(project, render=remembering(memo))


def names_of(toolchains: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return every name in what `toolchains_of` returned, once, in its order."""
    return tuple(dict.fromkeys(name for names in toolchains.values() for name in names))


def pinned(project: Project, toolchains: Mapping[str, Sequence[str]], pin_of: Callable[[str], ToolchainPin]) -> Project:
    """Return the project with every toolchain that its targets use; `toolchains` is what `toolchains_of` returned.

    Raises:
        ToolchainError: one is missing.
        ManifestError: one cannot be used as the manifest says.
    """
    from dlpubuild.plan.toolchains import pin_toolchains  # noqa: PLC0415

    found = pin_toolchains(project, toolchains, pin_of)
    for error in found.missing.values():
        raise error
    return found.project


def declared_pins(host: Host, manifest: Manifest) -> Callable[[str], ToolchainPin]:
    """Return what pins a toolchain by what is written down, for commands that run no step."""
    from dlpubuild.commands.brought import brought_folder, is_brought, with_brought  # noqa: PLC0415
    from dlpubuild.commands.execution import local_pins, own_images  # noqa: PLC0415 - it imports this module
    from dlpubuild.toolchains.acap_sdk import pin_in_image  # noqa: PLC0415
    from dlpubuild.toolchains.pins import load_pin, own_image  # noqa: PLC0415

    own = own_images(manifest)
    installed = {each.name for each in manifest.toolchains if each.path is not None}

    def pin_of(name: str) -> ToolchainPin:
        if name in installed and not is_brought(name):
            return local_pins(host, manifest)(name)
        if name in own:
            pin = pin_in_image(name, lambda _: own_image(own[name], str(manifest.path)))
        else:
            pin = load_pin(name, machine=host.machine, system=host.system)
        # One that is not public need not be here for looking at a project, or for handing its work over.
        has_folder = is_brought(name) and brought_folder(host, manifest, name) is not None
        return with_brought(host, manifest, pin) if has_folder else pin

    return pin_of


def open_project(
    host: Host, memo: Memo, manifest: Path, targets: Sequence[str], *, every_image: bool = False
) -> Project:
    """Return the resolved project of the manifest at `manifest`, with the targets named, or all.

    Its toolchains are what is known without asking an engine: the image that the manifest names, else the locked
    environment of this machine.

    Raises:
        ManifestError: every fault of the manifest, or of what it names.
        ToolchainError: a toolchain is missing.
        UsageError: a name in `targets` that is no SoC's.
        NothingSelectedError: no target is left.
    """
    read = read_manifest(manifest, memo)
    socs = read_socs(read, memo)
    project = load_project(memo, read, socs, select_targets(read, socs, targets), every_image=every_image)
    return pinned(project, toolchains_of(project, memo), declared_pins(host, read))


def plan_project(project: Project, memo: Memo, *, epoch_s: int) -> Plan:
    """Return the plan of a project; templates that were rendered before are not rendered again.

    Raises:
        DlpuError: a template cannot be rendered, or refers to something that is not there.
        ManifestError: what a template renders to is not what the steps schema asks for, or an application cannot be
            packed.
    """
    from dlpubuild.package.applications import with_applications  # noqa: PLC0415
    from dlpubuild.plan.planner import plan_build  # noqa: PLC0415
    from dlpubuild.plan.remembered import remembering  # noqa: PLC0415

    return with_applications(plan_build(project, render=remembering(memo)), project, epoch_s=epoch_s)
