"""Progress as lines in a log and as a live view on a terminal, which is left as it was found."""

from __future__ import annotations

import errno
import io
import os
import pty
import re
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dlpubuild.engine.events import (
    Notice,
    StepFailed,
    StepFinished,
    StepMessage,
    StepProgress,
    StepSkipped,
    StepStarted,
)
from dlpubuild.errors import DlpuError, ErrorCode
from dlpubuild.report.console import watching
from tests.factories.processes import wait_until

ROOT = Path(__file__).resolve().parents[3]
HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
COLOR = re.compile(r"\x1b\[[0-9;]*m")
ERROR = DlpuError(ErrorCode.GATE, "no")


def plain(events: list[tuple[float, object]], *, quiet: bool = False, colored: bool = False) -> list[str]:
    """The lines for events at given times."""
    stream = io.StringIO()
    now = 0.0
    with watching(stream, live=False, colored=colored, width=8, quiet=quiet, clock=lambda: now) as observe:
        for at, event in events:
            now = at
            observe(event)  # type: ignore[arg-type]
    return stream.getvalue().splitlines()


EVENTS: list[tuple[float, object]] = [
    (0.0, Notice(text="executor: local")),
    (0.0, StepStarted(step="import", title="convert the model")),
    (0.1, StepMessage(step="import", text="reading")),
    (1.0, StepFinished(step="import", cached=False, seconds=61.2)),
    (1.0, StepFinished(step="cal", cached=True, seconds=5.0)),
    (2.0, StepFailed(step="quant", error=ERROR)),
    (2.0, StepSkipped(step="other")),
]


def test_a_log_has_one_line_per_event() -> None:
    assert plain(EVENTS) == [
        "executor: local",
        "import    started  convert the model",
        "import    reading",
        "import    ran     1 min 01 s",
        "cal       cached",
        "quant     failed",
        "other     skipped",
    ]


def test_quiet_shows_failures_only() -> None:
    assert plain(EVENTS, quiet=True) == ["quant     failed"]


def test_colors_come_only_where_they_are_wanted() -> None:
    assert not COLOR.search("".join(plain(EVENTS)))
    assert [COLOR.sub("", line) for line in plain(EVENTS, colored=True)] == plain(EVENTS)
    assert COLOR.search("".join(plain(EVENTS, colored=True)))


def test_progress_is_told_now_and_then_and_at_its_end() -> None:
    events: list[tuple[float, object]] = [(100.0, StepStarted(step="cal", title="t"))]
    events += [(100.0 + n, StepProgress(step="cal", done=n, total=12, unit="images")) for n in range(1, 13)]
    assert plain(events)[1:] == ["cal       5 of 12 images", "cal       10 of 12 images", "cal       12 of 12 images"]


class Gone(io.StringIO):
    """A stream whose reader has gone: a pipe says EPIPE, a terminal EIO."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def write(self, _text: str) -> int:
        raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize(("live", "number"), [(False, errno.EPIPE), (True, errno.EIO)])
def test_a_reader_that_has_gone_does_not_stop_a_build(live: bool, number: int) -> None:
    with watching(Gone(number), live=live, colored=False, width=8, quiet=False, clock=lambda: 0.0) as observe:
        for _, event in EVENTS:
            observe(event)  # type: ignore[arg-type]


LIVE = """
import sys, threading, time
sys.path.insert(0, {root!r})
from dlpubuild.commands.interrupts import interruptible
from dlpubuild.engine.events import *
from dlpubuild.errors import InterruptedBuildError
from dlpubuild.report.console import watching
rich_at_start = "rich" in sys.modules
try:
    with interruptible() as interrupts, watching(
        sys.stderr, live=True, colored={colored}, width=8, quiet=False, clock=time.monotonic
    ) as observe:
        observe(Notice(text="executor: local [bold]not markup"))
        observe(StepFinished(step="import", cached=True, seconds=1.0))
        assert "rich" not in sys.modules and not rich_at_start
        {body}
except InterruptedBuildError:
    print("interrupted", file=sys.stderr)
    sys.exit(130)
"""

STEPS = """
        observe(StepStarted(step="cal", title="calibrate"))
        observe(StepProgress(step="cal", done=3, total=7, unit="images"))
        time.sleep(0.3)
        observe(StepMessage(step="cal", text="nearly there"))
        time.sleep(0.2)
        observe(StepFinished(step="cal", cached=False, seconds=0.5))
        observe(StepSkipped(step="quant"))
"""


# As a build does it: the main thread waits and draws, a signal counts when it is told so.
WAIT = """
        with interrupts.deferred() as cancelled:
            observe(StepStarted(step="cal", title="calibrate"))
            cancelled.wait()
"""


class Terminal:
    """A program on a pseudo terminal of 100 columns, and all it has written there."""

    def __init__(self, body: str, *, colored: bool = True, **environ: str) -> None:
        self.master, slave = pty.openpty()
        program = LIVE.format(root=str(ROOT), body=body.strip(), colored=colored)
        self.process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30", **environ},
        )
        os.close(slave)
        self.shown = ""

    def read(self) -> bool:
        """Take what there is; False at the end."""
        if not select.select([self.master], [], [], 0.05)[0]:
            return True
        try:
            chunk = os.read(self.master, 1 << 16)
        except OSError:
            return False
        self.shown += chunk.decode()
        return bool(chunk)

    def read_until(self, text: str) -> None:
        wait_until(lambda: (self.read(), text in self.shown)[1], f"{text!r} on the terminal")

    def end(self) -> int:
        while self.read():
            pass
        os.close(self.master)
        return self.process.wait(10)


def test_the_live_view_shows_running_steps_and_leaves_the_terminal_as_it_was() -> None:
    terminal = Terminal(STEPS)
    assert terminal.end() == 0
    shown = COLOR.sub("", terminal.shown)
    assert "executor: local [bold]not markup" in shown
    assert "import    cached" in shown
    assert re.search(r"cal .*3 of 7 images", shown)
    assert "nearly there" in shown
    assert "cal       ran     0.5 s" in shown
    assert "quant     skipped" in shown
    assert terminal.shown.count(HIDE_CURSOR) == terminal.shown.count(SHOW_CURSOR) == 1
    assert terminal.shown.index(HIDE_CURSOR) < terminal.shown.index(SHOW_CURSOR)


def test_an_interrupt_leaves_the_terminal_as_it_was() -> None:
    terminal = Terminal(WAIT)
    terminal.read_until(HIDE_CURSOR)
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.end() == 130
    assert terminal.shown.rindex(SHOW_CURSOR) > terminal.shown.rindex(HIDE_CURSOR)
    assert terminal.shown.endswith("interrupted\r\n")
    assert "Traceback" not in terminal.shown


def test_without_colors_the_live_view_has_no_color_codes() -> None:
    terminal = Terminal(STEPS, colored=False, NO_COLOR="1")
    assert terminal.end() == 0
    assert not COLOR.search(terminal.shown)
    assert "3 of 7 images" in terminal.shown
