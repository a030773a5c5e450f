"""The generated pages are what the generator writes now."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from tests.unit.docs.pages import ROOT

if TYPE_CHECKING:
    from types import ModuleType

    import pytest


def load_generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_pages_are_current() -> None:
    generator = load_generator()
    for path, text in generator.pages().items():
        assert path.read_text(encoding="utf-8") == text, (
            f"{path.relative_to(ROOT)} is not current; run: {generator.FIX}"
        )


def test_generated_pages_depend_on_no_setting_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = load_generator()
    before = generator.pages()
    for name, value in {"COLUMNS": "40", "FORCE_COLOR": "1", "DLPU_JOBS": "7", "DLPU_MANIFEST": "other.toml"}.items():
        monkeypatch.setenv(name, value)
    assert generator.pages() == before
