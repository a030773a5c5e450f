"""What the step tests share: the toolchain, models made by it once, and steps run as the executors run them."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dlpubuild.resources import steps_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.steps.verified import Workshop

INSIDE = Path(__file__).parent / "inside"

# What the templates list as `modules` of each script.
MODULES = {
    "import_onnx.py": ("import_model.py", "onnx_check.py", "onnx_model.py"),
    "export_onnx.py": ("onnx_canonical.py", "onnx_check.py", "onnx_model.py"),
    "calibrate.py": ("probe.py", "samples.py", "tflite_run.py"),
    "quantize.py": ("integer_model.py", "output_check.py", "probe.py", "tflite_run.py"),
    "verify.py": (
        *("calibrate.py", "integer_model.py", "probe.py", "samples.py", "tflite_run.py", "verify_alternatives.py"),
        *(
            "verify_boxes.py",
            "verify_compare.py",
            "verify_feed.py",
            "verify_layers.py",
            "verify_metrics.py",
            "verify_outputs.py",
        ),
        "verify_run.py",
    ),
}

# The environment an action gives its command.
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/tmp",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "CUDA_VISIBLE_DEVICES": "-1",
    "KERAS_BACKEND": "tensorflow",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRun:
    """A step that ended: its folder, exit code, events and standard error."""

    folder: Path
    exit_code: int
    events: tuple[Mapping[str, Any], ...]
    log: str

    @property
    def error(self) -> Mapping[str, Any]:
        """The error event, of which there is exactly one."""
        (error,) = [event for event in self.events if event["event"] == "error"]
        return error

    @property
    def description(self) -> dict[str, Any]:
        """What `out/step.json` says."""
        document: dict[str, Any] = json.loads((self.folder / "out" / "step.json").read_text(encoding="utf-8"))
        return document

    def output(self, name: str) -> bytes:
        assert self.exit_code == 0, self.events or self.log
        return (self.folder / "out" / name).read_bytes()


def run_step(
    python: Path, folder: Path, script: str, params: Mapping[str, Any], inputs: Mapping[str, Path] | None = None
) -> StepRun:
    """Stage and run one step as an executor does: a scratch folder, an explicit environment, relative paths."""
    for name in ("src", "in", "out"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name in (script, "stepio.py", *MODULES.get(script, ())):
        shutil.copy(steps_dir() / name, folder / "src" / name)
    (folder / "src" / "params.json").write_text(json.dumps(params), encoding="utf-8")
    for place, source in (inputs or {}).items():
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
    done = subprocess.run(
        [python, f"src/{script}", "src/params.json"],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    return StepRun(
        folder=folder,
        exit_code=done.returncode,
        events=tuple(json.loads(line) for line in lines),
        log=done.stderr,
    )


def run_inside(python: Path, script: str, job: object, cwd: Path) -> Any:
    """Run one of the scripts in `inside/` in the toolchain; return the JSON that it prints last."""
    done = subprocess.run(
        [python, INSIDE / script],
        input=json.dumps(job),
        cwd=cwd,
        env=ENVIRONMENT | {"PYTHONPATH": f"{steps_dir()}:{INSIDE}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="session")
def models(tf2_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models and samples; what is in it is said in inside/make_models.py."""
    folder = tmp_path_factory.mktemp("models")
    run_inside(tf2_python, "make_models.py", {}, folder)
    return folder


@pytest.fixture(scope="session")
def shop(tf2_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Models to verify; what they are is said in inside/make_verified.py."""
    from tests.steps.verified import workshop

    return workshop(tf2_python, tmp_path_factory.mktemp("verified"))


@pytest.fixture(scope="session")
def onnx_models(onnx_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of ONNX models; what is in it is said in inside/make_onnx_models.py."""
    folder = tmp_path_factory.mktemp("onnx-models")
    run_inside(onnx_python, "make_onnx_models.py", {}, folder)
    return folder


@pytest.fixture
def onnx_step(onnx_python: Path, tmp_path: Path) -> Callable[..., StepRun]:
    """As `step`, in the toolchain onnx, and without a network."""

    def run(name: str, script: str, params: Mapping[str, Any], inputs: Mapping[str, Path] | None = None) -> StepRun:
        return run_step(onnx_python, tmp_path / name, script, params, inputs)

    return run


@pytest.fixture
def step(tf2_python: Path, tmp_path: Path) -> Callable[..., StepRun]:
    """Run a step in a folder of its own, named by the first argument."""

    def run(name: str, script: str, params: Mapping[str, Any], inputs: Mapping[str, Path] | None = None) -> StepRun:
        return run_step(tf2_python, tmp_path / name, script, params, inputs)

    return run
