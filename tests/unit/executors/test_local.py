"""What a step sees of the machine, what it may leave, and what becomes of its processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dlpubuild.cas.digest import digest_bytes
from dlpubuild.cas.faults import BlobMissingError
from dlpubuild.errors import DlpuError, ErrorCode, InterruptedBuildError, StepFailedError, ToolchainError
from tests.factories.actions import ENVIRONMENT, RESULT, make_action
from tests.factories.processes import is_running, read_pid, wait_until

if TYPE_CHECKING:
    from tests.unit.executors.conftest import Bench

ROOT = Path(__file__).resolve().parents[3]


def told(expression: str) -> str:
    """A script that writes the JSON of an expression."""
    return f"import json, os, sys\njson.dump({expression}, open({RESULT!r}, 'w'))\n"


def test_an_output_is_in_the_store_under_its_digest(bench: Bench) -> None:
    result = bench.run(make_action(f"open({RESULT!r}, 'w').write('made')"))
    assert [(each.path, each.digest) for each in result.output_files] == [(RESULT, digest_bytes(b"made"))]
    assert bench.store.read(digest_bytes(b"made")) == b"made"
    assert 0 < result.started_ns <= result.completed_ns


def test_the_environment_is_that_of_the_action_and_nothing_else(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "token")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    seen = json.loads(bench.result_of(make_action(told("dict(os.environ)"))))
    home = seen["HOME"]
    assert seen == {
        **ENVIRONMENT,
        "HOME": home,
        "TMPDIR": home,
        "PATH": f"{bench.environment}/bin:/usr/bin:/bin",
    }


def test_home_is_a_folder_of_the_actions_own_that_is_gone_afterwards(bench: Bench) -> None:
    script = f"""
