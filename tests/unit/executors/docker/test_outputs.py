"""What an engine sends back is taken apart as if an enemy had packed it."""

from __future__ import annotations

import stat
import tarfile
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlpubuild.errors import ErrorCode, InterruptedBuildError
from dlpubuild.executors.docker.outputs import Bounds, OutputReader
from dlpubuild.executors.docker.tar_stream import TarFaultError
from tests.unit.executors.docker.archives import Entry, archive, folder, reader

if TYPE_CHECKING:
    from pathlib import Path

DECLARED = ("out/model", "out/deep/step.json")
GOOD = (
    folder("out"),
    folder("out/deep"),
    Entry(name="out/deep/step.json", content=b"{}"),
    Entry(name="out/model", content=b"m" * 5000),
)


def take(folder: Path, *entries: Entry, bounds: Bounds | None = None, data: bytes | None = None) -> dict[str, bytes]:
    """Read an archive and return what it left, by path."""
    kept = folder / "received"
    kept.mkdir()
    taker = OutputReader(root="out", declared=DECLARED, folder=kept, bounds=bounds or Bounds())
    taker.take(reader(archive(*entries) if data is None else data))
    return left(kept)


def left(kept: Path) -> dict[str, bytes]:
    return {str(path.relative_to(kept)): path.read_bytes() for path in sorted(kept.rglob("*")) if path.is_file()}


def refused(tmp_path: Path, *entries: Entry, bounds: Bounds | None = None) -> TarFaultError:
    with pytest.raises(TarFaultError) as caught:
        take(tmp_path, *entries, bounds=bounds)
    return caught.value


def test_declared_files_are_kept_under_their_names(tmp_path: Path) -> None:
    assert take(tmp_path, *GOOD) == {"out/deep/step.json": b"{}", "out/model": b"m" * 5000}


def test_the_executable_bit_is_kept_and_no_other(tmp_path: Path) -> None:
    take(tmp_path, folder("out"), Entry(name="out/model", mode=0o6777), folder("out/deep"))
    assert stat.S_IMODE((tmp_path / "received/out/model").stat().st_mode) == 0o755


def test_a_file_that_was_not_written_is_not_there(tmp_path: Path) -> None:
    assert take(tmp_path, folder("out")) == {}


def test_what_is_not_declared_is_skipped_whatever_it_is(tmp_path: Path) -> None:
    junk = (
        Entry(name="out/notes", content=b"n" * 700),
        Entry(name="out/link", kind=tarfile.SYMTYPE, link="/etc/shadow"),
        Entry(name="out/other", kind=tarfile.LNKTYPE, link="out/notes"),
        Entry(name="out/pipe", kind=tarfile.FIFOTYPE),
        Entry(name="out/null", kind=tarfile.CHRTYPE),
        Entry(name="out/secret", content=b"s", mode=0),
        folder("out/modeldir"),
        Entry(name="out/modeldir/model", content=b"x"),
    )
    assert sorted(take(tmp_path, *GOOD[:2], *junk, *GOOD[2:])) == ["out/deep/step.json", "out/model"]


@pytest.mark.parametrize(
    ("entry", "word"),
    [
        (Entry(name="out/model", kind=tarfile.SYMTYPE, link="/etc/shadow"), "symbolic link"),
        (Entry(name="out/model", kind=tarfile.SYMTYPE, link="gone"), "symbolic link"),
        (Entry(name="out/model", kind=tarfile.LNKTYPE, link="out/notes"), "hard link"),
        (Entry(name="out/model", kind=tarfile.FIFOTYPE), "pipe"),
        (Entry(name="out/model", kind=tarfile.CHRTYPE), "device"),
        (Entry(name="out/model", kind=tarfile.BLKTYPE), "device"),
        (folder("out/model"), "folder"),
        (Entry(name="out/model", content=b"x", mode=0o200), "mode is 0200"),
        (Entry(name="out/model", content=b"x", stated=5000), "ends early"),
    ],
    ids=["link", "dangling", "hard-link", "pipe", "character", "block", "folder", "unreadable", "cut-off"],
)
def test_an_output_has_to_be_a_plain_file(tmp_path: Path, entry: Entry, word: str) -> None:
    fault = refused(tmp_path, folder("out"), Entry(name="out/notes"), entry)
    assert fault.member == "out/model"
    assert word in fault.what


