"""What all tests share: the `--update-golden` option, a clean environment, the real toolchain and a real engine."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dlpubuild.commands.wiring import read_host
from dlpubuild.errors import ToolchainError
from dlpubuild.toolchains.environment import prepare_environment
from dlpubuild.toolchains.pins import load_pin

if TYPE_CHECKING:
    from collections.abc import Callable


pytest_plugins = ["tests.engine_fixtures"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="rewrite the expected files under tests/golden with what the code does now",
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the figures that a test measured, whether it passed or not: `record_property("figures", text)`."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, value in report.user_properties:
                if name == "figures":
                    terminalreporter.write_sep("-", report.nodeid)
                    terminalreporter.write_line(str(value))


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """Return a function that compares a text with a file, or with `--update-golden` writes it there."""
    update = bool(request.config.getoption("--update-golden"))

    def compare(expected: Path, actual: str) -> None:
        if update:
            expected.write_bytes(actual.encode())
            return
        assert expected.is_file(), f"no {expected.name} yet: run pytest --update-golden and look at what it writes"
        assert actual == expected.read_bytes().decode()

    return compare


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the user's reaches a test, no test writes to the user's cache, and none finds an engine by chance.

    A test that wants an engine takes the fixture `engine_address` and hands it on.
    """
    for name in sorted(os.environ):
        if name.startswith(("DLPU_", "DOCKER_")) or name in {"SOURCE_DATE_EPOCH", "NO_COLOR", "FORCE_COLOR"}:
            monkeypatch.delenv(name)
    monkeypatch.setenv("DLPU_CACHE_DIR", str(tmp_path / "dlpu-cache"))
    # Else `auto`, and what asks for an engine, would look for the sockets of this machine.
    monkeypatch.setenv("DLPU_EXECUTOR", "local")
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")


@pytest.fixture(scope="session")
def tf2_python() -> Path:
    """The interpreter of the real tf2 toolchain, prepared in the user's cache folder where it is not there yet.

    Where it cannot be had the test is skipped, but in CI it fails: there it must run.
    """
    return _toolchain_python("tf2")


@pytest.fixture(scope="session")
def tf1_python() -> Path:
    """The interpreter of the real tf1 toolchain, which takes a Python 3.7; as `tf2_python`."""
    return _toolchain_python("tf1")


@pytest.fixture(scope="session")
def onnx_python() -> Path:
    """The interpreter of the real onnx toolchain, as `tf2_python`."""
    return _toolchain_python("onnx")


def _toolchain_python(name: str) -> Path:
    host = read_host()
    try:
        environment = prepare_environment(
            load_pin(name, machine=host.machine, system=host.system),
            host.cache,
            offline=False,
            variables=host.environ,
            say=lambda text: print(text, file=sys.stderr),  # noqa: T201 - pytest shows it where a test fails
            cancelled=threading.Event(),
        )
    except ToolchainError as error:
        if host.environ.get("CI"):
            pytest.fail(f"the {name} toolchain must run in CI: {error}")
        pytest.skip(f"the {name} toolchain cannot be prepared: {error.message}")
    return environment.python
