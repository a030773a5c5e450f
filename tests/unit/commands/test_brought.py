"""Where the user has a toolchain that is not public: the manifest wins over the variable; neither is a clean error."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dlpubuild.commands.brought import brought_folder, is_brought, with_brought
from dlpubuild.commands.wiring import Host
from dlpubuild.errors import ToolchainError
from dlpubuild.manifest.load import load_manifest
from dlpubuild.toolchains.pins import load_pin
from tests.factories.ambarella import put_toolchain

if TYPE_CHECKING:
    from dlpubuild.manifest.model import Manifest

VARIABLE = "DLPU_AMBARELLA_TOOLCHAIN"


def host(tmp_path: Path, **environ: str) -> Host:
    return Host(
        environ=environ,
        cache=tmp_path / "cache",
        home=tmp_path / "home",
        ready_toolchains=None,
        machine="x86_64",
        system="linux",
        cores=1,
    )


def manifest(tmp_path: Path, path: str | None) -> Manifest:
    text = 'schema = 1\n[project]\nname = "n"\nversion = "1.0.0"\n[model]\nsource = "m.keras"\n[target.cpu]\n'
    if path is not None:
        text += f'[toolchain.ambarella]\npath = "{path}"\n'
    (tmp_path / "dlpu.toml").write_text(text)
    return load_manifest(tmp_path / "dlpu.toml")


def test_the_variable_may_begin_at_home(tmp_path: Path) -> None:
    assert brought_folder(host(tmp_path, **{VARIABLE: "~/cnngen"}), None, "ambarella") == tmp_path / "home/cnngen"
    assert brought_folder(host(tmp_path, **{VARIABLE: "/opt/x"}), None, "ambarella") == Path("/opt/x")


def test_the_manifest_wins_and_is_relative_to_the_project(tmp_path: Path) -> None:
    named = host(tmp_path, **{VARIABLE: "/opt/x"})
    assert brought_folder(named, manifest(tmp_path, "tools/cnngen"), "ambarella") == tmp_path / "tools/cnngen"
    assert brought_folder(named, manifest(tmp_path, "/opt/y"), "ambarella") == Path("/opt/y")
    assert brought_folder(named, manifest(tmp_path, None), "ambarella") == Path("/opt/x")


def test_a_relative_variable_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError) as caught:
        brought_folder(host(tmp_path, **{VARIABLE: "cnngen"}), None, "ambarella")
    assert "no absolute path" in caught.value.message


def test_where_nothing_says_it_the_error_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError) as caught:
        with_brought(host(tmp_path), None, load_pin("ambarella", machine="x86_64", system="linux"))
    assert "Ambarella or Axis" in caught.value.hint
    assert VARIABLE in caught.value.hint
    assert (is_brought("ambarella"), is_brought("tf2")) == (True, False)


def test_an_unchanged_tree_is_not_read_again(tmp_path: Path) -> None:
    """The memo knows its files: what is made unreadable in between is not missed."""
    tree = put_toolchain(tmp_path / "cnngen")
    here = host(tmp_path, **{VARIABLE: str(tree)})
    pin = load_pin("ambarella", machine="x86_64", system="linux")
    first = with_brought(here, None, pin)
    assert with_brought(here, None, pin) == first
    assert first.folder == tree
