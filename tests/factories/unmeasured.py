"""Examples without their `[verify]`: measuring takes seconds in each build, and only some tests are about it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_TABLE = re.compile(r"(#[^\n]*\n)*\[verify\]\n([^\[\n][^\n]*\n)*\n?")


def without_verify(project: Path) -> Path:
    """Take `[verify]`, and the comment above it, out of the manifest of the project in a folder; return the folder."""
    manifest = project / "dlpu.toml"
    manifest.write_text(_TABLE.sub("", manifest.read_text()))
    return project
