"""Naming what was given instead of a `.tflite` file.

In: bytes without the identifier of a TensorFlow Lite model. Out: the error to raise, with what the bytes look
like and what to do. It looks at the first bytes only and never fails.
"""

from __future__ import annotations

import re
from typing import Final

from dlpubuild.tflite.flatbuffer import HEADER_BYTES, NotAModelError

_EXPORT_HINT: Final = "give a .tflite file, or name this file as `source` in the manifest and let the build convert it"
_DOWNLOAD_HINT: Final = "download the file itself: this is the page around it, or a login page"
_LFS_HINT: Final = "run `git lfs pull` in the repository the file comes from"
_UNPACK_HINT: Final = "unpack it and give the .tflite file inside"

# First bytes, what they are, what to do. Protobuf has no magic number: a SavedModel begins with field 1
# (schema version, always 1) and field 2 (a graph); ONNX with field 1 (IR version, 3 or more in every file in
# use) and a field that is not 1.
_FORMATS: Final = (
    (re.compile(rb"\x89HDF\r\n\x1a\n"), "an HDF5 file, such as Keras writes as .h5", _EXPORT_HINT),
    (re.compile(rb"PK\x03\x04"), "a zip archive, such as a .keras file", _EXPORT_HINT),
    (re.compile(rb"\x08\x01\x12"), "a TensorFlow SavedModel's saved_model.pb", _EXPORT_HINT),
    (re.compile(rb"\x08[\x02-\x20][\x12\x1a\x22\x2a\x32\x3a\x42]"), "an ONNX model", _EXPORT_HINT),
    (re.compile(rb"version https://git-lfs\.github\.com/spec/"), "a Git LFS pointer, not the file itself", _LFS_HINT),
    (re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html|head)", re.IGNORECASE), "an HTML page", _DOWNLOAD_HINT),
    (re.compile(rb"\x1f\x8b"), "a gzip archive", _UNPACK_HINT),
)


def describe_foreign(data: bytes) -> NotAModelError:
    """Return the error that says what `data`, which is no TensorFlow Lite model, looks like."""
    if not data:
        return NotAModelError("the file is empty", hint="the download or the conversion that wrote it did not finish")
    for pattern, name, hint in _FORMATS:
        if pattern.match(data):
            return NotAModelError(f"not a TensorFlow Lite model but {name}", hint=hint)
    if len(data) < HEADER_BYTES:
        return NotAModelError(
            f"not a TensorFlow Lite model: {len(data)} bytes are too few",
            hint="the download or the conversion that wrote it did not finish",
        )
    found = data[4:HEADER_BYTES].decode("ascii", errors="backslashreplace")
    return NotAModelError(
        f"not a TensorFlow Lite model: bytes 4 to 7 are {found!r}, not 'TFL3'",
        hint="give a file that a TensorFlow Lite converter wrote",
    )
