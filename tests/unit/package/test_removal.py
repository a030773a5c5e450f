"""Packages removed: what builds made, all of it, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlpubuild.errors import ErrorCode, OutputError
from dlpubuild.package.bundle import write_bundle
from dlpubuild.package.removal import package_paths, remove_packages
from tests.unit.package.specs import CPU, make_spec

LOCK = ".dlpubuild.lock"


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    """A folder with two packages of digits, an older one, and those of projects with similar names."""
    for name, version in (("digits", "1.0.0"), ("digits", "0.9.0"), ("digits-large", "1.0.0"), ("digits-2", "1.0.0")):
        write_bundle(make_spec(tmp_path / "blob", name=name, version=version), tmp_path / "dist")
    write_bundle(make_spec(tmp_path / "blob", soc=CPU), tmp_path / "dist")
    (tmp_path / "dist" / "notes.txt").write_text("mine")
    (tmp_path / "dist" / "digits-1.0.0-own").mkdir()
    return tmp_path / "dist"


def names(paths: tuple[Path, ...]) -> list[str]:
    return [path.name for path in paths]


def test_what_builds_of_a_project_made_is_found_stamps_last(dist: Path) -> None:
    assert names(package_paths(dist, "digits")) == [
        "digits-0.9.0-artpec8",
        "digits-0.9.0-artpec8.tar.gz",
        "digits-1.0.0-artpec8",
        "digits-1.0.0-artpec8.tar.gz",
        "digits-1.0.0-cpu",
        "digits-1.0.0-cpu.tar.gz",
        ".digits-0.9.0-artpec8.stamp.json",
        ".digits-1.0.0-artpec8.stamp.json",
        ".digits-1.0.0-cpu.stamp.json",
    ]


def test_a_project_whose_name_goes_on_with_a_number_is_another(dist: Path) -> None:
    assert len(package_paths(dist, "digits-2")) == len(package_paths(dist, "digits-large")) == 3
    assert package_paths(dist, "digit") == ()


def test_a_folder_that_is_not_there_holds_no_packages(tmp_path: Path) -> None:
    assert package_paths(tmp_path / "nothing", "digits") == ()
    remove_packages(tmp_path / "nothing", ())
    assert not (tmp_path / "nothing").exists()


def test_removing_takes_what_was_found_and_nothing_else(dist: Path) -> None:
    remove_packages(dist, package_paths(dist, "digits"))
    assert package_paths(dist, "digits") == ()
    left = sorted(path.name for path in dist.iterdir() if path.name != LOCK)
    assert left == sorted(
        [
            "digits-1.0.0-own",
            "notes.txt",
            *names(package_paths(dist, "digits-2")),
            *names(package_paths(dist, "digits-large")),
        ]
    )


def test_a_package_with_files_of_the_users_is_kept_and_all_others_with_it(dist: Path) -> None:
    (dist / "digits-1.0.0-cpu" / "mine.txt").write_text("mine")
    paths = package_paths(dist, "digits")
    with pytest.raises(OutputError) as caught:
        remove_packages(dist, paths)
    assert caught.value.code is ErrorCode.OUTPUT
    assert package_paths(dist, "digits") == paths


def test_what_an_interruption_left_is_found_again(dist: Path) -> None:
    paths = package_paths(dist, "digits")
    remove_packages(dist, paths[:3])
    assert package_paths(dist, "digits") == paths[3:]
    remove_packages(dist, package_paths(dist, "digits"))
    assert package_paths(dist, "digits") == ()


def test_a_link_where_a_package_was_is_not_followed(dist: Path, tmp_path: Path) -> None:
    folder = dist / "digits-1.0.0-cpu"
    folder.rename(tmp_path / "moved")
    folder.symlink_to(tmp_path / "moved")
    with pytest.raises(OutputError):
        remove_packages(dist, package_paths(dist, "digits"))
    assert (tmp_path / "moved" / "model.json").is_file()
