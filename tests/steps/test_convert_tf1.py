"""TensorFlow 1.15 in its toolchain: quantization-aware models become integers, others floats, the rest is explained."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from dlpubuild.resources import steps_dir
from dlpubuild.targets.gate import ModelNeeds, gate_findings
from dlpubuild.tflite.facts import summarise
from dlpubuild.tflite.read import read_model
from tests.steps.conftest import ENVIRONMENT, INSIDE, StepRun

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

pytestmark = pytest.mark.toolchain

SCRIPTS = ("convert_tf1.py", "tf1_graph.py", "stepio.py", "tflite_file.py", "tflite_operators.py")
IMAGE = {"name": "image", "mean": [0.0, 0.0, 0.0], "std": [255.0, 255.0, 255.0]}
ARTPEC8 = ModelNeeds(
    quantization="per-tensor", input_type="uint8", output_type="uint8", integer_only=True, static_shapes=True, batch=1
)


def environment(python: Path) -> dict[str, str]:
    # The converter starts a program of the environment's by its name.
    return {**ENVIRONMENT, "PATH": f"{python.parent}:/usr/bin:/bin"}


@pytest.fixture(scope="module")
def models(tf1_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models; what is in it is said in inside/make_tf1_models.py."""
    folder = tmp_path_factory.mktemp("tf1-models")
    script = INSIDE / "make_tf1_models.py"
    done = subprocess.run(
        [tf1_python, "-W", "ignore", script],
        cwd=folder,
        env=environment(tf1_python),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


@pytest.fixture
def convert(tf1_python: Path, models: Path, tmp_path: Path) -> Callable[..., StepRun]:
    """Convert a model of `models`, or one at a path, in a folder of its own."""

    def run(
        name: str | Path,
        *,
        inputs: Sequence[Mapping[str, Any]] = (),
        outputs: Sequence[str] = (),
        integer: bool = True,
        optimization: str = "none",
        format: str = "",  # noqa: A002 - as in the parameters
    ) -> StepRun:
        source = models / name
        folder = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        for part in ("src", "in", "out"):
            (folder / part).mkdir(parents=True)
        for script in SCRIPTS:
            shutil.copy(steps_dir() / script, folder / "src")
        staged = f"in/model{source.suffix}"
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / staged)
        params = {
            "format": format or {".pb": "frozen-graph", ".h5": "keras"}.get(source.suffix, "saved-model"),
            "model": staged,
            "inputs": inputs,
            "outputs": outputs,
            "integer": integer,
            "optimization": optimization,
        }
        (folder / "src" / "params.json").write_text(json.dumps(params))
        done = subprocess.run(
            [tf1_python, "src/convert_tf1.py", "src/params.json"],
            cwd=folder,
            env=environment(tf1_python),
            capture_output=True,
            text=True,
            check=False,
        )
        events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"')]
        return StepRun(folder=folder, exit_code=done.returncode, events=tuple(events), log=done.stderr)

    return run


def scales(run: StepRun) -> list[tuple[str, str, float, int]]:
    tensors = run.description["tensors"]
    return [
        (each["name"], each["dtype"], round(each.get("scale", 0.0), 6), each.get("zero_point", 0))
        for each in (*tensors["inputs"], *tensors["outputs"])
    ]


def test_a_quantization_aware_graph_is_what_artpec8_needs(convert: Callable[..., StepRun]) -> None:
    run = convert("qat.pb", inputs=[IMAGE], outputs=["scores"])
    model = read_model(run.output("model.tflite"))
    assert gate_findings(model, ARTPEC8) == ()
    facts = summarise(model)
    assert facts.quantization == "per-tensor"
    assert facts.operators == {"CONV_2D": 1, "FULLY_CONNECTED": 1, "SOFTMAX": 1}
    assert scales(run) == [("image", "uint8", 0.003922, 0), ("scores", "uint8", 0.003906, 0)]
    assert run.description["tools"] == {"tensorflow": "1.15.5", "numpy": "1.18.5"}


