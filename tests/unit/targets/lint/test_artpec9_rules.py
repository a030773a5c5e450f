from __future__ import annotations

import pytest

from tests.factories.lint_models import (
    in_parts,
    with_addition,
    with_concat,
    with_convolution,
    with_dense,
    with_depth_to_space,
    with_depthwise,
    with_leaky_relu,
    with_mean,
    with_multiplication,
    with_padding,
    with_pool,
    with_reshape,
    with_resize,
    with_split,
    with_transpose_conv,
    with_unary,
)
from tests.factories.lint_network import SCALE, WEIGHT_SCALE
from tests.unit.targets.lint.rules_of_socs import broken, lint, lint_published, only
from tests.unit.tflite.shared_models import shared_model

SOC = "artpec9"
NONE: set[str] = set()


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 9])
def test_these_kernels_are_taken(size: int) -> None:
    assert broken(with_convolution(kernel=(size, size)), SOC) == NONE


@pytest.mark.parametrize("kernel", [(4, 4), (6, 6), (8, 8), (11, 11), (3, 4), (8, 1)])
def test_other_kernels_run_on_the_cpu(kernel: tuple[int, int]) -> None:
    report = lint(with_convolution(kernel=kernel), SOC)

    (finding,) = report.findings
    assert finding.found == f"a {kernel[0]}x{kernel[1]} kernel (height x width)"
    assert (finding.rule, finding.severity) == ("artpec9/kernel", "warning")
    assert report.placement is not None
    assert (report.placement.on_dlpu, report.placement.on_cpu) == ((0,), (1,))


def test_a_kernel_need_not_be_square() -> None:
    assert broken(with_convolution(kernel=(1, 7)), SOC) == NONE


@pytest.mark.parametrize(
    ("kernel", "stride", "rules"),
    [
        (7, 2, NONE),
        (9, 1, NONE),
        (9, 2, {"large-kernel-stride"}),
        (8, 2, {"kernel"}),
        (3, 3, {"stride"}),
        (9, 3, {"stride"}),
    ],
)
def test_large_kernels_want_stride_1(kernel: int, stride: int, rules: set[str]) -> None:
    assert broken(with_convolution(kernel=(kernel, kernel), stride=(stride, stride)), SOC) == rules


def test_strides_have_to_be_equal() -> None:
    assert only(with_convolution(stride=(2, 1)), SOC).found == "strides 2x1 (height x width)"


@pytest.mark.parametrize(("ratio", "rules"), [(65_000, NONE), (66_000, {"scale"})])
def test_the_product_of_scales_is_below_65536(ratio: int, rules: set[str]) -> None:
    assert broken(with_convolution(scale=SCALE * WEIGHT_SCALE / ratio), SOC) == rules


def test_the_largest_of_the_scales_per_channel_counts() -> None:
    scales = (WEIGHT_SCALE,) * 47 + (WEIGHT_SCALE * 70_000,)

    finding = only(with_convolution(weight_scales=scales, scale=SCALE * WEIGHT_SCALE), SOC)

    assert (finding.rule, finding.found) == (
        "artpec9/scale",
        "input scale x weight scale / output scale = 7e+04",
    )


def test_convolutions_may_have_scales_per_channel() -> None:
    assert broken(with_convolution(weight_scales=(WEIGHT_SCALE,) * 48), SOC) == NONE


def test_scales_per_channel_of_a_dense_layer_are_told_as_inferred() -> None:
    finding = only(with_dense(weight_scales=(WEIGHT_SCALE,) * 10), SOC)

    assert (finding.rule, finding.found, finding.evidence) == (
        "artpec9/dense-per-channel",
        "10 weight scales",
        "inferred",
    )
    assert "ARM-software/ethos-n-driver-stack" in finding.source


@pytest.mark.parametrize(
    ("options", "rules"),
    [
        ({}, NONE),
        ({"kernel": (9, 9), "stride": (1, 1)}, NONE),
        ({"kernel": (4, 4)}, {"kernel"}),
        ({"stride": (2, 2)}, NONE),
        ({"kernel": (1, 1)}, NONE),
        ({"kernel": (1, 1), "stride": (2, 2)}, {"depthwise-1x1-stride"}),
        ({"multiplier": 3}, {"channel-multiplier"}),
    ],
)
def test_depthwise_convolutions(options: dict[str, object], rules: set[str]) -> None:
    assert broken(with_depthwise(**options), SOC) == rules


