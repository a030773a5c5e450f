"""A container's output while it runs, and its end.

In: a container that was attached to and started. Out: its output, chunk by chunk as it comes, and its last state. One
thread reads, because a stream through TLS or ssh cannot be waited for together with a clock; the thread of the step
passes on what was read, looks at the clock, and asks the engine now and then whether it still runs the container: an
engine that died, or a peer that vanished, is noticed within seconds. Never stops a container.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from queue import Empty, Full, Queue
from typing import TYPE_CHECKING, Self

from dlpubuild.containers.faults import engine_fault
from dlpubuild.executors.watching import POLL_S

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from requests import Response

    from dlpubuild.executors.docker.calls import Calls, State
    from dlpubuild.executors.watching import Output

# Of the Engine API: one byte for the stream, three that are zero, four for the length, then the content.
_FRAME_BYTES = 8
_STANDARD_ERROR = 2
_READ_BYTES = 1 << 16
_QUEUED = 64
_ATTACH_S = 60.0
_LOOK_S = 2.0
_JOIN_S = 1.0
_MAX_PAUSE_S = 0.25


class Attachment:
    """What a container writes, read by a thread of its own between `open` and the end of the `with` block.

    The block goes around the container's life: it is the container's end that ends the reading.
    """

    def __init__(self) -> None:
        # Bounded: a step that writes faster than we do waits.
        self._chunks: Queue[tuple[bool, bytes] | None] = Queue(_QUEUED)
        self._opened = threading.Event()
        self._stopped = threading.Event()
        self._error: Exception | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if self._thread is not None:
            # In vain where the engine hangs; then the thread ends with the process.
            self._thread.join(_JOIN_S)

    def open(self, calls: Calls, container: str, check: Callable[[], None]) -> None:
        """Attach to a container that does not run yet, and begin to read.

        Raises:
            EngineMissingError: the engine refuses, or was lost.
            DlpuError: what `check` raises meanwhile.
        """
        self._thread = threading.Thread(target=self._attach, args=(calls, container), daemon=True)
        self._thread.start()
        # The request itself has no timeout: what it opens stays open as long as the step runs.
        until = time.monotonic() + _ATTACH_S
        while not self._opened.wait(POLL_S):
            check()
            if time.monotonic() > until:
                raise engine_fault(calls.connection.address, TimeoutError(), lost=True)
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """Read no more: an engine whose writing is blocked cannot remove the container."""
        self._stopped.set()

    def next(self, timeout_s: float) -> tuple[bool, bytes] | None:
        """Return the next chunk and whether it is of standard error; None at the end.

        Raises:
            Empty: nothing came in time.
        """
        return self._chunks.get(timeout=timeout_s)

    def _attach(self, calls: Calls, container: str) -> None:
        try:
            response = calls.attach(container)
        except Exception as error:  # noqa: BLE001 - raised again by `open`
            self._error = error
        else:
            self._opened.set()
            # A stream that breaks ends; why, the engine is asked afterwards.
            with response, suppress(Exception):
                self._read(response)
        finally:
            self._opened.set()
            self._put(None)

    def _read(self, response: Response) -> None:
        raw = response.raw
        while len(head := raw.read(_FRAME_BYTES)) == _FRAME_BYTES:
            rest = int.from_bytes(head[4:], "big")
            while rest and (chunk := raw.read(min(rest, _READ_BYTES))):
                rest -= len(chunk)
                if not self._put((head[0] == _STANDARD_ERROR, chunk)):
                    return

    def _put(self, item: tuple[bool, bytes] | None) -> bool:
        """Hand on what was read; False where nobody takes it any more."""
        while not self._stopped.is_set():
            with suppress(Full):
                self._chunks.put(item, timeout=POLL_S)
                return True
        return False


def follow(
    calls: Calls,
    container: str,
    attachment: Attachment,
    output: Output,
    check: Callable[[], None],
    *,
    look_s: float = _LOOK_S,
) -> State:
    """Pass on what a container writes until it ends, and return its last state.

    `check` is called many times a second, and the engine is asked every `look_s` seconds whether the container runs.

    Raises:
        EngineMissingError: the engine was lost, or the container removed (ENGINE_LOST).
        DlpuError: what `check` raises.
    """
    look_at = time.monotonic() + look_s
    has_ended = False
    try:
        while True:
            check()
            if time.monotonic() > look_at:
                state = calls.inspect(container)
                if has_ended:
                    # Its output should have ended, too, but the stream is stuck.
                    return state
                has_ended = not state.is_running
                look_at = time.monotonic() + look_s
            try:
                item = attachment.next(min(POLL_S, look_s))
            except Empty:
                continue
            if item is None:
                return _ended(calls, container, check)
            is_error, chunk = item
            (output.take_error if is_error else output.take)(chunk)
    finally:
        attachment.stop()


def _ended(calls: Calls, container: str, check: Callable[[], None]) -> State:
    """Wait for the end of a container that closed its output, and return its state.

    The engine's own call for this takes a quarter of a second with Podman, and cannot be cancelled.
    """
    pause_s = 0.001
    while (state := calls.inspect(container)).is_running:
        check()
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, _MAX_PAUSE_S)
    return state
