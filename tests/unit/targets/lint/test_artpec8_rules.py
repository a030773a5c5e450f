from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.factories.lint_models import (
    in_parts,
    with_convolution,
    with_custom,
    with_image,
    with_mean,
    with_pool,
    with_split,
    with_unary,
    with_version,
)
from tests.factories.tflite_factory import float_model, with_dynamic_batch
from tests.unit.targets.lint.rules_of_socs import broken, lint, lint_published, only
from tests.unit.tflite.shared_models import shared_model

if TYPE_CHECKING:
    from tests.factories.tflite_factory import ModelSpec

SOC = "artpec8"


def test_sixteen_parts_are_loaded() -> None:
    report = lint(in_parts(16), SOC, "operator-not-listed", "cpu-in-the-middle")

    assert report.findings == ()
    assert report.placement is not None
    assert (report.placement.parts, report.placement.max_parts) == (16, 16)


def test_seventeen_parts_are_an_error_with_the_numbers() -> None:
    (error,) = (each for each in lint(in_parts(17), SOC).findings if each.severity == "error")

    assert error.rule == "artpec8/too-many-parts"
    assert "17 parts, 16 switches" in error.found
    assert error.wanted == "at most 16 parts"
    assert (error.source.rpartition("/")[2], error.evidence) == ("141", "measured")


def test_an_operator_that_is_not_listed_is_a_warning_and_runs_on_the_cpu() -> None:
    report = lint(with_unary("EXP"), SOC)

    (finding,) = report.findings
    assert (finding.severity, finding.operator, finding.operator_index) == ("warning", "EXP", 1)
    assert report.placement is not None
    assert (report.placement.cpu, report.placement.switches) == ({"EXP": 1}, 1)


@pytest.mark.parametrize("name", ["LOGISTIC", "PAD", "QUANTIZE"])
def test_what_the_vendors_own_model_has_counts_as_taken(name: str) -> None:
    report = lint(with_unary(name), SOC)

    assert report.findings == ()
    assert report.placement is not None
    assert report.placement.cpu == {}
    assert "measured" in report.placement.basis


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        (with_mean(), "MEAN over 7x7, which is not in the list of operators"),
        (with_split(16, 32, name="SPLIT_V"), "SPLIT_V into 2 parts, which is not in the list of operators"),
        (with_convolution(filters=32), "32 filters"),
        (with_convolution(kernel=(5, 3)), "a 5x3 kernel"),
        (with_convolution(stride=(1, 2)), "strides 1x2"),
        (with_image(32, 33), "an image of 33x32 (width x height)"),
        (with_version("RELU6", 3), "operators of TensorFlow Lite 2.5.0"),
        (with_unary("PRELU"), "PRELU, which is not in the list of operators"),
    ],
)
def test_a_finding_has_the_numbers(spec: ModelSpec, found: str) -> None:
    assert only(spec, SOC).found == found


@pytest.mark.parametrize(("filters", "rules"), [(5, set()), (6, set()), (7, {"filters-multiple-of-6"}), (48, set())])
def test_few_filters_are_an_output_and_not_chosen(filters: int, rules: set[str]) -> None:
    assert broken(with_convolution(filters=filters), SOC) == rules


@pytest.mark.parametrize(("kernel", "rules"), [((1, 1), set()), ((3, 3), set()), ((1, 3), {"kernel-3x3"})])
def test_kernels_of_1x1_and_3x3_are_as_advised(kernel: tuple[int, int], rules: set[str]) -> None:
    assert broken(with_convolution(kernel=kernel), SOC) == rules


@pytest.mark.parametrize(("stride", "rules"), [((1, 1), set()), ((2, 2), set()), ((3, 3), {"stride-2"})])
def test_strides_of_1_and_2_are_native(stride: tuple[int, int], rules: set[str]) -> None:
    assert broken(with_convolution(stride=stride), SOC) == rules


def test_a_pool_may_have_any_stride() -> None:
    assert broken(with_pool("MAX_POOL_2D", (4, 4), stride=(4, 4)), SOC) == set()


def test_scales_per_channel_are_an_error() -> None:
    findings = lint(with_convolution(weight_scales=(0.125,) * 48), SOC).findings

    assert {(each.rule, each.severity) for each in findings} == {("artpec8/per-channel-tensor", "error")}
    assert findings[0].found == "48 scales along dimension 0"


@pytest.mark.parametrize(
    ("spec", "rule"),
    [
        (with_dynamic_batch(with_convolution()), "dynamic-shape"),
        (with_custom("FlexErf"), "flex-operator"),
        (with_custom("PosenetDecoderOp"), "custom-operator"),
    ],
)
def test_what_a_build_refuses_is_an_error_of_its_own(spec: ModelSpec, rule: str) -> None:
    findings = lint(spec, SOC).findings

    assert {(each.rule, each.severity) for each in findings} == {(f"artpec8/{rule}", "error")}


def test_a_float_model_is_said_to_be_one_once() -> None:
    rules = [each.rule for each in lint(float_model(), SOC).findings if each.severity == "error"]

    assert rules.count("artpec8/not-quantized") == 1
    assert "artpec8/float-operator" not in rules


def test_a_mobilenet_runs_as_a_whole_but_is_not_what_the_vendor_advises() -> None:
    report = lint_published(shared_model("mobilenet_v2_1.0_224_quant"), SOC)

    assert report.placement is not None
    assert (report.placement.cpu, report.placement.parts) == ({}, 1)
    assert {each.rule: each.severity for each in report.findings} == {
        "artpec8/regular-convolutions": "advice",
        "artpec8/filters-multiple-of-6": "advice",
    }


def test_movenet_falls_into_too_many_parts_behind_its_network() -> None:
    report = lint_published(shared_model("movenet_single_pose_lightning_ptq"), SOC)

    errors = {each.rule for each in report.findings if each.severity == "error"}
    assert errors == {"artpec8/per-channel-tensor", "artpec8/too-many-parts"}
    assert report.placement is not None
    assert report.placement.dlpu["CONV_2D"] == 50
    assert report.placement.cpu["SUB"] == 6
    # Integers of 32 bits, and floats, run on the CPU although their operators are listed.
    assert report.placement.cpu["FLOOR_DIV"] == 2
    assert report.placement.cpu["DIV"] == 1
