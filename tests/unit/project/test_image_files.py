"""A folder, a glob or a single image: what each stands for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dlpubuild.errors import ErrorCode
from dlpubuild.project.image_files import find_images
from dlpubuild.project.paths import PathRefusedError, ProjectPaths, project_paths

FILES = ("a.png", "B.JPG", "notes.txt", "x/c.jpeg", "x/y/d.png", "x/.hidden.png", "x1/e.png", "brackets [1]/f.png")


@pytest.fixture
def paths(tmp_path: Path) -> ProjectPaths:
    for name in FILES:
        path = tmp_path / "project" / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return project_paths(tmp_path / "project", ())


def names(text: str, paths: ProjectPaths) -> list[str]:
    return sorted(find_images(text, paths).images)


def refused(text: str, paths: ProjectPaths) -> ErrorCode:
    with pytest.raises(PathRefusedError) as caught:
        find_images(text, paths)
    return caught.value.code


def test_a_folder_stands_for_every_image_below_it(paths: ProjectPaths) -> None:
    found = find_images("data", paths)
    assert sorted(found.images) == ["B.JPG", "a.png", "brackets [1]/f.png", "x/c.jpeg", "x/y/d.png", "x1/e.png"]
    assert found.others == 1
    assert found.shown("x/c.jpeg") == "data/x/c.jpeg"


@pytest.mark.parametrize("text", ["data/", "./data", "data/../data", "data/**", "data/**/*"])
def test_however_a_folder_is_written_its_images_have_the_same_names(paths: ProjectPaths, text: str) -> None:
    """So the same samples are picked, on machines that keep the data in different places too."""
    assert names(text, paths) == names("data", paths)
    assert names(str(paths.folder / "data"), paths) == names("data", paths)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("data/*.png", ["a.png"]),
        ("data/*", ["B.JPG", "a.png"]),
        ("data/x*/*", ["x/c.jpeg", "x1/e.png"]),
        ("data/x?/*.png", ["x1/e.png"]),
        ("data/[xb]/*.jpeg", ["x/c.jpeg"]),
        ("data/**/*.png", ["a.png", "brackets [1]/f.png", "x/y/d.png", "x1/e.png"]),
        ("data/**/y/*", ["x/y/d.png"]),
        ("data/x/**", ["c.jpeg", "y/d.png"]),
        ("**/y/*.png", ["data/x/y/d.png"]),
        ("*/*.png", ["data/a.png"]),
        ("data/*.tiff", []),
        ("data/./*.png", ["a.png"]),
    ],
)
def test_a_glob_stands_for_what_matches(paths: ProjectPaths, text: str, expected: list[str]) -> None:
    assert names(text, paths) == expected


def test_a_folder_whose_name_has_brackets_is_taken_as_it_is(paths: ProjectPaths) -> None:
    assert names("data/brackets [1]", paths) == ["f.png"]


def test_one_image_stands_for_itself(paths: ProjectPaths) -> None:
    found = find_images("data/a.png", paths)
    assert dict(found.images) == {"a.png": paths.folder / "data" / "a.png"}
    assert found.shown("a.png") == "data/a.png"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("data/notes.txt", ErrorCode.PATH_KIND),
        ("nothing", ErrorCode.PATH_MISSING),
        ("nothing/*.png", ErrorCode.PATH_MISSING),
        ("data/a.png/*", ErrorCode.PATH_MISSING),
        ("../*.png", ErrorCode.PATH_OUTSIDE),
        ("/*.png", ErrorCode.PATH_OUTSIDE),
        ("data/*/../*.png", ErrorCode.PATH_KIND),
        ("**/../../*", ErrorCode.PATH_OUTSIDE),
        ("data/**/../x/*", ErrorCode.PATH_KIND),
    ],
)
def test_what_stands_for_nothing_is_refused(paths: ProjectPaths, text: str, code: ErrorCode) -> None:
    assert refused(text, paths) is code


def test_a_glob_does_not_lead_out_by_a_link(paths: ProjectPaths, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "g.png").write_bytes(b"")
    (paths.folder / "data" / "x" / "link").symlink_to(tmp_path / "outside")
    assert refused("data/x/*/*.png", paths) is ErrorCode.PATH_OUTSIDE
    assert refused("data/**/*.png", paths) is ErrorCode.PATH_OUTSIDE
    # Links that the pattern does not touch are nobody's business.
    assert names("data/*.png", paths) == ["a.png"]


def test_a_glob_through_links_in_a_circle_ends_and_names_each_image_once(paths: ProjectPaths) -> None:
    for name in ("one", "two", "three"):
        (paths.folder / "data" / name).symlink_to(".")
    assert names("data/**/*.png", paths) == ["a.png", "brackets [1]/f.png", "x/y/d.png", "x1/e.png"]


def test_a_pipe_is_no_image(paths: ProjectPaths) -> None:
    os.mkfifo(paths.folder / "data" / "pipe.png")
    assert "pipe.png" not in names("data", paths)
    assert refused("data/pipe.png", paths) is ErrorCode.PATH_KIND
