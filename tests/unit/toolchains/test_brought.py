"""A toolchain that only the user can bring is pinned by the tree that it is installed in."""

from __future__ import annotations

import hashlib
import os
import shutil
from typing import TYPE_CHECKING

import pytest

from dlpubuild.errors import ErrorCode, ToolchainError
from dlpubuild.toolchains.brought import tree_sha256
from dlpubuild.toolchains.environment import environment_folder
from dlpubuild.toolchains.pins import ImagePin, folder_pin, folder_variable, image_pin, load_pin, with_folder
from tests.factories.ambarella import put_toolchain

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def hashes_of(paths: Sequence[Path]) -> list[str]:
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]


def digest(folder: Path) -> str:
    return tree_sha256("ambarella", folder, "cavalry_gen", hashes_of)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return put_toolchain(tmp_path / "cnngen")


def test_the_same_tree_elsewhere_has_the_same_digest(tree: Path, tmp_path: Path) -> None:
    shutil.copytree(tree, tmp_path / "other")
    assert digest(tree) == digest(tmp_path / "other")


def test_what_python_and_git_leave_does_not_count(tree: Path) -> None:
    before = digest(tree)
    for name in ("bin/__pycache__/x.pyc", ".git/HEAD", "bin/y.pyc"):
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text(name)
    os.utime(tree / "bin/vas", (0, 0))
    assert digest(tree) == before


def test_content_names_permissions_and_links_count(tree: Path) -> None:
    seen = {digest(tree)}
    (tree / "version.txt").write_text("3.0\n")
    seen.add(digest(tree))
    (tree / "bin/vas").rename(tree / "bin/vas2")
    seen.add(digest(tree))
    (tree / "bin/vas2").chmod(0o644)
    seen.add(digest(tree))
    (tree / "lib64").symlink_to("lib")
    seen.add(digest(tree))
    (tree / "lib64").unlink()
    (tree / "lib64").symlink_to("bin")
    seen.add(digest(tree))
    assert len(seen) == 6


def test_links_that_lead_nowhere_or_round_are_no_fault(tree: Path) -> None:
    (tree / "loop").symlink_to(".")
    (tree / "gone").symlink_to("/nowhere/at/all")
    (tree / "a\nname with \udcff in it").write_text("x")
    assert len(digest(tree)) == 64


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError) as caught:
        digest(tmp_path / "none")
    assert caught.value.code is ErrorCode.TOOLCHAIN
    assert "is not there" in caught.value.message


def test_another_folder_is_not_taken_for_the_toolchain(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError) as caught:
        digest(tmp_path)
    assert "cavalry_gen" in caught.value.message
    assert "[toolchain.ambarella]" in caught.value.hint


def test_the_pin_holds_the_tree_and_the_real_folder(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tree)
    pin = folder_pin("ambarella", tmp_path / "link", machine="x86_64", system="linux", hashes_of=hashes_of)
    assert (pin.folder, pin.lock_sha256) == (tree.resolve(), digest(tree))
    assert ("venv-lock", f"sha256:{digest(tree)}") in pin.platform
    assert pin.environment["DLPU_AMBARELLA_TOOLCHAIN"] == pin.mount_point == "/opt/tc/ambarella"


def test_in_an_image_the_tree_is_part_of_the_platform(tree: Path) -> None:
    image = ImagePin(id="sha256:" + "ab" * 32)
    plain = image_pin("ambarella", lambda _: image)
    pin = with_folder(plain, tree, hashes_of)
    assert ("mounted-tree", f"sha256:{digest(tree)}") in pin.platform
    assert [name for name, _ in pin.platform] == sorted(name for name, _ in pin.platform)
    assert pin.content_name != plain.content_name


def test_only_what_is_not_public_is_brought() -> None:
    assert folder_variable("ambarella") == "DLPU_AMBARELLA_TOOLCHAIN"
    assert folder_variable("tf2") == folder_variable("no such") == ""
    assert load_pin("ambarella", machine="x86_64", system="linux").lock_sha256 == ""


def test_equal_trees_at_two_places_have_environments_of_their_own(tree: Path, tmp_path: Path) -> None:
    shutil.copytree(tree, tmp_path / "other")
    plain = load_pin("ambarella", machine="x86_64", system="linux")
    pins = [with_folder(plain, folder, hashes_of) for folder in (tree, tmp_path / "other")]
    assert pins[0].platform == pins[1].platform
    assert environment_folder(pins[0], tmp_path) != environment_folder(pins[1], tmp_path)
