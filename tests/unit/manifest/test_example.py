"""dlpu.toml.example shows every key."""

from __future__ import annotations

import re
from typing import Any

import pytest

from dlpubuild import resources
from dlpubuild.manifest.load import load_manifest
from dlpubuild.manifest.locate import index_source
from dlpubuild.manifest.schema import project_schema, resolve_reference, schema_bytes

TEXT = resources.example_manifest().read_text(encoding="utf-8")


def paths_in_schema() -> list[str]:
    schema = project_schema(schema_bytes())

    def below(table: dict[str, Any], path: str) -> list[str]:
        found: list[str] = []
        for key, reference in table["properties"].items():
            part = resolve_reference(schema, reference)
            here = f"{path}.{key}" if path else key
            inner = part if "properties" in part else part.get("items", {})
            found += below(inner, here) if "properties" in inner else [here]
        return found

    return below(schema, "")


def commented_lines_made_real() -> str:
    return re.sub(r"^# ([a-z-]+ = )", r"\1", TEXT, flags=re.MULTILINE)


def test_it_is_valid() -> None:
    manifest = load_manifest(resources.example_manifest())
    assert [target.soc for target in manifest.targets] == ["artpec7", "artpec8", "artpec9", "cv25", "cv75", "cpu"]


@pytest.mark.parametrize("path", paths_in_schema())
def test_it_shows_the_key(path: str) -> None:
    paths = {re.sub(r"\[\d+\]", "", path) for path in index_source(commented_lines_made_real(), "").keys}
    assert path in paths


def test_only_what_excludes_another_key_is_commented_out() -> None:
    shown = index_source(TEXT, "").keys
    hidden = index_source(commented_lines_made_real(), "").keys.keys() - shown.keys()
    toolchains = {"toolchain.tf2.path", "toolchain.tf1.image", "toolchain.edgetpu.path", "toolchain.onnx.image"}
    assert hidden == {*toolchains, "package.app"}


def test_every_key_has_a_comment_beside_it_or_above() -> None:
    lines = TEXT.split("\n")
    for number, line in enumerate(lines):
        if re.match(r"[a-z-]+ = ", line) and not line.startswith(("image", "path")):
            assert "  # " in line, f"line {number + 1}: {line}"


def test_an_editor_finds_the_schema() -> None:
    first = TEXT.split("\n")[0]
    assert first.startswith("#:schema ")
    assert (resources.example_manifest().parent / first.removeprefix("#:schema ")).is_file()