@pytest.mark.parametrize(
    "entry",
    [
        Entry(name="out/deep", kind=tarfile.SYMTYPE, link="/"),
        Entry(name="out/deep", content=b"a file"),
        Entry(name="out/deep", kind=tarfile.LNKTYPE, link="out/notes"),
    ],
    ids=["link", "file", "hard-link"],
)
def test_the_folder_of_an_output_has_to_be_a_folder(tmp_path: Path, entry: Entry) -> None:
    fault = refused(tmp_path, folder("out"), entry, Entry(name="out/deep/step.json", content=b"{}"))
    assert fault.member == "out/deep"


@pytest.mark.parametrize("link", ["out/model", "./out/model"])
def test_an_output_with_a_second_name_is_refused(tmp_path: Path, link: str) -> None:
    fault = refused(tmp_path, *GOOD, Entry(name="out/z", kind=tarfile.LNKTYPE, link=link))
    assert (fault.member, fault.what) == ("out/model", "has a second name, out/z")


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "../escaped",
        "out/../../escaped",
        "out/..",
        "..",
        ".",
        "./out/model",
        "out//model",
        "out/./model",
        "other/model",
        "model",
        "outer",
        "out/model\0",
        "//out/model",
    ],
)
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    # In an extension header, where a name may hold anything.
    fault = refused(tmp_path, folder("out"), Entry(name=name + "é" if "\0" in name else name, content=b"x"))
    assert fault.member
    assert list(tmp_path.iterdir()) == [tmp_path / "received"]
    assert left(tmp_path / "received") == {}


def test_a_name_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path, *GOOD, GOOD[3]).what == "is there twice"


def test_a_folder_that_is_there_twice_under_another_kind_is_refused(tmp_path: Path) -> None:
    again = Entry(name="out/deep", kind=tarfile.SYMTYPE, link="/")
    assert refused(tmp_path, *GOOD[:2], again, *GOOD[2:]).member == "out/deep"


def test_the_number_of_members_is_bounded(tmp_path: Path) -> None:
    many = [Entry(name=f"out/{number}") for number in range(12)]
    fault = refused(tmp_path, folder("out"), *many, bounds=Bounds(members=10))
    assert "more than 10" in fault.what


def test_the_bytes_are_bounded_before_they_are_read(tmp_path: Path) -> None:
    large = Entry(name="out/model", content=b"x" * 1000, stated=1 << 40)
    fault = refused(tmp_path, folder("out"), large, bounds=Bounds(total_bytes=1 << 30))
    assert fault.member == "out/model"
    assert "more than 1GiB" in fault.what


def test_bytes_that_are_not_declared_count(tmp_path: Path) -> None:
    entries = [Entry(name=f"out/{number}", content=b"x" * 1000) for number in range(3)]
    assert refused(tmp_path, folder("out"), *entries, bounds=Bounds(total_bytes=2500)).member == "out/2"


@pytest.mark.parametrize("name", ["out/" + "d/" * 300 + "f", "out/" + "n" * 5000])
def test_names_are_bounded(tmp_path: Path, name: str) -> None:
    assert "too long a name" in refused(tmp_path, folder("out"), Entry(name=name)).what


def test_cancelling_ends_the_reading(tmp_path: Path) -> None:
    def check() -> None:
        raise InterruptedBuildError(ErrorCode.INTERRUPTED, "interrupted")

    taker = OutputReader(root="out", declared=DECLARED, folder=tmp_path, check=check)
    with pytest.raises(InterruptedBuildError):
        taker.take(reader(archive(*GOOD)))


parts = st.sampled_from(["out", "model", "deep", "step.json", "..", ".", "", "etc", "\0", "\udcff"])
entries = st.builds(
    Entry,
    name=st.lists(parts, min_size=1, max_size=4).map("/".join),
    content=st.just(b""),
    kind=st.sampled_from(
        [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE]
    ),
    mode=st.integers(0, 0o7777),
    link=st.sampled_from(["/", "..", "out/model", "/etc/passwd", ""]),
)


@settings(derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(entries, max_size=8))
def test_only_declared_plain_files_ever_come_out(
    tmp_path_factory: pytest.TempPathFactory, members: list[Entry]
) -> None:
    base = tmp_path_factory.mktemp("any")
    kept = base / "received"
    kept.mkdir()
    with suppress(TarFaultError):
        OutputReader(root="out", declared=DECLARED, folder=kept).take(reader(archive(folder("out"), *members)))
    assert [path.name for path in base.iterdir()] == ["received"]
    for path in kept.rglob("*"):
        assert not path.is_symlink()
        assert path.is_dir() or str(path.relative_to(kept)) in DECLARED
