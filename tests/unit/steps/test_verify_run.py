"""What runs in a process of its own: its result, its fault, and its end, come back."""

from __future__ import annotations

import importlib
import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from dlpubuild.resources import steps_dir

if TYPE_CHECKING:
    from types import ModuleType


@pytest.fixture(scope="module")
def run() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(steps_dir()))
        return importlib.import_module("verify_run")


def test_a_result_comes_back_whatever_its_size(run: ModuleType) -> None:
    assert run.apart(lambda: {"text": "ä" * 200_000, "number": 0.1}) == {"text": "ä" * 200_000, "number": 0.1}


def test_a_fault_of_the_users_comes_back_as_itself(run: ModuleType) -> None:
    def fail() -> None:
        raise run.stepio.StepError("validation-label", "which", "do that")

    with pytest.raises(run.stepio.StepError) as caught:
        run.apart(fail)
    assert (caught.value.code, str(caught.value), caught.value.hint) == ("validation-label", "which", "do that")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_crash_is_told_by_its_signal(run: ModuleType, number: signal.Signals) -> None:
    with pytest.raises(run.CrashError, match=number.name):
        run.apart(lambda: os.kill(os.getpid(), number))


def test_what_takes_too_long_is_ended(run: ModuleType) -> None:
    with pytest.raises(run.CrashError, match="longer than 1 s"):
        run.apart(lambda: time.sleep(60), 1)


def test_a_process_that_ends_by_itself_has_no_result(run: ModuleType) -> None:
    with pytest.raises(run.CrashError, match="code 3"):
        run.apart(lambda: os._exit(3))


@pytest.mark.parametrize(("count", "most", "expected"), [(4, 8, [0, 1, 2, 3]), (10, 4, [0, 2, 5, 7]), (1, 1, [0])])
def test_positions_are_evenly_spread(run: ModuleType, count: int, most: int, expected: list[int]) -> None:
    assert run.spread(count, most) == expected