def test_the_same_model_gives_the_same_bytes(convert: Callable[..., StepRun]) -> None:
    first, second = (convert("qat.pb", inputs=[IMAGE], outputs=["scores"]).output("model.tflite") for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("mean", "std", "scale", "zero_point"),
    [
        ([127.5], [127.5], 1 / 127.5, 128),
        ([128.0], [1.0], 1.0, 128),
        (None, None, 1.0, 0),
        (None, [255.0, 255.0, 255.0], 1 / 255, 0),
        ([0.0], [63.75], 1 / 63.75, 0),
    ],
)
def test_scale_and_zero_point_follow_from_mean_and_std(
    convert: Callable[..., StepRun], mean: list[float] | None, std: list[float] | None, scale: float, zero_point: int
) -> None:
    image = {"name": "image"} | ({"mean": mean} if mean else {}) | ({"std": std} if std else {})
    run = convert("qat.pb", inputs=[image], outputs=["scores"])
    assert run.exit_code == 0, run.events
    assert scales(run)[0] == ("image", "uint8", round(scale, 6), zero_point)


def test_inputs_and_outputs_come_in_the_declared_order(convert: Callable[..., StepRun]) -> None:
    inputs = [{"name": "second", "std": [255.0]}, {"name": "first:0", "std": [127.5]}]
    run = convert("pair.pb", inputs=inputs, outputs=["product:0", "sum"])
    model = read_model(run.output("model.tflite"))
    assert [each.name for each in (*model.inputs, *model.outputs)] == ["second", "first:0", "product:0", "sum"]
    assert [entry[2] for entry in scales(run)] == [0.003922, 0.007843, 0.003922, 0.007843]


def test_a_graph_ends_where_its_last_node_does_unless_outputs_are_named(convert: Callable[..., StepRun]) -> None:
    run = convert("qat.pb", inputs=[IMAGE])
    assert [each["name"] for each in run.description["tensors"]["outputs"]] == ["scores"]


def test_a_second_result_of_a_node_can_be_an_output(convert: Callable[..., StepRun]) -> None:
    run = convert("split.pb", outputs=["parts:1", "parts"], integer=False)
    assert [each["name"] for each in run.description["tensors"]["outputs"]] == ["parts:1", "parts"]


@pytest.mark.parametrize(("name", "integer"), [("saved", False), ("qat", True), ("model.h5", False)])
def test_names_are_those_of_the_signature_or_of_layers(
    convert: Callable[..., StepRun], name: str, integer: bool
) -> None:
    run = convert(name, inputs=[IMAGE], outputs=["probabilities"], integer=integer)
    model = read_model(run.output("model.tflite"))
    assert [(each.name, each.shape) for each in (*model.inputs, *model.outputs)] == [
        ("image", (1, 8, 8, 3)),
        ("probabilities", (1, 4)),
    ]
    assert summarise(model).quantization == ("per-tensor" if integer else "none")


@pytest.mark.parametrize(
    ("name", "optimization", "quantization"),
    [
        ("qat.pb", "none", "none"),
        ("float.pb", "none", "none"),
        ("float.pb", "float16", "float16"),
        ("qat.pb", "float16", "float16"),
    ],
)
def test_a_float_model_has_no_ranges_left_in_it(
    convert: Callable[..., StepRun], name: str, optimization: str, quantization: str
) -> None:
    run = convert(name, outputs=["scores"], integer=False, optimization=optimization)
    facts = summarise(read_model(run.output("model.tflite")))
    assert facts.quantization == quantization
    assert "FAKE_QUANT" not in facts.operators


