"""The example built with its `[verify]`, and the packages of that build verified: figures, gates, tampering.

All tests share one build; what they run again is in its cache.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from dlpubuild.tflite.read import read_model
from tests.factories.edgetpu import put_compiler
from tests.integration.conftest import EXAMPLE, Tool, tool_in

TARGETS = ("artpec7", "artpec8", "artpec9", "cpu")
# Runs two models on the validation data with TensorFlow's public interpreter, and computes all figures by formulas of
# its own; nothing of the tool is imported.
INDEPENDENT = """
import json, math, os, sys, warnings
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
warnings.filterwarnings("ignore")
import numpy as np
import tensorflow as tf
def outputs(path, pixels):
    model = tf.lite.Interpreter(model_path=path)
    model.allocate_tensors()
    (source,), (result,) = model.get_input_details(), model.get_output_details()
    def one(image):
        values = image / 255.0
        if source["dtype"] != np.float32:
            scale, zero = source["quantization"]
            values = np.clip(np.round(values / scale + zero), 0, 255)
        model.set_tensor(source["index"], values.astype(source["dtype"])[None])
        model.invoke()
        found = model.get_tensor(result["index"])[0].astype(np.float64)
        scale, zero = result["quantization"]
        return (found - zero) * scale if result["dtype"] != np.float32 else found
    return np.array([one(image) for image in pixels])
def wilson(count, of, z=1.959964):
    share = count / of
    middle, spread = share + z * z / (2 * of), z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return (middle - spread) / (1 + z * z / of), (middle + spread) / (1 + z * z / of)
data = np.load(sys.argv[1])
pixels, classes = data["x"].astype(np.float64), data["y"]
reference = outputs(sys.argv[2], pixels)
told = {}
for path in sys.argv[3:]:
    built = outputs(path, pixels)
    right, right_float = built.argmax(1) == classes, reference.argmax(1) == classes
    same = built.argmax(1) == reference.argmax(1)
    noise = ((built - reference) ** 2).sum()
    order = np.argsort(-built, axis=1, kind="stable")[:, :5]
    told[path] = {
        "top1": int(right.sum()), "float_top1": int(right_float.sum()), "agreement": int(same.sum()),
        "top5": int((order == classes[:, None]).any(1).sum()),
        "drop": right_float.mean() - right.mean(), "mae": np.abs(built - reference).mean(),
        "sqnr_db": 10 * math.log10((reference ** 2).sum() / noise) if noise else None,
        "interval": wilson(int(right.sum()), len(right)),
    }
print(json.dumps(told))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """The example, built with its `[verify]`: where it lies, and what `build --json` said."""

    tool: Tool
    project: Path
    result: dict[str, Any]

    def package(self, soc: str) -> Path:
        return self.project / f"dist/digits-1.0.0-{soc}"

    def accuracy(self, soc: str) -> dict[str, Any]:
        (target,) = [each for each in self.result["targets"] if each["soc"] == soc]
        accuracy: dict[str, Any] = target["accuracy"]
        return accuracy

    def verify(self, package: Path, *arguments: str) -> tuple[int, dict[str, Any], str]:
        done = self.tool.run("verify", "--json", *arguments, package, cwd=self.project)
        return done.code, json.loads(done.out) if done.out else {}, done.err


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, shared_toolchains: Path, tf2_python: Path) -> Built:
    """One build for all; ARTPEC-7's compiler is a stand-in, which is not what is looked at here."""
    folder = tmp_path_factory.mktemp("verify")
    project = Path(shutil.copytree(EXAMPLE, folder / "digits", ignore=shutil.ignore_patterns("dist")))
    put_compiler(project / "tools/edgetpu")
    manifest = project / "dlpu.toml"
    manifest.write_text(f'{manifest.read_text()}\n[target.artpec7]\n\n[toolchain.edgetpu]\npath = "tools/edgetpu"\n')
    tool = tool_in(folder / "cache", shared_toolchains, tf2_python)
    tool = replace(tool, environ={**tool.environ, "DLPU_TOOLCHAINS": str(shared_toolchains)})
    return Built(tool=tool, project=project, result=tool.build(project))


