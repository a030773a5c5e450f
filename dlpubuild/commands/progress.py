"""Progress on standard error: how every command that runs steps shows it.

In: the steps that will run. Out: an observer, open as long as they run.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from dlpubuild.report.console import watching

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractContextManager

    from dlpubuild.commands.wiring import Host
    from dlpubuild.engine.events import Observer
    from dlpubuild.plan.model import Step


def watched(host: Host, steps: Iterable[Step], *, quiet: bool) -> AbstractContextManager[Observer]:
    """Return what shows the progress of `steps`; quiet, of failures only."""
    return watching(
        sys.stderr,
        live=host.draws_on(sys.stderr),
        colored=host.colors_on(sys.stderr),
        width=max((len(step.name) for step in steps), default=0),
        quiet=quiet,
        clock=time.monotonic,
    )
