"""The step that runs Ambarella's toolchain, with stand-ins for its programs, which are closed.

It runs in a Python without packages, so these tests need no toolchain of the tool's.
"""

from __future__ import annotations

import io
import itertools
import json
import shutil
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from dlpubuild.resources import steps_dir
from tests.factories.ambarella import onnx_model, put_toolchain
from tests.factories.image_factory import image_bytes
from tests.factories.tflite_factory import (
    GraphSpec,
    ModelSpec,
    OperatorSpec,
    SignatureSpec,
    TensorSpec,
    encode,
    float_model,
    integer_model,
    with_tensor,
)
from tests.steps.conftest import ENVIRONMENT, StepRun
from tests.steps.test_compile_edgetpu import _pythons, messages

if TYPE_CHECKING:
    from collections.abc import Mapping

MODULES = (
    *("ambarella_calibration", "ambarella_handover", "ambarella_model", "ambarella_tools", "ambarella_work"),
    *("array_file", "compile_ambarella", "onnx_file", "stepio", "tflite_file", "tflite_operators", "tool_process"),
)
RGB = {"color": "rgb", "resize": "stretch", "mean": [0.0, 0.0, 0.0], "std": [255.0, 255.0, 255.0]}
TENSORS = (
    TensorSpec(name="serving_default_image:0", shape=(1, 6, 10, 3), dtype="float32"),
    TensorSpec(name="StatefulPartitionedCall:1", shape=(1, 6, 10, 3), dtype="float32"),
    TensorSpec(name="StatefulPartitionedCall:0", shape=(1, 6, 10, 3), dtype="float32"),
)
# As TensorFlow's converter names tensors; the signature has the names that people know.
TWO_OUTPUTS = ModelSpec(
    graphs=(
        GraphSpec(
            tensors=TENSORS,
            operators=(
                OperatorSpec(name="ADD", inputs=(0, 0), outputs=(1,)),
                OperatorSpec(name="ADD", inputs=(1, 1), outputs=(2,)),
            ),
            inputs=(0,),
            outputs=(1, 2),
        ),
    ),
    signatures=(SignatureSpec(key="serving_default", inputs=(("image", 0),), outputs=(("car", 1), ("person", 2))),),
)
TFLITE = encode(TWO_OUTPUTS)
TF = {"model": "in/model.tflite", "parser": "tf", "inputs": [{"name": "image", "shape": [1, 6, 10, 3], **RGB}]}
ONNX = {"model": "in/model.onnx", "parser": "onnx", "inputs": [{"name": "images", "shape": [1, 3, 32, 40], **RGB}]}


def npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def npz(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


class Compile:
    """Runs the step with a toolchain that does what `config` says."""

    def __init__(self, python: str, folder: Path) -> None:
        self.python = python
        self.folder = folder
        self.tools = folder / "tools"
        self.calls = folder / "calls"

    def __call__(
        self,
        model: bytes,
        params: Mapping[str, Any],
        *,
        data: Mapping[str, bytes] | None = None,
        toolchain: Mapping[str, Any] | None = None,
        arguments: tuple[str, ...] = (),
        variables: Mapping[str, str] | None = None,
        **config: Any,
    ) -> StepRun:
        root = self.folder / "root"
        for name in ("src", "in/data", "out"):
            (root / name).mkdir(parents=True)
        for name in MODULES:
            shutil.copy(steps_dir() / f"{name}.py", root / "src")
        files = {"00000.jpg": b"one", "00001.jpg": b"two"} if data is None else dict(data)
        for name, content in files.items():
            (root / "in/data" / name).write_bytes(content)
        kind = next(iter(files)).rpartition(".")[2]
        described: dict[str, Any] = {"kind": "images", "files": [f"in/data/{name}" for name in files]}
        if kind in ("npy", "npz"):
            described = {"kind": kind, "file": f"in/data/{next(iter(files))}", "indices": [2, 0]}
        whole = {
            "output": "out/model.bin",
            "outputs": [],
            "soc": "cv25",
            "signature": "08 00 02 02",
            "activations": "auto",
            "coefficients": "auto",
            "input_format": "auto",
            "timeout_sec": 60,
            "data": described,
            **params,
        }
        (root / str(params["model"])).write_bytes(model)
        (root / "src" / "params.json").write_text(json.dumps(whole))
        if toolchain is not None or not self.tools.exists():
            put_toolchain(self.tools, calls=str(self.calls), **{**(toolchain or {}), **config})
        temporary = self.folder / "tmp"
        temporary.mkdir(exist_ok=True)
        environment = {**ENVIRONMENT, "TMPDIR": str(temporary), "DLPU_AMBARELLA_TOOLCHAIN": str(self.tools)}
        done = subprocess.run(
            [self.python, "src/compile_ambarella.py", "src/params.json", *arguments],
            cwd=root,
            env={**environment, **(variables or {})},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=120,
            check=False,
        )
        assert list(temporary.iterdir()) == []
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        return StepRun(
            folder=root, exit_code=done.returncode, events=tuple(json.loads(line) for line in lines), log=done.stderr
        )

    @property
    def commands(self) -> list[list[str]]:
        """Each command line that was run."""
        return [json.loads(line) for line in self.calls.read_text().splitlines()]

    def sources(self) -> list[str]:
        """The values of -isrc."""
        parser = next(line for line in self.commands if line[0].endswith("parser.py"))
        return [value for flag, value in itertools.pairwise(parser) if flag == "-isrc"]


@pytest.fixture(params=_pythons())
def compile_model(request: pytest.FixtureRequest, tmp_path: Path) -> Compile:
    return Compile(request.param, tmp_path)


# --- success


def test_a_tflite_is_compiled_by_the_documented_command_lines(compile_model: Compile) -> None:
    """Those of tensorflow-to-larod-cv25 in Axis' examples, with the names and sizes of this model."""
    run = compile_model(TFLITE, {**TF, "activations": "fx16", "coefficients": "fx16"})

    assert run.output("model.bin").startswith(bytes.fromhex("08 00 02 02 03 00 00 00"))
    commands = [
        (
            "gen_image_list.py -f ./representative_images -o img_list.txt -ns -e .jpg -c 0 -d 0,0 -r 6,10 "
            "-bf dra_image_bin -bo dra_image_bin/dra_bin_list.txt"
        ),
        (
            "tfparser.py -p model.tflite -o quantized -of quantized "
            "-isrc is:1,3,6,10|iq|i:image=dra_image_bin/dra_bin_list.txt|ic:255.00446258|idf:0,0,0,0 "
            "-odst o:car|odf:fp32 -odst o:person|odf:fp32 -c act-force-fx16,coeff-force-fx16"
        ),
        "vas -auto -show-progress quantized/quantized.vas",
        "cavalry_gen -d vas_output/ -f model.bin",
    ]
    assert [" ".join(line) for line in compile_model.commands] == commands
    assert [" ".join(line) for line in run.description["metrics"]["commands"]] == commands
    log = run.output("compile.log").decode()
    for command in commands:
        assert f"$ {command}\n" in log
        assert f"$ {command}\n" in run.log


def test_an_onnx_model_is_compiled_by_the_documented_command_lines(compile_model: Compile) -> None:
    """Those of the guide "onnx-to-cv25", with the names and sizes of this model."""
    run = compile_model(onnx_model(), ONNX)

    assert run.exit_code == 0, run.events
    assert compile_model.commands[1][:7] == ["onnxparser.py", "-m", "model.onnx", "-o", "quantized", "-of", "quantized"]
    assert compile_model.commands[1][7:] == [
        "-isrc",
        "is:1,3,32,40|iq|idf:0,0,8,0|i:images=dra_image_bin/dra_bin_list.txt",
        "-odst",
        "o:output0|odf:fp32",
    ]


def test_the_record_has_the_tensors_and_the_version(compile_model: Compile) -> None:
    described = compile_model(TFLITE, TF).description
    assert described["tools"] == {"ambarella-cnngen": "2.7.1"}
    (image,) = described["tensors"]["inputs"]
    assert (image["name"], image["tensor"], image["shape"], image["layout"]) == (
        "image",
        "image",
        [1, 3, 6, 10],
        "NCHW",
    )
    assert image["scale"] == pytest.approx(1 / 255)
    assert [each["name"] for each in described["tensors"]["outputs"]] == ["car", "person"]
    assert described["metrics"]["samples"] == 2
    assert set(described["metrics"]["run"]) == {"milliseconds"}


def test_the_same_model_gives_the_same_bytes(compile_model: Compile) -> None:
    first = compile_model(TFLITE, TF).output("model.bin")
    shutil.rmtree(compile_model.folder / "root")
    assert compile_model(TFLITE, TF).output("model.bin") == first


def test_the_environment_script_of_the_soc_is_read(compile_model: Compile) -> None:
    run = compile_model(onnx_model(), {**ONNX, "soc": "cv75", "signature": "03 00 03 00"})
    assert run.output("model.bin").startswith(bytes.fromhex("03 00 03 00 8e ea 5d 0e"))
    assert not [text for text in messages(run) if "begins with" in text]


def test_a_file_with_another_beginning_is_told(compile_model: Compile) -> None:
    run = compile_model(onnx_model(), {**ONNX, "signature": "03 00 03 00"})
    assert [text for text in messages(run) if "begins with 08 00 02 02" in text]


@pytest.mark.parametrize("place", ["bin", "ubuntu-20.04/lib/python3/tools", "x86_64/cv25 tools"])
def test_programs_are_found_anywhere_below_the_folder(compile_model: Compile, place: str) -> None:
    run = compile_model(TFLITE, TF, toolchain={"bin_folder": place, "environment": False})
    assert run.exit_code == 0, run.events


def test_programs_of_the_soc_win_over_those_of_another(compile_model: Compile) -> None:
    put_toolchain(compile_model.tools, calls=str(compile_model.calls), bin_folder="cv25/bin", environment=False)
    put_toolchain(compile_model.folder / "other", environment=False, modes={"vas": "refuse"})
    shutil.move(compile_model.folder / "other", compile_model.tools / "a75")
    assert compile_model(TFLITE, TF).exit_code == 0


def test_an_unversioned_toolchain_is_unknown(compile_model: Compile) -> None:
    run = compile_model(TFLITE, TF, toolchain={"version": None})
    assert run.description["tools"] == {"ambarella-cnngen": "unknown"}


# --- how an input is fed


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("idf:0,0,8,0", "is:1,3,32,40|iq|idf:0,0,8,0|i:images=L"),
        ("idf:0,0,0,0", "is:1,3,32,40|iq|i:images=L|ic:255.00446258|idf:0,0,0,0"),
        ("auto", "is:1,3,32,40|iq|idf:0,0,8,0|i:images=L"),
    ],
)
def test_both_documented_forms_can_be_chosen(compile_model: Compile, wanted: str, expected: str) -> None:
    run = compile_model(onnx_model(), {**ONNX, "input_format": wanted})
    assert run.exit_code == 0, run.events
    assert compile_model.sources() == [expected.replace("L", "dra_image_bin/dra_bin_list.txt")]


