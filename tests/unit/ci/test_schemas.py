"""Files for other people's CI systems are what those systems' schemas ask for: the templates, and the documentation."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.doubles.github_runner import ROOT
from tests.doubles.gitlab_runner import TEMPLATE
from tests.unit.docs.pages import page


def faults(schema: str, path: Path) -> str:
    """Return what the schema that check-jsonschema brings has against a file; empty where it is valid."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def example(tmp_path: Path, heading: str) -> Path:
    """Write the YAML example below a heading of docs/ci.md to a file."""
    text = page("docs/ci.md").text.partition(f"\n## {heading}\n")[2]
    path = tmp_path / "example.yml"
    path.write_text(text.partition("```yaml\n")[2].partition("```\n")[0])
    return path


@pytest.mark.parametrize(
    ("schema", "path"),
    [("vendor.github-actions", ROOT / "action.yml"), ("vendor.gitlab-ci", TEMPLATE)],
    ids=["action", "gitlab"],
)
def test_a_template_is_valid(schema: str, path: Path) -> None:
    assert faults(schema, path) == ""


@pytest.mark.parametrize(
    ("schema", "heading"),
    [("vendor.github-workflows", "GitHub Actions"), ("vendor.gitlab-ci", "GitLab CI")],
    ids=["github", "gitlab"],
)
def test_an_example_of_the_documentation_is_valid(tmp_path: Path, schema: str, heading: str) -> None:
    assert faults(schema, example(tmp_path, heading)) == ""


def test_a_wrong_workflow_is_noticed(tmp_path: Path) -> None:
    path = example(tmp_path, "GitHub Actions")
    path.write_text(path.read_text().replace("runs-on", "run-on"))
    assert faults("vendor.github-workflows", path) != ""
