"""What a manifest says of lint rules is held against the rules that there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlpubuild.errors import ErrorCode, ManifestError
from dlpubuild.manifest.load import manifest_from_bytes
from dlpubuild.project.lint_rules import lint_settings
from dlpubuild.resources import templates_dir
from dlpubuild.targets.lint.model import LintSettings, RuleSetting
from dlpubuild.targets.load import load_socs

SOCS = load_socs([templates_dir()], trusted=templates_dir())
SMALLEST = """\
schema = 1
[project]
name = "digits"
version = "1.0.0"
[model]
source = "digits.keras"
[target.cpu]
"""


def settings(text: str) -> LintSettings:
    return lint_settings(manifest_from_bytes((SMALLEST + text).encode(), path=Path("dlpu.toml")), SOCS)


def fault(text: str) -> tuple[ErrorCode, str, str]:
    with pytest.raises(ManifestError) as caught:
        settings(text)
    (problem,) = caught.value.problems
    return problem.code, problem.path, str(problem)


def test_nothing_said_fails_on_errors_and_changes_no_rule() -> None:
    assert settings("") == LintSettings(fail_on="error", rules={})


def test_a_rule_is_silenced_or_counts_more_with_a_reason() -> None:
    found = settings(
        '[lint]\nfail-on = "warning"\n'
        '[lint.rules."artpec8/batch-size"]\nseverity = "off"\nreason = "tried"\n'
        '[lint.rules."cpu/dynamic-shape"]\nseverity = "advice"\nreason = "it is only for a test"\n'
    )
    assert found.fail_on == "warning"
    assert found.rules == {
        "artpec8/batch-size": RuleSetting(severity="off", reason="tried"),
        "cpu/dynamic-shape": RuleSetting(severity="advice", reason="it is only for a test"),
    }


def test_an_unknown_rule_is_a_fault_with_the_nearest_one() -> None:
    code, path, text = fault('[lint.rules."artpec8/batchsize"]\nseverity = "off"\nreason = "x"\n')
    assert (code, path) == (ErrorCode.UNKNOWN_VALUE, 'lint.rules."artpec8/batchsize"')
    assert 'did you mean "artpec8/batch-size"?' in text
    assert "dlpu.toml:8" in text


def test_a_rule_of_an_soc_that_is_not_there_is_a_fault() -> None:
    code, _, text = fault('[lint.rules."artpec6/batch-size"]\nseverity = "off"\nreason = "x"\n')
    assert code is ErrorCode.UNKNOWN_VALUE
    assert "there is no such SoC" in text


@pytest.mark.parametrize(
    ("text", "code", "path"),
    [
        ('[lint.rules."a/b"]\nseverity = "off"\n', ErrorCode.MISSING_KEY, 'lint.rules."a/b".reason'),
        ('[lint.rules."a/b"]\nreason = "x"\n', ErrorCode.MISSING_KEY, 'lint.rules."a/b".severity'),
        (
            '[lint.rules."a/b"]\nseverity = "none"\nreason = "x"\n',
            ErrorCode.UNKNOWN_VALUE,
            'lint.rules."a/b".severity',
        ),
        ('[lint.rules.batch]\nseverity = "off"\nreason = "x"\n', ErrorCode.UNKNOWN_KEY, "lint.rules.batch"),
        ('[lint]\nfail_on = "error"\n', ErrorCode.UNKNOWN_KEY, "lint.fail_on"),
        ('[lint]\nfail-on = "advice"\n', ErrorCode.UNKNOWN_VALUE, "lint.fail-on"),
    ],
)
def test_what_the_schema_refuses(text: str, code: ErrorCode, path: str) -> None:
    assert fault(text)[:2] == (code, path)