import os, tempfile
home = os.environ["HOME"]
assert os.listdir(home) == []
assert os.path.dirname(tempfile.mkstemp()[1]) == home
open({RESULT!r}, "w").write(home)
"""
    first = bench.result_of(make_action(script)).decode()
    second = bench.result_of(make_action(script)).decode()
    assert first != second
    assert first.startswith(str(bench.scratch))
    assert not Path(first).exists()


def test_a_home_that_the_action_names_itself_is_kept(bench: Bench) -> None:
    environment = {**ENVIRONMENT, "HOME": "/nowhere"}
    seen = json.loads(bench.result_of(make_action(told("os.environ['HOME']"), environment=environment)))
    assert seen == "/nowhere"


def test_standard_input_is_empty(bench: Bench) -> None:
    assert bench.result_of(make_action(told("sys.stdin.read()"))) == b'""'


def test_the_working_folder_holds_the_inputs_and_an_empty_out(bench: Bench) -> None:
    inputs = {"in/data/a.bin": b"a", "in/run": b"#!/bin/sh\n"}
    script = told("[[(f, sorted(n), oct(os.stat(os.path.join(f, x)).st_mode)) for x in n] for f, _, n in os.walk('.')]")
    bound = make_action(script, inputs=inputs, executable=["in/run"])
    seen = [tuple(each) for folder in json.loads(bench.result_of(bound)) for each in folder]
    assert sorted((folder, names[0], mode) for folder, names, mode in seen if folder != "./out") == [
        ("./in", "run", "0o100555"),
        ("./in/data", "a.bin", "0o100444"),
        ("./src", "step.py", "0o100444"),
    ]


def test_folders_of_outputs_are_there_and_out_is_empty(bench: Bench) -> None:
    script = "import os\nassert os.listdir('out') == ['deep']\nopen('out/deep/result', 'w')\n"
    result = bench.run(make_action(script, outputs=["out/deep/result"]))
    assert result.exit_code == 0, bench.log.read_text()


def test_writing_to_a_copied_input_leaves_the_project_file_as_it_was(bench: Bench, tmp_path: Path) -> None:
    source = tmp_path / "model.bin"
    source.write_bytes(b"model")
    script = f"import os\nos.chmod('in/m', 0o644)\nopen('in/m', 'w').write('x')\nopen({RESULT!r}, 'w')\n"
    bench.run(make_action(script, inputs={"in/m": source}))
    assert source.read_bytes() == b"model"


def test_an_input_from_the_store_is_staged(bench: Bench) -> None:
    digest = bench.store.put_bytes(b"of an earlier step")
    bound = make_action(told("open('in/model').read()"), stored={"in/model": digest})
    assert bench.result_of(bound) == b'"of an earlier step"'


def test_a_damaged_input_from_the_store_is_told_as_missing(bench: Bench) -> None:
    digest = bench.store.put_bytes(b"good")
    blob = bench.store.blob_path(digest)
    blob.chmod(0o644)
    blob.write_bytes(b"evil")
    with pytest.raises(BlobMissingError):
        bench.run(make_action("", stored={"in/model": digest}))
    assert list(bench.scratch.iterdir()) == []


@pytest.mark.parametrize("change", ["grown", "gone"])
def test_an_input_that_changed_since_it_was_hashed_is_refused(bench: Bench, tmp_path: Path, change: str) -> None:
    source = tmp_path / "model.bin"
    source.write_bytes(b"model")
    bound = make_action("", inputs={"in/m": source})
    if change == "gone":
        source.unlink()
    else:
        source.write_bytes(b"other")
    with pytest.raises(DlpuError) as caught:
        bench.run(bound)
    assert caught.value.code is ErrorCode.INPUT_CHANGED
    assert str(source) in caught.value.message


def test_an_input_that_became_a_folder_is_named(bench: Bench, tmp_path: Path) -> None:
    source = tmp_path / "model.bin"
    source.write_bytes(b"model")
    bound = make_action("", inputs={"in/m": source})
    source.unlink()
    source.mkdir()
    with pytest.raises(DlpuError) as caught:
        bench.run(bound)
    assert caught.value.code is ErrorCode.INPUT_UNREADABLE
    assert str(source) in caught.value.message


@pytest.mark.parametrize(
    "script",
    [
        "",
        f"import os; os.symlink('/etc/passwd', {RESULT!r})",
        f"import os; os.mkdir({RESULT!r})",
        f"import os; os.mkfifo({RESULT!r})",
        f"import os; os.rmdir('out'); os.symlink('/etc', 'out'); os.chdir('/tmp')  # {RESULT}",
    ],
    ids=["missing", "link", "folder", "pipe", "linked-folder"],
)
def test_an_output_that_is_not_a_plain_file_fails_the_step(bench: Bench, script: str) -> None:
    with pytest.raises(StepFailedError) as caught:
        bench.run(make_action(script))
    assert caught.value.code is ErrorCode.STEP_OUTPUT
    assert "out/result" in caught.value.message
    assert caught.value.log == str(bench.log)
    assert list(bench.scratch.iterdir()) == []


def test_an_output_that_is_a_hard_link_is_copied(bench: Bench, tmp_path: Path) -> None:
    other = bench.scratch.parent / "other"
    other.parent.mkdir(parents=True, exist_ok=True)
    other.write_bytes(b"first")
    result = bench.run(make_action(f"import os; os.link({str(other)!r}, {RESULT!r})"))
    other.write_bytes(b"later")
    assert bench.store.read(result.output_files[0].digest) == b"first"


def test_the_executable_bit_of_an_output_is_kept(bench: Bench) -> None:
    script = f"import os; open({RESULT!r}, 'w'); os.chmod({RESULT!r}, 0o755)"
    assert bench.run(make_action(script)).output_files[0].is_executable


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("raise SystemExit(3)", 3),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 128 + 9),
        ("import os; os.abort()", 128 + 6),
    ],
)
def test_a_failure_has_an_exit_code_a_log_and_no_outputs(bench: Bench, script: str, code: int) -> None:
    result = bench.run(make_action(f"open({RESULT!r}, 'w')\nprint('so far', flush=True)\n{script}"))
    assert result.exit_code == code
    assert result.output_files == ()
    assert result.stdout is not None
    assert b"so far" in bench.store.read(result.stdout)


def test_log_and_observer_get_what_is_written(bench: Bench) -> None:
    script = f"""
