"""The digits by other ways in: a float .tflite and a frozen graph are quantized, a ready one is compiled."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.factories.edgetpu import put_compiler

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.conftest import Tool

ROOT = Path(__file__).resolve().parents[2]
# Freezes the example's model as TensorFlow 1 knows it: a placeholder of any batch, and nodes for training only.
FREEZE = """
import sys, os
os.environ["KERAS_BACKEND"] = "tensorflow"
import keras, tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
model = keras.models.load_model(sys.argv[1], compile=False)
call = tf.function(lambda image: tf.identity(model(image, training=False), name="probabilities"))
traced = call.get_concrete_function(tf.TensorSpec([None, 32, 32, 3], tf.float32, name="image"))
graph = convert_variables_to_constants_v2(traced).graph.as_graph_def()
with tf.Graph().as_default() as whole:
    tf.import_graph_def(graph, name="")
    wanted = tf.compat.v1.placeholder(tf.float32, [None, 10], name="wanted")
    out = whole.get_tensor_by_name("probabilities:0")
    tf.reduce_mean(tf.square(out - wanted), name="loss")
open(sys.argv[2], "wb").write(whole.as_graph_def().SerializeToString())
"""


@pytest.fixture
def own_tool(tool: Tool, shared_toolchains: Path) -> Tool:
    """The tool with the prepared TensorFlow, and a folder of its own for what else it prepares."""
    (tool.cache / "toolchains").unlink()
    return replace(tool, environ={**tool.environ, "DLPU_TOOLCHAINS": str(shared_toolchains)})


def classified(tool: Tool, project: Path, *socs: str) -> bool:
    """Whether each built model gets 95 % of the digits right that training never saw."""
    models = [str(project / f"dist/digits-1.0.0-{soc}/model/model.tflite") for soc in socs]
    command = [str(tool.python), str(project / "evaluate.py"), "--min", "0.95", *models]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_a_float_tflite_gives_what_the_model_it_was_made_from_gives(
    tool: Tool, copy_example: Callable[[str], Path]
) -> None:
    trained, ready = copy_example("trained"), copy_example("ready")
    tool.build(trained)
    given = ready / "model/digits.tflite"
    shutil.copy(trained / "dist/digits-1.0.0-cpu/model/model.tflite", given)
    manifest = ready / "dlpu.toml"
    manifest.write_text(manifest.read_text().replace("digits.keras", "digits.tflite"))
    built = tool.build(ready)
    assert {step["name"].partition(":")[0] for step in built["steps"]} == {"import", "calibrate", "quantize"}
    assert (ready / "dist/digits-1.0.0-cpu/model/model.tflite").read_bytes() == given.read_bytes()
    for soc in ("artpec8", "artpec9"):
        own, other = (project / f"dist/digits-1.0.0-{soc}/model/model.tflite" for project in (ready, trained))
        assert own.read_bytes() == other.read_bytes()
    assert classified(tool, ready, "artpec8", "artpec9", "cpu")


def test_a_frozen_graph_is_quantized_by_tensorflow_2(tool: Tool, copy_example: Callable[[str], Path]) -> None:
    project = copy_example("frozen")
    script = project / "freeze.py"
    script.write_text(FREEZE)
    subprocess.run(
        [str(tool.python), str(script), str(project / "model/digits.keras"), str(project / "model/digits.pb")],
        check=True,
        capture_output=True,
    )
    manifest = project / "dlpu.toml"
    text = manifest.read_text().replace("digits.keras", "digits.pb")
    manifest.write_text(text)
    shown = tool.run("inspect", "model/digits.pb", cwd=project)
    assert "loss" in shown.out
    assert tool.run("check", cwd=project).code == 0
    built = tool.build(project)
    assert {target["soc"]: target["quantization"] for target in built["targets"]} == {
        "artpec8": "per-tensor",
        "artpec9": "per-channel",
        "cpu": "none",
    }
    assert classified(tool, project, "artpec8", "artpec9", "cpu")


def test_a_ready_model_is_compiled_for_artpec7(own_tool: Tool, tmp_path: Path) -> None:
    project = Path(shutil.copytree(ROOT / "examples/prebuilt-tflite", tmp_path / "project"))
    put_compiler(project / "compiler")
    manifest = project / "dlpu.toml"
    manifest.write_text(
        manifest.read_text().replace("# [target.artpec7]", "[target.artpec7]")
        + '\n[toolchain.edgetpu]\npath = "compiler"\n'
    )
    built = own_tool.build(project)
    assert [step["name"] for step in built["steps"]] == ["compile"]
    given = (project / "model/digits_int8.tflite").read_bytes()
    folder = project / "dist/prebuilt-digits-1.0.0-artpec7"
    assert (folder / "model/model_uncompiled.tflite").read_bytes() == given
    described = json.loads((folder / "model.json").read_text())
    assert described["toolchain"] is None
    assert described["compiler"]["name"] == "edgetpu-compiler"

    for package in (folder.name, f"{folder.name}.tar.gz"):
        shown = own_tool.run("inspect", f"dist/{package}", cwd=project)
        assert shown.code == 0, shown.err
        assert "model/model.tflite" in shown.out
        assert "model/model_uncompiled.tflite" in shown.out
        assert shown.out.index("edgetpu-custom-op") < shown.out.index("CONV_2D")
    told = json.loads(own_tool.run("inspect", f"dist/{folder.name}", "--json", cwd=project).out)
    assert told["is_compiled_for_edgetpu"]
    assert [each["file"] for each in told["further_models"]] == ["model/model_uncompiled.tflite"]

    # What was compiled is a way in of its own.
    again = tmp_path / "again"
    again.mkdir()
    shutil.copy(folder / "model/model.tflite", again / "digits_edgetpu.tflite")
    assert own_tool.run("init", "digits_edgetpu.tflite", cwd=again).code == 0
    assert [step["name"] for step in own_tool.build(again)["steps"]] == []
    packed = again / "dist/digits-0.1.0-artpec7/model/model.tflite"
    assert packed.read_bytes() == (folder / "model/model.tflite").read_bytes()
