"""Ctrl-C and SIGTERM while something runs that has to be left in order.

In: the two signals. Out: an `Interrupts` value, and in the end `InterruptedBuildError`. A second signal while things
are being stopped changes nothing, so that cleaning up is not cut short.
"""

from __future__ import annotations

import _thread
import signal
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dlpubuild.errors import ErrorCode, InterruptedBuildError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(slots=True)
class Interrupts:
    """The first signal sets `cancelled` and ends what the main thread does, at once or where that can be left."""

    cancelled: threading.Event = field(default_factory=threading.Event)
    has_come: bool = False
    is_deferred: bool = False

    @contextmanager
    def deferred(self) -> Iterator[threading.Event]:
        """In the block a signal only sets the event that the block is given and looks at; it counts at the end.

        For what must not be left at an arbitrary line: the main thread draws, or starts processes.

        Raises:
            InterruptedBuildError: a signal came.
        """
        self.is_deferred = True
        try:
            yield self.cancelled
        finally:
            self.is_deferred = False
        if self.has_come:
            raise InterruptedBuildError(ErrorCode.INTERRUPTED, "interrupted")

    def take(self, _number: int, _frame: object) -> None:
        """Handle a signal, at an arbitrary line of the main thread."""
        if self.has_come:
            return
        self.has_come = True
        # In a thread of its own, and one without locks: the main thread may hold those of the event or of `threading`.
        _thread.start_new_thread(self.cancelled.set, ())
        if not self.is_deferred:
            raise KeyboardInterrupt


@contextmanager
def interruptible() -> Iterator[Interrupts]:
    """For the block, SIGINT and SIGTERM are handled; to be entered in the main thread.

    Raises:
        InterruptedBuildError: one of them came.
    """
    interrupts = Interrupts()
    previous = {number: signal.signal(number, interrupts.take) for number in (signal.SIGINT, signal.SIGTERM)}
    told = sys.unraisablehook
    sys.unraisablehook = _without_interrupts(told)
    try:
        yield interrupts
    except KeyboardInterrupt:
        raise InterruptedBuildError(ErrorCode.INTERRUPTED, "interrupted") from None
    finally:
        sys.unraisablehook = told
        for number, handler in previous.items():
            signal.signal(number, handler)


def _without_interrupts(tell: Callable[[sys.UnraisableHookArgs], object]) -> Callable[[sys.UnraisableHookArgs], object]:
    """What is told of exceptions that Python cannot raise, but for our own.

    A signal may come while Python runs a callback of its own, such as that of a weak reference to an import lock; an
    exception is then printed and dropped. The signal is not lost: `has_come` and `cancelled` are set.
    """

    def hook(unraisable: sys.UnraisableHookArgs) -> None:
        if unraisable.exc_type is not KeyboardInterrupt:
            tell(unraisable)

    return hook
