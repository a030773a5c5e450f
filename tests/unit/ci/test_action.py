"""The action for GitHub: what it promises, what it is pinned to, and that inputs are never read as shell."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.github_runner import ROOT, GithubRunner, own_tool, read_yaml
from tests.factories.small_projects import write_project

SCRIPTS = ROOT / "ci" / "github"
PINNED = re.compile(r"uses: [a-z-]+/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")


@pytest.fixture
def action() -> Any:
    return read_yaml((ROOT / "action.yml").read_text(encoding="utf-8"))


@pytest.fixture
def runner(tmp_path: Path) -> GithubRunner:
    """A job with this tool installed and an empty workspace."""
    temp, workspace = tmp_path / "_temp", tmp_path / "work space"
    temp.mkdir()
    workspace.mkdir()
    own_tool(temp)
    return GithubRunner(temp=temp, workspace=workspace, environ={"PATH": os.environ["PATH"], "HOME": str(tmp_path)})


def test_actions_of_others_are_pinned_by_commit_with_their_version_beside() -> None:
    text = (ROOT / "action.yml").read_text(encoding="utf-8")
    uses = [line.strip().removeprefix("- ") for line in text.splitlines() if "uses:" in line]
    assert len(uses) == 2
    assert all(PINNED.fullmatch(line) for line in uses), uses


def test_no_input_is_written_into_a_script(action: Any) -> None:
    scripts = [step["run"] for step in action["runs"]["steps"] if "run" in step]
    assert len(scripts) == 3
    assert not any("${{" in script for script in scripts)


def test_every_input_is_used_and_described(action: Any) -> None:
    steps = str(action["runs"]["steps"])
    for name, described in action["inputs"].items():
        assert f"inputs.{name} " in steps, name
        assert described["description"]
        # Without one, a reader of the action cannot tell what happens.
        assert "default" in described


def test_the_scripts_it_names_can_be_run(action: Any) -> None:
    named = re.findall(r'GITHUB_ACTION_PATH/([a-z/]+)"', str(action["runs"]["steps"]))
    assert [ROOT / name for name in named] == [SCRIPTS / "install", SCRIPTS / "store", SCRIPTS / "run"]
    assert all(os.access(ROOT / name, os.X_OK) for name in named)


def test_the_exit_code_of_the_tool_is_that_of_the_step(runner: GithubRunner) -> None:
    done = runner.use(command="check")
    assert done.code == 2
    reports = {"report": "", "report-html": "", "report-markdown": ""}
    assert done.outputs == {"exit-code": "2", "dist": "", **reports}
    assert "::error::dlpubuild check ended with exit code 2" in done.log


@pytest.mark.parametrize(
    "words",
    [
        "$(touch pwned)",
        "`touch pwned`",
        "; touch pwned",
        "&& touch pwned",
        "\n touch pwned",
        "'$(touch pwned)'",
        "> pwned",
    ],
)
def test_what_is_written_into_an_input_is_not_run(runner: GithubRunner, words: str) -> None:
    runner.use(command=f"schema {words}", arguments=words, manifest=words, output=words, executor=words)
    runner.use(command="schema", working_directory=words)
    assert list(runner.workspace.iterdir()) == []


def test_quotes_hold_the_words_of_an_argument_together(runner: GithubRunner) -> None:
    write_project(runner.workspace / "a folder")
    done = runner.use(command="check", arguments='--manifest "a folder/dlpu.toml" --json')
    assert done.code == 0, done.log


def test_an_open_quote_is_a_fault_with_a_word(runner: GithubRunner) -> None:
    done = runner.use(arguments='--target "artpec8')
    assert done.code == 2
    assert "::error::arguments: a quote is not closed" in done.log


def test_a_folder_that_is_not_there_is_a_fault_with_a_word(runner: GithubRunner) -> None:
    done = runner.use(working_directory="nowhere")
    assert done.code == 2
    assert "::error::working-directory" in done.log


def test_an_option_is_no_image(runner: GithubRunner) -> None:
    done = runner.use(image="--privileged", executor="local")
    assert done.code == 2
    assert "::error::image: --privileged is no image" in done.log


@pytest.mark.parametrize("address", ["tcp://engine.example:2376", "unix:///nowhere/docker.sock"])
def test_an_engine_whose_socket_cannot_be_mounted_is_a_fault_with_a_word(tmp_path: Path, address: str) -> None:
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "DOCKER_HOST": address}
    done = GithubRunner(temp=tmp_path, workspace=tmp_path, environ=environ).use(image="an image")
    assert done.code == 2
    assert "::error::image: " in done.log
    assert address.removeprefix("unix://") in done.log


def test_the_manifest_is_relative_to_the_working_directory(runner: GithubRunner) -> None:
    write_project(runner.workspace / "models" / "one")
    done = runner.use(command="check", working_directory="models", manifest="one/dlpu.toml")
    assert done.code == 0, done.log


def store(tmp_path: Path, lock: str | None, commit: str, **more: str) -> dict[str, str]:
    project = tmp_path / "project"
    project.mkdir(exist_ok=True)
    (project / "dlpu.lock").unlink(missing_ok=True)
    if lock is not None:
        (project / "dlpu.lock").write_text(lock)
    output = tmp_path / "output"
    output.write_text("")
    variables = {
        "PATH": os.environ["PATH"],
        "INPUT_DIRECTORY": "project",
        "INPUT_MANIFEST": "",
        "GITHUB_OUTPUT": str(output),
        "GITHUB_SHA": commit,
        "RUNNER_OS": "Linux",
        "RUNNER_ARCH": "X64",
        "RUNNER_TEMP": "/tmp/job",
        **more,
    }
    subprocess.run([SCRIPTS / "store"], cwd=tmp_path, env=variables, check=True)
    return dict(line.split("=", 1) for line in output.read_text().splitlines())


def test_the_cache_is_stored_again_where_the_lock_changes_and_else_with_every_commit(tmp_path: Path) -> None:
    locked = store(tmp_path, "model = 1", "a")
    assert store(tmp_path, "model = 1", "b") == locked
    assert store(tmp_path, "model = 2", "a")["key"] != locked["key"]
    assert store(tmp_path, None, "a")["key"] != store(tmp_path, None, "b")["key"]
    assert locked["key"].startswith(locked["prefix"])
    assert locked["prefix"] == "dlpubuild-1-Linux-X64-"


def test_a_cache_folder_of_the_job_is_taken(tmp_path: Path) -> None:
    assert store(tmp_path, None, "a")["folder"] == "/tmp/job/dlpubuild-cache"
    assert store(tmp_path, None, "a", DLPU_CACHE_DIR="/data/dlpu")["folder"] == "/data/dlpu"