@pytest.fixture(scope="module")
def independent(built: Built) -> dict[str, dict[str, Any]]:
    """What the independent script says of each model, by target."""
    files = {soc: built.package(soc) / "model/model.tflite" for soc in TARGETS}
    files["artpec7"] = files["artpec7"].with_name("model_uncompiled.tflite")
    script = built.project / "independent.py"
    script.write_text(INDEPENDENT)
    arguments = [str(built.project / "data/validation.npz"), str(files["cpu"]), *map(str, files.values())]
    done = subprocess.run([str(built.tool.python), str(script), *arguments], capture_output=True, check=True, text=True)
    told = json.loads(done.stdout)
    return {soc: told[str(file)] for soc, file in files.items()}


@pytest.mark.parametrize("soc", TARGETS)
def test_figures_are_those_of_an_independent_script(
    built: Built, independent: dict[str, dict[str, Any]], soc: str
) -> None:
    (output,), wanted = built.accuracy(soc)["outputs"], independent[soc]
    assert built.accuracy(soc)["samples"] == 397
    assert output["kind"] == "classes"
    assert output["built"]["top1"]["count"] == wanted["top1"]
    assert output["built"]["top5"]["count"] == wanted["top5"]
    assert output["float"]["top1"]["count"] == wanted["float_top1"] == 391
    assert output["agreement"]["count"] == wanted["agreement"]
    assert output["drop"]["top1"]["value"] == pytest.approx(wanted["drop"], abs=1e-6)
    assert output["mae"]["value"] == pytest.approx(wanted["mae"], rel=1e-3, abs=1e-9)
    if wanted["sqnr_db"] is not None:
        assert output["sqnr_db"]["value"] == pytest.approx(wanted["sqnr_db"], abs=0.02)
    found = output["built"]["top1"]
    assert (found["low"], found["high"]) == pytest.approx(wanted["interval"], abs=1e-5)
    assert output["drop"]["top1"]["low"] < output["drop"]["top1"]["value"] < output["drop"]["top1"]["high"]


def test_equal_models_are_measured_once_and_say_which_model_it_was(built: Built) -> None:
    steps = {each["name"]: each["targets"] for each in built.result["steps"]}
    assert steps["verify:artpec9+artpec7"] == ["artpec9", "artpec7"]
    assert [built.accuracy(soc)["of_uncompiled"] for soc in TARGETS] == [True, False, False, False]
    assert "runs on the SoC only" in built.accuracy("artpec7")["note"]


def test_packages_and_the_report_hold_the_figures(built: Built) -> None:
    table = json.loads((built.package("artpec8") / "model.json").read_text())
    (output,) = built.accuracy("artpec8")["outputs"]
    assert table["accuracy"]["samples"] == 397
    assert table["accuracy"]["top1"] == round(output["built"]["top1"]["value"], 4)
    (report,) = (built.project / "dist").glob("*-report.json")
    (target,) = [each for each in json.loads(report.read_text())["targets"] if each["soc"] == "artpec8"]
    assert target["verify"]["outputs"][0]["built"] == output["built"]
    assert all(gate["passed"] for gate in target["verify"]["gates"])
    assert target["verify"]["layers"]


def test_building_again_measures_nothing(built: Built) -> None:
    again = built.tool.build(built.project)
    assert {step["state"] for step in again["steps"]} == {"cached"}
    assert not any(target["written"] for target in again["targets"])


def changed(built: Built, folder: Path, before: str, after: str) -> Path:
    """A copy of the project in `folder` whose manifest says something else."""
    project = Path(shutil.copytree(built.project, folder, ignore=shutil.ignore_patterns("dist")))
    manifest = project / "dlpu.toml"
    assert before in manifest.read_text()
    manifest.write_text(manifest.read_text().replace(before, after))
    return project


