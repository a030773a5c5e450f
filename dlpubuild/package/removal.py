"""Packages and reports removed again: exactly what builds of one project left in an output folder.

In: an output folder and a project's name. Out: the paths that a build made, by the stamps it left beside them.
Anything without a stamp, and a folder that holds other files too, is not touched.
"""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING

from dlpubuild.package.eap.stamp import stamped_eap
from dlpubuild.package.output_folder import require_replaceable, writable
from dlpubuild.package.report_files import stamped_report
from dlpubuild.package.stamp import ARCHIVE_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_STAMP = re.compile(r"\.(?P<base>.+)\.stamp\.json")


def package_paths(out_dir: Path, project_name: str) -> tuple[Path, ...]:
    """Return packages and reports of the project in `out_dir`, sorted, then their stamps.

    Packages are folders, archives and `.eap` files.
    """
    if not out_dir.is_dir():
        return ()
    found: list[Path] = []
    stamps: list[Path] = []
    for path in out_dir.iterdir():
        match = _STAMP.fullmatch(path.name)
        # The version follows the name, so that "digits" does not take "digits-large-1.0.0-cpu" for its own.
        if match and re.match(rf"{re.escape(project_name)}-\d+\.", match["base"]):
            made = [out_dir / match["base"], out_dir / f"{match['base']}{ARCHIVE_SUFFIX}"]
            # An .eap has the name that Axis' tool gives it; only its stamp says which.
            if (eap := stamped_eap(path)) is not None:
                made.append(eap.path)
            made += stamped_report(path) or ()
            found += [each for each in made if os.path.lexists(each)]
            stamps.append(path)
    return (*sorted(found), *sorted(stamps))


def remove_packages(out_dir: Path, paths: Sequence[Path]) -> None:
    """Remove `paths` in this order: a stamp goes last, so that what is left after an interruption is found again.

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
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