@pytest.mark.parametrize(
    ("std", "expected", "said"),
    [([127.5] * 3, "ic:127.5|idf:0,0,0,0", "ic:127.5, which is inferred"), ([1.0], "idf:0,0,0,0", "without ic")],
)
def test_another_divisor_is_derived_and_said_to_be_inferred(
    compile_model: Compile, std: list[float], expected: str, said: str
) -> None:
    inputs = [{**TF["inputs"][0], "std": std}]  # type: ignore[dict-item]
    run = compile_model(TFLITE, {**TF, "inputs": inputs})
    assert run.exit_code == 0, run.events
    assert compile_model.sources()[0].endswith("dra_bin_list.txt|" + expected)
    assert [text for text in messages(run) if said in text]
    assert run.description["tensors"]["inputs"][0]["scale"] == pytest.approx(1 / std[0])


@pytest.mark.parametrize(
    ("changes", "more", "said"),
    [
        ({"mean": [127.5] * 3}, {}, "cannot subtract"),
        ({"std": [255.0, 255.0, 127.0]}, {}, "one divisor for all channels"),
        ({"std": [127.5] * 3}, {"input_format": "idf:0,0,8,0"}, "divides by 256"),
    ],
)
def test_what_the_options_cannot_say_is_refused(
    compile_model: Compile, changes: dict[str, Any], more: dict[str, Any], said: str
) -> None:
    inputs = [{**TF["inputs"][0], **changes}]  # type: ignore[dict-item]
    error = compile_model(TFLITE, {**TF, "inputs": inputs, **more}).error
    assert error["code"] == "model-input"
    assert said in error["message"]
    assert error["hint"]


