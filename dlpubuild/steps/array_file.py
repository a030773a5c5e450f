"""Samples in `.npy` and `.npz` files, read with the standard library alone, for toolchains that have no NumPy.

In: a file of bytes (uint8), one row a sample. Out: rows as `bytes`. The format is that of numpy/lib/format.py, versions
1 to 3. Whatever cannot be read is a `ValueError` that says why; nothing is unpickled.
"""

import ast
import io
import struct
import zipfile

_MAGIC = b"\x93NUMPY"
_UINT8 = ("|u1", "<u1", ">u1", "u1")
_MAX_HEADER_BYTES = 1 << 16


class Rows:
    """The samples of one array: `shape` is that of one sample."""

    def __init__(self, stream):
        """Read the header; `stream` has to be one that can be sought in."""
        description = _header(stream)
        dtype, shape = description["descr"], tuple(description["shape"])
        if dtype not in _UINT8:
            raise ValueError("its values are of type {}, not uint8".format(dtype))
        if description["fortran_order"]:
            raise ValueError("its values are in Fortran's order")
        if not shape:
            raise ValueError("it is a single value")
        self.count, self.shape = shape[0], shape[1:]
        self._stream = stream
        self._start = stream.tell()
        self._bytes = 1
        for size in self.shape:
            self._bytes *= size

    def row(self, index):
        """Return one sample."""
        self._stream.seek(self._start + index * self._bytes)
        content = self._stream.read(self._bytes)
        if len(content) != self._bytes:
            raise ValueError("it ends before sample {}".format(index))
        return content


def open_npy(path):
    """Return the samples of a `.npy` file.

    Raises:
        ValueError: it cannot be read.
    """
    return Rows(io.BytesIO(_content(path)))


def open_npz(path):
    """Return the samples of each array of an `.npz` file, by name; what is wrong with one, in its place, as the error.

    Raises:
        ValueError: it cannot be read.
    """
    arrays = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith(".npy"):
                    try:
                        arrays[name[: -len(".npy")]] = Rows(io.BytesIO(archive.read(name)))
                    except ValueError as error:
                        arrays[name[: -len(".npy")]] = error
    except (OSError, EOFError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zipfile.zlib.error) as error:
        raise ValueError("it cannot be read: {}".format(error)) from error
    return arrays


def _content(path):
    with open(path, "rb") as stream:
        return stream.read()


def _header(stream):
    start = stream.read(8)
    if start[:6] != _MAGIC or len(start) != 8:  # noqa: PLR2004 - the magic and two bytes of version
        raise ValueError("it is no .npy file")
    code = "<H" if start[6] == 1 else "<I"
    try:
        (length,) = struct.unpack(code, stream.read(struct.calcsize(code)))
        if length > _MAX_HEADER_BYTES:
            raise ValueError("its header is too long")
        description = ast.literal_eval(stream.read(length).decode("utf-8"))
        if not all(isinstance(size, int) and size >= 0 for size in description["shape"]):
            raise ValueError("its shape is {}".format(description["shape"]))
        if not {"descr", "fortran_order"} <= set(description):
            raise ValueError("its header lacks a key")
    except (struct.error, SyntaxError, KeyError, TypeError, UnicodeDecodeError, MemoryError, RecursionError) as error:
        raise ValueError("its header is damaged: {}".format(error)) from error
    return description
