from __future__ import annotations

import pytest

from tests.factories.lint_models import clean, in_float, with_custom, with_image, with_version
from tests.factories.tflite_factory import float_model
from tests.unit.targets.lint.rules_of_socs import broken, lint, only, own_socs


@pytest.mark.parametrize(
    ("width", "padding", "pitch"), [(33, 31, 64), (63, 1, 64), (300, 20, 320), (416, 0, 416), (640, 0, 640)]
)
@pytest.mark.parametrize("soc", ["cv25", "cv75"])
def test_widths_that_are_no_multiple_of_32_are_told_with_their_pitch(
    soc: str, width: int, padding: int, pitch: int
) -> None:
    findings = lint(in_float(with_image(8, width)), soc).findings

    told = [each.found for each in findings]
    expected = f"a width of {width}:"
    assert [each.startswith(expected) or "on CV25" in each for each in told] == [True] * (padding > 0)
    assert all(each.endswith(f"by {padding} bytes to {pitch}") for each in told)


def test_what_is_said_of_cv75_is_inferred_from_cv25() -> None:
    assert only(in_float(with_image(8, 30)), "cv25").evidence == "documented"
    assert only(in_float(with_image(8, 30)), "cv75").evidence == "inferred"


@pytest.mark.parametrize(("channels", "rules"), [(1, {"rgb-input"}), (3, set()), (4, {"rgb-input"})])
def test_cv25_is_fed_planar_rgb(channels: int, rules: set[str]) -> None:
    assert broken(in_float(with_image(32, 32, channels)), "cv25") == rules


@pytest.mark.parametrize("soc", ["cv25", "cv75", "cpu"])
def test_nothing_is_said_of_where_operators_run_and_why(soc: str) -> None:
    report = lint(in_float(clean()), soc)

    assert report.placement is None
    assert ("no list of the operators that it takes is public" in report.unplaced) == (soc != "cpu")


@pytest.mark.parametrize("soc", ["cv25", "cv75"])
def test_operators_of_a_closed_compiler_are_passed_over_in_silence(soc: str) -> None:
    table = own_socs()[soc].lint
    assert table is not None

    assert (table.operators, table.unlisted) == ((), None)


def test_post_processing_belongs_into_the_application() -> None:
    finding = only(in_float(with_custom("TFLite_Detection_PostProcess")), "cv25")

    assert (finding.severity, finding.found) == ("warning", "TFLite_Detection_PostProcess in the model")
    assert "anchors" in finding.change


def test_the_cpu_takes_float_and_integer_models() -> None:
    assert broken(in_float(clean()), "cpu") == set()
    assert broken(clean(), "cpu") == set()
    # Its images are 9x9.
    assert broken(float_model(), "cpu") == {"even-image-size"}


@pytest.mark.parametrize(
    ("code", "rules"), [("TFLite_Detection_PostProcess", set()), ("FlexErf", {"builtin-operators"})]
)
def test_the_cpu_has_no_operators_of_others(code: str, rules: set[str]) -> None:
    assert broken(with_custom(code), "cpu") == rules


@pytest.mark.parametrize(("version", "rules"), [(2, set()), (3, {"runtime-version"})])
def test_only_a_runtime_newer_than_the_known_one_is_told(version: int, rules: set[str]) -> None:
    assert broken(with_version("RELU6", version), "cpu") == rules
