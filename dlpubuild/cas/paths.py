"""Relative POSIX paths as an action may contain them.

In: a path from a plan or from a folder of the user. Out: its parts, or a `ValueError` that says what is wrong
with it. Never asks the file system.
"""

from __future__ import annotations

_NOT_A_NAME = frozenset({"", ".", ".."})


def path_parts(path: str) -> list[str]:
    """Return the parts of a relative path that stays inside its root, such as `out/model.tflite`.

    Raises:
        ValueError: the path is empty or absolute, has an empty part, `.` or `..`, ends in a slash, or holds a
            NUL or a character that UTF-8 cannot express (a file name of other bytes than UTF-8).
    """
    parts = path.split("/")
    if not _NOT_A_NAME.isdisjoint(parts):
        raise ValueError(f"not a relative path without empty, '.' and '..' parts: {path!r}")
    if "\0" in path:
        raise ValueError(f"a path cannot hold a NUL: {path!r}")
    if not path.isascii():
        check_unicode(path)
    return parts


def check_unicode(text: str) -> None:
    """Refuse what protobuf's UTF-8 strings cannot hold.

    Raises:
        ValueError: `text` has a lone surrogate.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"not expressible as UTF-8: {text!r}") from error
