"""Headers of NumPy files, read without NumPy: real ones, and whatever else may have such a name."""

from __future__ import annotations

import io
import struct
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlpubuild.project.arrays import npy_header, npz_headers

if TYPE_CHECKING:
    from collections.abc import Callable

FUZZ = settings(derandomize=True, database=None, deadline=None, max_examples=100)
HEADER = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"


def npy(text: str = HEADER, *, version: int = 1, length: int | None = None, data: bytes = bytes(24)) -> bytes:
    """Return a `.npy` file written by hand."""
    encoded = text.encode()
    size = len(encoded) if length is None else length
    return b"\x93NUMPY" + bytes((version, 0)) + struct.pack("<H" if version == 1 else "<I", size) + encoded + data


def saved(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("dtype", ["u1", "i1", "<f4", ">f8", "<f2", "<i8", "?", "<u2"])
@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_what_numpy_writes_is_read(tmp_path: Path, dtype: str, version: tuple[int, int]) -> None:
    array = np.zeros((5, 4, 3), dtype)
    with (tmp_path / "a.npy").open("wb") as stream:
        np.lib.format.write_array(stream, array, version=version)
    header = npy_header(tmp_path / "a.npy")
    assert (header.shape, header.rows) == ((5, 4, 3), 5)
    assert np.dtype(header.descr) == array.dtype


@pytest.mark.parametrize("shape", [(), (7,), (0, 3), (1, 2, 3, 4, 5)])
def test_every_rank_is_read(tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.save(tmp_path / "a.npy", np.zeros(shape))
    header = npy_header(tmp_path / "a.npy")
    assert header.shape == shape
    assert header.rows == (shape[0] if shape else 0)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_the_arrays_of_an_archive_are_sorted_by_name(tmp_path: Path, save: Callable[..., None]) -> None:
    save(tmp_path / "a.npz", second=np.zeros((4, 2)), first=np.zeros((4, 3), "u1"), **{"with/slash": np.zeros(4)})
    headers = npz_headers(tmp_path / "a.npz")
    assert [(each.name, each.shape) for each in headers] == [
        ("first", (4, 3)),
        ("second", (4, 2)),
        ("with/slash", (4,)),
    ]


def test_other_members_of_an_archive_are_passed_over(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros(3))
    with zipfile.ZipFile(tmp_path / "a.npz", "a") as archive:
        archive.writestr("notes.txt", "not an array")
    assert [header.name for header in npz_headers(tmp_path / "a.npz")] == ["x"]


@pytest.mark.parametrize(
    "header",
    [
        '{"shape": (2,3), "descr": "<f4", "fortran_order": true}',
        "{'shape': (2L, 3L), 'fortran_order': False, 'descr': '<f4'}",
        "  {'descr':'<f4','shape':(2,3,)}   \n",
    ],
)
def test_headers_of_other_writers_are_read(tmp_path: Path, header: str) -> None:
    assert npy_header(saved(tmp_path / "a.npy", npy(header))).shape == (2, 3)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "begin"),
        (b"not an array", "begin"),
        (b"\x93NUMPY", "begin"),
        (b"\x93NUMPY\x01\x00", "header"),
        (b"\x93NUMPY\x01\x00\x10", "header"),
        (b"\x93NUMPY\x01\x00\x10\x00{'descr'", "header"),
        (npy(version=9), "version"),
        (npy(version=0), "version"),
        (npy(length=9_000), "header"),
        (npy(version=2, length=0xFFFFFFFF), "4294967295"),
        (npy(version=3, length=0x7FFFFFFF), "2147483647"),
        (npy("{}"), "numbers"),
        (npy("{'descr': '<f4'}"), "shape"),
        (npy("{'descr': '|O', 'shape': (2, 3)}"), "numbers"),
        (npy("{'descr': '<U5', 'shape': (2, 3)}"), "numbers"),
        (npy("{'descr': '<c8', 'shape': (2, 3)}"), "numbers"),
        (npy("{'descr': '<M8[s]', 'shape': (2, 3)}"), "numbers"),
        (npy("{'descr': [('a', '<f4')], 'shape': (2, 3)}"), "numbers"),
        (npy("{'descr': '<f4', 'shape': (2, -3)}"), "shape"),
        (npy("{'descr': '<f4', 'shape': (2,, 3)}"), "shape"),
        (npy("{'descr': '<f4', 'shape': (" + "1," * 65 + ")}"), "shape"),
        (npy("{'descr': '<f4', 'shape': (" + "9" * 19 + ",)}"), "shape"),
        (npy("{'descr': '<f4', 'shape': (999999999999,)}"), "999999999999"),
        (npy("{'descr': '<f4', 'shape': __import__('os')}"), "shape"),
    ],
)
def test_what_is_not_an_array_is_refused_and_why_is_said(tmp_path: Path, data: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        npy_header(saved(tmp_path / "a.npy", data))


def test_objects_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object))
    np.savez(tmp_path / "a.npz", x=np.array(["text"]))
    with pytest.raises(ValueError, match="numbers"):
        npy_header(tmp_path / "a.npy")
    with pytest.raises(ValueError, match=r'array "x".*numbers'):
        npz_headers(tmp_path / "a.npz")


def test_an_array_that_was_cut_short_is_noticed(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((10, 4)))
    whole = (tmp_path / "a.npy").read_bytes()
    assert npy_header(saved(tmp_path / "more.npy", whole + b"more")).rows == 10
    with pytest.raises(ValueError, match="cut short"):
        npy_header(saved(tmp_path / "less.npy", whole[:-1]))


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", b"no zip at all", b"PK\x05\x06" + bytes(17)])
def test_an_archive_that_is_none_is_refused(tmp_path: Path, damage: bytes) -> None:
    with pytest.raises(ValueError, match="npz"):
        npz_headers(saved(tmp_path / "a.npz", damage))


def test_an_encrypted_archive_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros(3))
    data = bytearray((tmp_path / "a.npz").read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(ValueError, match="npz"):
        npz_headers(saved(tmp_path / "b.npz", bytes(data)))


def test_a_file_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        npy_header(tmp_path / "nothing.npy")
    with pytest.raises(FileNotFoundError):
        npz_headers(tmp_path / "nothing.npz")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "file"


@FUZZ
@given(
    data=st.binary(max_size=200),
    prefix=st.sampled_from([b"", b"\x93NUMPY", b"\x93NUMPY\x01\x00", b"\x93NUMPY\x03\x00"]),
)
def test_any_bytes_are_an_array_or_a_value_error(place: Path, data: bytes, prefix: bytes) -> None:
    with suppress(ValueError):
        npy_header(saved(place, prefix + data))


@FUZZ
@given(text=st.text(alphabet="{}()[]':, <f4|Odescrshape0123456789L-\\\n", max_size=80))
def test_any_header_is_read_or_a_value_error(place: Path, text: str) -> None:
    for full in (text, "{'descr': '<f4', 'shape': " + text, text + "'shape': (2, 3)"):
        with suppress(ValueError):
            npy_header(saved(place, npy(full)))


@FUZZ
@given(
    changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=6),
    cut=st.integers(0, 99),
)
def test_a_damaged_archive_is_read_or_a_value_error(place: Path, changes: list[tuple[int, int]], cut: int) -> None:
    stream = io.BytesIO()
    np.savez_compressed(stream, x=np.arange(50.0), y=np.zeros((50, 2), "u1"))
    data = bytearray(stream.getvalue())
    for position, value in changes:
        data[position % len(data)] = value
    with suppress(ValueError):
        npz_headers(saved(place, bytes(data[: len(data) - cut])))