def test_a_damaged_graph_is_told(convert: Callable[..., StepRun], models: Path, tmp_path: Path) -> None:
    content = (models / "qat.pb").read_bytes()
    for number, data in enumerate((content[: len(content) // 2], b"\0" * 99, b"")):
        path = tmp_path / f"damaged{number}.pb"
        path.write_bytes(data)
        assert convert(path, inputs=[IMAGE], outputs=["scores"]).error["code"] == "model-unreadable"
    path = tmp_path / "damaged.h5"
    path.write_bytes((models / "model.h5").read_bytes()[:4000])
    assert convert(path).error["code"] == "model-unreadable"
    path.write_bytes(content)
    assert "not HDF5" in convert(path).error["message"]


@pytest.mark.parametrize(
    ("name", "arguments", "code", "message"),
    [
        ("gap.pb", {"outputs": ["scores"]}, "conversion", 'no range (min/max) for the array "relu"'),
        ("float.pb", {"outputs": ["scores"]}, "model-format", "no FakeQuant nodes"),
        ("exp.pb", {"outputs": ["made"]}, "conversion", "no integer form of the operator Exp"),
        ("foreign.pb", {"outputs": ["made"], "integer": False}, "conversion", "no operator for: Lgamma"),
        ("wide.pb", {"outputs": ["made"]}, "model-format", "ranges per channel"),
        ("future.pb", {"outputs": ["scores"]}, "model-unreadable", "ReluOfTomorrow"),
        ("broken.pb", {"outputs": ["scores"]}, "model-unreadable", "Unknown input node 'nothing'"),
        ("pair.pb", {"inputs": [{"name": "first"}], "outputs": ["sum"]}, "model-input", 'placeholder "second"'),
        ("qat.pb", {"outputs": ["scoers"]}, "model-output", 'did you mean "scores"?'),
        ("qat.pb", {"outputs": ["scores:7"]}, "model-output", 'no output "scores:7"'),
        ("qat.pb", {"outputs": ["scores:x"]}, "model-output", 'no output "scores:x"'),
        ("qat.pb", {"outputs": ["scores:99999999999999999999"]}, "model-output", "no output"),
        ("qat.pb", {"inputs": [{"name": 'im age "é\n'}], "outputs": [":0"]}, "model-input", "no input"),
        ("qat.pb", {"inputs": [{"name": "imgae"}], "outputs": ["scores"]}, "model-input", 'did you mean "image"?'),
        ("dynamic.pb", {"outputs": ["scores"]}, "model-shape", "[?, ?, ?, 3], which is not fixed"),
        ("batch.pb", {"outputs": ["scores"]}, "model-shape", "its batch is 4"),
        (
            "qat.pb",
            {"inputs": [{"name": "image", "shape": [1, 9, 9, 3]}], "outputs": ["scores"]},
            "model-shape",
            "declared [1, 9, 9, 3], but the model has [?, 8, 8, 3]",
        ),
        (
            "qat.pb",
            {"inputs": [{"name": "image", "std": [1.0, 2.0, 3.0]}], "outputs": ["scores"]},
            "model-input",
            "one std for all channels",
        ),
        (
            "qat.pb",
            {"inputs": [{"name": "image", "mean": [300.0]}], "outputs": ["scores"]},
            "model-input",
            "a mean of 0 to 255",
        ),
        ("unserved", {}, "model-format", 'no signature "serving_default"; it has: "other"'),
        ("saved", {"outputs": ["propabilities"]}, "model-output", 'did you mean "probabilities"?'),
        ("qat.pb", {"format": "onnx"}, "model-format", "does not read this format: onnx"),
    ],
)
def test_what_cannot_be_converted_is_explained(
    convert: Callable[..., StepRun], name: str, arguments: Mapping[str, Any], code: str, message: str
) -> None:
    wanted = {"inputs": [] if name.startswith(("exp", "foreign", "unserved", "saved")) else [IMAGE]}
    run = convert(name, **{**wanted, "integer": name.endswith(".pb"), **arguments})
    assert run.error["code"] == code
    assert message in run.error["message"]
    assert run.error["hint"]
    assert not (run.folder / "out" / "model.tflite").exists()


def test_what_tensorflow_2_saved_is_told(convert: Callable[..., StepRun], tf2_python: Path, tmp_path: Path) -> None:
    text = (
        "import tensorflow as tf\n"
        "module = tf.Module()\n"
        "module.weights = tf.Variable(tf.ones([4, 4]))\n"
        "spec = tf.TensorSpec([1, 4], name='image')\n"
        "function = tf.function(lambda image: {'scores': tf.matmul(image, module.weights)}, input_signature=[spec])\n"
        "tf.saved_model.save(module, 'saved', signatures=function)\n"
    )
    subprocess.run([tf2_python, "-c", text], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, check=True)
    error = convert(tmp_path / "saved", integer=False).error
    assert 'toolchain = "tf2"' in error["hint"]
