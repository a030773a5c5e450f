"""What the verifying step says of models and data that it cannot use, and of alternatives that fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.steps.verified import COUNT, npz

if TYPE_CHECKING:
    from pathlib import Path

    from tests.steps.conftest import StepRun
    from tests.steps.verified import Workshop

pytestmark = pytest.mark.toolchain


def refused(run: StepRun) -> tuple[str, str]:
    """The code and the message of a step that failed without leaving anything."""
    assert run.exit_code == 1
    assert list((run.folder / "out").iterdir()) == []
    assert "Traceback" not in run.log
    return run.error["code"], run.error["message"]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"scores": [8] * COUNT}, 'sample 0 has the label 8 for output "scores", which has the classes 0 to 7'),
        ({"scores": [0] * 39 + [9]}, 'sample 39 has the label 9 for output "scores"'),
        ({"yes": [2] * COUNT}, 'sample 0 has the label 2 for output "yes", which has the classes 0 to 1'),
        ({"map": [0] * COUNT}, 'there are labels for output "map", which has no classes'),
        ({"score": [0] * COUNT}, 'there are labels for output "score"'),
        ({"scores": [0] * 39}, 'output "scores" has 39 labels for 40 samples'),
    ],
)
def test_labels_that_do_not_fit_are_refused(shop: Workshop, labels: dict[str, Any], message: str) -> None:
    code, told = refused(shop.step("heads", labels=labels))
    assert code == "validation-label"
    assert message in told


def test_no_samples_are_refused(shop: Workshop) -> None:
    assert refused(shop.step("heads", data=npz("in/data/samples.npz", 0)))[0] == "validation-empty"


def arrays(shop: Workshop, **named: Any) -> dict[str, Path]:
    np.savez(shop.folder / "odd.npz", **named)
    return {"in/data/samples.npz": shop.folder / "odd.npz"}


def test_samples_of_another_shape_are_refused(shop: Workshop) -> None:
    files = arrays(shop, image=np.zeros((COUNT, 8, 8, 3), np.float32))
    code, told = refused(shop.step("heads", files=files))
    assert code == "validation-unreadable"
    assert "have the shape [8, 8, 3], the model takes [16, 16, 3]" in told


def test_all_samples_that_are_not_finite_are_named(shop: Workshop) -> None:
    values = np.zeros((COUNT, 16, 16, 3), np.float32)
    values[[2, 30]] = np.nan
    code, told = refused(shop.step("heads", files=arrays(shop, image=values)))
    assert code == "validation-unreadable"
    assert "2 of 40 samples cannot be used" in told
    assert "sample 2:" in told
    assert "sample 30:" in told


def test_a_file_that_is_no_archive_is_refused(shop: Workshop) -> None:
    (shop.folder / "odd.npz").write_bytes(b"PK\x03\x04 and no more")
    code, _ = refused(shop.step("heads", files={"in/data/samples.npz": shop.folder / "odd.npz"}))
    assert code == "validation-unreadable"


@pytest.mark.parametrize("content", [b"", b"no model", b"\x1c\0\0\0TFL3" + bytes(60)])
def test_a_file_that_is_no_model_is_refused(shop: Workshop, content: bytes) -> None:
    (shop.folder / "odd.tflite").write_bytes(content)
    code, _ = refused(shop.step("heads", model=shop.folder / "odd.tflite"))
    assert code in {"model-unreadable", "conversion"}


def test_a_model_that_the_interpreter_does_not_take_is_refused(shop: Workshop) -> None:
    # An operator that no interpreter has: the name of the custom one is changed, in the same length.
    content = shop.float_model("ssd").read_bytes()
    (shop.folder / "odd.tflite").write_bytes(content.replace(b"Detection_PostProcess", b"Detection_PostProcezz"))
    code, told = refused(shop.step("ssd", model=shop.folder / "odd.tflite"))
    assert code == "conversion"
    assert "TensorFlow Lite cannot run the built model" in told
    assert "PostProcezz" in told


def test_an_output_that_only_one_model_has_is_refused(shop: Workshop) -> None:
    code, told = refused(shop.step("heads", model=shop.float_model("yolov5")))
    assert code in {"model-input", "model-output"}
    assert "yolov5" not in told
    code, told = refused(shop.step("yolov5", model=shop.float_model("ssd"), scheme=None))
    assert (code, 'the float model "boxes"' in told) == ("model-output", True)


def test_an_alternative_that_fails_says_why_and_takes_nothing_down(shop: Workshop) -> None:
    (shop.folder / "odd.tflite").write_bytes(b"\x1c\0\0\0TFL3" + bytes(60))
    staged = {"in/calibrated.tflite": shop.folder / "odd.tflite"}
    document = shop.document("heads", calibrated="in/calibrated.tflite", files=staged)
    built, other = document["alternatives"]
    assert (built["is_built"], built["failure"], built["calibration_samples"]) == (True, "", None)
    assert (other["scheme"], other["outputs"]) == ("per-channel", [])
    assert other["failure"]
    assert document["outputs"][0]["sqnr_db"] is not None
