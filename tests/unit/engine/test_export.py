"""Steps laid out in folders that run by hand."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from dlpubuild.engine.export import export_steps
from dlpubuild.engine.status import plan_status
from dlpubuild.errors import ErrorCode, OutputError
from tests.factories.plans import make_plan, make_step

if TYPE_CHECKING:
    from pathlib import Path

    from dlpubuild.plan.model import Plan
    from tests.unit.engine.conftest import Works

UPPER = """
import json, os, sys
params = json.load(open(sys.argv[1]))
text = open("in/text" if os.path.exists("in/text") else "in/import").read()
open("out/made", "w").write(text.upper() + params["end"] + os.environ.get("LEAKED", "") + os.environ["LC_ALL"])
"""


def plan_of_two(tmp_path: Path) -> Plan:
    text = tmp_path / "text.txt"
    text.write_text("abc")
    folder = tmp_path / "scripts"
    return make_plan(
        make_step("import", folder, script=UPPER, params={"end": "!"}, files={"in/text": text}),
        make_step("finish:a", folder, needs=["import"], script=UPPER, params={"end": "?"}),
    )


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"], "PYTHON": sys.executable, "LEAKED": "leaked"}
    return subprocess.run([str(folder / "run")], env=environ, cwd="/", capture_output=True, text=True, check=False)


def test_the_folders_run_by_hand_one_after_the_other(works: Works, tmp_path: Path) -> None:
    plan = plan_of_two(tmp_path)
    place = tmp_path / "by hand ü"
    first, second = export_steps(plan, plan_status(plan, works.store), works.store, place)
    assert [first.name, second.name] == ["import", "finish-a"]
    early = run(second)
    assert early.returncode != 0
    for folder in (first, second):
        done = run(folder)
        assert done.returncode == 0, done.stderr
    assert (second / "out" / "made").read_text() == "ABC!C.UTF-8?C.UTF-8"


def test_what_is_cached_is_there_already(works: Works, tmp_path: Path) -> None:
    plan = plan_of_two(tmp_path)
    works.run(plan)
    _, second = export_steps(plan, plan_status(plan, works.store), works.store, tmp_path / "place")
    assert (second / "in" / "import").read_bytes() == b"step import out/made"


def test_without_an_interpreter_the_script_says_so(works: Works, tmp_path: Path) -> None:
    plan = plan_of_two(tmp_path)
    first, _ = export_steps(plan, plan_status(plan, works.store), works.store, tmp_path / "place")
    done = subprocess.run([str(first / "run")], env={"PATH": os.environ["PATH"]}, capture_output=True, check=False)
    assert done.returncode != 0
    assert b"set PYTHON" in done.stderr


def test_a_rendered_folder_is_rendered_again(works: Works, tmp_path: Path) -> None:
    plan = plan_of_two(tmp_path)
    for _ in range(2):
        export_steps(plan, plan_status(plan, works.store), works.store, tmp_path / "place")
        (tmp_path / "place" / "old").write_text("")
    export_steps(plan, plan_status(plan, works.store), works.store, tmp_path / "place")
    assert not (tmp_path / "place" / "old").exists()


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_is_not_ours_is_not_replaced(works: Works, tmp_path: Path, kind: str) -> None:
    plan = plan_of_two(tmp_path)
    place = tmp_path / "place"
    if kind == "folder":
        place.mkdir()
        (place / "thesis.txt").write_text("years of work")
    else:
        place.write_text("years of work")
    with pytest.raises(OutputError) as caught:
        export_steps(plan, plan_status(plan, works.store), works.store, place)
    assert caught.value.code is ErrorCode.OUTPUT
    assert (place / "thesis.txt" if kind == "folder" else place).read_text() == "years of work"
