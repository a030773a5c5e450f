"""Templates become TOML, and nothing that a user names becomes structure."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlpubuild.errors import ErrorCode, ExitCode, ManifestError, TemplateError
from dlpubuild.plan.render import render_steps, toml_literal
from dlpubuild.resources import templates_dir
from dlpubuild.targets.load import load_socs
from dlpubuild.targets.model import Soc

PROPERTY = settings(derandomize=True, database=None, deadline=None, max_examples=300)
TEXT = st.text() | st.sampled_from(
    [
        '"',
        "'",
        "\\",
        "\n",
        "\r\n",
        "{{ x }}",
        "{% x %}",
        "{# x #}",
        '"]\n[evil]',
        "\x7f",
        "\x00",
        "\x1b[31m",
        "😀",
        "\u2028",
        "\x85",
    ]
)
VALUES = st.recursive(
    TEXT | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
SOC = load_socs([templates_dir()], trusted=templates_dir())["cpu"]


@PROPERTY
@given(VALUES)
def test_a_literal_reads_back_as_the_value_it_was_made_of(value: Any) -> None:
    literal = toml_literal(value)
    assert tomllib.loads(f"x = {literal}") == {"x": value}
    assert "\n" not in literal


def test_a_literal_is_pinned() -> None:
    value = {"a b": [1, -2.5, 1e30, True, float("inf")], "ä": 'q"\\\n\x7f', "": {}, "t": (1, [])}
    assert toml_literal(value) == (
        '{ "a b" = [1, -2.5, 1e+30, true, inf], "ä" = "q\\"\\\\\\n\\u007f", "" = {}, "t" = [1, []] }'
    )


@pytest.mark.parametrize("value", [None, object(), b"bytes", {1, 2}, [None]])
def test_what_toml_has_no_literal_for_is_a_type_error(value: object) -> None:
    with pytest.raises(TypeError):
        toml_literal(value)


@pytest.fixture
def own(tmp_path: Path) -> Soc:
    """An SoC whose template each test writes."""
    (tmp_path / "own").mkdir()
    return replace(SOC, name="own", folder=tmp_path / "own", search_path=(tmp_path, templates_dir()))


def rendered(soc: Soc, template: str | bytes, **context: Any) -> dict[str, Any]:
    path = soc.folder / "steps.toml.j2"
    path.write_bytes(template.encode() if isinstance(template, str) else template)
    return render_steps(soc, context, validate=False)


def fault(soc: Soc, template: str | bytes, **context: Any) -> TemplateError:
    with pytest.raises(TemplateError) as caught:
        rendered(soc, template, **context)
    assert caught.value.code is ErrorCode.TEMPLATE
    assert caught.value.exit_code is ExitCode.USAGE
    return caught.value


@settings(PROPERTY, max_examples=60)
@given(st.dictionaries(TEXT, VALUES, max_size=3))
def test_whatever_a_user_names_comes_out_as_data(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    folder = tmp_path_factory.getbasetemp() / "any" / "own"
    folder.mkdir(parents=True, exist_ok=True)
    soc = replace(SOC, name="own", folder=folder, search_path=(folder.parent,))
    template = "value = {{ value }}\ninputs = { {{ name }} = {{ value }} }\n"
    name = "".join(value) or "name"
    assert rendered(soc, template, value=value, name=name) == {"value": value, "inputs": {name: value}}


@pytest.mark.parametrize(
    ("template", "line", "said"),
    [
        ("\n\nx = {{ missing }}", 3, "'missing' is undefined"),
        ("\n{{ missing.below }}", 2, "'missing' is undefined"),
        ("\n{{ model.nothing }}", 2, "nothing"),
        ("{% if missing %}{% endif %}", 1, "'missing' is undefined"),
        ("\n{% for each in missing %}{% endfor %}", 2, "'missing' is undefined"),
        ("\n\n{% nonsense %}", 3, "nonsense"),
        ("\n{{ model", 2, ""),
        ("\n{{ model | nonsense }}", 2, "nonsense"),
        ("\n{{ none }}", 2, "NoneType"),
        ("\n{{ 1 // 0 }}", 2, "zero"),
        ("\n{{ model.x + 1 }}", 2, ""),
        ("\n{{ range(9) }}", 2, "range"),
        ("\n{{ model.__class__.__mro__ }}", 2, "unsafe"),
        ("\n{{ ''.__class__ }}", 2, "unsafe"),
        ("\n{{ model.update({}) }}", 2, "unsafe"),
        ("{% include 'own/steps.toml.j2' %}", 1, "recursion"),
    ],
)
def test_a_template_that_cannot_be_rendered_is_told_with_file_and_line(
    own: Soc, template: str, line: int, said: str
) -> None:
    error = fault(own, template, model={"x": "text"})
    assert error.location is not None
    assert (error.location.file, error.location.line) == (str(own.folder / "steps.toml.j2"), line)
    assert said in error.message


def test_a_fault_of_an_included_file_is_told_with_that_file(own: Soc, tmp_path: Path) -> None:
    for text in ("\n\n\nx = {{ missing }}", "\n\n\n{% nonsense %}"):
        (tmp_path / "part.j2").write_text(text)
        error = fault(own, "\n{% include 'part.j2' %}")
        assert error.location is not None
        assert (error.location.file, error.location.line) == (str(tmp_path / "part.j2"), 4)


@pytest.mark.parametrize("name", ["nothing.j2", "../secret.j2", "/etc/passwd"])
def test_only_files_of_the_template_folders_can_be_included(own: Soc, tmp_path: Path, name: str) -> None:
    (tmp_path.parent / "secret.j2").write_text("x = 1")
    assert name in fault(own, f"{{% include {name!r} %}}").message


def test_a_template_that_is_not_utf8_is_told(own: Soc) -> None:
    error = fault(own, "ä = 1".encode("latin-1"))
    assert error.location is not None
    assert error.location.file == str(own.folder / "steps.toml.j2")


def test_what_is_not_toml_is_told_with_the_numbered_text(own: Soc) -> None:
    error = fault(own, "schema = 1\nx = = {{ 'v' }}\n")
    assert '  2 x = = "v"' in error.message


@pytest.mark.parametrize("value", ["2026-11-21", "07:32:00", "inf", "nan"])
def test_a_parameter_that_json_cannot_hold_is_told(own: Soc, value: str) -> None:
    assert "JSON" in fault(own, f"[step.params]\nx = {value}\n").message


def test_what_the_schema_does_not_ask_for_is_told_with_its_path(own: Soc) -> None:
    (own.folder / "steps.toml.j2").write_text('schema = 1\nstep = [{ id = "Bad Id" }]\n[result]\n')
    with pytest.raises(ManifestError) as caught:
        render_steps(own, {}, validate=True)
    assert {problem.path for problem in caught.value.problems} >= {"step.0", "step.0.id", "result"}
    assert {problem.code for problem in caught.value.problems} == {ErrorCode.TEMPLATE}
    assert {problem.location.file for problem in caught.value.problems} == {str(own.folder / "steps.toml.j2")}


def test_the_tools_own_parts_can_be_included(own: Soc) -> None:
    template = 'schema = 1\n{% include "_integer.toml.j2" %}'
    context = {
        "target": {"toolchain": "tf2", "per_channel": True, "io": "int8"},
        "model": {"format": "keras", "state": "float", "staged": "in/model.keras", "inputs": [], "outputs": []},
        "calibration": {"inputs": [], "data": {}},
        "verification": None,
    }
    assert [step["id"] for step in rendered(own, template, **context)["step"]] == ["import", "calibrate", "quantize"]
