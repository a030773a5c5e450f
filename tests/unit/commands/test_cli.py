"""The command line itself: help, exit codes, streams, and what it costs to start it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dlpubuild import __version__, cli
from dlpubuild.errors import BuildFailedError, DlpuError, ErrorCode, ExitCode, GateError, StepFailedError
from tests.unit.commands.conftest import user_environ

if TYPE_CHECKING:
    from tests.unit.commands.conftest import Tool

COMMANDS = [
    *("init", "check", "config", "plan", "render", "build", "verify", "report", "inspect", "lint", "lock", "schema"),
    *("doctor", "clean"),
    *("toolchain list", "toolchain prepare", "toolchain remove"),
    *("cache info", "cache gc", "cache verify", "cache clear"),
]
HEAVY = {"jsonschema", "jinja2", "google.protobuf", "rich", "PIL", "sqlite3"}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(empty: Tool, command: str) -> None:
    done = empty.run(*command.split(), "--help")
    assert done.code == 0
    assert done.err == ""
    assert re.search(rf"^  +(\$\()?(DLPU_\w+=\S+ )?dlpubuild {command}", done.out, flags=re.MULTILINE)
    # The mark that keeps line ends must not be seen.
    assert "\b" not in done.out
    assert "\\b" not in done.out


def test_the_help_names_every_command(empty: Tool) -> None:
    listed = empty.run("--help").out
    for command in COMMANDS:
        assert f"\n  {command.split()[0]} " in listed


def test_the_version_is_printed(empty: Tool) -> None:
    assert empty.run("--version").out == f"dlpubuild {__version__}\n"


@pytest.mark.parametrize(
    "argv", [[], ["toolchain"], ["dance"], ["build", "--dance"], ["inspect"], ["build", "-j", "0"]]
)
def test_a_command_line_that_is_not_understood_is_a_usage_error(empty: Tool, argv: list[str]) -> None:
    done = empty.run(*argv)
    assert done.code == ExitCode.USAGE
    assert done.out == ""
    assert "Usage:" in done.err


def test_a_variable_that_is_not_understood_is_a_usage_error(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLPU_JOBS", "many")
    assert tool.run("build").code == ExitCode.USAGE


@pytest.mark.parametrize(("name", "value"), [("SOURCE_DATE_EPOCH", "now"), ("DLPU_CACHE_BUDGET", "much")])
def test_a_variable_that_is_not_understood_is_told_before_anything_runs(
    tool: Tool, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    done = tool.run("build")
    assert done.code == ExitCode.USAGE
    assert value in done.err
    assert "started" not in done.err


def test_completion_is_printed_and_completes(empty: Tool) -> None:
    shown = empty.spawn("--show-completion", "bash", prefix=["env", "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION=1"])
    assert shown.code == 0, shown.err
    assert "_DLPUBUILD_COMPLETE=complete_bash" in shown.out
    completed = empty.spawn(_DLPUBUILD_COMPLETE="complete_bash", COMP_WORDS="dlpubuild pl", COMP_CWORD="1")
    assert completed.code == 0
    assert completed.out.split() == ["plan"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_a_reader_that_stops_reading_is_no_fault(tool: Tool) -> None:
    command = f"{sys.executable} -m dlpubuild plan --format json | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command],
        env=user_environ(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == ["{", "0"]
    assert done.stderr == ""


def test_a_reader_that_has_gone_before_the_first_byte_is_no_fault(tool: Tool) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "dlpubuild", "schema", "dlpu"],
        env=user_environ(),
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("command", [["--version"], ["plan"]])
def test_a_full_disk_below_standard_output_is_told(tool: Tool, command: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "dlpubuild", *command],
            env=user_environ(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("error: standard output cannot be written")


def fail_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> int:
    """Run the edge of the program around a command that raises."""

    def app(**_: object) -> None:
        raise error

    monkeypatch.setattr(cli, "app", app)
    return cli.run([])


def test_every_error_of_a_build_is_printed_with_its_own_rerun_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gate = GateError(ErrorCode.GATE, "second")
    step = StepFailedError(ErrorCode.STEP_FAILED, "first", log="/l", tail=["why"])
    step.step = "import:a b"
    command = ("dlpubuild", "build", "--manifest", "my project/dlpu.toml")
    assert fail_with(monkeypatch, BuildFailedError([step, gate], command)) == 1
    assert capsys.readouterr().err == (
        "error: first\n  its last lines:\n    | why\n  log: /l\n"
        "  rerun it alone: dlpubuild build --manifest 'my project/dlpu.toml' --step 'import:a b'\nerror: second\n"
    )


def test_an_unforeseen_error_shows_where_it_happened(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fail_with(monkeypatch, RuntimeError("ours")) == ExitCode.INTERNAL
    told = capsys.readouterr().err
    assert "Traceback" in told
    assert "RuntimeError: ours" in told
    assert "internal error in dlpubuild" in told


@pytest.mark.parametrize("number", list(ExitCode))
def test_an_error_decides_the_exit_code(monkeypatch: pytest.MonkeyPatch, number: ExitCode) -> None:
    error = DlpuError(ErrorCode.USAGE, "no")
    error.exit_code = number
    assert fail_with(monkeypatch, error) == number


def test_an_interrupt_is_told_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fail_with(monkeypatch, KeyboardInterrupt()) == ExitCode.INTERRUPTED
    assert capsys.readouterr().err.startswith("interrupted")


@pytest.mark.parametrize(("environ", "has_color"), [({}, False), ({"FORCE_COLOR": "1"}, True)])
def test_colors_can_be_forced(
    tool: Tool, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], has_color: bool
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert ("\x1b[" in tool.run("plan").out) is has_color
    assert ("\x1b[" in tool.run("build").err) is has_color
    assert ("\x1b[" in tool.run("build", "--target", "none").err) is has_color
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in tool.run("plan").out


def imported(tool: Tool, *arguments: str) -> set[str]:
    """The modules that a command has imported in the end."""
    program = (
        "import atexit, json, sys\n"
        "atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.__stderr__))\n"
        "from dlpubuild.cli import main\nmain()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=user_environ(),
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["build", "--help"]])
def test_help_imports_nothing_heavy(empty: Tool, arguments: list[str]) -> None:
    assert imported(empty, *arguments) & HEAVY == set()


def test_a_build_with_nothing_to_do_imports_no_validator_renderer_or_image_library(tool: Tool) -> None:
    assert tool.run("build").code == 0
    assert imported(tool, "build", "--quiet") & {"jsonschema", "jinja2", "rich", "PIL", "uv"} == set()