@pytest.mark.parametrize(
    ("options", "rules"),
    [
        ({}, NONE),
        ({"kernel": (9, 9)}, NONE),
        ({"kernel": (7, 7), "padding": "VALID"}, NONE),
        ({"kernel": (9, 9), "padding": "VALID"}, {"transpose-large-kernel"}),
        ({"kernel": (4, 4)}, {"kernel"}),
        ({"kernel": (5, 5), "stride": (4, 4)}, {"transpose-stride"}),
        ({"filters": 24}, {"filters-multiple-of-16"}),
    ],
)
def test_transposed_convolutions(options: dict[str, object], rules: set[str]) -> None:
    assert broken(with_transpose_conv(**options), SOC) == rules


@pytest.mark.parametrize(
    ("image", "size", "stride", "padding", "rules"),
    [
        (32, 3, 1, "SAME", NONE),
        (32, 3, 1, "VALID", {"average-pool"}),
        (32, 3, 2, "SAME", {"average-pool"}),
        (14, 7, 7, "VALID", NONE),
        (16, 8, 1, "VALID", NONE),
        (16, 7, 1, "VALID", {"average-pool"}),
        (18, 9, 1, "VALID", {"average-pool"}),
    ],
)
def test_average_pools(image: int, size: int, stride: int, padding: str, rules: set[str]) -> None:
    spec = with_pool("AVERAGE_POOL_2D", (size, size), (image, image), stride=(stride, stride), padding=padding)

    assert broken(spec, SOC) == rules


@pytest.mark.parametrize(
    ("image", "size", "stride", "padding", "rules"),
    [
        (32, 1, 2, "VALID", NONE),
        (30, 1, 2, "VALID", NONE),
        (32, 2, 2, "VALID", NONE),
        (30, 2, 2, "VALID", {"max-pool-parity"}),
        (30, 2, 2, "SAME", NONE),
        (32, 2, 2, "SAME", {"max-pool-parity"}),
        (32, 3, 2, "VALID", NONE),
        (30, 3, 2, "SAME", NONE),
        (32, 3, 2, "SAME", {"max-pool-parity"}),
        (32, 4, 2, "VALID", {"max-pool"}),
        (32, 3, 3, "VALID", {"max-pool"}),
        (64, 9, 1, "VALID", NONE),
        (64, 10, 1, "VALID", {"max-pool"}),
        (64, 17, 1, "SAME", NONE),
        (64, 18, 1, "SAME", {"max-pool"}),
        (32, 17, 1, "SAME", {"max-pool"}),
    ],
)
def test_max_pools(image: int, size: int, stride: int, padding: str, rules: set[str]) -> None:
    spec = with_pool("MAX_POOL_2D", (size, size), (image, image), stride=(stride, stride), padding=padding)

    assert broken(spec, SOC) == rules


@pytest.mark.parametrize(
    ("width", "padding", "rules"),
    [
        (416, "VALID", NONE),
        (417, "SAME", NONE),
        (418, "VALID", {"max-pool-width"}),
        (419, "SAME", {"max-pool-width"}),
    ],
)
def test_3x3_max_pools_are_at_most_417_wide(width: int, padding: str, rules: set[str]) -> None:
    height = 32 if padding == "VALID" else 30

    assert broken(with_pool("MAX_POOL_2D", (3, 3), (height, 2 * width), padding=padding), SOC) == rules


@pytest.mark.parametrize(
    ("image", "axes", "rules"),
    [
        (14, (1, 2), NONE),
        (16, (2, 1), NONE),
        (16, (-3, -2), NONE),
        (12, (1, 2), {"mean"}),
        (14, (3,), {"mean"}),
        (14, (1,), {"mean"}),
    ],
)
def test_means_are_over_7x7_or_8x8(image: int, axes: tuple[int, ...], rules: set[str]) -> None:
    assert broken(with_mean(image, axes), SOC) == rules


@pytest.mark.parametrize(
    ("shape", "stored", "scale", "rules"),
    [
        ((1, 1, 1, 48), 2, SCALE, NONE),
        ((48,), 2, SCALE, NONE),
        # 8 * 0.125 = 1: the stored values stay as they are.
        ((), 8, SCALE, NONE),
        ((), 16, 2 * SCALE, NONE),
        ((), 8, 2 * SCALE, {"multiply-by-constant"}),
        ((1, 16, 1, 48), 2, SCALE, {"multiply-by-constant"}),
        ((1, 16, 16, 1), 2, SCALE, {"multiply-by-constant"}),
    ],
)
def test_multiplications(shape: tuple[int, ...], stored: int, scale: float, rules: set[str]) -> None:
    assert broken(with_multiplication(shape, stored=stored, scale=scale), SOC) == rules


