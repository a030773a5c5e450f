"""The files of a report in an output folder: written whole, recognized, removed, and never in the way of a package."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from dlpubuild.cas.digest import digest_bytes
from dlpubuild.errors import ErrorCode, OutputError
from dlpubuild.package.removal import package_paths, remove_packages
from dlpubuild.package.report_files import current_report, report_base, stamp_base, stamped_report, write_report
from dlpubuild.package.stamp import stamp_path

if TYPE_CHECKING:
    from pathlib import Path

    from dlpubuild.cas.digest import Digest

BASE = report_base("digits", "1.0.0")
CONTENTS = {"json": b"{}\n", "html": b"<p>", "md": b"# a\n"}


def digest_of(path: Path) -> Digest:
    return digest_bytes(path.read_bytes())


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != ".dlpubuild.lock")


def test_a_report_is_three_files_and_a_stamp(tmp_path: Path) -> None:
    report = write_report(tmp_path / "dist", BASE, "key", CONTENTS)
    files = ["digits-1.0.0-report.html", "digits-1.0.0-report.json", "digits-1.0.0-report.md"]
    assert names(tmp_path / "dist") == [".digits-1.0.0-report.files.stamp.json", *files]
    assert {suffix: report.path(suffix).read_bytes() for suffix in CONTENTS} == CONTENTS
    assert report.written


def test_a_report_that_lies_there_unchanged_is_recognized_by_its_key(tmp_path: Path) -> None:
    write_report(tmp_path, BASE, "key", CONTENTS)
    found = current_report(tmp_path, BASE, "key", digest_of)
    assert found is not None
    assert not found.written
    assert current_report(tmp_path, BASE, "other", digest_of) is None


@pytest.mark.parametrize("suffix", CONTENTS)
def test_one_that_was_changed_or_is_gone_is_written_again(tmp_path: Path, suffix: str) -> None:
    report = write_report(tmp_path, BASE, "key", CONTENTS)
    report.path(suffix).write_bytes(b"mine")
    assert current_report(tmp_path, BASE, "key", digest_of) is None
    report.path(suffix).unlink()
    assert current_report(tmp_path, BASE, "key", digest_of) is None


@pytest.mark.parametrize("stamp", [b"", b"[]", b'{"schema": 1}', b'{"schema": 2}', b"\xff", b"[" * 100_000])
def test_a_damaged_stamp_tells_of_nothing(tmp_path: Path, stamp: bytes) -> None:
    write_report(tmp_path, BASE, "key", CONTENTS)
    stamp_path(tmp_path, stamp_base(BASE)).write_bytes(stamp)
    assert current_report(tmp_path, BASE, "key", digest_of) is None


def test_a_stamp_names_no_files_but_those_of_its_report(tmp_path: Path) -> None:
    write_report(tmp_path, BASE, "key", CONTENTS)
    path = stamp_path(tmp_path, stamp_base(BASE))
    document = json.loads(path.read_text())
    document["files"] |= {"..": str(digest_bytes(b"")), "notes.txt": str(digest_bytes(b""))}
    path.write_text(json.dumps(document))
    assert [each.name for each in stamped_report(path) or ()] == [f"{BASE}.{suffix}" for suffix in CONTENTS]


def test_a_new_report_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    write_report(tmp_path, BASE, "key", CONTENTS)
    before = names(tmp_path)
    write_report(tmp_path, BASE, "other", {**CONTENTS, "md": b"# b\n"})
    assert names(tmp_path) == before
    assert (tmp_path / f"{BASE}.md").read_bytes() == b"# b\n"


def test_a_folder_in_the_way_is_told_and_kept(tmp_path: Path) -> None:
    (tmp_path / f"{BASE}.html").mkdir()
    with pytest.raises(OutputError) as caught:
        write_report(tmp_path, BASE, "key", CONTENTS)
    assert caught.value.code is ErrorCode.OUTPUT
    assert (tmp_path / f"{BASE}.html").is_dir()
    assert [name for name in names(tmp_path) if ".tmp-" in name] == []


def test_clean_finds_reports_of_this_project_only(tmp_path: Path) -> None:
    write_report(tmp_path, BASE, "key", CONTENTS)
    write_report(tmp_path, report_base("digits-large", "1.0.0"), "key", CONTENTS)
    found = package_paths(tmp_path, "digits")
    assert [path.name for path in found] == [
        "digits-1.0.0-report.html",
        "digits-1.0.0-report.json",
        "digits-1.0.0-report.md",
        ".digits-1.0.0-report.files.stamp.json",
    ]
    remove_packages(tmp_path, found)
    assert [name for name in names(tmp_path) if "large" not in name] == []
    assert len(names(tmp_path)) == 4
