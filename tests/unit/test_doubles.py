"""The stand-ins for closed tools stay in the tests: what users get neither contains nor mentions one."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dlpubuild.resources import image_sources

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# The word itself also means marks of quotation, and a type of C.
_MENTIONS = {
    "folder": re.compile(rb"tests?[/._-](?:doubles?|factories)\b", re.IGNORECASE),
    "word": re.compile(
        rb"\b(?:an?|the|our|its|test|compiler|parser)[ _-]doubles?\b(?![ -](?:quot|brack))", re.IGNORECASE
    ),
    "setting": re.compile(rb"\b[A-Z]{2,}_DOUBLE\b"),
}
ROOT = Path(__file__).resolve().parents[2]
DOUBLES = ROOT / "tests" / "doubles"
# What people read and copy: it comes with the source.
_READ = ("docs", "examples", "ci", "schemas", "templates", "docker")
_READ_FILES = ("README.md", "CHANGELOG.md", "Dockerfile", "action.yml", "dlpu.toml.example", "pyproject.toml")
# Lines shorter than this say nothing of where they are from.
_TELLING_BYTES = 60


def _below(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes]:
    """Every file that users get, by name: in the wheel, in the images, and beside them in the source."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        found = {f"wheel:{name}": wheel.read(name) for name in wheel.namelist()}
    found |= {f"image:{name}": path.read_bytes() for name, path in image_sources().items() if path.is_file()}
    read = [*(path for name in _READ for path in _below(ROOT / name)), *(ROOT / name for name in _READ_FILES)]
    found |= {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in read if path.is_file()}
    return found


def doubles() -> list[Path]:
    return [path for path in _below(DOUBLES) if path.stat().st_size]


def test_there_are_doubles_and_a_product_to_compare(product: Mapping[str, bytes]) -> None:
    names = {path.name for path in doubles()}
    assert {"edgetpu_compiler", "acap-build", "environment-setup", "gcc"} <= names
    for name in ("wheel:dlpubuild/cli.py", "wheel:dlpubuild/_data/Dockerfile", "image:docker/fetch", "docs/guide.md"):
        assert name in product
    for folder in ("schemas/", "templates/"):
        assert any(name.startswith(f"wheel:dlpubuild/_data/{folder}") for name in product)


def test_the_product_has_no_file_of_the_tests(product: Mapping[str, bytes]) -> None:
    names = {name.partition(":")[2] for name in product if ":" in name}
    assert not [name for name in names if re.search(r"(^|/)tests?(/|$)|(^|/)conftest\.py$", name)]
    assert not names & {path.relative_to(ROOT).as_posix() for path in doubles()}


@pytest.mark.parametrize("how", _MENTIONS)
def test_the_product_does_not_mention_a_double(product: Mapping[str, bytes], how: str) -> None:
    assert [name for name, content in product.items() if _MENTIONS[how].search(content)] == []


@pytest.mark.parametrize(
    "text", [b"see tests/doubles", b"from tests.factories import", b"where a test double runs", b"EDGETPU_DOUBLE"]
)
def test_a_mention_is_found(text: bytes) -> None:
    assert any(pattern.search(text) for pattern in _MENTIONS.values())


def test_the_product_has_no_bytes_of_a_double(product: Mapping[str, bytes]) -> None:
    own = {path.read_bytes() for path in doubles()}
    assert not [name for name, content in product.items() if content in own]


def _telling_lines(content: bytes) -> set[bytes]:
    lines = {line.strip() for line in content.split(b"\n")}
    return {line for line in lines if len(line) >= _TELLING_BYTES and not line.startswith((b"from ", b"import "))}


def test_the_product_shares_no_code_with_a_double(product: Mapping[str, bytes]) -> None:
    """What is the same in both is what the real tools say, which both have from the same sources."""
    shared = {}
    for path in doubles():
        if path.suffix == ".py":
            continue  # these stand in for services, and implement the product's own interfaces
        lines = _telling_lines(path.read_bytes())
        for name, content in product.items():
            if name.startswith("wheel:dlpubuild/") and (same := lines & _telling_lines(content)):
                shared[name] = same
    code = {
        name: [line for line in lines if not line.startswith((b'"', b"b'", b"'"))] for name, lines in shared.items()
    }
    assert not {name: lines for name, lines in code.items() if lines}


@pytest.mark.parametrize("part", ["steps", "package", "plan", "targets", "toolchains", "engine", "executors"])
def test_no_python_knows_cv75(part: str) -> None:
    """It was added as a folder of templates, and so can others be; only what reads foreign files knows its name."""
    package = Path(__file__).resolve().parents[2] / "dlpubuild"
    assert [str(path) for path in (package / part).rglob("*.py") if b"cv75" in path.read_bytes().lower()] == []
