"""The stand-in for the Edge TPU compiler keeps to what is documented of the real one's command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from dlpubuild.tflite.read import read_file
from tests.factories.edgetpu import DOUBLE, chain
from tests.factories.tflite_factory import GraphSpec, ModelSpec, OperatorSpec, TensorSpec, encode, float_model

VERSION = "Edge TPU Compiler version 16.0.384591198\n"


def run(folder: Path, *arguments: str, program: Path = DOUBLE) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, program, *arguments], cwd=folder, capture_output=True, text=True, check=False, env={}
    )


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_bytes(encode(chain(["a", "b", "c"])))


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_it_tells_its_version_and_nothing_else(tmp_path: Path) -> None:
    for option in ("-v", "--version"):
        done = run(tmp_path, option)
        assert (done.returncode, done.stdout) == (0, VERSION)


def test_help_names_every_documented_option(tmp_path: Path) -> None:
    done = run(tmp_path, "--help")

    assert done.returncode == 0
    for option in ("--out_dir", "--show_operations", "--intermediate_tensors", "--num_segments", "--timeout_sec"):
        assert option in done.stdout
    for option in ("--min_runtime_version", "--search_delegate", "--delegate_search_step"):
        assert option in done.stdout


def test_results_go_to_the_current_folder_or_the_one_named(tmp_path: Path) -> None:
    write(tmp_path, "x.tflite")
    (tmp_path / "out").mkdir()

    assert run(tmp_path, "x.tflite").returncode == 0
    assert run(tmp_path, "-o", "out", "x.tflite").returncode == 0

    assert files(tmp_path) == ["out", "x.tflite", "x_edgetpu.log", "x_edgetpu.tflite"]
    assert files(tmp_path / "out") == ["x_edgetpu.log", "x_edgetpu.tflite"]


def test_the_table_is_printed_where_it_is_asked_for_and_always_in_the_log(tmp_path: Path) -> None:
    write(tmp_path, "x.tflite")
    row = "ADD                            3          Mapped to Edge TPU"

    assert row not in run(tmp_path, "x.tflite").stdout
    assert row in run(tmp_path, "-sa", "x.tflite").stdout
    assert (tmp_path / "x_edgetpu.log").read_text().startswith(f"{VERSION}Input: x.tflite\n")
    assert row in (tmp_path / "x_edgetpu.log").read_text()


def test_several_models_are_compiled_together(tmp_path: Path) -> None:
    write(tmp_path, "x.tflite", "y.tflite")

    done = run(tmp_path, "x.tflite", "y.tflite")

    assert "Models compiled successfully in " in done.stdout
    assert read_file(tmp_path / "y_edgetpu.tflite").main.operators[0].label == "edgetpu-custom-op"


def test_an_unknown_option_a_missing_file_and_a_float_model_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "x.tflite")
    (tmp_path / "float.tflite").write_bytes(encode(float_model()))

    for arguments in (("--quantize", "x.tflite"), ("none.tflite",), ("float.tflite",), ("-i", "a:b", "x.tflite"), ()):
        assert run(tmp_path, *arguments).returncode == 1, arguments
    assert run(tmp_path, "float.tflite").stdout.endswith("Invalid model: float.tflite\nModel not quantized\n")
    assert files(tmp_path) == ["float.tflite", "x.tflite"]


def test_floats_at_the_border_stay_on_the_cpu(tmp_path: Path) -> None:
    """As the log in f0cal/google-coral issue 20 has it."""
    tensors = [
        TensorSpec(name="in", shape=(1, 8), dtype="float32"),
        *(TensorSpec(name=name, shape=(1, 8), scales=(0.5,)) for name in ("a", "b")),
        TensorSpec(name="out", shape=(1, 8), dtype="float32"),
    ]
    operators = [
        OperatorSpec(name="QUANTIZE", inputs=(0,), outputs=(1,)),
        OperatorSpec(name="ADD", inputs=(1, 1), outputs=(2,), version=2),
        OperatorSpec(name="DEQUANTIZE", inputs=(2,), outputs=(3,), version=2),
    ]
    graph = GraphSpec(tensors=tuple(tensors), operators=tuple(operators), inputs=(0,), outputs=(3,))
    (tmp_path / "x.tflite").write_bytes(encode(ModelSpec(graphs=(graph,))))
    rows = run(tmp_path, "-s", "x.tflite").stdout.splitlines()
    assert "QUANTIZE                       1          Operation is otherwise supported, but not mapped" in "\n".join(
        rows
    )
    assert "ADD                            1          Mapped to Edge TPU" in rows
    assert "DEQUANTIZE                     1          Operation is working on an unsupported data type" in rows


def test_a_file_beside_it_says_what_to_do_where_no_variable_reaches_it(tmp_path: Path) -> None:
    program = tmp_path / "edgetpu_compiler"
    program.write_bytes(DOUBLE.read_bytes())
    (tmp_path / "edgetpu_compiler.json").write_text('{"modes": ["silent"]}')
    write(tmp_path, "x.tflite")

    assert run(tmp_path, "x.tflite", program=program).stdout.endswith("Compilation failed! \n")
