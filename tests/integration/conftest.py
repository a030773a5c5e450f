"""Real builds with real TensorFlow: each test has a cache of its own, and all share one prepared environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.factories.unmeasured import without_verify

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "digits"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if {"tf2_python", "tf1_python", "onnx_python"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.toolchain)


@dataclass(frozen=True, slots=True)
class Done:
    """A command that ended: its exit code and what it printed."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """`dlpubuild` as a user starts it, with a cache folder and environment of its own."""

    cache: Path
    environ: Mapping[str, str]
    python: Path
    more: Mapping[str, str] = field(default_factory=dict)

    def command(self, *arguments: str | Path) -> list[str]:
        return [sys.executable, "-m", "dlpubuild", *map(str, arguments)]

    def run(self, *arguments: str | Path, cwd: Path, **more: str) -> Done:
        done = subprocess.run(
            self.command(*arguments),
            cwd=cwd,
            env={**self.environ, **more},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str | Path, cwd: Path, **more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*arguments),
            cwd=cwd,
            env={**self.environ, **more},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def build(self, project: Path, *arguments: str) -> dict[str, Any]:
        """Build and return what `--json` says; the build must succeed."""
        done = self.run("build", "--json", *arguments, cwd=project)
        assert done.code == 0, done.err
        result: dict[str, Any] = json.loads(done.out)
        return result


def _environment(cache: Path) -> dict[str, str]:
    kept = ("PATH", "HOME", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR", "UV_CACHE_DIR", "HTTPS_PROXY", "TMPDIR")
    environ = {name: os.environ[name] for name in kept if name in os.environ}
    # A test that wants the engine's executor says so.
    more = {"DLPU_CACHE_DIR": str(cache), "DLPU_EXECUTOR": "local", "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    return {**environ, **more}


@pytest.fixture(scope="session")
def shared_toolchains(tf2_python: Path) -> Path:
    """The folder in which the environment that all tests share was prepared."""
    return tf2_python.parent.parent.parent


@pytest.fixture
def tool(tmp_path: Path, shared_toolchains: Path, tf2_python: Path) -> Tool:
    """The tool with an empty cache of results and a prepared toolchain."""
    return tool_in(tmp_path / "cache", shared_toolchains, tf2_python)


def tool_in(cache: Path, toolchains: Path, python: Path) -> Tool:
    """The tool with an empty cache of results in a folder that is made, and prepared toolchains."""
    cache.mkdir()
    (cache / "toolchains").symlink_to(toolchains)
    return Tool(cache=cache, environ=_environment(cache), python=python)


@pytest.fixture
def copy_example(tmp_path: Path) -> Callable[[str], Path]:
    """A function that copies the example project to a folder of the given name, without its `[verify]`."""
    import shutil

    def copy(name: str) -> Path:
        target = tmp_path / name
        shutil.copytree(EXAMPLE, target, ignore=shutil.ignore_patterns("dist"))
        return without_verify(target)

    return copy
