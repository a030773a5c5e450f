"""When an integer model has collapsed, what is said of it, and what is only worth a note."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from dlpubuild.errors import ErrorCode, ExitCode, GateError, StepFailedError
from dlpubuild.resources import templates_dir
from dlpubuild.targets.collapse import check_notes, hold_against_collapse
from dlpubuild.targets.load import load_socs
from dlpubuild.targets.model import Target
from dlpubuild.targets.output_figures import read_check

STEP = 1 / 256
STILL: dict[str, Any] = {"low": 0.0, "high": 0.5, "spread": 0.0, "distinct": 1, "sqnr_db": -1.8, "explained": -3.8}
MOVING: dict[str, Any] = {"low": 0.0, "high": 1.0, "spread": 0.9, "distinct": 14, "sqnr_db": 41.7, "explained": 0.99}


def figures(values: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"step": STEP, "expected": 15, "agreement": None} | values | more


def output(name: str = "scores", *, spread: float = 0.9, distinct: int = 16, **integer: dict[str, Any]) -> Any:
    """An output of the float model; keywords `per_tensor` and `per_channel` have the integer models' figures."""
    wanted = {"low": 0.0, "high": 1.0, "spread": spread, "distinct": distinct}
    return {"name": name, "float": wanted, "integer": {key.replace("_", "-"): each for key, each in integer.items()}}


def record(*outputs: Any, scheme: str = "per-tensor", **more: Any) -> dict[str, Any]:
    check = {
        "samples": 16,
        "distinct": 16,
        "scheme": scheme,
        "outputs": list(outputs),
        "unmeasured": [],
        "failures": {},
    }
    return {"schema": 1, "tools": {}, "tensors": {}, "metrics": {"check": check | more}}


def target(soc: str = "artpec8") -> Target:
    known = load_socs([templates_dir()], trusted=templates_dir())[soc]
    quantization = known.default_quantization
    return Target(soc=known, quantization=quantization, io="uint8", toolchain="tf2", activations="auto")


def gate_error(document: dict[str, Any], soc: str = "artpec8") -> GateError:
    with pytest.raises(GateError) as caught:
        hold_against_collapse(read_check(document), target(soc), file="a8.tflite")
    return caught.value


def notes(document: dict[str, Any]) -> tuple[str, ...]:
    """Return the notes of a model that passes."""
    check = read_check(document)
    hold_against_collapse(check, target(), file="artpec8/model.tflite")
    return check_notes(check)


COLLAPSED = record(output(per_tensor=figures(STILL), per_channel=figures(MOVING)))


def test_the_gate_shows_the_figures_of_both_schemes_side_by_side() -> None:
    error = gate_error(COLLAPSED)

    assert (error.code, error.exit_code) == (ErrorCode.GATE, ExitCode.GATE_FAILED)
    assert error.message == (
        'a8.tflite: output "scores" is the same for 16 calibration samples that the float model tells apart:\n'
        "  output  float model        per-tensor                       per-channel\n"
        "  scores  16 values, 0 to 1  1 value, 0 to 0.5, SQNR -1.8 dB  14 values, 0 to 1, SQNR 41.7 dB"
    )


@pytest.mark.parametrize(
    ("soc", "document", "hint"),
    [
        ("artpec8", COLLAPSED, "ARTPEC-8 needs per-tensor"),
        ("artpec9", COLLAPSED, 'set quantization = "per-channel" under [target.artpec9]'),
        ("artpec7", COLLAPSED, 'set quantization = "per-channel" under [target.artpec7]'),
        ("artpec9", record(output(per_tensor=figures(STILL), per_channel=figures(STILL))), "per-channel does not help"),
        ("artpec8", record(output(per_tensor=figures(STILL))), "per-channel does not help"),
        (
            "artpec9",
            record(output(per_tensor=figures(STILL), per_channel=figures(STILL)), scheme="per-channel"),
            "per-tensor does not help",
        ),
    ],
)
def test_the_hint_says_what_helps_on_this_soc(soc: str, document: dict[str, Any], hint: str) -> None:
    assert gate_error(document, soc).hint.startswith(hint)


def test_outputs_that_move_stand_below_those_that_do_not_and_only_eight_are_shown() -> None:
    moving = [output(f"fine-{number}", per_tensor=figures(MOVING)) for number in range(9)]

    error = gate_error(record(*moving, output("bad\nname", per_tensor=figures(STILL))))

    lines = error.message.splitlines()
    assert 'output "bad?name" is the same' in lines[0]
    assert [line.split()[0] for line in lines[2:4]] == ["bad?name", "fine-0"]
    assert lines[-1] == "  and 2 more outputs"
    assert len(lines) == 11


