"""Packages removed again: exactly what builds of one project left in an output folder.

In: an output folder and a project's name. Out: the paths that a build made, by the stamps it left beside them.
Anything without a stamp, and a folder that holds other files too, is not touched.
"""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

from dlpubuild.package.output_folder import require_replaceable, writable
from dlpubuild.package.stamp import ARCHIVE_SUFFIX, stamp_path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_STAMP = re.compile(r"\.(?P<base>.+)\.stamp\.json")


def package_paths(out_dir: Path, project_name: str) -> tuple[Path, ...]:
    """Return folders, archives and stamps of the project's packages in `out_dir`, sorted."""
    if not out_dir.is_dir():
        return ()
    found: list[Path] = []
    for path in out_dir.iterdir():
        match = _STAMP.fullmatch(path.name)
        # The version follows the name, so that "digits" does not take "digits-large-1.0.0-cpu" for its own.
        if match and re.match(rf"{re.escape(project_name)}-\d+\.", match["base"]):
            base = match["base"]
            candidates = (out_dir / base, out_dir / f"{base}{ARCHIVE_SUFFIX}", stamp_path(out_dir, base))
            found += [each for each in candidates if each.exists()]
    return tuple(sorted(found))


def remove_packages(out_dir: Path, paths: Sequence[Path]) -> None:
    """Remove `paths`, and `out_dir` where nothing is left in it but the lock of builds.

    Raises:
        OutputError: a folder holds files that no build made, or something cannot be removed.
    """
    if not paths:
        return
    with writable(out_dir):
        for path in paths:
            if path.is_dir():
                require_replaceable(path)
        for path in paths:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
