from __future__ import annotations

import random  # noqa: TID251  # a fixed seed, to shuffle
from time import perf_counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlpubuild.cas.digest import EMPTY_DIGEST, Digest, digest_bytes
from dlpubuild.cas.reapi import DIRECTORY
from dlpubuild.cas.tree import InputFile, build_input_tree

FILE = InputFile(digest_bytes(b"content"))
PROFILE = settings(derandomize=True, database=None, deadline=None, max_examples=60)


def names() -> st.SearchStrategy[str]:
    characters = st.characters(codec="utf-8", exclude_characters="/\0")
    return st.text(characters, min_size=1, max_size=4).filter(lambda name: name not in {".", ".."})


def input_files() -> st.SearchStrategy[dict[str, InputFile]]:
    """Trees in which no file is a folder: leaves have a suffix that folders cannot have."""
    folders = names().map(lambda name: f"{name}.d")
    paths = st.tuples(st.lists(folders, max_size=3), names().map(lambda name: f"{name}.f")).map(
        lambda parts: "/".join((*parts[0], parts[1]))
    )
    contents = st.builds(InputFile, st.binary(max_size=2).map(digest_bytes), st.booleans())
    return st.dictionaries(paths, contents, min_size=1, max_size=8)


@PROFILE
@given(input_files(), st.integers(0, 1000))
def test_the_order_of_insertion_does_not_matter(files: dict[str, InputFile], seed: int) -> None:
    shuffled = list(files.items())
    random.Random(seed).shuffle(shuffled)
    tree, other = build_input_tree(files), build_input_tree(dict(shuffled))
    assert (tree.root, tree.directories, list(tree.files)) == (other.root, other.directories, sorted(files))


@PROFILE
@given(input_files(), st.data())
def test_name_bit_and_content_change_the_root(files: dict[str, InputFile], data: st.DataObject) -> None:
    root = build_input_tree(files).root
    path = data.draw(st.sampled_from(sorted(files)))
    file = files[path]
    others = {key: value for key, value in files.items() if key != path}
    changed = [
        others,
        {**others, f"{path}x": file},
        {**others, f"folder/{path}": file},
        {**others, path: InputFile(file.digest, not file.is_executable)},
        {**others, path: InputFile(digest_bytes(b"other"), file.is_executable)},
    ]
    roots = [build_input_tree(each).root for each in changed]
    assert root not in roots
    assert len(set(roots)) == len(roots)


@PROFILE
@given(input_files())
def test_every_folder_can_be_found_from_the_root(files: dict[str, InputFile]) -> None:
    tree = build_input_tree(files)
    found: dict[str, InputFile] = {}
    reached = set()
    pending = [("", tree.root)]
    while pending:
        prefix, digest = pending.pop()
        reached.add(digest)
        assert digest_bytes(tree.directories[digest]) == digest
        message = DIRECTORY.decode(tree.directories[digest])
        files_here = _children(message, "files")
        folders_here = _children(message, "directories")
        for here in (files_here, folders_here):
            assert [child.name.encode() for child in here] == sorted(child.name.encode() for child in here)
        for child in files_here:
            found[prefix + child.name] = InputFile(_digest(child), child.is_executable)
        pending += [(f"{prefix}{child.name}/", _digest(child)) for child in folders_here]
    assert found == files
    assert reached == set(tree.directories)


def _children(message: object, field: str) -> list[Any]:
    return list(getattr(message, field))


def _digest(child: Any) -> Digest:
    return Digest(child.digest.hash, child.digest.size_bytes)


def test_the_empty_tree_is_the_empty_blob() -> None:
    tree = build_input_tree({})
    assert tree.root == EMPTY_DIGEST
    assert tree.directories == {EMPTY_DIGEST: b""}


def test_equal_folders_are_kept_once() -> None:
    tree = build_input_tree({"a/x": FILE, "b/x": FILE})
    assert len(tree.directories) == 2


@pytest.mark.parametrize("path", ["", "/a", "a/", "a//b", ".", "./a", "..", "a/../b", "a\0b", "a/\udcff", "/"])
def test_other_than_relative_paths_are_refused(path: str) -> None:
    with pytest.raises(ValueError):
        build_input_tree({path: FILE})


@pytest.mark.parametrize("paths", [("a", "a/b"), ("a/b/c", "a/b"), ("x/a/b/c", "x/a")])
def test_a_path_is_not_a_file_and_a_folder(paths: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="file and a folder"):
        build_input_tree(dict.fromkeys(paths, FILE))


def test_a_very_deep_path_is_no_problem() -> None:
    assert len(build_input_tree({"d/" * 2000 + "f": FILE}).directories) == 2001


def test_ten_thousand_files_take_a_moment() -> None:
    files = {f"in/{index % 7}/image {index:05}.png": FILE for index in range(10_000)}
    build_input_tree({})  # loads protobuf
    seconds = min(_seconds(files) for _ in range(3))
    assert seconds < 0.25  # some 0.025 s on a quiet machine


def _seconds(files: dict[str, InputFile]) -> float:
    started = perf_counter()
    build_input_tree(files)
    return perf_counter() - started
