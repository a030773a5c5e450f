"""What a `.npy` or `.npz` file says of its arrays, read without NumPy.

In: a path. Out: name, shape and type of each array; the values of one that has a number per sample. Values of samples
are never read here; that they are all there is told by the file's size. Source of the format: numpy.lib.format,
versions 1.0 to 3.0.
"""

from __future__ import annotations

import math
import os
import re
import struct
import zipfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_MAGIC = b"\x93NUMPY"
# numpy.lib.format refuses longer ones, because reading them is not safe.
_MAX_HEADER_BYTES = 10_000
# As many as a manifest can ask for; each is ranked.
_MAX_ROWS = 1_000_000
_MAX_DIMENSIONS = 64
# The header is a Python dictionary. NumPy writes single quotes; other writers need not.
_DESCR = re.compile(r"""['"]descr['"]\s*:\s*['"]([^'"]*)['"]""")
_SHAPE = re.compile(r"""['"]shape['"]\s*:\s*\(([0-9,\sL]*)\)""")
_NUMBER_TYPE = re.compile(r"[<>|=]?[biuf]([0-9]{1,2})")
# NumPy's types as `struct` calls them.
_STRUCT_CODES = {
    "b1": "?",
    "i1": "b",
    "i2": "h",
    "i4": "i",
    "i8": "q",
    "u1": "B",
    "u2": "H",
    "u4": "I",
    "u8": "Q",
    "f2": "e",
    "f4": "f",
    "f8": "d",
}
_SIZE = re.compile(r"\s*([0-9]{1,18})L?\s*")  # Python 2 wrote an L


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayHeader:
    """Shape and type of one array; `descr` is NumPy's type string, such as `|u1` or `<f4`."""

    name: str
    shape: tuple[int, ...]
    descr: str

    @property
    def rows(self) -> int:
        """Length of the first dimension, 0 for a scalar."""
        return self.shape[0] if self.shape else 0


def npy_header(path: Path) -> ArrayHeader:
    """Return the header of a `.npy` file.

    Raises:
        ValueError: the file is not what its name says, or not whole; the text says why.
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        return _read_header(stream, "", os.fstat(stream.fileno()).st_size)


def npz_headers(path: Path) -> tuple[ArrayHeader, ...]:
    """Return the headers of all arrays of a `.npz` file, sorted by name.

    Raises:
        ValueError: the file is not what its name says, or not whole; the text says why.
        OSError: it cannot be opened.
    """
    with path.open("rb") as stream:
        try:
            with zipfile.ZipFile(stream) as archive:
                members = {info.filename: info for info in archive.infolist() if info.filename.endswith(".npy")}
                return tuple(_member_header(archive, members[name]) for name in sorted(members))
        except ValueError:
            raise
        except Exception as error:  # zipfile raises whatever the part that stumbled raises
            raise ValueError(f"it is not a readable .npz archive ({error})") from error


def npz_numbers(path: Path, name: str) -> tuple[float, ...]:
    """Return the values of the array `name` of a `.npz` file, which has one number per sample.

    Raises:
        ValueError: it is no such array, or not readable; the text says why.
        OSError: the file cannot be opened.
    """
    with path.open("rb") as stream:
        try:
            with zipfile.ZipFile(stream) as archive, archive.open(f"{name}.npy") as member:
                header = _read_header(member, name, archive.getinfo(f"{name}.npy").file_size)
                return _numbers(member, header)
        except ValueError:
            raise
        except Exception as error:  # as in `npz_headers`
            raise ValueError(f'array "{name}" cannot be read ({error})') from error


def _numbers(stream: IO[bytes], header: ArrayHeader) -> tuple[float, ...]:
    kind = header.descr.lstrip("<>|=")
    if header.rows != math.prod(header.shape):
        raise ValueError(f'array "{header.name}" has the shape {list(header.shape)}, not one number per sample')
    if kind not in _STRUCT_CODES:
        raise ValueError(f'array "{header.name}" has numbers of type {kind}; store whole numbers')
    order = ">" if header.descr.startswith(">") else "<"
    data = stream.read(header.rows * int(kind[1:]))
    return struct.unpack(f"{order}{header.rows}{_STRUCT_CODES[kind]}", data)


def _member_header(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> ArrayHeader:
    name = info.filename.removesuffix(".npy")
    with archive.open(info) as member:
        try:
            return _read_header(member, name, info.file_size)
        except ValueError as error:
            raise ValueError(f'array "{name}": {error}') from error


def _read_header(stream: IO[bytes], name: str, size_bytes: int) -> ArrayHeader:
    text, header_bytes = _header_text(stream)
    descr, shape = _DESCR.search(text), _SHAPE.search(text)
    number = _NUMBER_TYPE.fullmatch(descr[1]) if descr else None
    if descr is None or number is None:
        raise ValueError("it holds something else than plain numbers")
    if shape is None:
        raise ValueError("its header has no shape")
    header = ArrayHeader(name=name, shape=_sizes(shape[1]), descr=descr[1])
    if header.rows > _MAX_ROWS:
        raise ValueError(f"it claims {header.rows} samples; {_MAX_ROWS} are the most")
    wanted_bytes = header_bytes + math.prod(header.shape) * int(number[1])
    if size_bytes < wanted_bytes:
        raise ValueError(f"it is cut short: it has {size_bytes} bytes of {wanted_bytes}")
    return header


def _header_text(stream: IO[bytes]) -> tuple[str, int]:
    """Return the header's dictionary as text, and how many bytes lie before the values."""
    start = stream.read(8)
    if start[:6] != _MAGIC or len(start) < 8:  # noqa: PLR2004 - magic and two version bytes
        raise ValueError("it does not begin as a NumPy array does")
    if start[6] not in (1, 2, 3):
        raise ValueError(f"it is of version {start[6]}.{start[7]} of NumPy's format, which is not known")
    length_format = "<H" if start[6] == 1 else "<I"  # version 2.0 widened the field
    raw = stream.read(struct.calcsize(length_format))
    length = struct.unpack(length_format, raw)[0] if len(raw) == struct.calcsize(length_format) else 0
    if length > _MAX_HEADER_BYTES:
        raise ValueError(f"its header claims to be {length} bytes long")
    text = stream.read(length)
    if not length or len(text) != length:
        raise ValueError("it ends within its header")
    return text.decode("latin-1"), len(start) + len(raw) + length


def _sizes(text: str) -> tuple[int, ...]:
    parts = text.split(",")
    if not parts[-1].strip():
        parts.pop()
    matches = [_SIZE.fullmatch(part) for part in parts]
    if len(parts) > _MAX_DIMENSIONS or not all(matches):
        raise ValueError("its header has no valid shape")
    return tuple(int(match[1]) for match in matches if match)
