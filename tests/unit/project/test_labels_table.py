"""`labels.csv` of any content: classes, or faults with their lines, and never anything else."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from dlpubuild.errors import ErrorCode, Location
from dlpubuild.manifest.model import Manifest, ModelSection, ProjectSection
from dlpubuild.project.faults import Faults
from dlpubuild.project.labels_table import TableOfLabels, read_table
from dlpubuild.project.model import KnownTensor

MANIFEST = Manifest(
    path=Path("dlpu.toml"),
    sha256="",
    schema=1,
    project=ProjectSection(name="toy", version="1.0.0"),
    model=ModelSection(source="m.keras"),
    targets=(),
    locations={"": Location("dlpu.toml", 1, 1)},
)
OUTPUTS = (KnownTensor(name="scores", shape=(1, 3)), KnownTensor(name="y", shape=(1, 1)))
IMAGES = {"a.png": None, "b/c.png": None}
CELLS = st.sampled_from(
    ["file", "class", "scores", "y", "a.png", "b/c.png", "../x", "/", "0", "2", "3", "-1", "", '"', " "]
)
ROWS = st.lists(st.lists(CELLS, max_size=4).map(",".join), max_size=6).map("\n".join)


def read(data: bytes) -> tuple[object, Faults]:
    faults = Faults(MANIFEST)
    table = TableOfLabels(place="v/labels.csv", data=data, images=IMAGES, outputs=OUTPUTS, labels=("k", "l", "m"))
    return read_table(faults, table), faults


def holds(data: bytes) -> None:
    found, faults = read(data)
    assert (found is None) == bool(faults.found)
    assert all(each.code is ErrorCode.VALIDATION_LABEL for each in faults.found)
    assert all(each.location.file == "v/labels.csv" for each in faults.found)
    if isinstance(found, dict):
        assert all(name in IMAGES for classes in found.values() for name in classes)
        assert all(0 <= index < 3 for classes in found.values() for index in classes.values())


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    holds(data)


@given(ROWS)
def test_any_table_is_read_or_refused(text: str) -> None:
    holds(text.encode())


@given(ROWS)
def test_any_rows_below_a_sound_first_line_are_read_or_refused(text: str) -> None:
    holds(f"file,scores,y\n{text}".encode())


def test_signs_that_steer_a_terminal_are_not_passed_on() -> None:
    _, faults = read("file,scores\n\x9b31m.png,0\na.png,\u202ecat\n".encode())
    assert len(faults.found) == 2
    assert all(each.message.isprintable() for each in faults.found)


def test_a_huge_cell_is_a_fault() -> None:
    found, faults = read(b"file,scores\n" + b"x" * 1_000_000 + b",0\n")
    assert found is None
    assert max(len(each.message) for each in faults.found) < 300
