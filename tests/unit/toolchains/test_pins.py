"""What toolchains are pinned to, and that the lock is one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from dlpubuild.errors import ErrorCode, ToolchainError
from dlpubuild.resources import locks_dir
from dlpubuild.toolchains.pins import load_pin, locked_versions, toolchain_names, without_packages

if TYPE_CHECKING:
    from pathlib import Path


def test_the_platform_names_the_lock_and_not_the_machine() -> None:
    pin = load_pin("tf2", machine="x86_64", system="linux")
    assert dict(pin.platform) == {
        "ISA": "x86-64",
        "OSFamily": "linux",
        "python-version": "3.11",
        "venv-lock": f"sha256:{pin.lock_sha256}",
    }
    assert list(pin.platform) == sorted(pin.platform)


def test_the_toolchain_is_the_tensorflow_that_is_promised() -> None:
    assert load_pin("tf2", machine="x86_64", system="linux").packages["tensorflow-cpu"] == "2.19.1"
    assert load_pin("tf1", machine="x86_64", system="linux").packages["tensorflow"] == "1.15.5"


def test_the_dockerfile_builds_the_same_packages_from_source(request: pytest.FixtureRequest) -> None:
    (name,) = load_pin("tf1", machine="x86_64", system="linux").source_only
    recipe = (request.config.rootpath / "Dockerfile").read_text(encoding="utf-8")
    assert f"--toolchain tf1 --source-only {name} " in recipe


def test_a_lock_without_one_package_has_all_others_as_they_were() -> None:
    pin = load_pin("tf1", machine="x86_64", system="linux")
    assert pin.lock is not None
    rest = without_packages(pin.lock.read_text(encoding="utf-8"), pin.source_only)
    assert dict(locked_versions(rest)) == {name: it for name, it in pin.packages.items() if name != "gast"}
    assert rest.count("--hash=") == pin.lock.read_text(encoding="utf-8").count("--hash=") - 1


@pytest.mark.parametrize("path", sorted(locks_dir().glob("*-linux-*.txt")), ids=lambda path: path.name)
def test_every_package_of_a_lock_has_a_version_and_hashes_and_no_address(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "://" not in text
    packages = [block for block in re.split(r"\n(?=\S)", text) if not block.startswith("#")]
    assert len(packages) == len(locked_versions(text)) > 20
    for package in packages:
        assert re.match(r"[A-Za-z0-9._-]+==\S+ ", package), package
        assert "--hash=sha256:" in package, package


def test_the_environment_of_actions_is_explicit() -> None:
    environment = load_pin("tf2", machine="x86_64", system="linux").environment
    assert environment["PATH"].startswith("/opt/tc/bin:")
    assert {"HOME", "LC_ALL", "TZ", "PYTHONHASHSEED"} <= set(environment)


@pytest.mark.parametrize(
    ("name", "machine", "system"),
    [("tf3", "x86_64", "linux"), ("tf2", "aarch64", "linux"), ("tf2", "x86_64", "darwin"), ("tf2", "../..", "linux")],
)
def test_what_is_not_pinned_is_told(name: str, machine: str, system: str) -> None:
    with pytest.raises(ToolchainError) as caught:
        load_pin(name, machine=machine, system=system)
    assert caught.value.code is ErrorCode.TOOLCHAIN
    assert caught.value.hint


def test_names_are_sorted() -> None:
    assert list(toolchain_names()) == sorted(toolchain_names())
