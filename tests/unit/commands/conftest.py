from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dlpubuild import cli
from tests.factories.fake_project import prepare_fake_environment, write_project

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[3]


def user_environ(**more: str) -> dict[str, str]:
    """The environment of a user who runs the tool from this checkout: nothing of the developer's Python settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**kept, "PYTHONPATH": str(ROOT), **more}


@dataclass(frozen=True, slots=True)
class Done:
    """A command that ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """`dlpubuild` in a project folder: quickly in this process, or as a user starts it."""

    folder: Path
    cache: Path
    capture: pytest.CaptureFixture[str]

    def run(self, *arguments: str | Path) -> Done:
        """Run in this process."""
        self.capture.readouterr()
        code = cli.run([str(argument) for argument in arguments])
        out, err = self.capture.readouterr()
        return Done(int(code), out, err)

    def start(
        self, *arguments: str | Path, prefix: Sequence[str] = (), cwd: Path | None = None, **environ: str
    ) -> subprocess.Popen[str]:
        """Start a process of its own."""
        return subprocess.Popen(
            [*prefix, sys.executable, "-m", "dlpubuild", *map(str, arguments)],
            cwd=cwd or self.folder,
            env=user_environ(**environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def spawn(
        self, *arguments: str | Path, prefix: Sequence[str] = (), cwd: Path | None = None, **environ: str
    ) -> Done:
        """Run as a process of its own."""
        process = self.start(*arguments, prefix=prefix, cwd=cwd, **environ)
        out, err = process.communicate(timeout=60)
        return Done(process.returncode, out, err)

    def packages(self) -> list[str]:
        """The names of the archives in `dist`, sorted."""
        return sorted(path.name for path in self.folder.glob("dist/*.tar.gz"))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder, with an environment in it that stands in for TensorFlow's."""
    folder = tmp_path / "cache"
    prepare_fake_environment(folder)
    monkeypatch.setenv("DLPU_CACHE_DIR", str(folder))
    return folder


@pytest.fixture
def empty(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Tool:
    """The tool in an empty folder."""
    folder = tmp_path / "min kamera åäö"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return Tool(folder=folder, cache=cache, capture=capsys)


@pytest.fixture
def tool(empty: Tool) -> Tool:
    """The tool in the folder of a project with one target, `fake`, and two steps, `import` and `finish`."""
    write_project(empty.folder)
    return empty
