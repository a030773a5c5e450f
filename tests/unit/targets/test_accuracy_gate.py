"""Which figures are held against which limit, what passes, and what is said of what does not."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from dlpubuild.errors import ErrorCode, ExitCode, StepFailedError
from dlpubuild.resources import templates_dir
from dlpubuild.targets.accuracy_gate import AccuracyError, AccuracyLimits, gate_outcomes, hold_against_gates
from dlpubuild.targets.load import load_socs
from dlpubuild.targets.model import Target
from dlpubuild.targets.verification import Verification, read_verification
from tests.factories.verify_documents import alternative, boxes, document, layer, output

SOCS = load_socs([templates_dir()], trusted=templates_dir())
LIMITS = AccuracyLimits(metric="top1", max_drop=0.02, min_agreement=0.97, min_sqnr=20.0)


def gates(limits: AccuracyLimits, found: dict[str, Any]) -> list[tuple[str, str, bool]]:
    return [(each.metric, each.output, each.passed) for each in gate_outcomes(found, limits)]


def target(soc: str) -> Target:
    return Target(
        soc=SOCS[soc],
        quantization=SOCS[soc].default_quantization,
        io="uint8",
        toolchain="tf2",
        activations="auto",
    )


def refused(found: dict[str, Any], limits: AccuracyLimits = LIMITS, soc: str = "artpec9") -> AccuracyError:
    verification = Verification(document=found, gates=gate_outcomes(found, limits))
    with pytest.raises(AccuracyError) as caught:
        hold_against_gates(verification, limits, target(soc), file="model.tflite")
    assert (caught.value.code, caught.value.exit_code) == (ErrorCode.GATE, ExitCode.GATE_FAILED)
    assert caught.value.verification is verification
    return caught.value


def test_top1_is_about_the_drop_and_about_agreement_of_outputs_with_classes() -> None:
    found = document(output(), output("other", top1=None))
    assert gates(LIMITS, found) == [("top1", "probabilities", True), ("agreement", "probabilities", True)]


@pytest.mark.parametrize(
    ("metric", "wanted"),
    [
        ("agreement", [("agreement", "probabilities", True)]),
        ("sqnr", [("sqnr", "probabilities", True)]),
        ("mae", [("mae", "probabilities", True)]),
        ("none", []),
    ],
)
def test_each_other_metric_is_about_one_figure(metric: Any, wanted: list[tuple[str, str, bool]]) -> None:
    assert gates(replace(LIMITS, metric=metric), document()) == wanted


def test_what_equals_its_limit_passes() -> None:
    found = document(output(top1=(0.99, 0.97), agreement=0.97, sqnr=20.0, mae=0.02))
    for metric in ("top1", "agreement", "sqnr", "mae"):
        assert all(passed for _, _, passed in gates(replace(LIMITS, metric=metric), found))


@pytest.mark.parametrize(
    ("metric", "worse"),
    [
        ("top1", {"top1": (0.99, 0.969)}),
        ("top1", {"agreement": 0.969}),
        ("agreement", {"agreement": 0.969}),
        ("sqnr", {"sqnr": 19.9}),
        ("mae", {"mae": 0.0201}),
    ],
)
def test_what_is_below_its_limit_fails_with_the_figures(metric: Any, worse: dict[str, Any]) -> None:
    error = refused(document(output(**worse)), replace(LIMITS, metric=metric))
    assert "1000 validation samples" in error.message
    assert "fails" in error.message
    assert "[verify]" in error.hint


def test_boxes_are_held_against_the_agreement() -> None:
    limits = replace(LIMITS, metric="agreement")
    found = document(output(top1=None, agreement=None, kind="boxes"), boxes=boxes(0.95))
    assert gates(limits, found) == [("agreement", "boxes", False)]
    assert "boxes in both models" in refused(found, limits).message


def test_an_output_called_boxes_is_an_output() -> None:
    found = document(output("boxes", agreement=0.5))
    assert "agreement" in refused(found).message


def test_without_a_float_model_nothing_is_held_against_a_limit() -> None:
    found = document(compared_with_float=False)
    assert gates(LIMITS, found) == []
    hold_against_gates(Verification(document=found), LIMITS, target("artpec8"), file="model.tflite")


def test_a_metric_that_applies_to_no_output_is_no_pass() -> None:
    error = refused(document(output(top1=None, agreement=None, kind="values")), replace(LIMITS, metric="agreement"))
    assert "does not apply" in error.message
    assert "sqnr" in error.hint


def test_another_scheme_that_would_have_passed_is_advised_where_the_soc_takes_it() -> None:
    tried = [alternative("per-tensor", 100, top1=0.9, is_built=True), alternative("per-channel", 100, top1=0.98)]
    found = document(output(top1=(0.99, 0.9)), alternatives=tried)
    assert 'set quantization = "per-channel" under [target.artpec9]' in refused(found).hint
    assert "ARTPEC-8 does not take it" in refused(found, soc="artpec8").hint


def test_another_number_of_calibration_samples_is_advised_where_it_would_have_passed() -> None:
    tried = [
        alternative("per-channel", 100, top1=0.9, is_built=True),
        alternative("per-channel", 25, top1=0.91),
        alternative("per-channel", 50, top1=0.985),
    ]
    hint = refused(document(output(top1=(0.99, 0.9)), alternatives=tried)).hint
    assert "set [calibration] samples = 50" in hint
    assert "samples = 25" not in hint


def test_the_layers_that_lose_most_are_named() -> None:
    layers = [layer(index, decibels) for index, decibels in enumerate((30.0, None, 3.0, 12.0, 9.0))]
    hint = refused(document(output(top1=(0.99, 0.9)), layers=layers)).hint
    assert hint.index("layer-2") < hint.index("layer-4") < hint.index("layer-3")
    assert "layer-0" not in hint


def test_names_cannot_steer_the_terminal_or_fill_it() -> None:
    error = refused(document(output("\x1b[31m" + "x" * 500, top1=(0.9, 0.1))))
    assert "\x1b" not in error.message
    assert max(map(len, error.message.splitlines())) < 200


def test_a_document_is_read_as_it_is() -> None:
    found = document(boxes=boxes(0.9), alternatives=[alternative("per-channel", 10, top1=0.5)])
    assert read_verification(json.dumps(found).encode()) == found


@pytest.mark.parametrize(
    "garbled",
    [
        {"schema": 2},
        {"schema": True},
        {"samples": -1},
        {"samples": 1.5},
        {"labelled": 1},
        {"outputs": {}},
        {"outputs": [1]},
        {"outputs": [output() | {"kind": "other"}]},
        {"outputs": [output() | {"name": None}]},
        {"outputs": [output() | {"agreement": {"value": "1"}}]},
        {"outputs": [output() | {"mae": {"value": None, "low": None, "high": None}}]},
        {"outputs": [{key: value for key, value in output().items() if key != "drop"}]},
        {"boxes": []},
        {"layers": [{}]},
        {"alternatives": [{"scheme": "none"}]},
        {"notes": [1]},
        {"notes": None},
    ],
)
def test_a_garbled_document_is_a_clean_error(garbled: dict[str, Any]) -> None:
    with pytest.raises(StepFailedError) as caught:
        read_verification(json.dumps(document() | garbled).encode())
    assert caught.value.code is ErrorCode.STEP_OUTPUT


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"schema": NaN}', b"[" * 100_000, b"9" * 5000]
)
def test_what_is_no_document_is_a_clean_error(content: bytes) -> None:
    with pytest.raises(StepFailedError):
        read_verification(content)


def test_numbers_that_are_not_finite_are_refused() -> None:
    text = json.dumps(document(output(sqnr=float("inf"))))
    assert "Infinity" in text
    with pytest.raises(StepFailedError, match="Infinity"):
        read_verification(text.encode())