def test_a_gate_that_is_not_passed_fails_the_build_with_the_figures(built: Built, tmp_path: Path) -> None:
    verify = '[verify]\ndata = "data/validation.npz"\n'
    project = changed(built, tmp_path / "strict", verify, f'{verify}metric = "sqnr"\nmin-sqnr = 38\n')
    done = built.tool.run("build", "--json", "--target", "artpec8", "--target", "artpec9", cwd=project)
    assert done.code == 5
    assert "artpec8/model.tflite" in done.err
    assert "at least 38.0 dB" in done.err
    # What the step tried along the way.
    assert "per-channel would have given" in done.err
    (artpec8, _) = json.loads(done.out)["targets"]
    assert artpec8["state"] == "failed"
    assert [gate["passed"] for gate in artpec8["accuracy"]["gates"]] == [False]
    assert not list((project / "dist").glob("*artpec8*.tar.gz"))


def test_a_crippled_model_is_caught_by_the_command(built: Built, tmp_path: Path) -> None:
    package = Path(shutil.copytree(built.package("artpec8"), tmp_path / "crippled"))
    crippled = _crippled(built)
    (package / "model/model.tflite").write_bytes(crippled)
    table = json.loads((package / "model.json").read_text())
    table["model"]["sha256"] = hashlib.sha256(crippled).hexdigest()
    (package / "model.json").write_text(json.dumps(table))
    _seal(package)
    code, told, err = built.verify(package)
    assert code == 5, err
    assert (told["ok"], told["is_built_here"], told["checksums"]) == (False, False, "hold")
    assert told["verify"]["outputs"][0]["drop"]["top1"]["value"] > 0.3
    assert {gate["metric"]: gate["passed"] for gate in told["verify"]["gates"]} == {"top1": False, "agreement": False}


def _crippled(built: Built) -> bytes:
    """The built model with half of its largest constant, weights, set to the same value."""
    data = bytearray((built.package("artpec8") / "model/model.tflite").read_bytes())
    constants = [tensor for tensor in read_model(bytes(data)).main.tensors if tensor.constant_offset]
    weights = max(constants, key=lambda tensor: tensor.constant_bytes)
    half = weights.constant_bytes // 2
    data[weights.constant_offset : weights.constant_offset + half] = b"\x40" * half
    return bytes(data)


def _seal(package: Path) -> None:
    files = sorted(each for each in package.rglob("*") if each.is_file() and each.name != "SHA256SUMS")
    sums = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(package)}\n" for file in files]
    (package / "SHA256SUMS").write_text("".join(sums))


@pytest.mark.parametrize("soc", TARGETS)
def test_the_package_of_a_build_needs_no_step_again(built: Built, soc: str) -> None:
    archive = built.package(soc).with_name(f"{built.package(soc).name}.tar.gz")
    code, told, err = built.verify(archive)
    assert code == 0, err
    assert (told["target"], told["is_built_here"], told["checksums"]) == (soc, True, "hold")
    assert told["model"] == f"model/model{'_uncompiled' if soc == 'artpec7' else ''}.tflite"
    assert told["verify"]["outputs"][0]["built"] == built.accuracy(soc)["outputs"][0]["built"]


def test_a_tampered_package_is_refused_before_anything_runs(built: Built, tmp_path: Path) -> None:
    package = Path(shutil.copytree(built.package("artpec9"), tmp_path / "tampered"))
    model = bytearray((package / "model/model.tflite").read_bytes())
    model[-1] ^= 1
    (package / "model/model.tflite").write_bytes(model)
    code, told, err = built.verify(package)
    assert (code, told) == (4, {})
    assert "model/model.tflite: sha256" in err


def test_a_manifest_without_verify_or_without_the_target_is_told(built: Built, tmp_path: Path) -> None:
    without = changed(built, tmp_path / "without", '[verify]\ndata = "data/validation.npz"\n', "")
    code, _, err = built.verify(built.package("artpec8"), "--manifest", str(without / "dlpu.toml"))
    assert code == 2
    assert "has no [verify]" in err
    fewer = changed(built, tmp_path / "fewer", "[target.artpec8]\n", "")
    assert built.verify(built.package("artpec8"), "--manifest", str(fewer / "dlpu.toml"))[0] == 3
    assert built.verify(built.package("artpec8"), "--target", "cpu")[0] == 2
