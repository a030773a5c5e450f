"""What a manifest names stays in the project, whatever is written there and whatever lies on the disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlpubuild.errors import ErrorCode
from dlpubuild.project.paths import PathRefusedError, ProjectPaths, path_kind, project_paths, walk_files


@pytest.fixture
def paths(tmp_path: Path) -> ProjectPaths:
    """A project with a file inside, and one outside beside it."""
    project = tmp_path / "project"
    (project / "data").mkdir(parents=True)
    (project / "data" / "a.png").write_bytes(b"a")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "b.png").write_bytes(b"b")
    return project_paths(project, ())


def refused(paths: ProjectPaths, text: str) -> ErrorCode:
    with pytest.raises(PathRefusedError) as caught:
        paths.find(text)
    return caught.value.code


def test_a_path_below_the_project_is_found(paths: ProjectPaths) -> None:
    assert paths.find("data/a.png") == paths.folder / "data" / "a.png"
    assert paths.find("./data//a.png") == paths.folder / "data" / "a.png"
    assert paths.find("data/../data/a.png") == paths.folder / "data" / "a.png"
    assert paths.find("nothing/there") == paths.folder / "nothing" / "there"


@pytest.mark.parametrize(
    "text", ["../outside/b.png", "data/../../outside", "/etc/passwd", "//etc", "..", "../project2"]
)
def test_a_path_that_leaves_the_project_is_refused(paths: ProjectPaths, text: str) -> None:
    assert refused(paths, text) is ErrorCode.PATH_OUTSIDE


def test_an_absolute_path_back_into_the_project_is_one_of_its_paths(paths: ProjectPaths) -> None:
    assert paths.find(f"{paths.folder}/data") == paths.folder / "data"


def test_a_link_out_of_the_project_is_refused(paths: ProjectPaths, tmp_path: Path) -> None:
    (paths.folder / "link").symlink_to(tmp_path / "outside")
    (paths.folder / "file").symlink_to(tmp_path / "outside" / "b.png")
    assert refused(paths, "link") is ErrorCode.PATH_OUTSIDE
    assert refused(paths, "link/b.png") is ErrorCode.PATH_OUTSIDE
    assert refused(paths, "file") is ErrorCode.PATH_OUTSIDE


def test_a_link_inside_the_project_is_followed(paths: ProjectPaths) -> None:
    (paths.folder / "link").symlink_to("data")
    assert paths.find("link/a.png").read_bytes() == b"a"


def test_dots_behind_a_link_do_not_lead_out_by_another_way(paths: ProjectPaths, tmp_path: Path) -> None:
    """`sub/link/../secret` is checked as the file that is opened, not as the one the link leads to."""
    (paths.folder / "deep" / "er").mkdir(parents=True)
    (paths.folder / "sub").mkdir()
    (paths.folder / "sub" / "link").symlink_to("../deep/er")
    (paths.folder / "sub" / "secret").symlink_to(tmp_path / "outside" / "b.png")
    assert refused(paths, "sub/link/../secret") is ErrorCode.PATH_OUTSIDE


@pytest.mark.parametrize("allowed", ["../outside", "/absolute"])
def test_what_is_listed_in_allow_outside_may_be_read(paths: ProjectPaths, tmp_path: Path, allowed: str) -> None:
    outside = str(tmp_path / "outside") if allowed == "/absolute" else allowed
    rules = project_paths(paths.folder, [outside])
    assert rules.find("../outside/b.png").read_bytes() == b"b"
    assert refused(rules, "../outsider") is ErrorCode.PATH_OUTSIDE
    assert refused(rules, "..") is ErrorCode.PATH_OUTSIDE


def test_a_link_in_a_circle_is_inside_and_leads_nowhere(paths: ProjectPaths) -> None:
    (paths.folder / "loop").symlink_to("loop")
    path = project_paths(paths.folder, ["loop"]).find("loop")
    with pytest.raises(OSError, match="loop"):
        path_kind(path)


def test_a_nul_is_no_path(paths: ProjectPaths) -> None:
    assert refused(paths, "data\0/../../outside") is ErrorCode.PATH_KIND
    assert project_paths(paths.folder, ["a\0b"]).allowed == ()


def test_a_project_folder_may_have_spaces_and_letters_of_any_alphabet(tmp_path: Path) -> None:
    folder = tmp_path / "mitt projekt åäö 模型"
    folder.mkdir()
    (folder / "blå räv.png").write_bytes(b"x")
    assert project_paths(folder, ()).find("blå räv.png").read_bytes() == b"x"


@settings(derandomize=True, database=None, deadline=None, max_examples=300)
@given(st.text())
def test_any_text_is_a_path_inside_or_refused(text: str) -> None:
    paths = project_paths(Path("/project"), ())
    try:
        found = paths.find(text)
    except PathRefusedError:
        return
    assert found.is_relative_to("/project")


@settings(derandomize=True, database=None, deadline=None, max_examples=300)
@given(st.lists(st.sampled_from(["..", ".", "", "a", "b", "/", "~", "*"]), max_size=8))
def test_no_row_of_dots_leads_out(parts: list[str]) -> None:
    paths = project_paths(Path("/project"), ())
    text = "/".join(parts)
    leaves = not Path(os.path.normpath(Path("/project") / text)).is_relative_to("/project")
    try:
        paths.find(text)
    except PathRefusedError:
        assert leaves
    else:
        assert not leaves


def test_the_kind_of_a_path_is_told(paths: ProjectPaths) -> None:
    os.mkfifo(paths.folder / "pipe")
    assert path_kind(paths.folder) == "folder"
    assert path_kind(paths.folder / "data" / "a.png") == "file"
    assert path_kind(paths.folder / "pipe") == "other"
    assert path_kind(paths.folder / "nothing") is None
    assert path_kind(paths.folder / "data" / "a.png" / "below") is None


def test_a_name_too_long_is_an_error_and_not_an_absence(paths: ProjectPaths) -> None:
    with pytest.raises(OSError, match="too long"):
        path_kind(paths.find("x" * 300))


def test_files_are_walked_in_order_and_hidden_ones_left_out(paths: ProjectPaths) -> None:
    for name in ("b/2", "b/10", "a", "b.txt", ".hidden/x", "b/.hidden"):
        (paths.folder / "w" / name).parent.mkdir(parents=True, exist_ok=True)
        (paths.folder / "w" / name).write_bytes(b"")
    found = walk_files(paths.folder / "w", paths)
    assert [name for name, _ in found] == ["a", "b.txt", "b/10", "b/2"]
    assert all(path == paths.folder / "w" / name for name, path in found)


def test_only_what_is_selected_is_looked_at(paths: ProjectPaths, tmp_path: Path) -> None:
    (paths.folder / "data" / "link").symlink_to(tmp_path / "outside")
    assert [name for name, _ in walk_files(paths.folder, paths, lambda name: "link" not in name)] == ["data/a.png"]


def test_a_link_out_of_a_walked_folder_is_refused(paths: ProjectPaths, tmp_path: Path) -> None:
    for target in (tmp_path / "outside", tmp_path / "outside" / "b.png"):
        (paths.folder / "data" / "link").symlink_to(target)
        with pytest.raises(PathRefusedError) as caught:
            walk_files(paths.folder / "data", paths)
        assert caught.value.code is ErrorCode.PATH_OUTSIDE
        (paths.folder / "data" / "link").unlink()


def test_a_link_to_nothing_is_told_and_not_left_out(paths: ProjectPaths) -> None:
    (paths.folder / "data" / "gone.png").symlink_to("annex/object")
    with pytest.raises(PathRefusedError, match=r"gone\.png") as caught:
        walk_files(paths.folder / "data", paths)
    assert caught.value.code is ErrorCode.PATH_MISSING


def test_links_in_a_circle_end(paths: ProjectPaths) -> None:
    (paths.folder / "data" / "again").symlink_to(".")
    (paths.folder / "data" / "up").symlink_to("..")
    assert [name for name, _ in walk_files(paths.folder / "data", paths)] == ["a.png"]


def test_a_file_name_that_is_not_utf8_is_refused_and_shown(paths: ProjectPaths) -> None:
    place = os.fsencode(paths.folder / "data") + b"/r\xe4v.png"
    try:
        os.close(os.open(place, os.O_CREAT | os.O_WRONLY))
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    with pytest.raises(PathRefusedError, match=r"r\\xe4v\.png") as caught:
        walk_files(paths.folder / "data", paths)
    assert caught.value.code is ErrorCode.PATH_KIND