import os, sys
for number in range(3):
    print("out", number, flush=True)
    print("err", number, file=sys.stderr, flush=True)
open({RESULT!r}, "w")
"""
    result = bench.run(make_action(script))
    assert bench.lines == ["out 0", "out 1", "out 2"]
    log = bench.log.read_text().splitlines()
    assert sorted(log) == sorted([*bench.lines, "err 0", "err 1", "err 2"])
    assert result.stdout is not None
    assert bench.store.read(result.stdout) == bench.log.read_bytes()


def test_a_new_run_begins_a_new_log(bench: Bench) -> None:
    bench.run(make_action("print('first')\nraise SystemExit(1)"))
    bench.run(make_action("print('second')\nraise SystemExit(1)"))
    assert bench.log.read_text() == "second\n"


def test_ten_megabytes_of_output_arrive(bench: Bench) -> None:
    lines = 160_000
    script = f"""
import sys
for number in range({lines}):
    sys.stdout.write("%063d\\n" % number)
open({RESULT!r}, "w")
"""
    assert bench.run(make_action(script)).exit_code == 0
    assert bench.log.stat().st_size == lines * 64
    assert len(bench.lines) == lines
    assert int(bench.lines[-1]) == lines - 1


def test_a_line_without_end_is_no_line_and_costs_no_memory(bench: Bench) -> None:
    script = f"import sys\nsys.stdout.write('x' * 5_000_000)\nprint()\nprint('end')\nopen({RESULT!r}, 'w')\n"
    assert bench.run(make_action(script)).exit_code == 0
    assert bench.log.stat().st_size == 5_000_000 + len("\nend\n")
    assert bench.lines[-1] == "end"
    assert sum(map(len, bench.lines)) < 3_000_000


def test_output_that_is_not_utf8_is_kept_as_it_is(bench: Bench) -> None:
    script = f"import sys\nsys.stdout.buffer.write(b'caf\\xe9\\n')\nopen({RESULT!r}, 'w')\n"
    assert bench.run(make_action(script)).exit_code == 0
    assert bench.log.read_bytes() == b"caf\xe9\n"
    assert bench.lines == ["caf\ufffd"]


def grandchild(pid_file: Path, body: str = "time.sleep(60)") -> str:
    """A script whose child outlives it, or not, with standard output in its hands."""
    code = f"import time, os; f = open({str(pid_file)!r}, 'w'); print(os.getpid(), file=f); f.close()\n{body}"
    return f"import subprocess, sys, time\nchild = subprocess.Popen([sys.executable, '-c', {code!r}])\n"


@pytest.mark.parametrize("body", ["time.sleep(60)", "while True: print('still here', flush=True)"])
def test_a_grandchild_that_keeps_standard_output_does_not_keep_the_step(
    bench: Bench, tmp_path: Path, body: str
) -> None:
    pid_file = tmp_path / "pid"
    script = grandchild(pid_file, body) + (
        f"import os\nwhile not os.path.exists({str(pid_file)!r}): time.sleep(0.01)\ntime.sleep(0.05)\n"
        f"open({RESULT!r}, 'w')\n"
    )
    started_s = time.monotonic()
    assert bench.run(make_action(script)).exit_code == 0
    assert time.monotonic() - started_s < 10
    pid = read_pid(pid_file)
    wait_until(lambda: not is_running(pid), "the end of the grandchild")


def test_a_step_that_closes_its_output_is_waited_for(bench: Bench) -> None:
    script = f"import os, time\nos.close(1)\nos.close(2)\ntime.sleep(0.3)\nopen({RESULT!r}, 'w')\n"
    assert bench.run(make_action(script)).exit_code == 0


def test_the_timeout_ends_the_step_and_all_it_started(bench: Bench, tmp_path: Path) -> None:
    script = grandchild(tmp_path / "pid") + "time.sleep(60)\n"
    with pytest.raises(StepFailedError) as caught:
        bench.run(make_action(script, timeout_s=0.5))
    assert caught.value.code is ErrorCode.STEP_TIMEOUT
    pid = read_pid(tmp_path / "pid")
    wait_until(lambda: not is_running(pid), "the end of the grandchild")
    assert list(bench.scratch.iterdir()) == []


def test_a_step_that_writes_for_ever_meets_its_timeout(bench: Bench) -> None:
    with pytest.raises(StepFailedError) as caught:
        bench.run(make_action("while True: print('x' * 100)", timeout_s=0.3))
    assert caught.value.code is ErrorCode.STEP_TIMEOUT


def test_cancelling_ends_the_step_and_all_it_started(bench: Bench, tmp_path: Path) -> None:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            bench.run(make_action(grandchild(tmp_path / "pid") + "time.sleep(60)\n"))
        except InterruptedBuildError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    pid = read_pid(tmp_path / "pid")
    bench.cancelled.set()
    thread.join(10)
    assert len(errors) == 1
    wait_until(lambda: not is_running(pid), "the end of the grandchild")
    assert list(bench.scratch.iterdir()) == []


def test_killing_the_tool_kills_its_step(tmp_path: Path) -> None:
    note = f"import os, time\nwith open({str(tmp_path / 'pid')!r}, 'w') as stream: print(os.getpid(), file=stream)\n"
    step = note + "time.sleep(60)"
    program = f"""