@pytest.mark.parametrize(
    ("precision", "expected"),
    [
        (("fx8", "auto"), ["-c", "act-force-fx8"]),
        (("auto", "fx16"), ["-c", "coeff-force-fx16"]),
        (("fx16", "fx8"), ["-c", "act-force-fx16,coeff-force-fx8"]),
        (("auto", "auto"), []),
    ],
)
def test_precision(compile_model: Compile, precision: tuple[str, str], expected: list[str]) -> None:
    activations, coefficients = precision
    assert compile_model(TFLITE, {**TF, "activations": activations, "coefficients": coefficients}).exit_code == 0
    parser = compile_model.commands[1]
    assert (parser[parser.index("-c") :] if "-c" in parser else []) == expected


def test_bgr_is_the_other_color_order_and_a_resize_that_cannot_be_said_is_told(compile_model: Compile) -> None:
    inputs = [{**TF["inputs"][0], "color": "bgr", "resize": "letterbox"}]  # type: ignore[dict-item]
    run = compile_model(TFLITE, {**TF, "inputs": inputs})
    assert compile_model.commands[0][8:10] == ["-c", "1"]
    assert [text for text in messages(run) if 'resize = "letterbox"' in text]


# --- calibration data


def test_images_of_several_kinds_have_a_folder_and_a_list_each(compile_model: Compile) -> None:
    data = {"00000.jpg": b"one", "00001.png": image_bytes(), "00002.jpg": b"three"}
    run = compile_model(TFLITE, TF, data=data)
    assert run.exit_code == 0, run.events
    assert [line[2] for line in compile_model.commands[:2]] == [
        "./representative_images/jpg",
        "./representative_images/png",
    ]
    joined = [line for line in run.description["metrics"]["commands"] if line[0] == "cat"]
    assert joined == [["cat", "dra_image_bin/dra_bin_list_jpg.txt", "dra_image_bin/dra_bin_list_png.txt"]]
    assert run.description["metrics"]["samples"] == 3


@pytest.mark.parametrize("shape", [(3, 6, 10, 3), (3, 1, 6, 10, 3), (3, 3, 6, 10)])
def test_an_array_becomes_planes_of_bytes(compile_model: Compile, shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape)).astype(np.uint8).reshape(shape)
    run = compile_model(TFLITE, TF, data={"samples.npy": npy(array)}, arguments=(str(compile_model.folder / "over"),))
    assert run.exit_code == 0, run.events
    row = array.reshape((3, 6, 10, 3)[: len(shape)] if shape[-1] == 3 else shape)
    row = array[2].reshape(6, 10, 3).transpose(2, 0, 1) if shape[-1] == 3 else array[2]
    over = compile_model.folder / "over"
    assert (over / "dra_image_bin/00000.bin").read_bytes() == row.tobytes()
    assert (over / "dra_image_bin/dra_bin_list.txt").read_text() == "dra_image_bin/00000.bin\ndra_image_bin/00001.bin\n"


