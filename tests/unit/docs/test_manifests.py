"""Manifests in the documentation are what the tool takes, and what the example has."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from dlpubuild.manifest.load import manifest_from_bytes
from tests.unit.docs.pages import ROOT, Block, page, pages


def is_manifest(block: Block) -> bool:
    return block.text.startswith("schema = 1\n") and "[project]" in block.text


# A block with a title is a file of the template example, which has a test of its own.
SNIPPETS = {
    f"{each.name}-{number}": block
    for each in pages()
    for number, block in enumerate(each.blocks)
    if block.kind == "toml" and not block.title
}
WHOLE = {name: block for name, block in SNIPPETS.items() if is_manifest(block)}
PARTS = {name: block for name, block in SNIPPETS.items() if not is_manifest(block)}


@pytest.mark.parametrize("block", WHOLE.values(), ids=WHOLE)
def test_whole_manifests_load(block: Block, tmp_path: Path) -> None:
    manifest_from_bytes(block.text.encode(), path=tmp_path / "dlpu.toml")


@pytest.mark.parametrize("block", PARTS.values(), ids=PARTS)
def test_parts_of_manifests_fit_into_one(block: Block, tmp_path: Path) -> None:
    whole = _completed(block.text)
    manifest_from_bytes(whole.encode(), path=tmp_path / "dlpu.toml")


def _completed(part: str) -> str:
    """Return `part` with the tables that a manifest cannot do without."""
    tables = tomllib.loads(part)
    text = "schema = 1\n"
    project = '[project]\nname = "x"\nversion = "1.0.0"\n'
    if "project" in tables:
        part = part.replace("[project]\n", project)
    else:
        text += project
    if "source" not in tables.get("model", {}):
        text += '[model]\nsource = "x.keras"\n'
    if "calibration" not in tables:
        text += '[calibration]\ndata = "x"\n'
    return text + part + ("" if "target" in tables else "[target.artpec8]\n")


def test_the_guide_shows_the_manifest_of_the_example() -> None:
    blocks = [block for block in page("docs/guide.md").blocks if block.kind == "toml" and is_manifest(block)]
    example = tomllib.loads((ROOT / "examples/digits/dlpu.toml").read_text(encoding="utf-8"))
    assert [tomllib.loads(block.text) for block in blocks] == [example]