def test_a_scheme_that_could_not_be_run_is_told() -> None:
    document = record(output(per_tensor=figures(STILL)), failures={"per-channel": "it ended by signal 6"})
    assert gate_error(document).message.endswith("cannot be run")


@pytest.mark.parametrize(("steps", "fails"), [(0.5, False), (4, False), (16, False), (16.5, True), (200, True)])
def test_a_still_output_fails_where_the_float_models_moves_by_more_than_sixteen_steps(
    steps: float, *, fails: bool
) -> None:
    document = record(output(spread=steps * STEP, per_tensor=figures(STILL)))
    if fails:
        gate_error(document)
    else:
        (note,) = notes(document)
        assert note == (
            'output "scores" is the same for all 16 samples that were tried; '
            f"the float model's moves by {steps} of 255 steps, too little to judge"
        )


@pytest.mark.parametrize(("agreement", "fails"), [(0.0, True), (0.49, True), (0.5, False), (0.9, False)])
def test_a_still_index_fails_where_it_is_mostly_another_than_the_float_models(agreement: float, *, fails: bool) -> None:
    still = figures(STILL, step=None, sqnr_db=None, explained=None, agreement=agreement)
    document = record(output(per_tensor=still))
    if fails:
        assert "SQNR" not in gate_error(document).message
    else:
        (note,) = notes(document)
        assert "hardly changes, too little to judge" in note


def test_a_model_that_follows_has_no_notes() -> None:
    assert notes(record(output(per_tensor=figures(MOVING)))) == ()


def test_a_float_model_that_is_constant_is_a_note() -> None:
    document = record(output(spread=0.0, distinct=1, per_tensor=figures(STILL, explained=None)))
    assert notes(document) == ('output "scores" of the float model is the same for all 16 samples that were tried',)


@pytest.mark.parametrize(
    ("samples", "distinct", "said"),
    [(1, 1, "one calibration sample only"), (16, 1, "no two different calibration samples"), (0, 0, "too large")],
)
def test_without_two_different_samples_nothing_is_judged(samples: int, distinct: int, said: str) -> None:
    document = record(output(per_tensor=figures(STILL)), samples=samples, distinct=distinct)
    (note,) = notes(document)
    assert said in note


def test_an_output_that_takes_few_of_the_values_it_should_take_is_a_note() -> None:
    (note,) = notes(record(output(per_tensor=figures(MOVING, distinct=3))))
    assert note.startswith(
        'output "scores" takes 3 different values for 16 samples, the float model\'s, rounded to the '
    )


def test_an_output_that_moves_as_if_at_random_is_a_note() -> None:
    (note,) = notes(record(output(per_tensor=figures(MOVING, explained=-0.2, sqnr_db=1.0))))
    assert "as far from the float model's as if it stood still (SQNR 1.0 dB)" in note


def test_a_classifier_whose_samples_are_all_of_one_class_is_not_worth_a_word_where_it_moves() -> None:
    little = figures(MOVING, distinct=2, expected=3, explained=-1.0, spread=STEP)
    assert notes(record(output(spread=2 * STEP, per_tensor=little))) == ()


def test_what_could_not_be_measured_is_a_note() -> None:
    document = record(
        output(per_tensor=figures(MOVING)), output("other"), unmeasured=[{"name": "boxes", "reason": "it is empty"}]
    )
    assert notes(document) == ('output "boxes" is not compared with the float model\'s: it is empty',)
    (note,) = notes(record(failures={"per-tensor": "it ended by signal 6"}))
    assert note.endswith("TensorFlow Lite does not run it: it ended by signal 6")


@pytest.mark.parametrize(
    "change",
    [
        {"scheme": "per-row"},
        {"samples": -1},
        {"samples": True},
        {"outputs": [{"name": "x"}]},
        {"outputs": None},
        {"outputs": [output(per_tensor={"low": "much"})]},
        {"unmeasured": [1]},
        {"failures": []},
    ],
)
def test_a_record_without_sound_figures_is_a_fault_of_the_step(change: dict[str, Any]) -> None:
    document = copy.deepcopy(COLLAPSED)
    document["metrics"]["check"] |= change
    with pytest.raises(StepFailedError) as caught:
        read_check(document)
    assert caught.value.code is ErrorCode.STEP_OUTPUT


@pytest.mark.parametrize("document", [{}, {"metrics": {}}, {"metrics": {"check": 3}}, [], None])
def test_a_record_of_another_kind_is_a_fault_of_the_step(document: Any) -> None:
    with pytest.raises(StepFailedError):
        read_check(document)
