"""The stand-ins for closed tools stay in the tests: the product neither contains nor mentions one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dlpubuild.resources import image_sources

# The word itself also means marks of quotation, and a type of C.
_MENTIONS = {
    "folder": re.compile(rb"tests?[/._-]doubles?", re.IGNORECASE),
    "word": re.compile(
        rb"\b(?:an?|the|our|its|test|compiler|parser)[ _-]doubles?\b(?![ -](?:quot|brack))", re.IGNORECASE
    ),
    "setting": re.compile(rb"\b[A-Z]{2,}_DOUBLE\b"),
}
DOUBLES = Path(__file__).resolve().parents[1] / "doubles"


def _product() -> list[Path]:
    """Every file of the wheel and of the images."""
    return [path for path in image_sources().values() if path.is_file()]


def test_the_product_has_no_file_of_the_tests() -> None:
    assert not [name for name in image_sources() if name.startswith("tests/")]


@pytest.mark.parametrize("how", _MENTIONS)
def test_the_product_does_not_mention_a_double(how: str) -> None:
    assert [str(path) for path in _product() if _MENTIONS[how].search(path.read_bytes())] == []


@pytest.mark.parametrize("text", [b"see tests/doubles", b"where a test double runs", b"EDGETPU_DOUBLE"])
def test_a_mention_is_found(text: bytes) -> None:
    assert any(pattern.search(text) for pattern in _MENTIONS.values())


def test_the_product_has_no_bytes_of_a_double() -> None:
    own = {path.read_bytes() for path in DOUBLES.rglob("*") if path.is_file() and path.stat().st_size}
    assert not [path for path in _product() if path.read_bytes() in own]


@pytest.mark.parametrize("part", ["steps", "package", "plan", "targets", "toolchains", "engine", "executors"])
def test_no_python_knows_cv75(part: str) -> None:
    """It was added as a folder of templates, and so can others be; only what reads foreign files knows its name."""
    package = Path(__file__).resolve().parents[2] / "dlpubuild"
    assert [str(path) for path in (package / part).rglob("*.py") if b"cv75" in path.read_bytes().lower()] == []
