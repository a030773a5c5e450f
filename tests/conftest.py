"""What all tests share: the `--update-golden` option and the comparison that obeys it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="rewrite the expected files under tests/golden with what the code does now",
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """Return a function that compares a text with a file, or with `--update-golden` writes it there."""
    update = bool(request.config.getoption("--update-golden"))

    def compare(expected: Path, actual: str) -> None:
        if update:
            expected.write_bytes(actual.encode())
            return
        assert expected.is_file(), f"no {expected.name} yet: run pytest --update-golden and look at what it writes"
        assert actual == expected.read_bytes().decode()

    return compare
