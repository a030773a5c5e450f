"""The tool's own tables held against models of tests."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from dlpubuild.targets.lint.model import LintSettings, RuleSetting
from dlpubuild.targets.lint.run import lint_model
from dlpubuild.targets.load import load_socs
from dlpubuild.tflite.read import read_model
from tests.factories.tflite_factory import encode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dlpubuild.targets.lint.model import LintFinding, LintReport
    from dlpubuild.targets.model import Soc
    from dlpubuild.tflite.model import TfliteModel
    from tests.factories.tflite_factory import ModelSpec

TEMPLATES = Path(__file__).resolve().parents[4] / "templates"


@cache
def own_socs() -> Mapping[str, Soc]:
    return load_socs([TEMPLATES], trusted=TEMPLATES)


def lint(spec: ModelSpec, soc: str, *silenced: str) -> LintReport:
    """Lint a model; `silenced` are rules of the SoC that a manifest turns off."""
    rules = {f"{soc}/{rule}": RuleSetting(severity="off", reason="a test of another rule") for rule in silenced}
    return lint_model(read_model(encode(spec)), own_socs()[soc], LintSettings(rules=rules))


def broken(spec: ModelSpec, soc: str) -> set[str]:
    """Return the rules that a model breaks, without the SoC's name."""
    return {each.rule.removeprefix(f"{soc}/") for each in lint(spec, soc).findings}


def only(spec: ModelSpec, soc: str) -> LintFinding:
    """Return the one finding in a model."""
    (found,) = lint(spec, soc).findings
    return found


def lint_published(model: TfliteModel, soc: str) -> LintReport:
    """Lint a file of somebody else's."""
    return lint_model(model, own_socs()[soc], LintSettings())
