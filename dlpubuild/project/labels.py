"""The labels file: one label a line, as many as the output has classes.

In: the file's bytes, the outputs. Out: the labels, or a fault at the line that is wrong. No file is opened here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlpubuild.errors import ErrorCode, Location, ManifestError, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dlpubuild.manifest.model import Manifest
    from dlpubuild.project.faults import Faults
    from dlpubuild.project.model import KnownTensor

KEY = "model.labels"
_SCORES_RANK = 2  # [batch, classes]


def parse_labels(faults: Faults, name: str, data: bytes) -> tuple[str, ...] | None:
    """Return the labels in file order, or None after noting what is wrong with the file.

    Line ends of any system and a UTF-8 byte-order mark are accepted; space around a label and empty lines at the end
    are dropped.
    """

    def fault(code: ErrorCode, message: str, line: int, hint: str = "") -> None:
        faults.add(code, KEY, message, hint, location=Location(str(faults.manifest.folder / name), line, 1))

    try:
        text = decoded(data)
    except NotTextError as error:
        fault(ErrorCode.LABEL_ENCODING, str(error), error.line, "save it as UTF-8")
        return None
    lines = [line.strip() for line in _lines(text)]
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        fault(ErrorCode.LABEL_COUNT, "holds no label", 1)
        return None
    empty = [number for number, line in enumerate(lines, start=1) if not line]
    if empty:
        fault(ErrorCode.LABEL_COUNT, f"empty line between labels ({len(empty)} in all): each line is a class", empty[0])
        return None
    return tuple(lines)


class NotTextError(ValueError):
    """A file is not UTF-8 text.

    Attributes:
        line: where that shows.
    """

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


def decoded(data: bytes) -> str:
    """Return UTF-8 text without its byte-order mark; line ends of any system become LF.

    Raises:
        NotTextError: it is no text, or in another encoding.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        is_wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
        line = 1 if is_wide else len(_lines(data[: error.start].decode("latin-1")))
        raise NotTextError("is UTF-16, not UTF-8" if is_wide else "is not UTF-8", line) from error
    lines = _lines(text)
    control = next((number for number, line in enumerate(lines, start=1) if not _is_text(line.strip())), None)
    if control is not None:
        # UTF-16 without a mark is UTF-8 with a NUL beside each letter.
        raise NotTextError("holds control characters, so it is no UTF-8 text", control)
    return "\n".join(lines)


def _lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _is_text(line: str) -> bool:
    return not any(sign < " " and sign != "\t" for sign in line)


def label_count_message(labels: Sequence[str], outputs: Sequence[KnownTensor]) -> str:
    """Return what is wrong with the number of labels, empty where it fits or cannot be told.

    It can be told where every output is a vector of scores, [1, classes]: then one of them has as many as there are
    labels. Where each of several outputs is one score, [1, 1], there is a label for each. Boxes, maps and a single
    probability go with any number.
    """
    if len(outputs) > 1 and len(outputs) != len(labels) and all(map(_is_one_score, outputs)):
        names = ", ".join(f'"{output.name}"' for output in outputs)
        return f"{_counted(len(labels), 'label')}, but {len(outputs)} outputs of one value each: {names}"
    sizes = [_classes(output) for output in outputs]
    known = [size for size in sizes if size is not None]
    if not known or len(known) < len(sizes) or len(labels) in known:
        return ""
    wanted = " or ".join(str(size) for size in dict.fromkeys(known))
    names = ", ".join(f'"{output.name}"' for output in outputs)
    return f"{_counted(len(labels), 'label')}, but output {names} has {wanted} values"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _is_one_score(output: KnownTensor) -> bool:
    return output.shape is not None and len(output.shape) == _SCORES_RANK and output.shape[1] == 1


def _classes(output: KnownTensor) -> int | None:
    if output.shape is None or len(output.shape) != _SCORES_RANK or output.shape[1] <= 1:
        return None
    return output.shape[1]


def check_label_count(manifest: Manifest, labels: Sequence[str] | None, outputs: Sequence[KnownTensor]) -> None:
    """Compare the labels with the outputs of a converted model.

    Raises:
        ManifestError: their numbers differ.
    """
    message = label_count_message(labels, outputs) if labels is not None else ""
    if message:
        raise ManifestError(
            [Problem(code=ErrorCode.LABEL_COUNT, location=manifest.locate(KEY), path=KEY, message=message)]
        )