import sys, threading, time
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from dlpubuild.cas.store import Store
from dlpubuild.executors.base import Run
from dlpubuild.executors.local import LocalExecutor
from tests.factories.actions import make_action, python_environment
cache = Path({str(tmp_path)!r}, "cache")
environment = python_environment(cache / "environment")
store = Store(cache, now_ns=time.time_ns)
executor = LocalExecutor(
    store=store, scratch=cache / "scratch", environment_of=lambda _: environment, now_ns=time.time_ns
)
executor.run(make_action({step!r}), Run(log=cache / "log", observe=print, cancelled=threading.Event()))
"""
    tool = subprocess.Popen([sys.executable, "-c", program])
    pid = read_pid(tmp_path / "pid")
    assert is_running(pid)
    tool.send_signal(signal.SIGKILL)
    tool.wait()
    wait_until(lambda: not is_running(pid), "the end of the step")


def test_the_scratch_folder_goes_whatever_modes_a_step_set(bench: Bench) -> None:
    script = f"import os\nos.makedirs('deep/er')\nos.chmod('deep/er', 0)\nos.chmod('deep', 0)\nopen({RESULT!r}, 'w')\n"
    bench.run(make_action(script))
    assert list(bench.scratch.iterdir()) == []


def test_a_link_in_the_scratch_folder_is_not_followed_when_it_is_removed(bench: Bench, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir(mode=0o500)
    script = f"import os\nos.symlink({str(kept)!r}, 'link')\nopen({RESULT!r}, 'w')\n"
    bench.run(make_action(script))
    assert kept.stat().st_mode & 0o777 == 0o500


def test_an_interpreter_that_does_not_start_is_told(bench: Bench) -> None:
    (bench.environment / "bin" / "python").unlink()
    with pytest.raises(StepFailedError) as caught:
        bench.run(make_action(""))
    assert caught.value.code is ErrorCode.STEP_FAILED
    assert "could not be started" in caught.value.message


def test_a_toolchain_that_cannot_be_had_leaves_no_scratch_folder(bench: Bench) -> None:
    from dlpubuild.executors.base import Run
    from dlpubuild.executors.local import LocalExecutor

    def missing(_: object) -> Path:
        raise ToolchainError(ErrorCode.TOOLCHAIN, "none")

    executor = LocalExecutor(store=bench.store, scratch=bench.scratch, environment_of=missing, now_ns=time.time_ns)
    with pytest.raises(ToolchainError):
        executor.run(make_action(""), Run(log=bench.log, observe=print, cancelled=bench.cancelled))
    assert not bench.scratch.exists()


def test_a_step_has_a_session_of_its_own(bench: Bench) -> None:
    sid, pid = json.loads(bench.result_of(make_action(told("[os.getsid(0), os.getpid()]"))))
    assert sid == pid
    assert sid != os.getsid(0)