def test_several_inputs_are_fed_by_an_archive(compile_model: Compile) -> None:
    model = onnx_model(inputs={"left": (1, 3, 4, 4), "right": (1, 2)}, outputs={"a": (1, 2), "b": (1, 1)})
    params = {**ONNX, "inputs": [{"name": "left", **RGB}, {"name": "right"}], "outputs": ["b"]}
    arrays = {"right": np.ones((3, 2), np.uint8), "left": np.ones((3, 3, 4, 4), np.uint8)}
    run = compile_model(model, params, data={"samples.npz": npz(**arrays)})
    assert run.exit_code == 0, run.events
    assert compile_model.sources() == [
        "is:1,3,4,4|iq|idf:0,0,8,0|i:left=dra_image_bin/input0/dra_bin_list.txt",
        "is:1,2|iq|i:right=dra_image_bin/input1/dra_bin_list.txt|idf:0,0,0,0",
    ]
    assert [each["name"] for each in run.description["tensors"]["outputs"]] == ["b"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (npy(np.zeros((3, 6, 10, 3), np.float32)), "type <f4, not uint8"),
        (npy(np.zeros((3, 5, 10, 3), np.uint8)), "a sample has the shape [5, 10, 3]"),
        (npy(np.zeros((1, 6, 10, 3), np.uint8)), "ends before sample 2"),
        (npy(np.asfortranarray(np.zeros((3, 6, 10, 3), np.uint8))), "Fortran"),
        (npy(np.uint8(3)), "single value"),
        (b"\x93NUMPY\x01\0\xff\xff" + b"{" * 100, "damaged"),
        (b"", "no .npy file"),
    ],
)
def test_an_array_that_cannot_be_used_is_refused(compile_model: Compile, content: bytes, said: str) -> None:
    error = compile_model(TFLITE, TF, data={"samples.npy": content}).error
    assert error["code"] == "calibration-unreadable"
    assert said in error["message"]


@pytest.mark.parametrize("content", [b"PK\x03\x04 damaged", npz(other=np.zeros((3, 2)), more=np.zeros((3, 2)))])
def test_an_archive_that_cannot_be_used_is_refused(compile_model: Compile, content: bytes) -> None:
    assert compile_model(TFLITE, TF, data={"samples.npz": content}).error["code"] == "calibration-unreadable"


def test_one_array_for_one_input_may_have_any_name(compile_model: Compile) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("whatever.npy", npy(np.zeros((3, 6, 10, 3), np.uint8)))
    assert compile_model(TFLITE, TF, data={"samples.npz": stream.getvalue()}).exit_code == 0


# --- models that are refused


