"""Each failure of the Edge TPU compiler that users have shown, word for word, is explained with what to change."""

from __future__ import annotations

import importlib
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest

from dlpubuild.errors import ErrorCode
from dlpubuild.resources import steps_dir
from tests.factories.edgetpu import chain
from tests.factories.tflite_factory import (
    ModelSpec,
    encode,
    float_model,
    integer_model,
    with_dynamic_batch,
    with_graph,
    with_tensor,
)

OLD_BINARY = (
    "ERROR: Didn't find op for builtin opcode '{}' version '{}'. An older version of this builtin might be supported. "
    "Are you using an old TFLite binary with a newer model?\n\nERROR: Registration failed.\n\n"
    "Invalid model: F\nModel could not be parsed\n"
)
RESTORED = "ERROR: Restored original execution plan after delegate application failure.\n"
INTERPRETER = (
    "Compilation failed: Model failed in Tflite interpreter. Please ensure model can be loaded/run in Tflite "
    "interpreter.\n"
)
ENDED = "Compilation child process completed within timeout period.\nCompilation failed!\n"


def with_operators(name: str, version: int) -> ModelSpec:
    """A chain of ADD, the second of which is another operator of another version."""
    model = chain(["a", "b", "c"])
    operators = list(model.graphs[0].operators)
    operators[1] = replace(operators[1], name=name, version=version, inputs=operators[1].inputs[:1])
    return with_graph(model, operators=tuple(operators))


def grouped() -> ModelSpec:
    model = integer_model()
    return with_tensor(model, 1, replace(model.graphs[0].tensors[1], shape=(8, 3, 3, 1), data=bytes(8 * 3 * 3)))


