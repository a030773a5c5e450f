"""Ctrl-C and SIGTERM: at once, or where a block can be left."""

from __future__ import annotations

import os
import signal

import pytest

from dlpubuild.commands.interrupts import interruptible
from dlpubuild.errors import InterruptedBuildError

SOON_S = 10.0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_block_at_once(number: signal.Signals) -> None:
    reached: list[str] = []

    def work() -> None:
        with interruptible() as interrupts:
            os.kill(os.getpid(), number)
            interrupts.cancelled.wait(SOON_S)
            reached.append("after")

    with pytest.raises(InterruptedBuildError):
        work()
    assert reached == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_deferred_signal_counts_at_the_end_of_the_block(number: signal.Signals) -> None:
    reached: list[str] = []

    def work() -> None:
        with interruptible() as interrupts:
            with interrupts.deferred() as cancelled:
                os.kill(os.getpid(), number)
                assert cancelled.wait(SOON_S)
                # Another one while things are being stopped changes nothing.
                os.kill(os.getpid(), number)
                reached.append("end")
            reached.append("after")

    with pytest.raises(InterruptedBuildError):
        work()
    assert reached == ["end"]


def test_an_error_in_a_deferred_block_is_not_replaced_by_the_signal() -> None:
    def work() -> None:
        with interruptible() as interrupts, interrupts.deferred() as cancelled:
            os.kill(os.getpid(), signal.SIGTERM)
            assert cancelled.wait(SOON_S)
            raise ValueError("ours")

    with pytest.raises(ValueError, match="ours"):
        work()


def test_without_a_signal_nothing_happens_and_the_handlers_are_as_before() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with interruptible() as interrupts, interrupts.deferred() as cancelled:
        assert signal.getsignal(signal.SIGTERM) == interrupts.take
    assert not cancelled.is_set()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_an_interrupt_that_python_cannot_raise_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    class Ends:
        def __del__(self) -> None:
            raise KeyboardInterrupt

    with interruptible():
        ends = Ends()
        del ends
    assert capsys.readouterr() == ("", "")
