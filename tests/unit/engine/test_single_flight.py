"""One run per action on one machine, also between processes and after kill -9."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dlpubuild.cas.digest import digest_bytes
from dlpubuild.engine.single_flight import only_one
from dlpubuild.errors import InterruptedBuildError, StoreError
from tests.factories.processes import wait_until

ROOT = Path(__file__).resolve().parents[3]
ACTION = digest_bytes(b"action")

BUILD = """
import sys, threading, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from dlpubuild.cas.store import Store
from dlpubuild.engine.events import StepStarted
from dlpubuild.engine.scheduler import Engine
from tests.doubles.executor import ScriptedExecutor
from tests.factories.plans import make_plan, make_step

cache = Path(sys.argv[1])
ready, go = cache / sys.argv[3], cache / "go"

def act(bound, run):
    with (cache / "runs").open("a") as stream:
        stream.write("run\\n")
    time.sleep(0.3)

def told(event):
    print(type(event).__name__, flush=True)

store = Store(cache, now_ns=time.time_ns)
engine = Engine(
    store=store, executor=ScriptedExecutor(store=store, acts={"step s": act}), logs=cache, running=cache / "running",
    jobs=1, keep_going=False, observe=told, cancelled=threading.Event(),
)
plan = make_plan(make_step("s", cache / sys.argv[3]))
ready.mkdir(exist_ok=True)
while not go.exists():
    time.sleep(0.005)
(outcome,) = engine.run(plan).values()
print(outcome.state)
"""

HOLD = """
import sys, threading, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from dlpubuild.cas.digest import digest_bytes
from dlpubuild.engine.single_flight import only_one
with only_one(Path(sys.argv[1]), digest_bytes(b"action"), cancelled=threading.Event(), on_wait=print):
    print("held", flush=True)
    time.sleep(60)
"""


def test_of_two_builds_one_runs_and_the_other_finds_the_result(tmp_path: Path) -> None:
    builds = [
        subprocess.Popen(
            [sys.executable, "-c", BUILD, str(tmp_path), str(ROOT), name], stdout=subprocess.PIPE, text=True
        )
        for name in ("one", "two")
    ]
    wait_until(lambda: (tmp_path / "one").exists() and (tmp_path / "two").exists(), "both builds")
    (tmp_path / "go").touch()
    ended = [build.communicate(timeout=30)[0].split() for build in builds]
    assert sorted(words[-1] for words in ended) == ["cached", "ran"]
    assert (tmp_path / "runs").read_text() == "run\n"
    assert list((tmp_path / "running").iterdir()) == []


def test_the_right_of_a_killed_process_is_free_again(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path), str(ROOT)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    waited = threading.Event()

    def kill() -> None:
        waited.wait(10)
        holder.send_signal(signal.SIGKILL)
        holder.communicate()

    killer = threading.Thread(target=kill)
    killer.start()
    with only_one(tmp_path, ACTION, cancelled=threading.Event(), on_wait=waited.set):
        pass
    killer.join()
    assert waited.is_set()
    assert list(tmp_path.iterdir()) == []


def test_the_lock_file_goes_after_a_failure_too(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), only_one(tmp_path, ACTION, cancelled=threading.Event(), on_wait=pytest.fail):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_lock_on_a_file_that_lost_its_name_is_not_taken_for_the_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[int] = []
    really_open = os.open

    def open_late(path: Path, *arguments: int) -> int:
        handle = really_open(path, *arguments)
        if not opened:
            # Its holder is done just now, and removes it.
            path.unlink()
        opened.append(handle)
        return handle

    monkeypatch.setattr(os, "open", open_late)
    with only_one(tmp_path, ACTION, cancelled=threading.Event(), on_wait=pytest.fail):
        assert (tmp_path / ACTION.hash).is_file()
    assert len(opened) == 2


def test_other_actions_do_not_wait(tmp_path: Path) -> None:
    free = threading.Event()
    with (
        only_one(tmp_path, ACTION, cancelled=free, on_wait=pytest.fail),
        only_one(tmp_path, digest_bytes(b"other"), cancelled=free, on_wait=pytest.fail),
    ):
        pass


def test_cancelling_ends_the_wait(tmp_path: Path) -> None:
    cancelled = threading.Event()
    with (
        only_one(tmp_path, ACTION, cancelled=cancelled, on_wait=pytest.fail),
        pytest.raises(InterruptedBuildError),
        only_one(tmp_path, ACTION, cancelled=cancelled, on_wait=cancelled.set),
    ):
        pytest.fail("two hold it at once")


def test_a_folder_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(StoreError),
        only_one(tmp_path / "file" / "running", ACTION, cancelled=threading.Event(), on_wait=pytest.fail),
    ):
        pass


def test_many_threads_hold_it_one_at_a_time(tmp_path: Path) -> None:
    inside: list[int] = []
    most: list[int] = []

    def work() -> None:
        for _ in range(20):
            with only_one(tmp_path, ACTION, cancelled=threading.Event(), on_wait=lambda: None):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    assert len(most) == 80
