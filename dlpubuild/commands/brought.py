"""Toolchains that are not public: where the user has one, and its pin with what is there.

In: the host, a manifest where there is one, and the name of a toolchain. Out: its pin with the folder, or an error that
says how to get it. Only what identifies the folder's content is read.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dlpubuild.errors import ErrorCode, ToolchainError
from dlpubuild.toolchains.pins import folder_variable, with_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dlpubuild.commands.wiring import Host
    from dlpubuild.manifest.model import Manifest
    from dlpubuild.toolchains.pins import ToolchainPin


def is_brought(name: str) -> bool:
    """Return whether only the user can bring toolchain `name`."""
    return bool(folder_variable(name))


def brought_folder(host: Host, manifest: Manifest | None, name: str) -> Path | None:
    """Return where the user has toolchain `name`: what the manifest says wins over the variable. None: nowhere.

    Raises:
        ToolchainError: the variable holds a path that is relative to nobody knows what.
    """
    declared = next((each.path for each in manifest.toolchains if each.name == name), None) if manifest else None
    if declared is not None and manifest is not None:
        return manifest.folder.absolute() / _at_home(host, declared)
    variable = folder_variable(name)
    said = host.environ.get(variable) if variable else None
    if not said:
        return None
    folder = Path(_at_home(host, said))
    if not folder.is_absolute():
        raise ToolchainError(
            ErrorCode.TOOLCHAIN,
            f'{variable}="{said}" is no absolute path',
            hint=f"write all of it: {folder.absolute()}",
        )
    return folder


def is_nowhere(host: Host, manifest: Manifest, name: str) -> bool:
    """Return whether only the user can bring toolchain `name`, and nothing says where it is."""
    has_image = any(each.name == name and each.image is not None for each in manifest.toolchains)
    return is_brought(name) and not has_image and brought_folder(host, manifest, name) is None


def looked_at(host: Host, manifest: Manifest, pin_of: Callable[[str], ToolchainPin]) -> Callable[[str], ToolchainPin]:
    """Return what pins a toolchain where a project is only looked at: one that is nowhere is no fault then."""
    from dlpubuild.commands.wiring import declared_pins  # noqa: PLC0415 - imports this module's users

    declared = declared_pins(host, manifest)

    def pin(name: str) -> ToolchainPin:
        return declared(name) if is_nowhere(host, manifest, name) else pin_of(name)

    return pin


def notes_on_missing(host: Host, manifest: Manifest, toolchains: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return a sentence for each toolchain that is nowhere; `toolchains` has those of each target."""
    needed: dict[str, list[str]] = {}
    for target, names in toolchains.items():
        for name in names:
            if is_nowhere(host, manifest, name):
                needed.setdefault(name, []).append(target)
    return tuple(
        f"{', '.join(targets)}: toolchain {name} is not here, so a build ends with exit code 7; "
        f"name its folder in {folder_variable(name)} or with path under [toolchain.{name}]"
        for name, targets in needed.items()
    )


def with_brought(host: Host, manifest: Manifest | None, pin: ToolchainPin) -> ToolchainPin:
    """Return the pin with the folder in which the user has the toolchain.

    Raises:
        ToolchainError: nothing says where it is, or it is not there.
    """
    folder = brought_folder(host, manifest, pin.name)
    if folder is None:
        raise missing(pin)
    return with_folder(pin, folder, lambda paths: _hashes_of(host, paths))


def missing(pin: ToolchainPin) -> ToolchainError:
    """Return the error for a toolchain of which nothing says where it is."""
    return ToolchainError(
        ErrorCode.TOOLCHAIN,
        f"toolchain {pin.name} is needed ({pin.title}), and nothing says where it is",
        hint=f"ask Ambarella or Axis for it, then name its folder in {folder_variable(pin.name)} or with path under "
        f"[toolchain.{pin.name}]; or have somebody who has it run what `dlpubuild render FOLDER --hand-over` lays out",
    )


def _at_home(host: Host, path: str) -> str:
    return str(host.home / path[2:]) if path.startswith("~/") else path


def _hashes_of(host: Host, paths: Sequence[Path]) -> list[str]:
    from dlpubuild.commands.wiring import open_memo  # noqa: PLC0415 - imports this module's users

    with open_memo(host) as memo:
        return [digest.hash for digest in memo.digest_files(paths)]
