"""The example of docs/templates.md is a project that plans, and its script runs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dlpubuild.plan.context import template_context
from dlpubuild.plan.planner import plan_build
from dlpubuild.resources import steps_dir
from tests.factories.model_factory import classifier, keras_archive
from tests.factories.small_projects import pinned, resolve, write_project
from tests.unit.docs.pages import page

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PAGE = "docs/templates.md"
SCRIPT = "templates/devboard/limit_size.py"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The example's files as the page shows them, and a model."""
    for block in page(PAGE).blocks:
        if block.title:
            path = tmp_path / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
    (tmp_path / "model").mkdir()
    (tmp_path / "model/digits.keras").write_bytes(keras_archive(classifier()))
    return tmp_path


def test_the_example_plans(project: Path) -> None:
    plan = plan_build(pinned(resolve(project / "dlpu.toml")))
    assert [(step.name, step.scripts[0].name) for step in plan.steps] == [
        ("import", "import_model.py"),
        ("limit", "limit_size.py"),
    ]
    assert plan.steps[0].params["optimization"] == "float16"
    assert plan.steps[1].scripts == (project / SCRIPT, steps_dir() / "stepio.py")
    assert plan.steps[1].needs == (plan.steps[0].key,)


@pytest.mark.parametrize(("size_bytes", "code"), [(1 << 20, 0), ((1 << 20) + 1, 1)])
def test_the_script_of_the_example_runs(project: Path, tmp_path: Path, size_bytes: int, code: int) -> None:
    plan = plan_build(pinned(resolve(project / "dlpu.toml")))
    root = tmp_path / "run"
    for name in ("src", "in", "out"):
        (root / name).mkdir(parents=True)
    for script in plan.steps[1].scripts:
        shutil.copy(script, root / "src")
    (root / "src/params.json").write_text(json.dumps(dict(plan.steps[1].params)))
    (root / "in/model.tflite").write_bytes(bytes(size_bytes))
    done = subprocess.run(
        [sys.executable, "-B", "src/limit_size.py", "src/params.json"], cwd=root, capture_output=True, check=False
    )
    assert done.returncode == code, done.stderr
    assert all((root / path).is_file() == (code == 0) for path in ("out/model.tflite", "out/step.json"))


def test_the_page_lists_what_a_template_may_refer_to(tmp_path: Path) -> None:
    tables = '[calibration]\ndata = "data"\n[verify]\ndata = "data"\nmetric = "none"\n[target.artpec8]\n'
    manifest = write_project(tmp_path, tables)
    resolved = resolve(manifest)
    context = template_context(resolved, resolved.targets[0])
    rows = page(PAGE).text.partition("| name | type | what |\n")[2].partition("\n\n")[0].splitlines()[1:]
    assert sorted(row.split("`")[1] for row in rows) == sorted(_names(context))


def _names(context: Mapping[str, object]) -> Iterator[str]:
    for table, values in context.items():
        assert isinstance(values, dict)
        yield from (f"{table}.{name}" for name in values)
