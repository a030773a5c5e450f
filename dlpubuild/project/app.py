"""The project's own ACAP application: its folder found below the project, and read.

In: a manifest, and a memo of file digests. Out: an `AppFolder`, or faults: those of the folder stand in the manifest,
those of a file in the application. Nothing is looked at here where no `.eap` is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlpubuild.errors import DlpuError, ErrorCode, Location
from dlpubuild.project.app_folder import read_app_folder
from dlpubuild.project.paths import PathRefusedError, path_kind

if TYPE_CHECKING:
    from pathlib import Path

    from dlpubuild.project.app_folder import AppFolder
    from dlpubuild.project.faults import Faults, Memo
    from dlpubuild.project.paths import ProjectPaths

KEY = "package.app"


def resolve_app(faults: Faults, paths: ProjectPaths, memo: Memo) -> AppFolder | None:
    """Return the application that the manifest names; None where it names none, or where that is at fault."""
    package = faults.manifest.package
    if package.app is None or "eap" not in package.formats:
        return None
    folder = _folder(faults, paths, package.app)
    if folder is None:
        return None
    try:
        app, wrong = read_app_folder(folder, package.app, memo.digest_files)
    except DlpuError as error:
        faults.add_unreadable(KEY, error)
        return None
    for fault in wrong:
        place = Location(f"{package.app}/{fault.path}" if fault.path else package.app)
        faults.add(fault.code, KEY, fault.message, fault.hint, location=place)
    return app


def _folder(faults: Faults, paths: ProjectPaths, name: str) -> Path | None:
    try:
        folder = paths.find(name)
        kind = path_kind(folder)
    except PathRefusedError as error:
        faults.add_refused(KEY, error)
        return None
    except OSError as error:
        faults.add(ErrorCode.PATH_KIND, KEY, f'"{name}" cannot be read: {error.strerror or error}')
        return None
    if kind == "folder":
        return folder
    if kind is None:
        faults.add(ErrorCode.PATH_MISSING, KEY, f'"{name}" does not exist')
    else:
        faults.add(ErrorCode.PATH_KIND, KEY, f'"{name}" is not a folder')
    return None