@pytest.mark.parametrize(
    ("shape", "rules"),
    [((1, 16, 16, 48), NONE), ((16, 16, 48), NONE), ((), {"add-element-wise"}), ((48,), {"add-element-wise"})],
)
def test_additions_are_element_by_element(shape: tuple[int, ...], rules: set[str]) -> None:
    assert broken(with_addition(shape), SOC) == rules


@pytest.mark.parametrize(
    ("pads", "rules"),
    [
        (((0, 0), (0, 7), (7, 3), (0, 0)), {"explicit-padding"}),
        (((0, 0), (0, 8), (0, 0), (0, 0)), {"pad-size"}),
        (((0, 0), (0, 0), (0, 0), (0, 1)), {"pad-dimensions"}),
        (((1, 0), (0, 0), (0, 0), (0, 0)), {"pad-dimensions", "batch-1"}),
    ],
)
def test_pads(pads: tuple[tuple[int, int], ...], rules: set[str]) -> None:
    assert broken(with_padding(*pads), SOC) == rules


@pytest.mark.parametrize("name", ["PADV2", "MIRROR_PAD"])
def test_pads_of_something_else_than_zeros_are_not_listed(name: str) -> None:
    assert broken(with_padding((0, 0), (1, 1), (1, 1), (0, 0), name=name), SOC) == {"operator-not-listed"}


@pytest.mark.parametrize(
    ("filters", "axis", "rules"),
    [((16, 32), 3, NONE), ((16, 4), -1, {"concat-channels"}), ((4, 4), 1, NONE), ((4, 4), 2, NONE)],
)
def test_channels_are_joined_by_sixteens(filters: tuple[int, int], axis: int, rules: set[str]) -> None:
    assert broken(with_concat(*filters, axis=axis), SOC) == rules


@pytest.mark.parametrize(("divisor", "rules"), [(128, NONE), (129, {"concat-scale"})])
def test_joining_scales_down_at_most_128_times(divisor: int, rules: set[str]) -> None:
    assert broken(with_concat(16, 16, scale=SCALE / divisor), SOC) == rules


@pytest.mark.parametrize(("divisor", "rules"), [(128, NONE), (129, {"requantize-scale"})])
def test_requantizing_scales_down_at_most_128_times(divisor: int, rules: set[str]) -> None:
    assert broken(with_unary("QUANTIZE", scale=SCALE / divisor), SOC) == rules


@pytest.mark.parametrize(
    ("sizes", "axis", "name", "rules"),
    [
        ((16, 16, 16), 3, "SPLIT", NONE),
        ((16, 32), 3, "SPLIT_V", NONE),
        ((8, 8), 1, "SPLIT", NONE),
        ((8, 40), 3, "SPLIT_V", {"split-channels"}),
    ],
)
def test_channels_are_split_by_sixteens(sizes: tuple[int, ...], axis: int, name: str, rules: set[str]) -> None:
    assert broken(with_split(*sizes, axis=axis, name=name), SOC) == rules


@pytest.mark.parametrize(
    ("size", "rules"),
    [
        ((32, 32), NONE),
        ((31, 31), NONE),
        ((31, 32), {"resize-odd-even"}),
        ((33, 32), {"resize-factor"}),
        ((16, 16), {"resize-factor"}),
    ],
)
@pytest.mark.parametrize("name", ["RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR"])
def test_resizing_doubles(size: tuple[int, int], name: str, rules: set[str]) -> None:
    assert broken(with_resize(*size, name=name), SOC) == rules


@pytest.mark.parametrize(
    ("slope", "rules"),
    [
        (0.0, {"leaky-relu-slope"}),
        (0.01, {"relu6"}),
        (0.99, {"relu6"}),
        (1.0, {"leaky-relu-slope"}),
        (-0.1, {"leaky-relu-slope"}),
    ],
)
def test_leaky_slopes_are_between_0_and_1(slope: float, rules: set[str]) -> None:
    assert broken(with_leaky_relu(slope), SOC) == rules


@pytest.mark.parametrize(("block", "rules"), [(2, NONE), (4, {"depth-to-space"})])
def test_depth_to_space_has_blocks_of_2(block: int, rules: set[str]) -> None:
    assert broken(with_depth_to_space(block), SOC) == rules


