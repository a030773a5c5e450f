"""Environments built by the real uv from a lock of one tiny wheel, without a network."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dlpubuild.errors import ErrorCode, ExitCode, InterruptedBuildError, ToolchainError
from dlpubuild.toolchains.environment import (
    environment_bytes,
    environment_folder,
    find_environment,
    prepare_environment,
    remove_environment,
)
from dlpubuild.toolchains.installer import Uv, find_uv
from dlpubuild.toolchains.pins import load_pin
from tests.factories.processes import wait_until
from tests.factories.wheels import pin_on, uv_environ, write_source, write_wheel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dlpubuild.toolchains.environment import Environment
    from dlpubuild.toolchains.pins import ToolchainPin

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """A cache folder, a folder of wheels, and what was said."""

    folder: Path
    wheel: Path
    said: list[str] = field(default_factory=list)
    cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    @property
    def pin(self) -> ToolchainPin:
        return pin_on(self.folder, self.wheel)

    @property
    def environ(self) -> dict[str, str]:
        return uv_environ(self.folder, self.wheel.parent)

    def prepare(
        self, pin: ToolchainPin | None = None, *, environ: Mapping[str, str] | None = None, offline: bool = False
    ) -> Environment:
        return prepare_environment(
            pin or self.pin,
            self.cache,
            offline=offline,
            variables=self.environ if environ is None else environ,
            say=self.said.append,
            cancelled=self.cancelled,
        )

    def folders(self) -> list[str]:
        """What is in the folder of toolchains, but for locks and logs."""
        return sorted(path.name for path in (self.cache / "toolchains").iterdir() if path.is_dir())


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    folder = tmp_path / "ü shop"
    shop = Shop(folder=folder, wheel=write_wheel(folder / "wheels"))
    assert shop.pin.lock is not None
    assert shop.pin.lock.is_file()
    return shop


def answer(environment: Environment) -> str:
    done = subprocess.run(
        [environment.python, "-c", "import tinything; print(tinything.ANSWER)"],
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or done.stderr


def test_an_environment_is_built_once_and_found_again(shop: Shop) -> None:
    assert find_environment(shop.pin, shop.cache) is None
    built = shop.prepare()
    assert answer(built) == "42"
    assert built.folder == environment_folder(shop.pin, shop.cache)
    assert shop.folders() == [built.folder.name]
    assert any("preparing toolchain tiny" in line for line in shop.said)
    assert environment_bytes(built) > 0
    shop.said.clear()
    assert shop.prepare(environ={}) == built == find_environment(shop.pin, shop.cache)
    assert shop.said == []


def test_another_lock_is_another_environment(shop: Shop) -> None:
    first = environment_folder(shop.pin, shop.cache)
    (shop.folder / "other").mkdir()
    assert environment_folder(pin_on(shop.folder / "other", None), shop.cache) != first


def test_what_is_activated_or_configured_around_the_project_does_not_leak_in(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = shop.folder / "project"
    project.mkdir()
    (project / "uv.toml").write_text("required-version = '==0.0.1'\n")
    (project / "pyproject.toml").write_text("[tool.uv]\nrequired-version = '==0.0.1'\n")
    monkeypatch.chdir(project)
    leaks = {"VIRTUAL_ENV": str(project), "PYTHONPATH": str(project), "PYTHONHOME": str(project)}
    assert answer(shop.prepare(environ={**shop.environ, **leaks})) == "42"


PREPARE = """
import os, sys, threading
sys.path.insert(0, {root!r})
from pathlib import Path
from tests.factories.wheels import pin_on, uv_environ
from dlpubuild.toolchains.environment import prepare_environment
folder = Path({folder!r})
(wheel,) = (folder / "wheels").iterdir()
def say(text):
    print(text, flush=True)
