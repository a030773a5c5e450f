"""Looking at processes that a test did not start itself."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_SOON_S = 20.0


def is_running(pid: int) -> bool:
    """Return whether the process runs; one that has ended and was not waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Wait until `condition` holds; fail where it does not come to pass soon."""
    deadline = time.monotonic() + _SOON_S
    while not condition():
        assert time.monotonic() < deadline, f"never saw {what}"
        time.sleep(0.01)


def read_pid(path: Path) -> int:
    """Return the process id that a script writes to `path`, waiting until it has."""
    wait_until(lambda: path.exists() and path.read_text().endswith("\n"), f"a process id in {path}")
    return int(path.read_text())
