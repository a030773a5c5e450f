"""`labels.csv`: which class each image of a folder shows, for one output or for several.

In: the bytes of the table, the images that there are, the outputs. Out: classes by output and image, or a fault at each
line that is wrong. A cell with no text leaves an image without a class for that output. No file is opened here.
"""

from __future__ import annotations

import csv
import io
import posixpath
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dlpubuild.errors import ErrorCode, Location
from dlpubuild.manifest.wording import counted
from dlpubuild.project.labels import NotTextError, decoded
from dlpubuild.project.validation_classes import NoClassError, classes_of, named_output, only_output

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dlpubuild.project.faults import Faults
    from dlpubuild.project.model import KnownTensor
    from dlpubuild.project.validation_classes import Classes

NAME = "labels.csv"
KEY = "verify.data"
# For each of a million samples a long name.
MOST_BYTES = 256 << 20
_FAULTS_SHOWN = 20
_FILE, _CLASS = "file", "class"
_LONGEST_SHOWN = 60
_TWO = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class TableOfLabels:
    """A `labels.csv` that is read: where it lies, its bytes, and what it is about.

    `images` are the names below its folder; `outputs` and `labels` are those of the model.
    """

    place: str
    data: bytes
    images: Mapping[str, object]
    outputs: Sequence[KnownTensor]
    labels: Sequence[str] | None


def read_table(faults: Faults, table: TableOfLabels) -> Mapping[str, Mapping[str, int]] | None:
    """Return the class of each image, by output and by image, or None after noting every fault of the table."""
    reading = _Reading(table=table)
    try:
        text = decoded(table.data)
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
        rows = [(line, row) for line, row in rows if any(row)]
    except NotTextError as error:
        reading.fault(error.line, str(error), "save it as UTF-8")
        rows = []
    except csv.Error as error:
        reading.fault(0, f"is not a table of comma-separated values: {error}")
        rows = []
    if rows and not reading.found:
        reading.read(rows)
    elif not reading.found:
        reading.fault(1, f'is empty; its first line is "{_FILE},{_CLASS}", or "{_FILE}" and the names of outputs')
    reading.hand_over(faults)
    return None if reading.found else reading.classes


@dataclass(slots=True, kw_only=True)
class _Reading:
    table: TableOfLabels
    classes: dict[str, dict[str, int]] = field(default_factory=dict)
    found: list[tuple[int, str, str]] = field(default_factory=list)

    def fault(self, line: int, message: str, hint: str = "") -> None:
        # What a table says is shown, and must not steer the terminal.
        self.found.append((line, "".join(each if each.isprintable() else "?" for each in message), hint))

    def hand_over(self, faults: Faults) -> None:
        for line, message, hint in self.found[:_FAULTS_SHOWN]:
            faults.add(ErrorCode.VALIDATION_LABEL, KEY, message, hint, location=_at(self.table.place, line))
        more = len(self.found) - _FAULTS_SHOWN
        if more > 0:
            message = f"{counted(more, 'more fault')} in this file"
            line = self.found[_FAULTS_SHOWN][0]
            faults.add(ErrorCode.VALIDATION_LABEL, KEY, message, location=_at(self.table.place, line))

    def read(self, rows: Sequence[tuple[int, list[str]]]) -> None:
        (line, header), *others = rows
        columns = self._columns(line, header)
        if columns is None:
            return
        self.classes = {each.output: {} for each in columns}
        seen: dict[str, int] = {}
        for number, row in others:
            self._row(number, row, columns, seen)
        if not seen and not self.found:
            self.fault(line, "names no image")

    def _columns(self, line: int, header: list[str]) -> list[Classes] | None:
        """Return what the columns behind the first are about."""
        if header[0].lower() != _FILE or len(header) < _TWO:
            separated = len(header) == 1 and any(sign in header[0] for sign in ";\t|")
            self.fault(
                line,
                f'its first line is "{_FILE},{_CLASS}", or "{_FILE}" and the names of outputs; found '
                f'"{_short(",".join(header))}"',
                "separate the columns with commas" if separated else "",
            )
            return None
        columns = []
        for name in header[1:]:
            if header.count(name) > 1:
                self.fault(line, f'names the column "{_short(name)}" twice')
                break
            try:
                columns.append(classes_of(self._output(name, header), self.table.labels))
            except NoClassError as error:
                self.fault(line, f'column "{_short(name)}": {error}')
        return None if self.found else columns

    def _output(self, name: str, header: list[str]) -> KnownTensor:
        outputs = self.table.outputs
        if name == _CLASS and len(header) == _TWO and all(each.name != name for each in outputs):
            return only_output(outputs, self.table.labels)
        return named_output(name, outputs)

    def _row(self, line: int, row: list[str], columns: Sequence[Classes], seen: dict[str, int]) -> None:
        if len(row) != len(columns) + 1:
            self.fault(line, f"has {counted(len(row), 'cell')}, the first line has {len(columns) + 1}")
            return
        name = posixpath.normpath(row[0]) if row[0] else ""
        if not row[0] or row[0].endswith("/"):
            self.fault(line, "names no file")
        elif name.startswith(("/", "../")) or name == "..":
            self.fault(line, f'"{_short(row[0])}" leaves the folder', f"name images below the folder of {NAME}")
        elif name in seen:
            self.fault(line, f'names "{_short(row[0])}" again; it stands in line {seen[name]}')
        elif name not in self.table.images:
            written = 'with "/" between folder and file' if "\\" in name else "as it is written there"
            self.fault(line, f'there is no image "{_short(row[0])}"', f"name images below the folder, {written}")
        else:
            self._cells(line, name, row[1:], columns)
        seen.setdefault(name, line)

    def _cells(self, line: int, name: str, cells: Sequence[str], columns: Sequence[Classes]) -> None:
        for cell, classes in zip(cells, columns, strict=True):
            if not cell and len(columns) > 1:
                continue
            try:
                self.classes[classes.output][name] = classes.of_text(cell)
            except NoClassError as error:
                self.fault(line, str(error) if cell else f'"{_short(name)}" has no class')


def _at(place: str, line: int) -> Location:
    return Location(place, line, 1) if line else Location(place)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."
