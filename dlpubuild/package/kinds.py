"""What a file is by its name, so that a command that is given a model imports nothing of packages.

In: a path. Out: whether it is a package. Nothing is opened; only what kind of file it is is looked at.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Final

from dlpubuild.errors import DlpuError, ErrorCode, Location

if TYPE_CHECKING:
    from pathlib import Path

ARCHIVES: Final = (".tar.gz", ".tgz")
EAP: Final = ".eap"
# More than this no camera loads; a hostile archive may claim anything, and a small one unpack to it.
MAX_MODEL_BYTES: Final = 512 << 20
# Nor does any package unpack to more than this; going through it takes seconds.
MAX_UNPACKED_BYTES: Final = 4 << 30


def is_package(path: Path) -> bool:
    """Return whether `path` is named as a package is: a folder, an archive or an `.eap`."""
    return path.is_dir() or path.name.endswith((*ARCHIVES, EAP))


def refuse_special(path: Path) -> None:
    """Refuse what is neither a file nor a folder, before it is opened: a pipe would be waited for.

    Raises:
        DlpuError: it is a pipe, a socket or a device.
    """
    try:
        mode = path.stat().st_mode
    except OSError:
        return  # told where it is read
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise DlpuError(
            ErrorCode.NOT_A_MODEL,
            "it is neither a file nor a folder",
            location=Location(str(path)),
            hint="name the package itself: a bundle (.tar.gz or its folder) or an .eap",
        )
