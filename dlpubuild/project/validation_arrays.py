"""Validation samples, and what is right, in one `.npz` or `.npy` file.

In: the file, the inputs that its arrays feed, the outputs whose classes it has. Out: the rows that were picked, with
their classes, or None after noting every fault. Samples are not read here: headers tell what can be fed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlpubuild.errors import ErrorCode
from dlpubuild.manifest.wording import counted, in_a_row
from dlpubuild.project.arrays import npy_header, npz_headers, npz_numbers
from dlpubuild.project.model import SampleSource, SourceFile
from dlpubuild.project.sample_files import SampleRequest, arrays_fed
from dlpubuild.project.validation_classes import NoClassError, classes_of, named_output, only_output

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from dlpubuild.project.arrays import ArrayHeader
    from dlpubuild.project.faults import Faults
    from dlpubuild.project.model import KnownTensor
    from dlpubuild.project.validation_classes import Classes

# What the array of classes is called, and that of samples where a model has one input.
CLASSES = "y"
_SAMPLES = "x"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundArrays:
    """Samples, the class of each by output, and how the array of the only input is called."""

    samples: SampleSource
    classes: Mapping[str, Sequence[int]]
    array: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationArrays:
    """An `.npz` or `.npy` file of samples, and of classes; `outputs` and `labels` are those of the model."""

    faults: Faults
    samples: SampleRequest
    path: Path
    outputs: Sequence[KnownTensor]
    labels: Sequence[str] | None

    def resolve(self) -> FoundArrays | None:
        """Return the samples that were picked and their classes, or None after noting why there are none."""
        is_npz = self.path.suffix.lower() == ".npz"
        data = self.samples.data
        try:
            headers = npz_headers(self.path) if is_npz else (npy_header(self.path),)
            classes = {header.name: header for header in headers if is_npz and self._is_of_classes(header.name)}
            fed, array = self._fed([header for header in headers if header.name not in classes], is_npz=is_npz)
            fed = arrays_fed(fed, self.samples.inputs, is_npz=is_npz)
        except ValueError as error:
            self.faults.add(self.samples.unreadable, self.samples.key, f'"{data}" cannot be used: {error}')
            return None
        rows = fed[0].rows
        if rows == 0:
            self.faults.add(ErrorCode.VALIDATION_EMPTY, self.samples.key, f'"{data}" holds no sample')
            return None
        labels: dict[str, Sequence[int]] = {}
        for name in classes:
            self._read(name, rows, labels)
        (digest,) = self.samples.memo.digest_files([self.path])
        staged = f"samples{self.path.suffix.lower()}"
        indices = self.samples.picked_rows(rows)
        source = SampleSource(
            kind="npz" if is_npz else "npy",
            files=(SourceFile(staged=staged, path=self.path, name=data, digest=digest),),
            indices=indices,
            available=rows,
        )
        picked = {output: [each[row] for row in indices] for output, each in labels.items()}
        return FoundArrays(samples=source, classes=picked, array=array)

    def _is_of_classes(self, name: str) -> bool:
        inputs = {each.name for each in self.samples.inputs}
        return name not in inputs and (name == CLASSES or name.startswith(f"{CLASSES}_"))

    def _fed(self, headers: list[ArrayHeader], *, is_npz: bool) -> tuple[Sequence[ArrayHeader], str]:
        """Return the arrays that can be fed, and how that of the only input is called where its name is not said."""
        inputs = self.samples.inputs
        if not is_npz or len(inputs) > 1:
            return headers, ""
        names = [header.name for header in headers]
        wanted = next((each.name for each in inputs if each.name in names), _SAMPLES)
        if wanted not in names and len(names) == 1:
            wanted = names[0]
        if wanted not in names:
            raise ValueError(f'it has no array "{_SAMPLES}" with the samples; it has {in_a_row(names) or "none"}')
        return [header for header in headers if header.name == wanted], wanted

    def _read(self, name: str, rows: int, labels: dict[str, Sequence[int]]) -> None:
        """Add the classes in the array `name`, or note what is wrong with them."""
        try:
            classes = self._classes(name)
            numbers = npz_numbers(self.path, name)
        except ValueError as error:
            self._fault(f"{error}")
            return
        if len(numbers) != rows:
            self._fault(f'array "{name}" has {counted(len(numbers), "value")}, but there are {rows} samples')
            return
        found: list[int] = []
        for row, number in enumerate(numbers):
            try:
                found.append(classes.of_number(number))
            except NoClassError as error:
                self._fault(f'array "{name}", row {row}: {error}')
                return
        labels[classes.output] = found

    def _classes(self, name: str) -> Classes:
        outputs, labels = self.outputs, self.labels
        if name == CLASSES:
            return classes_of(only_output(outputs, labels), labels)
        return classes_of(named_output(name.removeprefix(f"{CLASSES}_"), outputs), labels)

    def _fault(self, message: str) -> None:
        self.faults.add(ErrorCode.VALIDATION_LABEL, self.samples.key, f'"{self.samples.data}": {message}')
