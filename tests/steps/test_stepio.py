"""What a step tells: events, its exit code, and `out/step.json`. No toolchain is needed for that."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dlpubuild.resources import steps_dir
from tests.steps.conftest import run_step

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.steps.conftest import StepRun


@pytest.fixture
def run_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], StepRun]:
    """Run a step whose `main(params)` has this body."""

    def run(body: str) -> StepRun:
        scripts = tmp_path / "scripts"
        scripts.mkdir()
        (scripts / "stepio.py").write_bytes((steps_dir() / "stepio.py").read_bytes())
        text = "import stepio\ndef main(params):\n" + "\n".join(f"    {line}" for line in body.splitlines())
        (scripts / "own.py").write_text(f'{text}\nif __name__ == "__main__":\n    stepio.run(main)\n')
        monkeypatch.setattr("tests.steps.conftest.steps_dir", lambda: scripts)
        return run_step(Path(sys.executable), tmp_path / "run", "own.py", {"name": "Zoë"})

    return run


def test_a_fault_of_the_users_is_an_event_without_a_traceback(run_script: Callable[[str], StepRun]) -> None:
    run = run_script('raise stepio.StepError("model-shape", "bad " + params["name"], "do this")')
    assert run.exit_code == 1
    assert run.events == ({"event": "error", "code": "model-shape", "message": "bad Zoë", "hint": "do this"},)
    assert "Traceback" not in run.log


def test_an_unforeseen_fault_has_a_traceback_and_an_event(run_script: Callable[[str], StepRun]) -> None:
    run = run_script("print('working')\n{}['missing']")
    assert run.exit_code == 1
    assert run.error["code"] == "step-failed"
    assert "KeyError: 'missing'" in run.error["message"]
    assert "Traceback" in run.log


def test_progress_is_told_at_most_ten_times_a_second_and_at_the_end(run_script: Callable[[str], StepRun]) -> None:
    run = run_script(
        'import time\nprogress = stepio.Progress(300, "images")\n'
        "for _ in range(300):\n    progress.advance()\n    time.sleep(0.001)"
    )
    told = [event["done"] for event in run.events]
    assert run.exit_code == 0
    assert told[0] == 1
    assert told[-1] == 300
    # 0.3 s of sleeping, more on a busy machine.
    assert len(told) < 100
    assert told == sorted(set(told))


def test_step_json_is_sorted_and_ends_with_a_newline(run_script: Callable[[str], StepRun]) -> None:
    run = run_script('stepio.message("hello")\nstepio.write_step_json({"b": "2", "a": "1"}, {}, {"samples": 3})')
    assert run.exit_code == 0
    assert run.events == ({"event": "message", "text": "hello"},)
    text = run.output("step.json").decode()
    assert text.endswith("}\n")
    assert json.loads(text) == {"schema": 1, "tools": {"a": "1", "b": "2"}, "tensors": {}, "metrics": {"samples": 3}}
    assert text.index('"a"') < text.index('"b"')
    assert sorted(path.name for path in (run.folder / "out").iterdir()) == ["step.json"]
