"""Links into the project lead somewhere."""

from __future__ import annotations

import pytest

from tests.unit.docs.pages import ROOT, Page, page, pages


@pytest.mark.parametrize("source", pages(), ids=lambda each: each.name)
def test_every_link_into_the_project_resolves(source: Page) -> None:
    for link in source.links:
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, anchor = link.partition("#")
        target = (source.path.parent / path).resolve() if path else source.path
        assert target.exists(), f"{source.name}: {link}"
        assert target.is_relative_to(ROOT), f"{source.name}: {link} leaves the project"
        if anchor:
            assert anchor in page(target.relative_to(ROOT).as_posix()).anchors, f"{source.name}: {link}"


def test_the_readme_leads_to_every_page_of_the_documentation() -> None:
    reached = set(page("README.md").links) | {f"docs/{link}" for link in page("docs/manifest.md").links}
    missing = sorted(each.name for each in pages() if each.name.startswith("docs/") and each.name not in reached)
    assert not missing


def test_the_guide_lists_its_sections() -> None:
    for name in ("docs/guide.md", "docs/troubleshooting.md"):
        text = page(name).text
        listed = [line[3:].partition("]")[0] for line in text.splitlines() if line.startswith("- [")]
        sections = [line[3:] for line in text.splitlines() if line.startswith("## ")]
        assert listed == sections, name