@pytest.mark.parametrize(
    ("model", "params", "code", "said"),
    [
        (encode(integer_model(io="uint8")), TF, "compiler-model", "is uint8"),
        (encode(float_model(weights="int8")), TF, "compiler-model", "int8 with a scale"),
        (onnx_model(operator="QLinearConv"), ONNX, "compiler-model", "QLinearConv"),
        (onnx_model(dtype=2), ONNX, "compiler-model", '"images" is uint8'),
        (onnx_model(external=True), ONNX, "model-unreadable", "another file"),
        (b"rubbish", TF, "model-unreadable", "no .tflite file"),
        (TFLITE[:200], TF, "model-unreadable", "damaged"),
        (b"\x0a\x0b\x0c rubbish", ONNX, "model-unreadable", "ONNX"),
        (b"", ONNX, "model-unreadable", "no graph"),
        (onnx_model()[:-40], ONNX, "model-unreadable", "beyond its end"),
        (onnx_model(inputs={"images": (1, 3, -1, -1)}), {**ONNX, "inputs": []}, "model-shape", "fixed sizes"),
        (onnx_model(inputs={"images": (1, 3, 64, 64)}), ONNX, "model-shape", "is declared"),
        (onnx_model(inputs={"a:0": (1, 3, 32, 40)}), {**ONNX, "inputs": []}, "compiler-option", '"a:0"'),
        (onnx_model(), {**ONNX, "inputs": [{"name": "imags"}]}, "model-input", 'did you mean "images"'),
        (TFLITE, {**TF, "outputs": ["cat"]}, "model-output", 'no output "cat"'),
        (onnx_model(inputs={"images": (1, 32, 40, 3)}), {**ONNX, "inputs": []}, "model-input", "planar"),
        (
            onnx_model(inputs={"images": (1, 3, 8, 8), "more": (1, 2)}),
            {**ONNX, "inputs": []},
            "model-input",
            "one only",
        ),
    ],
)
def test_a_model_that_cannot_be_compiled_is_refused_before_anything_runs(
    compile_model: Compile, model: bytes, params: dict[str, Any], code: str, said: str
) -> None:
    run = compile_model(model, params)
    assert (run.error["code"], run.exit_code) == (code, 1)
    assert said in run.error["message"]
    assert run.error["hint"]
    assert not compile_model.calls.exists()
    assert "Traceback" not in run.log


def test_sizes_that_the_file_leaves_open_come_from_the_manifest(compile_model: Compile) -> None:
    run = compile_model(onnx_model(inputs={"images": (-1, 3, -1, -1)}), ONNX)
    assert run.exit_code == 0, run.events
    assert compile_model.sources()[0].startswith("is:1,3,32,40|")


def test_names_that_the_options_cannot_say_become_those_of_the_signature(compile_model: Compile) -> None:
    """Where a name is taken, or none fits, the next that can be said."""
    clash = with_tensor(TWO_OUTPUTS, 1, replace(TENSORS[1], name="person"))
    assert compile_model(encode(clash), TF).exit_code == 0
    parser = compile_model.commands[1]
    assert parser[-3:] == ["o:person|odf:fp32", "-odst", "o:output_1|odf:fp32"]


# --- programs that fail


def test_a_missing_toolchain_is_told(compile_model: Compile) -> None:
    shutil.rmtree(put_toolchain(compile_model.tools) / "bin")
    error = compile_model(TFLITE, TF).error
    assert error["code"] == "toolchain"
    assert "gen_image_list.py, tfparser.py, vas, cavalry_gen" in error["message"]


def test_a_program_that_cannot_be_run_is_named(compile_model: Compile) -> None:
    put_toolchain(compile_model.tools, environment=False)
    (compile_model.tools / "bin/vas").chmod(0o644)
    error = compile_model(TFLITE, TF).error
    assert (error["code"], "executable" in error["hint"], "bin/vas" in error["hint"]) == ("toolchain", True, True)


def test_several_environment_scripts_are_not_guessed_between(compile_model: Compile) -> None:
    put_toolchain(compile_model.tools)
    shutil.copytree(compile_model.tools / "env", compile_model.tools / "ubuntu-18.04/env")
    error = compile_model(TFLITE, TF).error
    assert (error["code"], "ubuntu-18.04/env/cv25.env" in error["message"]) == ("toolchain", True)


def test_an_environment_script_that_fails_is_quoted(compile_model: Compile) -> None:
    put_toolchain(compile_model.tools)
    (compile_model.tools / "env/cv25.env").write_text("echo no license here\nexit 3\n")
    error = compile_model(TFLITE, TF).error
    assert (error["code"], "no license here" in error["message"]) == ("toolchain", True)


