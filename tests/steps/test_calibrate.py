"""Calibration: what images and arrays become, that cores do not change the result, and what bad samples say."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from tests.steps.conftest import run_inside

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.steps.conftest import StepRun

pytestmark = pytest.mark.toolchain

MEAN = [10.0, 20.0, 30.0]
STD = [50.0, 60.0, 70.0]
IMAGE = {"name": "image", "shape": [1, 32, 32, 3], "color": "rgb", "mean": MEAN, "std": STD, "resize": "stretch"}
COUNT = 20


@pytest.fixture(scope="module")
def decoded(tf2_python: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    result: dict[str, Any] = run_inside(tf2_python, "decode_cases.py", {}, tmp_path_factory.mktemp("decoded"))
    return result


@pytest.mark.parametrize(
    ("name", "pixels"),
    [
        ("one pixel", [[[1, 2, 3]] * 4] * 3),
        ("cmyk jpeg", [[[255, 0, 0]]]),
        ("animated gif", [[[200, 10, 20]] * 2] * 2),
        ("palette", [[[10, 200, 30]] * 2] * 2),
        ("alpha", [[[9, 8, 7]] * 2] * 2),
        ("gray with alpha", [[[77, 77, 77]] * 2] * 2),
        ("one bit", [[[255, 255, 255]] * 2] * 2),
        ("sixteen bit", [[[0], [0]], [[1], [255]]]),
        ("sixteen bit to rgb", [[[0] * 3, [0] * 3], [[1] * 3, [255] * 3]]),
        ("exif", [[[255, 0, 0], [0, 0, 255]]]),
        ("bgr", [[[3, 2, 1]]]),
        ("gray", [[[76]]]),
        ("stretch", [[[109, 146, 0], [0, 146, 109]]] * 2),
        ("crop", [[[0, 255, 0]] * 2] * 2),
        ("crop tall", [[[0, 255, 0]] * 2] * 4),
        ("letterbox wide", [[[114] * 3, [1, 2, 3], [114] * 3, [114] * 3]] * 4),
    ],
)
def test_an_image_becomes_these_pixels(decoded: dict[str, Any], name: str, pixels: list[Any]) -> None:
    assert decoded[name] == pixels


@pytest.mark.parametrize(("name", "padding"), [("letterbox", [114, 114, 114]), ("letterbox gray", [114])])
def test_letterbox_pads_above_and_below_a_wide_image(decoded: dict[str, Any], name: str, padding: list[int]) -> None:
    above, image, *below = decoded[name]
    assert [above, *below] == [[padding] * 4] * 3
    assert padding not in image


def test_what_is_no_image_of_bytes_is_refused(decoded: dict[str, Any]) -> None:
    assert "floating-point" in decoded["floating point"]
    assert "cannot identify" in decoded["empty"]


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 20 PNG images of 32 by 32, and the same pixels in `pixels.npy`."""
    folder = tmp_path_factory.mktemp("samples")
    (folder / "images").mkdir()
    pixels = np.random.default_rng(2).integers(0, 256, (COUNT, 32, 32, 3), dtype=np.uint8)
    np.save(folder / "pixels.npy", pixels)
    np.savez(folder / "one.npz", anything=pixels)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(folder / "images" / f"{number:04}.png")
    return folder


