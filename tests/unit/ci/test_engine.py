"""`.ci/engine` where there is no engine to find, and what tests do then."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.doubles.github_runner import ROOT
from tests.engine_fixtures import SMALL_REPOSITORY, small_image_archive

SCRIPT = ROOT / ".ci" / "engine"


def engine(tmp_path: Path, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TMPDIR": str(tmp_path), **variables}
    return subprocess.run([SCRIPT, *options], env=environ, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("options", [("--frobnicate",), ("--bases",), ("--bases", "some"), ("words",)])
def test_a_wrong_option_is_a_usage_error(tmp_path: Path, options: tuple[str, ...]) -> None:
    done = engine(tmp_path, *options)
    assert done.returncode == 2
    assert done.stderr.startswith("usage:")


def test_help_is_what_the_head_of_the_script_says(tmp_path: Path) -> None:
    done = engine(tmp_path, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith("A container engine, and base images for the Dockerfile")
    assert "set -euo" not in done.stdout


def test_an_address_that_nobody_answers_at_is_a_fault_and_so_is_what_the_shell_evaluates(tmp_path: Path) -> None:
    done = engine(tmp_path, "--look", DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    assert done.returncode == 1
    assert done.stdout == "false\n"
    assert done.stderr.startswith("engine: ")


def test_a_unit_test_finds_no_engine() -> None:
    assert os.environ["DLPU_EXECUTOR"] == "local"
    docker = {name: value for name, value in os.environ.items() if name.startswith("DOCKER_")}
    assert docker == {"DOCKER_HOST": "unix:///nowhere/docker.sock"}


def test_the_small_image_is_the_same_for_the_same_busybox() -> None:
    content, tag = small_image_archive(b"a program")
    assert small_image_archive(b"a program") == (content, tag)
    assert small_image_archive(b"another")[1] != tag
    assert tag.startswith(f"{SMALL_REPOSITORY}:")


@pytest.mark.parametrize(("ci", "outcome"), [("", "1 skipped"), ("true", "1 error")])
def test_without_an_engine_a_test_that_needs_one_is_skipped_but_fails_in_ci(
    tmp_path: Path, ci: str, outcome: str
) -> None:
    (tmp_path / "test_it.py").write_text(
        "import pytest\n@pytest.mark.engine\ndef test_it():\n    raise AssertionError('it ran')\n"
    )
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "CI": ci}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-ra", "-p", "tests.engine_fixtures", "test_it.py"],
        cwd=tmp_path,
        env=environ | {"DOCKER_HOST": f"unix://{tmp_path}/none.sock"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome in done.stdout.splitlines()[-1]
    assert "no container engine" in done.stdout
    assert "it ran" not in done.stdout
