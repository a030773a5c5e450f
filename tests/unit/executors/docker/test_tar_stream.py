"""Reading archives: what engines write is read as Python reads it, and all else is refused."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlpubuild.executors.docker.tar_stream import Kind, TarFaultError, TarStream
from tests.unit.executors.docker.archives import (
    BLOCK,
    END,
    Entry,
    Form,
    archive,
    folder,
    header,
    padded,
    pax,
    reader,
    record,
)

Read = list[tuple[str, Kind, bytes]]


def read(data: bytes, *, at_most: int | None = None) -> Read:
    stream = TarStream(reader(data, at_most=at_most))
    return [(member.name, member.kind, b"".join(stream.content())) for member in stream.members()]


def fault(data: bytes) -> str:
    with pytest.raises(TarFaultError) as caught:
        read(data)
    return str(caught.value)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("at_most", [None, 1, 700])
def test_names_kinds_and_content_are_read(form: Form, at_most: int | None) -> None:
    data = archive(
        folder("out"),
        Entry(name="out/a", content=b"x" * 1000, mode=0o755),
        Entry(name="out/empty"),
        Entry(name="out/link", kind=tarfile.SYMTYPE, link="/etc/passwd"),
        Entry(name="out/hard", kind=tarfile.LNKTYPE, link="out/a"),
        Entry(name="out/pipe", kind=tarfile.FIFOTYPE),
        Entry(name="out/tty", kind=tarfile.CHRTYPE),
        form=form,
    )
    assert read(data, at_most=at_most) == [
        ("out/", Kind.FOLDER, b""),
        ("out/a", Kind.FILE, b"x" * 1000),
        ("out/empty", Kind.FILE, b""),
        ("out/link", Kind.SYMBOLIC_LINK, b""),
        ("out/hard", Kind.HARD_LINK, b""),
        ("out/pipe", Kind.PIPE, b""),
        ("out/tty", Kind.DEVICE, b""),
    ]


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_and_links_are_read(form: Form) -> None:
    name, link = "out/" + "n" * 300, "l" * 200
    data = archive(Entry(name=name, kind=tarfile.SYMTYPE, link=link), Entry(name="out/next"), form=form)
    members = list(TarStream(reader(data)).members())
    assert [(member.name, member.link) for member in members] == [(name, link), ("out/next", "")]


def test_a_name_split_into_prefix_and_name_is_put_together() -> None:
    name = "out/" + "/".join(["d" * 40] * 4)
    assert read(archive(Entry(name=name), form=tarfile.USTAR_FORMAT))[0][0] == name


def test_content_that_is_not_asked_for_is_skipped() -> None:
    data = archive(Entry(name="a", content=b"x" * 3_000_001), Entry(name="b", content=b"y"))
    assert [member.name for member in TarStream(reader(data)).members()] == ["a", "b"]


def test_mode_and_owner_are_read() -> None:
    member = next(TarStream(reader(archive(Entry(name="a", mode=0o4755)))).members())
    assert (member.mode, member.uid) == (0o4755, 0)


def test_a_name_of_other_bytes_than_utf8_is_kept() -> None:
    assert read(header(b"out/\xff") + END)[0][0] == "out/\udcff"


def test_an_archive_of_nothing_is_read() -> None:
    assert read(END) == []


@pytest.mark.parametrize("keep", [0, 1, 511, 512, 513, 1000, 1024, 1536])
def test_an_archive_that_ends_early_is_refused(keep: int) -> None:
    data = header(b"out/a", size=600) + padded(b"x" * 600) + END
    assert "ends early" in fault(data[:keep])


def test_a_cut_off_member_is_named() -> None:
    assert fault(archive(Entry(name="out/a", content=b"short", stated=10_000))).startswith("out/a: is cut off")


@pytest.mark.parametrize(
    "size_field",
    [b"-0000000001\0", b"00000000x00\0", b"\xff" * 12, b"0b100000000\0", "²0000000000"[:11].encode("utf-8")[:12]],
    ids=["minus", "letter", "binary-minus", "python", "superscript"],
)
def test_a_size_that_is_no_number_is_refused(size_field: bytes) -> None:
    assert "number that is none" in fault(header(b"out/a", size_field=size_field) + END)


def test_a_huge_binary_size_is_read_as_such() -> None:
    data = header(b"out/a", size_field=b"\x80" + b"\xff" * 11) + END
    assert next(TarStream(reader(data)).members()).size_bytes == (1 << 88) - 1


@pytest.mark.parametrize("kind", [tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_what_is_no_file_has_no_content(kind: bytes) -> None:
    assert "with content" in fault(archive(Entry(name="out/a", content=b"x" * 600, kind=kind)))


@pytest.mark.parametrize("kind", [b"S", b"g", b"D", b"M", b"V", b"N", b"A", b"\xff"])
def test_kinds_that_engines_do_not_write_are_refused(kind: bytes) -> None:
    assert "not known" in fault(header(b"out/a", kind=kind) + END)


def test_sparse_files_are_refused() -> None:
    data = pax(record("path", "out/s"), record("GNU.sparse.major", "1")) + header(b"x") + END
    assert fault(data).startswith("out/s: is a sparse file")


@pytest.mark.parametrize("position", [0, 100, 130, 150, 156, 300, 511])
def test_a_header_with_a_flipped_bit_is_refused(position: int) -> None:
    raw = bytearray(header(b"out/a") + END)
    raw[position] ^= 1
    fault(bytes(raw))


@pytest.mark.parametrize("data", [b"not a tar" * 200, b"\x1f\x8b" + bytes(2000), b"PK\x03\x04" * 300])
def test_what_is_no_archive_is_refused(data: bytes) -> None:
    fault(data)


def test_a_single_empty_block_is_no_end() -> None:
    assert "damaged" in fault(header(b"a") + bytes(BLOCK) + header(b"b") + END)


@pytest.mark.parametrize(
    "content",
    [
        b"99 path=x\n",
        b"0 path=x\n",
        b"9 path=x",
        b"8 path=x\n",
        b"10 path\nxx\n",
        b"x path=y\n",
        b" path=y\n",
        b"9" * 600,
        record("path", "a") + record("path", "b"),
    ],
    ids=["long", "zero", "no-end", "short", "no-equals", "no-number", "no-length", "digits", "twice"],
)
def test_a_damaged_extension_header_is_refused(content: bytes) -> None:
    assert "damaged PAX header" in fault(pax(content) + header(b"a") + END)


@pytest.mark.parametrize("value", ["", "-1", "1e3", " 1", "9" * 5000, "²"])
def test_a_size_in_an_extension_header_has_to_be_a_number(value: str) -> None:
    assert "number that is none" in fault(pax(record("size", value)) + header(b"a") + END)


def test_a_size_in_an_extension_header_counts() -> None:
    data = pax(record("size", "3")) + header(b"a", size=0) + padded(b"abc") + END
    assert read(data) == [("a", Kind.FILE, b"abc")]


def test_extended_attributes_are_passed_over() -> None:
    data = pax(record("SCHILY.xattr.user.x", "y" * 70_000), record("mtime", "1.5")) + header(b"a") + END
    assert [name for name, _, _ in read(data)] == ["a"]


@pytest.mark.parametrize(
    "data",
    [
        pax(record("mtime", "1")) * 2 + header(b"a") + END,
        header(b"@", size=2, kind=b"L") + padded(b"b\0") + pax(record("path", "c")) + header(b"a") + END,
        (header(b"@", size=2, kind=b"L") + padded(b"b\0")) * 2 + header(b"a") + END,
    ],
    ids=["pax-twice", "long-and-pax", "long-twice"],
)
def test_a_member_has_one_header_of_a_kind(data: bytes) -> None:
    assert "two headers" in fault(data)


def test_endless_extension_headers_are_not_read() -> None:
    assert "header of" in fault(header(b"x", size=1 << 30, kind=b"x") + bytes(4096))


def test_an_extension_header_needs_a_member() -> None:
    assert "damaged" in fault(pax(record("path", "a")) + END)


names = st.lists(
    st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=60), min_size=1, max_size=6
).map("/".join)


@settings(derandomize=True, database=None, deadline=None)
@given(
    st.lists(st.tuples(names, st.binary(max_size=1500), st.integers(0, 0o7777)), max_size=8),
    st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    st.integers(1, 2000),
)
def test_every_archive_is_read_as_python_reads_it(
    files: list[tuple[str, bytes, int]], form: Form, at_most: int
) -> None:
    data = archive(*(Entry(name=name, content=content, mode=mode) for name, content, mode in files), form=form)
    with tarfile.open(fileobj=io.BytesIO(data), encoding="utf-8", errors="surrogateescape") as known:
        expected = [(member.name, member.mode) for member in known]
    stream = TarStream(reader(data, at_most=at_most))
    found = [(member, b"".join(stream.content())) for member in stream.members()]
    # Python strips a slash at the end of a name.
    assert [(member.name.rstrip("/"), member.mode) for member, _ in found] == [
        (name.rstrip("/"), mode) for name, mode in expected
    ]
    assert [content for _, content in found] == [content for _, content, _ in files]


@settings(derandomize=True, database=None, deadline=None)
@given(st.data())
def test_a_damaged_archive_is_read_or_refused_and_nothing_else(data: st.DataObject) -> None:
    good = bytearray(
        archive(folder("out"), Entry(name="out/a", content=b"abc"), Entry(name="out/" + "n" * 200, content=b"d" * 600))
    )
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(good) - 1))
        good[position] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(good)))
    stream = TarStream(reader(bytes(good[:cut])))
    taken = 0
    try:
        for member in stream.members():
            assert member.size_bytes >= 0
            taken += sum(map(len, stream.content()))
    except TarFaultError:
        pass
    assert taken <= len(good)