@pytest.fixture(scope="module")
def imported(tf2_python: Path, models: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The float `.tflite` of one model with one input, and of one with two."""
    folder = tmp_path_factory.mktemp("float")
    subjects = {"cnn.keras": "keras", "pair_saved": "saved-model", "logarithm": "saved-model"}
    cases = []
    for name, kind in subjects.items():
        (folder / name).mkdir()
        params = {"format": kind, "model": str(models / name), "inputs": [], "outputs": [], "optimization": "none"}
        cases.append({"folder": str(folder / name), "params": params})
    assert run_inside(tf2_python, "run_cases.py", {"script": "import_model", "cases": cases}, folder) == [None] * 3
    return {name: folder / name / "out" / "model.tflite" for name in subjects}


@pytest.fixture(scope="module")
def float_model(imported: dict[str, Path]) -> Path:
    return imported["cnn.keras"]


@pytest.fixture
def calibrate(step: Callable[..., StepRun], float_model: Path) -> Callable[..., StepRun]:
    def run(folder: str, data: dict[str, Any], source: Path, /, **declared: Any) -> StepRun:
        params = {"model": "in/model.tflite", "inputs": [IMAGE | declared], "data": data}
        place = data.get("file", "in/data")
        return step(folder, "calibrate.py", params, {"in/model.tflite": float_model, place: source})

    return run


def files(count: int = COUNT) -> dict[str, Any]:
    return {"kind": "images", "files": [f"in/data/{number:04}.png" for number in range(count)]}


def test_images_and_their_pixels_calibrate_as_tensorflow_does_by_itself(
    tf2_python: Path, calibrate: Callable[..., StepRun], float_model: Path, samples: Path, tmp_path: Path
) -> None:
    from_images = calibrate("images", files(), samples / "images")
    rows = list(range(COUNT))
    from_npy = calibrate("npy", {"kind": "npy", "file": "in/x.npy", "indices": rows}, samples / "pixels.npy")
    from_npz = calibrate("npz", {"kind": "npz", "file": "in/x.npz", "indices": rows[::-1]}, samples / "one.npz")
    job = {"model": str(float_model), "pixels": str(samples / "pixels.npy"), "mean": MEAN, "std": STD}
    low, high = run_inside(tf2_python, "expected_ranges.py", job | {"out": str(tmp_path / "expected")}, tmp_path)
    expected = (tmp_path / "expected").read_bytes()
    assert from_images.output("calibrated.tflite") == expected
    assert from_npy.output("calibrated.tflite") == expected
    assert from_npz.output("calibrated.tflite") == expected
    assert from_images.description["metrics"] == {"samples": COUNT, "inputs": {"image": {"min": low, "max": high}}}


def calibrated_with(
    python: Path, folder: Path, params: dict[str, Any], counts: tuple[int, ...]
) -> list[dict[str, bytes]]:
    """Calibrate once with each number of processes; return what each left in `out/`, by file name."""
    places = [folder / str(count) for count in counts]
    for place in places:
        place.mkdir()
    cases = [
        {"folder": str(place), "params": params, "settings": {"workers": count}}
        for place, count in zip(places, counts, strict=True)
    ]
    faults = run_inside(python, "run_cases.py", {"script": "calibrate", "cases": cases}, folder)
    assert faults == [None] * len(counts)
    return [{path.name: path.read_bytes() for path in sorted((place / "out").iterdir())} for place in places]


def test_the_number_of_processes_does_not_change_a_byte(
    tf2_python: Path, float_model: Path, samples: Path, tmp_path: Path
) -> None:
    data = {"kind": "npy", "file": str(samples / "pixels.npy"), "indices": list(range(COUNT))}
    params = {"model": str(float_model), "inputs": [IMAGE], "data": data}
    one, two, three = calibrated_with(tf2_python, tmp_path, params, (1, 2, 3))
    assert set(one) == {"calibrated.tflite", "probe.npz", "step.json"}
    assert one == two == three


def test_the_number_of_processes_does_not_change_a_byte_where_one_of_them_sees_only_nan(
    tf2_python: Path, imported: dict[str, Path], tmp_path: Path
) -> None:
    rows = np.full((COUNT, 4), -1, np.float32)
    rows[::2] = np.arange(1, COUNT // 2 + 1)[:, np.newaxis]
    np.save(tmp_path / "x.npy", rows)
    data = {"kind": "npy", "file": str(tmp_path / "x.npy"), "indices": list(range(COUNT))}
    params = {"model": str(imported["logarithm"]), "inputs": [], "data": data}
    one, two = calibrated_with(tf2_python, tmp_path, params, (1, 2))
    assert one == two


def test_progress_is_told_to_the_last_image(calibrate: Callable[..., StepRun], samples: Path) -> None:
    run = calibrate("progress", files(), samples / "images")
    told = [event for event in run.events if event["event"] == "progress"]
    assert told[-1] == {"event": "progress", "done": COUNT, "total": COUNT, "unit": "images"}
    assert [event["done"] for event in told] == sorted({event["done"] for event in told})


def test_all_images_that_cannot_be_decoded_are_named_and_counted(
    calibrate: Callable[..., StepRun], samples: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "some bad"
    folder.mkdir()
    for path in (samples / "images").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "0003.png").write_bytes(b"not an image")
    (folder / "0008.png").write_bytes((samples / "images" / "0008.png").read_bytes()[:200])
    run = calibrate("bad", files(), folder)
    assert run.exit_code == 1
    assert run.error["code"] == "calibration-unreadable"
    assert f"2 of {COUNT} images" in run.error["message"]
    assert "in/data/0003.png" in run.error["message"]
    assert "in/data/0008.png" in run.error["message"]
    assert "Traceback" not in run.log
    assert not (run.folder / "out" / "calibrated.tflite").exists()


def array_file(folder: Path, name: str, array: Any) -> Path:
    folder.mkdir(exist_ok=True)
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    (folder / name).write_bytes(stream.getvalue())
    return folder / name


@pytest.mark.parametrize(
    ("array", "code", "named"),
    [
        (np.zeros((4, 16, 16, 3), np.uint8), "calibration-unreadable", ["[16, 16, 3]", "[32, 32, 3]"]),
        (np.zeros((4, 32, 32), np.float32), "calibration-unreadable", ["[32, 32]"]),
        (np.full((4, 32, 32, 3), np.nan, np.float32), "calibration-unreadable", ["4 of 4 samples", "not finite"]),
        (np.array([{"a": 1}] * 4), "calibration-unreadable", ["npy"]),
        (np.zeros((4, 32, 32, 3), "U1"), "calibration-unreadable", ["<U1"]),
    ],
)
def test_an_array_that_does_not_fit_says_why(
    calibrate: Callable[..., StepRun], tmp_path: Path, array: Any, code: str, named: list[str]
) -> None:
    source = array_file(tmp_path / "arrays", "x.npy", array)
    run = calibrate("array", {"kind": "npy", "file": "in/x.npy", "indices": [0, 1, 2, 3]}, source)
    assert run.exit_code == 1
    assert run.error["code"] == code
    for part in named:
        assert part in run.error["message"]


@pytest.mark.parametrize(
    ("declared", "named"),
    [
        ({"color": "gray"}, "gray images need [1, height, width, 1]"),
        ({"name": "imag"}, 'did you mean "image"?'),
        ({"mean": [1.0, 2.0]}, "mean has 2 values"),
        ({"std": [1.0, 0.0, 1.0]}, "std of 0"),
    ],
)
def test_an_input_that_is_not_the_models_is_refused(
    calibrate: Callable[..., StepRun], samples: Path, declared: dict[str, Any], named: str
) -> None:
    run = calibrate("declared", files(), samples / "images", **declared)
    assert run.exit_code == 1
    assert run.error["code"] == "model-input"
    assert named in run.error["message"]


def test_only_an_archive_with_their_names_feeds_two_inputs(
    step: Callable[..., StepRun], imported: dict[str, Path], samples: Path
) -> None:
    pair = {"in/model.tflite": imported["pair_saved"]}
    params = {"model": "in/model.tflite", "inputs": [], "data": files()}
    images = step("images", "calibrate.py", params, pair | {"in/data": samples / "images"})
    assert images.error["code"] == "model-input"
    assert ".npz" in images.error["hint"]
    params["data"] = {"kind": "npz", "file": "in/x.npz", "indices": [0]}
    missing = step("npz", "calibrate.py", params, pair | {"in/x.npz": samples / "one.npz"})
    assert missing.error["code"] == "calibration-unreadable"
    assert '"left", "right"' in missing.error["message"]


def test_quantizing_twice_gives_the_same_bytes_and_keeps_names(
    calibrate: Callable[..., StepRun], step: Callable[..., StepRun], samples: Path
) -> None:
    calibrated = calibrate("calibrate", files(), samples / "images").folder / "out" / "calibrated.tflite"
    params = {"model": "in/calibrated.tflite", "per_channel": False, "input_type": "uint8", "output_type": "int8"}
    runs = [step(name, "quantize.py", params, {"in/calibrated.tflite": calibrated}) for name in ("one", "two")]
    assert runs[0].output("model.tflite") == runs[1].output("model.tflite")
    tensors = runs[0].description["tensors"]
    assert [(each["name"], each["dtype"]) for each in tensors["inputs"]] == [("image", "uint8")]
    assert [(each["name"], each["dtype"]) for each in tensors["outputs"]] == [("probabilities", "int8")]
    assert b"min_runtime_version" in runs[0].output("model.tflite")
    assert b"CONVERSION_METADATA" not in runs[0].output("model.tflite")


def test_what_is_no_model_cannot_be_quantized(step: Callable[..., StepRun], tmp_path: Path) -> None:
    junk = tmp_path / "junk.tflite"
    junk.write_bytes(b"junk" * 10)
    params = {"model": "in/calibrated.tflite", "per_channel": True, "input_type": "uint8", "output_type": "uint8"}
    run = step("junk", "quantize.py", params, {"in/calibrated.tflite": junk})
    assert run.exit_code == 1
    assert run.error["code"] == "conversion"