@pytest.mark.parametrize("program", ["gen_image_list.py", "tfparser.py", "vas", "cavalry_gen"])
def test_what_a_program_says_when_it_fails_is_quoted(compile_model: Compile, program: str) -> None:
    run = compile_model(TFLITE, TF, modes={program: "refuse"})
    assert run.error["code"] == "compiler-internal"
    assert f"{program} ended with exit code 1" in run.error["message"]
    assert "unsupported operator: Frobnicate (node 7)" in run.error["message"]
    assert run.error["hint"]
    assert not (run.folder / "out/model.bin").exists()


@pytest.mark.parametrize("mode", ["rubbish", "missing"])
@pytest.mark.parametrize(
    ("program", "left"),
    [
        ("gen_image_list.py", "dra_image_bin/dra_bin_list.txt"),
        ("tfparser.py", "quantized/quantized.vas"),
        ("vas", "vas_output"),
        ("cavalry_gen", "model.bin"),
    ],
)
def test_exit_code_0_is_not_believed(compile_model: Compile, program: str, mode: str, left: str) -> None:
    run = compile_model(TFLITE, TF, modes={program: mode})
    assert run.error["code"] == "compiler-output"
    assert f"{program} ended with exit code 0, but {left}" in run.error["message"]


def test_a_program_that_hangs_is_killed_with_all_that_it_started(compile_model: Compile) -> None:
    run = compile_model(TFLITE, {**TF, "timeout_sec": 1}, modes={"vas": "hang"})
    assert run.error["code"] == "compiler-timeout"
    assert "vas was killed: it did not end within 1 s; its last lines: working" in run.error["message"]
    ours = str(compile_model.tools)
    alive = [entry for entry in Path("/proc").iterdir() if entry.name.isdigit() and ours in _command_line(entry)]
    assert alive == []


def _command_line(process: Path) -> str:
    try:
        return (process / "cmdline").read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""


@pytest.mark.parametrize(("mode", "said"), [("crash", "by signal SIGSEGV"), ("flood", "it printed more than 16 MiB")])
def test_a_program_that_dies_or_floods_is_told(compile_model: Compile, mode: str, said: str) -> None:
    run = compile_model(TFLITE, TF, modes={"tfparser.py": mode})
    assert (run.error["code"], said in run.error["message"]) == ("compiler-internal", True)


# --- the hand-over


@pytest.mark.parametrize("kind", ["jpg", "mixed", "npy"])
def test_the_hand_over_leaves_the_same_file_as_the_step(compile_model: Compile, kind: str) -> None:
    data = {
        "jpg": None,
        "mixed": {"00000.jpg": b"one", "00001.png": b"two"},
        "npy": {"samples.npy": npy(np.ones((3, 6, 10, 3), np.uint8))},
    }[kind]
    built = compile_model(TFLITE, TF, data=data).output("model.bin")
    shutil.rmtree(compile_model.folder / "root")
    over = compile_model.folder / "hand over"
    run = compile_model(TFLITE, TF, data=data, arguments=(str(over),), variables={"DLPU_AMBARELLA_TOOLCHAIN": "/none"})
    assert run.exit_code == 0, run.events
    without = subprocess.run(["sh", over / "run.sh"], env={"PATH": "/usr/bin:/bin"}, capture_output=True, check=False)
    assert (without.returncode, b"is not on PATH" in without.stderr) == (127, True)
    path = f"{compile_model.tools / 'bin'}:/usr/bin:/bin"
    for _ in range(2):
        subprocess.run(["sh", over / "run.sh"], env={"PATH": path}, cwd="/", capture_output=True, check=True)
        assert (over / "model.bin").read_bytes() == built
    assert "input `image`: 1x3x6x10" in (over / "README.md").read_text()


def test_a_hand_over_does_not_write_into_a_folder_of_the_users(compile_model: Compile) -> None:
    over = compile_model.folder / "mine"
    over.mkdir()
    (over / "file").write_text("mine")
    assert "is not empty" in compile_model(TFLITE, TF, arguments=(str(over),)).error["message"]
