"""What the Edge TPU compiler says, read from what users have shown of it, and the tables that its step travels with."""

from __future__ import annotations

import importlib
from types import ModuleType

import pytest

from dlpubuild.resources import steps_dir
from dlpubuild.tflite.read import read_model
from dlpubuild.tflite.runtime import edgetpu_newest_readable
from dlpubuild.tflite.schema import OPERATOR_NAMES, TENSOR_TYPES
from tests.factories.edgetpu import chain
from tests.factories.tflite_factory import encode, float_model, integer_model, with_dynamic_batch

# Figures and wording of google-coral/edgetpu issues 572 and 671, put together.
PARTIAL = """Edge TPU Compiler version 16.0.384591198
Started a compilation timeout timer of 180 seconds.

Model compiled successfully in 3173 ms.

Input model: yolo.tflite
Input size: 7.37MiB
Output model: yolo_edgetpu.tflite
Output size: 8.34MiB
On-chip memory used for caching model parameters: 6.08MiB
On-chip memory remaining for caching model parameters: 0.00B
Off-chip memory used for streaming uncached model parameters: 604.50KiB
Number of Edge TPU subgraphs: 2
Total number of operations: 67
Operation log: yolo_edgetpu.log

Model successfully compiled but not all operations are supported by the Edge TPU. A percentage of the model will
Number of operations that will run on Edge TPU: 64
Number of operations that will run on CPU: 3

Operator                       Count      Status

RESHAPE                        1          {unspecified}
QUANTIZE                       2          More than one subgraph is not supported
CONV_2D                        62         Mapped to Edge TPU
QUANTIZE                       2          Mapped to Edge TPU
Compilation child process completed within timeout period.
Compilation succeeded!
""".replace("{unspecified}", "Operation is otherwise supported, but not mapped due to some unspecified limitation")

SEARCH = """Edge TPU Compiler version 16.0.384591198
Searching for valid delegate with step 10
Try to compile segment with 322 ops
Started a compilation timeout timer of 180 seconds.
ERROR: Restored original execution plan after delegate application failure.
Compilation failed: Compilation failed due to large activation tensors in model.
Compilation child process completed within timeout period.
Compilation failed!
Try to compile segment with 312 ops
Intermediate tensors: Reshape_5,Sigmoid1
Started a compilation timeout timer of 180 seconds.

Model compiled successfully in 12 ms.
"""


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, which finds those beside it as it does in a toolchain."""
    monkeypatch.syspath_prepend(str(steps_dir()))
    return importlib.import_module("edgetpu_log")


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(steps_dir()))
    return importlib.import_module("tflite_file")


def test_every_figure_of_a_partial_mapping_is_read(log: ModuleType) -> None:
    report = log.parse_output(PARTIAL)

    assert report.version == "16.0.384591198"
    assert (report.milliseconds, report.subgraphs, report.total) == (3173, 2, 67)
    assert (report.mapped, report.on_cpu, report.segment) == (64, 3, None)
    assert report.on_chip_used == round(6.08 * (1 << 20))
    assert (report.on_chip_remaining, report.off_chip_streamed) == (0, 619008)
    assert [tuple(row) for row in report.rows] == [
        ("CONV_2D", "Mapped to Edge TPU", 62),
        ("QUANTIZE", "Mapped to Edge TPU", 2),
        ("QUANTIZE", "More than one subgraph is not supported", 2),
        ("RESHAPE", "Operation is otherwise supported, but not mapped due to some unspecified limitation", 1),
    ]


def test_of_a_search_the_last_try_counts(log: ModuleType) -> None:
    report = log.parse_output(SEARCH)

    assert (report.milliseconds, report.segment) == (12, 312)
    assert "large activation" not in log.last_compilation(SEARCH)


def test_counts_that_are_left_out_follow_from_the_table(log: ModuleType) -> None:
    rows = log.parse_table("Operator  Count  Status\n\nADD  3  Mapped to Edge TPU\nEXP  1  Operation not supported\n")

    report = log.completed(log.parse_output("Model compiled successfully in 5 ms.\n"), rows)

    assert (report.total, report.mapped, report.on_cpu, report.rows) == (4, 3, 1, rows)


@pytest.mark.parametrize(
    "text",
    ["", "\x00\xff%&", "Model compiled successfully in ms.", "9" * 10000, "Total number of operations: " + "9" * 5000],
)
def test_rubbish_says_nothing(log: ModuleType, text: str) -> None:
    report = log.parse_output(text)

    assert not report.has_compiled
    assert (report.version, report.total, report.rows) == (None, None, ())


@pytest.mark.parametrize("size", ["", "B", "1.2.3MiB", "5TiB", "12", "1e5B", "-3B"])
def test_a_size_that_is_none_is_not_read(log: ModuleType, size: str) -> None:
    assert log.parse_output(f"On-chip memory used for caching model parameters: {size}\n").on_chip_used is None


def test_the_operators_beside_the_steps_are_those_of_the_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(steps_dir()))
    tflite_operators = importlib.import_module("tflite_operators")

    assert tflite_operators.NAMES == OPERATOR_NAMES
    assert {name: version for name, version in tflite_operators.NEWEST_READABLE.items() if version} == dict(
        edgetpu_newest_readable()
    )
    assert tflite_operators.operator_name(9999) == "UNKNOWN_9999"


@pytest.mark.parametrize(
    "model",
    [integer_model(per_channel=True, io="uint8"), float_model(), with_dynamic_batch(integer_model()), chain("abc")],
    ids=["integer", "float", "dynamic", "chain"],
)
def test_both_readers_of_tflite_files_agree(files: ModuleType, model: object) -> None:
    content = encode(model)  # type: ignore[arg-type] # a ModelSpec
    ours, theirs = read_model(content), files.read_tflite(content)

    assert [tuple(op) for op in theirs.operators] == [
        (op.index, op.name, op.version, op.custom_code, op.inputs, op.outputs) for op in ours.main.operators
    ]
    assert [(t.index, t.name, t.shape, t.dtype, t.constant_bytes) for t in theirs.tensors] == [
        (t.index, t.name, t.shape_signature, t.dtype, t.constant_bytes) for t in ours.main.tensors
    ]
    assert (theirs.inputs, theirs.outputs) == (ours.main.inputs, ours.main.outputs)
    assert [files._DTYPES[number][0] for number in range(len(TENSOR_TYPES))] == list(TENSOR_TYPES)


@pytest.mark.parametrize("cut", [0, 7, 8, 60, 200, -1])
def test_a_damaged_file_is_a_value_error(files: ModuleType, cut: int) -> None:
    content = encode(integer_model())
    for damaged in (content[:cut], content[:8] + b"\xff" * 64 + content[72:]):
        with pytest.raises(ValueError, match="it is"):
            files.read_tflite(damaged)


def test_renaming_a_tensor_changes_nothing_else(files: ModuleType) -> None:
    model = files.read_tflite(encode(integer_model()))

    renamed = files.read_tflite(files.renamed(model, {3: "tensor3"}))

    assert [t.name for t in renamed.tensors] == [t.name if t.index != 3 else "tensor3" for t in model.tensors]
    assert renamed.operators == model.operators
    assert len(renamed.content) == len(model.content)
    with pytest.raises(ValueError, match="longer"):
        files.renamed(model, {3: "x" * 100})