# Text, model, the code that it is told by, what the message names, what the hint speaks of, and whether the compiler
# left open which operator it is, so that it is looked for.
SHOWN: list[Any] = [
    pytest.param(
        OLD_BINARY.format("CONV_2D", 6),
        integer_model(),
        ("compiler-operator-version", "CONV_2D version 6", "before 2.7", False),
        id="conv-v6",
    ),
    pytest.param(
        OLD_BINARY.format("CONV_2D", 6),
        grouped(),
        ("compiler-grouped-convolution", "CONV_2D version 6", "depthwise", False),
        id="conv-v6-grouped",
    ),
    pytest.param(
        OLD_BINARY.format("EXP", 2),
        with_operators("EXP", 2),
        ("compiler-operator-version", "EXP version 2 (operator 1)", "before 2.7", False),
        id="exp-v2",
    ),
    pytest.param(
        OLD_BINARY.format("QUANTIZE", 3),
        with_operators("QUANTIZE", 3),
        ("compiler-operator-version", "QUANTIZE version 3 (operator 1)", "before 2.7", False),
        id="quantize-v3",
    ),
    pytest.param(
        OLD_BINARY.format("TRANSPOSE_CONV", 4),
        with_operators("TRANSPOSE_CONV", 4),
        ("compiler-operator-version", "TRANSPOSE_CONV version 4 (operator 1)", "before 2.7", False),
        id="transpose-conv-v4",
    ),
    pytest.param(
        "ERROR: Did not get operators, tensors, or buffers in subgraph 0.\n",
        integer_model(),
        ("compiler-model", "Did not get operators, tensors, or buffers", "convert the model again", False),
        id="unreadable",
    ),
    pytest.param(
        "ERROR: Attempting to use a delegate that only supports static-sized tensors with a graph that has "
        "dynamic-sized tensors.\n" + INTERPRETER + ENDED,
        with_dynamic_batch(integer_model()),
        ("compiler-dynamic-size", "'image_int8' (?x9x9x3", "batch 1", False),
        id="dynamic",
    ),
    pytest.param(
        "ERROR: Attempting to use a delegate that only supports static-sized tensors with a graph that has "
        "dynamic-sized tensors.\n" + INTERPRETER + ENDED,
        integer_model(),
        ("compiler-dynamic-size", "an operator computes one", "batch 1", False),
        id="dynamic-inside",
    ),
    pytest.param(
        RESTORED + "Compilation failed: Compilation failed due to large activation tensors in model.\n" + ENDED,
        integer_model(),
        ("compiler-large-activations", "'conv/relu6' (1x4x4x8 int8, 128 B)", "search-delegate = true", True),
        id="large-activations",
    ),
    pytest.param(
        RESTORED + "Compilation failed: Internal error.\n" + ENDED,
        integer_model(),
        ("compiler-internal", "Internal error", "large activations", True),
        id="internal",
    ),
    pytest.param(
        "Internal compiler error. Aborting! \n",
        integer_model(),
        ("compiler-internal", "Internal compiler error. Aborting!", "large activations", True),
        id="aborting",
    ),
    pytest.param(
        "error: 'tfl.strided_slice' op is not supported on DarwiNN\n",
        with_operators("STRIDED_SLICE", 2),
        ("compiler-operator", "operator 1 STRIDED_SLICE", "intermediate-tensors", False),
        id="darwinn",
    ),
    pytest.param(
        "ERROR: :344 no_integer_overflow_from_quantization was not true.\n"
        "ERROR: Node number 0 (CONV_2D) failed to prepare.\n\n" + INTERPRETER + ENDED,
        integer_model(),
        ("compiler-scale", "operator 0 CONV_2D", "quantize again", False),
        id="scale",
    ),
    pytest.param(
        "ERROR: :344 no_integer_overflow_from_quantization was not true.\n"
        "ERROR: Node number 31 (CONV_2D) failed to prepare.\n\n" + INTERPRETER + ENDED,
        integer_model(),
        ("compiler-scale", "operator 31 CONV_2D", "quantize again", False),
        id="scale-of-a-node-that-is-not-there",
    ),
    pytest.param(
        "ERROR: conv.cc:330 input->dims->data[3] != filter->dims->data[3] (128 != 1)\n"
        "ERROR: Node number 0 (CONV_2D) failed to prepare.\n\n" + INTERPRETER + ENDED,
        grouped(),
        ("compiler-grouped-convolution", "128 in, 1 in each filter", "split", False),
        id="grouped",
    ),
    pytest.param(
        "Invalid model: F\nModel not quantized\n",
        float_model(),
        ("compiler-not-quantized", "operator 0 CONV_2D", "calibration data", False),
        id="float",
    ),
    pytest.param(
        "The number of lists given to intermediate_tensors doesn't match the number of input models.\n",
        integer_model(),
        ("compiler-option", "intermediate tensors", "colon", False),
        id="intermediate-tensors",
    ),
    pytest.param(
        "Compilation timeout. This is usually caused by large activations.\nCompilation failed! \n",
        integer_model(),
        ("compiler-timeout", "'conv/relu6'", "timeout under", False),
        id="timeout",
    ),
]


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, which finds those beside it as it does in a toolchain."""
    monkeypatch.syspath_prepend(str(steps_dir()))
    return importlib.import_module("edgetpu_faults")


def read(spec: ModelSpec) -> Any:
    return importlib.import_module("tflite_file").read_tflite(encode(spec))


@pytest.mark.parametrize(
    "before", ["", "Edge TPU Compiler version 16.0.384591198\nStarted a compilation timeout timer of 180 seconds.\n"]
)
@pytest.mark.parametrize(("text", "model", "told"), SHOWN)
def test_what_users_have_shown_is_explained(
    faults: ModuleType, before: str, text: str, model: ModelSpec, told: tuple[str, str, str, bool]
) -> None:
    fault = faults.explain(before + text, "with exit code 1", read(model))
    code, named, hint, is_opaque = told
    assert (fault.code, fault.is_opaque) == (code, is_opaque)
    assert ErrorCode(fault.code)
    assert named in fault.message
    assert hint in fault.hint


def test_every_code_of_a_failure_is_shown_here() -> None:
    shown = {case.values[2][0] for case in SHOWN}
    # What a result is like that cannot be used is tested with the step.
    assert shown == {str(code) for code in ErrorCode if code.startswith("compiler-")} - {"compiler-output"}


@pytest.mark.parametrize(
    "text", ["", "\n\n", "spam\n" * 1000, "\x00\xff%n%s", "Node number 99999999999 (X) failed to prepare"]
)
def test_what_nobody_has_shown_is_told_as_it_is(faults: ModuleType, text: str) -> None:
    fault = faults.explain(text, "by signal SIGSEGV", read(integer_model()))
    assert fault.code == "compiler-internal"
    assert "by signal SIGSEGV" in fault.message
    assert fault.is_opaque