@pytest.mark.parametrize(
    ("name", "scale", "zero_point", "rules"),
    [
        ("LOGISTIC", 1 / 256, -128, NONE),
        ("LOGISTIC", 1 / 256, 0, {"sigmoid-quantization"}),
        ("TANH", 1 / 128, 0, NONE),
        ("TANH", 1 / 128, -128, {"tanh-quantization"}),
    ],
)
def test_sigmoid_and_tanh_have_the_outputs_that_they_need(
    name: str, scale: float, zero_point: int, rules: set[str]
) -> None:
    assert broken(with_unary(name, scale=scale, zero_point=zero_point), SOC) == rules


@pytest.mark.parametrize(("channels", "rules"), [(4096, NONE), (6144, NONE), (8192, {"depth"})])
def test_depth_is_only_told_beyond_the_smallest_memory(channels: int, rules: set[str]) -> None:
    assert broken(with_reshape(1, 1, 64 * 64 * 48 // channels, channels, image=128), SOC) == rules


def test_depth_does_not_matter_one_pixel_wide() -> None:
    assert broken(with_reshape(1, 6, 1, 8192, image=64), SOC) == NONE


def test_the_first_of_fewer_dimensions_is_no_batch() -> None:
    assert broken(with_reshape(16, 768), SOC) == NONE


@pytest.mark.parametrize(("filters", "rules"), [(4, NONE), (8, {"filters-multiple-of-16"}), (32, NONE)])
def test_filters_come_in_sixteens(filters: int, rules: set[str]) -> None:
    assert broken(with_convolution(filters=filters), SOC) == rules


def test_a_finding_about_filters_says_what_is_computed() -> None:
    assert only(with_convolution(filters=40), SOC).found == "40 filters, for which the DLPU computes 48"


def test_softmax_at_the_end_is_no_more_than_advice() -> None:
    report = lint(with_unary("SOFTMAX", scale=1 / 256, zero_point=-128), SOC)

    assert [each.severity for each in report.findings] == ["advice"]
    assert report.placement is not None
    assert (report.placement.cpu, report.placement.max_parts) == ({"SOFTMAX": 1}, None)


def test_the_cpu_at_one_end_is_not_in_the_middle() -> None:
    assert broken(in_parts(3), SOC) == {"operator-not-listed"}
    assert broken(in_parts(4), SOC) == {"operator-not-listed", "cpu-in-the-middle"}


@pytest.mark.parametrize("name", ["mobilenet_v2_1.0_224_quant", "tf2_mobilenet_v2_1.0_224_ptq"])
def test_mobilenets_run_on_the_dlpu_up_to_their_softmax(name: str) -> None:
    """The second has scales per channel, in convolutions, and a mean over 7x7."""
    report = lint_published(shared_model(name), SOC)

    assert report.placement is not None
    assert report.placement.cpu == {"SOFTMAX": 1}
    assert report.placement.dlpu["CONV_2D"] == 36
    # 24 and 144 are not, and 1001 classes; depthwise convolutions follow.
    assert {each.found.split()[0] for each in report.findings if each.rule == "artpec9/filters-multiple-of-16"} == {
        "24",
        "1001",
    }
    assert {each.severity for each in report.findings} == {"advice"}


def test_movenets_network_runs_on_the_dlpu_and_its_decoding_on_the_cpu() -> None:
    report = lint_published(shared_model("movenet_single_pose_lightning_ptq"), SOC)

    assert report.placement is not None
    placement = report.placement
    assert (placement.dlpu["CONV_2D"], placement.dlpu["DEPTHWISE_CONV_2D"]) == (50, 24)
    assert (placement.cpu["GATHER_ND"], placement.cpu["ARG_MAX"], placement.cpu["SUB"]) == (4, 2, 6)
    # A scalar that only changes the scale, in the pre-processing.
    assert 3 in placement.on_dlpu
    assert not [each for each in report.findings if each.severity == "error"]


def test_dilated_convolutions_of_a_deeplab_are_told_as_inferred() -> None:
    report = lint_published(shared_model("deeplabv3_mnv2_dm05_pascal_quant"), SOC)

    dilated = [each for each in report.findings if each.rule == "artpec9/dilation"]
    assert [each.found for each in dilated] == ["dilation 2x2"] * 3
    assert {each.evidence for each in dilated} == {"inferred"}
