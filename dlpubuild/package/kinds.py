"""What a file is by its name, so that a command that is given a model imports nothing of packages.

In: a path. Out: whether it is a package. Nothing but the folder's existence is looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

ARCHIVES: Final = (".tar.gz", ".tgz")
EAP: Final = ".eap"
# More than this no camera loads; a hostile archive may claim anything, and a small one unpack to it.
MAX_MODEL_BYTES: Final = 512 << 20


def is_package(path: Path) -> bool:
    """Return whether `path` is named as a package is: a folder, an archive or an `.eap`."""
    return path.is_dir() or path.name.endswith((*ARCHIVES, EAP))
