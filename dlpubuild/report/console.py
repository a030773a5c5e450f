"""The engine's events on a terminal: a live view where one can be drawn, plain lines elsewhere.

In: events, from any thread. Out: text on standard error. Decides nothing, and fails nothing: where nobody reads what is
written, the build goes on without.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

from dlpubuild.engine.events import (
    Notice,
    StepFailed,
    StepFinished,
    StepMessage,
    StepProgress,
    StepSkipped,
    StepStarted,
)
from dlpubuild.report.text import Paint, seconds_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import Progress, TaskID

    from dlpubuild.engine.events import Event, Observer

# Plain progress lines: not more often than this, so that a CI log stays readable.
_PLAIN_EVERY_S = 5.0


@contextmanager
def watching(
    stream: TextIO, *, live: bool, colored: bool, width: int, quiet: bool, clock: Callable[[], float]
) -> Iterator[Observer]:
    """A function to give events to; whatever is drawn is finished when the block ends.

    Args:
        live: draw and redraw; else write lines.
        width: columns for the names of steps.
        quiet: show failures only.
        clock: monotonic seconds.
    """
    if live and not quiet:
        view = _LiveView(stream=stream, paint=Paint(colored), width=width)
        try:
            yield view.observe
        finally:
            view.close()
    else:
        yield _PlainView(stream=stream, paint=Paint(colored), width=width, quiet=quiet, clock=clock).observe


def _finished_text(event: StepFinished, paint: Paint, width: int) -> str:
    name = event.step.ljust(width)
    if event.cached:
        return f"{name}  {paint.dim('cached')}"
    return f"{name}  {paint.good('ran')}     {seconds_text(event.seconds)}"


def _failed_text(event: StepFailed, paint: Paint, width: int) -> str:
    return f"{event.step.ljust(width)}  {paint.bad('failed')}"


@dataclass(slots=True)
class _PlainView:
    """One line per event that a reader of a log wants to see."""

    stream: TextIO
    paint: Paint
    width: int
    quiet: bool
    clock: Callable[[], float]
    lock: threading.Lock = field(default_factory=threading.Lock)
    last: dict[str, float] = field(default_factory=dict)

    def observe(self, event: Event) -> None:
        with self.lock, suppress(OSError):
            text = self._text(event)
            if text:
                self.stream.write(text + "\n")
                self.stream.flush()

    def _text(self, event: Event) -> str:  # noqa: PLR0911 - one return per event
        if self.quiet and not isinstance(event, StepFailed):
            return ""
        match event:
            case StepStarted():
                self.last[event.step] = self.clock()
                return f"{event.step.ljust(self.width)}  started  {event.title}"
            case StepProgress():
                return self._progress(event)
            case StepMessage():
                return f"{event.step.ljust(self.width)}  {event.text}"
            case StepFinished():
                return _finished_text(event, self.paint, self.width)
            case StepFailed():
                return _failed_text(event, self.paint, self.width)
            case StepSkipped():
                return f"{event.step.ljust(self.width)}  {self.paint.dim('skipped')}"
            case Notice():
                return event.text

    def _progress(self, event: StepProgress) -> str:
        now = self.clock()
        if event.done < event.total and now - self.last.get(event.step, 0.0) < _PLAIN_EVERY_S:
            return ""
        self.last[event.step] = now
        return f"{event.step.ljust(self.width)}  {event.done} of {event.total} {event.unit}"


@dataclass(slots=True)
class _LiveView:
    """Finished steps scroll up as lines; below them, one bar per running step.

    What draws is imported and started with the first step that runs: a build with nothing to do never pays for it.
    """

    stream: TextIO
    paint: Paint
    width: int
    lock: threading.Lock = field(default_factory=threading.Lock)
    progress: Progress | None = None
    tasks: dict[str, TaskID] = field(default_factory=dict)

    def observe(self, event: Event) -> None:
        with self.lock, suppress(OSError):
            match event:
                case StepStarted():
                    self._start(event.step)
                case StepProgress():
                    self._update(event.step, f"{event.done} of {event.total} {event.unit}", event.done, event.total)
                case StepMessage():
                    self._update(event.step, event.text, None, None)
                case StepFinished() | StepFailed():
                    self._end(event)
                case StepSkipped():
                    self._line(f"{event.step.ljust(self.width)}  {self.paint.dim('skipped')}")
                case Notice():
                    self._line(event.text)

    def close(self) -> None:
        """Stop drawing and leave the terminal as it was."""
        if self.progress is not None:
            with suppress(OSError):
                self.progress.stop()

    def _start(self, step: str) -> None:
        if self.progress is None:
            self.progress = _progress(self.stream, colored=self.paint.enabled)
            self.progress.start()
        self.tasks[step] = self.progress.add_task("", total=None, label=step.ljust(self.width), counts="")

    def _update(self, step: str, counts: str, done: int | None, total: int | None) -> None:
        if self.progress is not None and step in self.tasks:
            self.progress.update(self.tasks[step], counts=counts, completed=done, total=total)

    def _end(self, event: StepFinished | StepFailed) -> None:
        task = self.tasks.pop(event.step, None)
        if task is not None and self.progress is not None:
            self.progress.remove_task(task)
        if isinstance(event, StepFailed):
            self._line(_failed_text(event, self.paint, self.width))
        else:
            self._line(_finished_text(event, self.paint, self.width))

    def _line(self, text: str) -> None:
        if self.progress is None:
            self.stream.write(text + "\n")
            self.stream.flush()
        else:
            from rich.text import Text  # noqa: PLC0415 - loaded already, where something is drawn

            self.progress.console.print(Text.from_ansi(text), soft_wrap=True)


def _progress(stream: TextIO, *, colored: bool) -> Progress:
    from rich.console import Console  # noqa: PLC0415 - slow to import
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.fields[label]}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[counts]}", markup=False),
        TimeElapsedColumn(),
        console=Console(file=stream, no_color=not colored, highlight=False),
        transient=True,
    )
