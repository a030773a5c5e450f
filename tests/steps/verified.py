"""Models to verify, built once: float, calibrated, quantized; and the verifying step run on them."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.steps.conftest import run_inside, run_step

if TYPE_CHECKING:
    from pathlib import Path

    from tests.steps.conftest import StepRun

COUNT = 40
CALIBRATED_ON = 24
# Model: its samples.
SAMPLES = {
    "heads": "heads.npz",
    "pair": "pair.npz",
    "yolov5": "x.npz",
    "yolov8": "x.npz",
    "ssd": "x.npz",
    "logarithm": "logarithm.npz",
}


def npz(place: str, count: int) -> dict[str, Any]:
    return {"kind": "npz", "file": place, "indices": list(range(count))}


@dataclass(slots=True)
class Workshop:
    """Float models and samples in `folder`; what is built of them is kept."""

    python: Path
    folder: Path
    runs: int = 0
    known: dict[Path, dict[str, Any]] = field(default_factory=dict)

    def float_model(self, name: str) -> Path:
        return self.folder / f"{name}.tflite"

    def samples(self, name: str) -> Path:
        return self.folder / SAMPLES[name]

    def calibrated(self, name: str, count: int = CALIBRATED_ON) -> Path:
        place = self.folder / f"{name} calibrated {count}"
        if not place.exists():
            params = {"model": "in/model.tflite", "inputs": [], "data": npz("in/data.npz", count)}
            inputs = {"in/model.tflite": self.float_model(name), "in/data.npz": self.samples(name)}
            run_step(self.python, place, "calibrate.py", params, inputs).output("calibrated.tflite")
        return place / "out" / "calibrated.tflite"

    def quantized(
        self, name: str, *, scheme: str = "per-tensor", io: str = "uint8", count: int = CALIBRATED_ON
    ) -> Path:
        place = self.folder / f"{name} {scheme} {io} {count}"
        if not place.exists():
            params = {"model": "in/calibrated.tflite", "per_channel": scheme == "per-channel"}
            params |= {"input_type": io, "output_type": io}
            inputs = {"in/calibrated.tflite": self.calibrated(name, count)}
            run_step(self.python, place, "quantize.py", params, inputs).output("model.tflite")
        return place / "out" / "model.tflite"

    def step(
        self,
        name: str,
        *,
        io: str = "uint8",
        model: Path | None = None,
        files: dict[str, Path] | None = None,
        **more: Any,
    ) -> StepRun:
        """Run the verifying step; `more` is what its parameters have besides, or None to leave one out."""
        self.runs += 1
        params: dict[str, Any] = {
            "model": "in/model.tflite",
            "float": "in/float.tflite",
            "data": npz("in/data/samples.npz", COUNT),
            "inputs": [],
            "labels": {},
            "scheme": "per-tensor",
            "io": io,
            "layer_samples": 0,
        } | more
        params = {key: value for key, value in params.items() if value is not None}
        staged = {
            "in/model.tflite": model or self.quantized(name, io=io),
            "in/float.tflite": self.float_model(name),
            "in/data/samples.npz": self.samples(name),
        } | (files or {})
        return run_step(self.python, self.folder / f"verify {self.runs}", "verify.py", params, staged)

    def document(self, name: str, **more: Any) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.step(name, **more).output("verify.json"))
        return document

    def plain(self, name: str, model: Path) -> dict[str, Any]:
        """What TensorFlow's public interpreter gives, by name of the output."""
        if model not in self.known:
            self.run_plainly([(name, model)])
        return self.known[model]

    def run_plainly(self, models: list[tuple[str, Path]]) -> None:
        """Run several models in one process: importing TensorFlow takes longer than all of them."""
        self.runs += 1
        saves = [self.folder / f"plain {self.runs} {number}.npz" for number in range(len(models))]
        runs = [
            {"model": str(model), "samples": str(self.samples(name)), "save": str(save)}
            for (name, model), save in zip(models, saves, strict=True)
        ]
        run_inside(self.python, "plain_outputs.py", {"runs": runs}, self.folder)
        for (_, model), save in zip(models, saves, strict=True):
            with np.load(save) as archive:
                self.known[model] = {key: archive[key].reshape(COUNT, -1) for key in archive.files}


def workshop(python: Path, folder: Path) -> Workshop:
    """Make the models of inside/make_verified.py, and run those that are compared by TensorFlow's interpreter."""
    run_inside(python, "make_verified.py", {}, folder)
    for saved in SAMPLES:
        shutil.rmtree(folder / saved, ignore_errors=True)
    made = Workshop(python=python, folder=folder)
    models = [(name, made.float_model(name)) for name in ("heads", "pair", "yolov5", "yolov8", "ssd")]
    models += [("heads", made.quantized("heads", io=io)) for io in ("uint8", "int8", "float32")]
    models += [("heads", made.quantized("heads", count=count)) for count in (6, 12)]
    models += [("heads", made.quantized("heads", scheme="per-channel")), ("pair", made.quantized("pair"))]
    models += [(name, made.quantized(name, io="float32")) for name in ("yolov5", "yolov8", "ssd")]
    made.run_plainly(models)
    return made