prepare_environment(
    pin_on(folder, wheel), folder / "cache", offline=False, variables=uv_environ(folder, wheel.parent),
    say=say, cancelled=threading.Event(),
)
"""


def start(shop: Shop) -> subprocess.Popen[str]:
    program = PREPARE.format(root=str(ROOT), folder=str(shop.folder))
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)


def test_of_two_processes_one_builds_and_both_have_it(shop: Shop) -> None:
    both = [start(shop), start(shop)]
    said = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert "".join(said).count("preparing toolchain") == 1
    assert answer(shop.prepare(environ={})) == "42"


def test_what_a_killed_build_left_is_removed_and_built_anew(shop: Shop) -> None:
    process = start(shop)
    folder = environment_folder(shop.pin, shop.cache)
    aside = folder.with_name(folder.name + ".partial")
    wait_until(aside.exists, "an environment being built")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert find_environment(shop.pin, shop.cache) is None
    (aside / "litter").mkdir(parents=True, exist_ok=True)
    built = shop.prepare()
    assert answer(built) == "42"
    assert shop.folders() == [built.folder.name]
    assert not (built.folder / "litter").exists()


def test_an_environment_whose_interpreter_is_gone_is_built_anew(shop: Shop) -> None:
    built = shop.prepare()
    built.python.unlink()
    built.python.symlink_to(shop.folder / "gone")
    assert find_environment(shop.pin, shop.cache) is None
    assert answer(shop.prepare()) == "42"


def test_other_bytes_than_those_locked_are_refused(shop: Shop) -> None:
    with pytest.raises(ToolchainError) as caught:
        shop.prepare(pin_on(shop.folder, None))
    assert caught.value.code is ErrorCode.TOOLCHAIN
    assert caught.value.exit_code is ExitCode.TOOLCHAIN_MISSING
    assert "ash mismatch" in caught.value.message
    assert "than those locked" in caught.value.hint
    assert shop.folders() == []


def test_offline_without_the_packages_says_so(shop: Shop) -> None:
    with pytest.raises(ToolchainError) as caught:
        shop.prepare(environ=uv_environ(shop.folder, None), offline=True)
    assert caught.value.code is ErrorCode.TOOLCHAIN_OFFLINE
    assert "dlpubuild toolchain prepare tiny" in caught.value.hint
    assert shop.folders() == []


def test_offline_with_the_packages_builds(shop: Shop) -> None:
    assert answer(shop.prepare(offline=True)) == "42"


@pytest.mark.parametrize("is_shim", [False, True])
def test_a_python_that_is_not_there_is_told(shop: Shop, is_shim: bool) -> None:
    shims = shop.folder / "shims"
    shims.mkdir()
    if is_shim:
        # As pyenv leaves them for versions that are installed and not chosen.
        (shims / "python3.6").write_text("#!/bin/sh\necho 'python3.6: command not found' >&2\nexit 127\n")
        (shims / "python3.6").chmod(0o755)
    none = str(shop.folder / "none")
    environ = {**shop.environ, "PATH": f"{shims}:/usr/bin:/bin", "UV_PYTHON_INSTALL_DIR": none}
    with pytest.raises(ToolchainError) as caught:
        shop.prepare(pin_on(shop.folder, shop.wheel, python="3.6"), environ={**environ, "UV_PYTHON_DOWNLOADS": "never"})
    assert caught.value.code is ErrorCode.TOOLCHAIN
    assert caught.value.exit_code is ExitCode.TOOLCHAIN_MISSING
    assert "install Python 3.6, or name its interpreter in DLPU_PYTHON36" in caught.value.hint
    assert shop.folders() == []


def test_tensorflow_1_without_python_3_7_and_without_a_network_says_what_to_do(shop: Shop) -> None:
    environ = {name: str(shop.folder / name) for name in ("PATH", "HOME", "UV_CACHE_DIR", "UV_PYTHON_INSTALL_DIR")}
    with pytest.raises(ToolchainError) as caught:
        shop.prepare(load_pin("tf1", machine="x86_64", system="linux"), environ=environ, offline=True)
    assert caught.value.exit_code is ExitCode.TOOLCHAIN_MISSING
    assert "install Python 3.7, or name its interpreter in DLPU_PYTHON37" in caught.value.hint
    assert shop.folders() == []


def test_the_interpreter_that_is_named_is_the_one_used(shop: Shop) -> None:
    named = shop.folder / "own python"
    named.symlink_to(sys.executable)
    version = f"DLPU_PYTHON{sys.version_info.major}{sys.version_info.minor}"
    assert answer(shop.prepare(environ={**shop.environ, version: str(named)})) == "42"
    with pytest.raises(ToolchainError, match=version):
        shop.prepare(pin_on(shop.folder, None), environ={**shop.environ, version: str(shop.folder)})


def test_what_was_published_as_source_is_built_by_the_locked_tools_after_them(shop: Shop) -> None:
    source = write_source(shop.wheel.parent)
    pin = pin_on(shop.folder, shop.wheel, source=source)
    built = shop.prepare(pin)
    done = subprocess.run(
        [built.python, "-c", "import slowthing; print(slowthing.ANSWER)"], capture_output=True, check=True
    )
    assert done.stdout == b"43\n"
    assert not (built.folder / "wheels.txt").exists()


def test_a_source_package_that_is_not_named_as_one_is_refused(shop: Shop) -> None:
    pin = replace(pin_on(shop.folder, shop.wheel, source=write_source(shop.wheel.parent)), source_only=())
    with pytest.raises(ToolchainError, match="slowthing"):
        shop.prepare(pin)
    assert shop.folders() == []


def test_an_interrupt_stops_uv_and_leaves_nothing(shop: Shop) -> None:
    shop.cancelled.set()
    with pytest.raises(InterruptedBuildError):
        shop.prepare()
    assert shop.folders() == []


def test_an_interrupt_ends_the_wait_for_another_build(shop: Shop) -> None:
    def say(text: str) -> None:
        if "waiting" in text:
            shop.cancelled.set()

    folder = environment_folder(shop.pin, shop.cache)
    folder.parent.mkdir(parents=True)
    with folder.with_name(folder.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(InterruptedBuildError):
            prepare_environment(shop.pin, shop.cache, offline=False, variables={}, say=say, cancelled=shop.cancelled)


def test_a_cache_folder_that_cannot_be_used_is_told(shop: Shop) -> None:
    shop.cache.write_text("a file")
    with pytest.raises(ToolchainError) as caught:
        shop.prepare()
    assert "DLPU_CACHE_DIR" in caught.value.hint


def test_an_environment_is_removed_and_can_be_built_again(shop: Shop) -> None:
    assert remove_environment(shop.pin, shop.cache, cancelled=shop.cancelled) is None
    built = shop.prepare()
    assert remove_environment(shop.pin, shop.cache, cancelled=shop.cancelled) == built.folder
    assert shop.folders() == []
    assert answer(shop.prepare()) == "42"


def test_uv_inherits_the_lock_so_that_it_outlives_a_killed_build(shop: Shop) -> None:
    program = shop.folder / "uv"
    program.write_text("#!/bin/sh\nls -l /proc/$$/fd >&2\n")
    program.chmod(0o755)
    folder = environment_folder(shop.pin, shop.cache)
    folder.parent.mkdir(parents=True)
    with folder.with_name("held.lock").open("w") as lock:
        run = Uv(
            program=str(program),
            variables=shop.environ,
            offline=False,
            say=shop.said.append,
            cancelled=shop.cancelled,
            pin=shop.pin,
            folder=folder,
            lock=lock.fileno(),
        )
        run(["venv"])
    assert "held.lock" in run.log.read_text()


def test_uv_is_found_beside_the_tool() -> None:
    assert os.access(find_uv(), os.X_OK)
