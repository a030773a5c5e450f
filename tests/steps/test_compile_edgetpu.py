"""The step that compiles for the Edge TPU, with a stand-in for the compiler, which is closed.

It runs in a Python without packages, so these tests need no toolchain: they use this interpreter, and a Python 3.7 too
where there is one, because that is the oldest that steps run in.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dlpubuild.resources import steps_dir
from dlpubuild.tflite.read import read_file, read_model
from tests.factories.edgetpu import chain, put_compiler
from tests.factories.tflite_factory import (
    custom_model,
    encode,
    float_model,
    integer_model,
    with_dynamic_batch,
    with_graph,
    with_tensor,
)
from tests.steps.conftest import ENVIRONMENT, StepRun

if TYPE_CHECKING:
    from collections.abc import Mapping

MODULES = (
    *("edgetpu_bisect", "edgetpu_faults", "edgetpu_log", "edgetpu_process", "stepio", "tflite_file", "tool_process"),
)
SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "models"
PARAMS = {
    "model": "in/model.tflite",
    "output": "out/model_edgetpu.tflite",
    "timeout_sec": 60,
    "min_runtime_version": 0,
    "search_delegate": False,
    "delegate_search_step": 1,
    "intermediate_tensors": [],
    "budget_sec": 120,
}


def _is_python37(program: str) -> bool:
    asked = "import sys; sys.exit(sys.version_info[:2] != (3, 7))"
    return subprocess.run([program, "-c", asked], env=ENVIRONMENT, capture_output=True, check=False).returncode == 0


def _pythons() -> list[Any]:
    candidates = [os.environ.get("PYTHON37"), shutil.which("python3.7")]
    candidates += [str(path) for path in sorted(Path.home().glob(".pyenv/versions/3.7.*/bin/python3.7"))]
    oldest = next((path for path in candidates if path and _is_python37(path)), None)
    missing = pytest.mark.skip(reason="there is no Python 3.7: PYTHON37 can name one")
    return [
        pytest.param(sys.executable, id="this-python"),
        pytest.param(oldest, id="python3.7", marks=() if oldest else missing),
    ]


class Compile:
    """Runs the step on a model, with a compiler that does what `config` says."""

    def __init__(self, python: str, folder: Path) -> None:
        self.python = python
        self.folder = folder
        self.calls = folder / "calls"

    def __call__(
        self,
        model: bytes,
        params: Mapping[str, Any] | None = None,
        *,
        place: str = "in/model.tflite",
        has_compiler: bool = True,
        **config: Any,
    ) -> StepRun:
        root = self.folder / "root"
        for name in ("src", "in", "out"):
            (root / name).mkdir(parents=True)
        for name in ("compile_edgetpu", "tflite_operators", *MODULES):
            shutil.copy(steps_dir() / f"{name}.py", root / "src")
        (root / place).write_bytes(model)
        (root / "src" / "params.json").write_text(json.dumps({**PARAMS, "model": place, **(params or {})}))
        tools = self.folder / "tools"
        if has_compiler:
            put_compiler(tools, calls=str(self.calls), **config)
        temporary = self.folder / "tmp"
        temporary.mkdir()
        environment = {**ENVIRONMENT, "PATH": f"{tools}:/usr/bin:/bin", "TMPDIR": str(temporary)}
        done = subprocess.run(
            [self.python, "src/compile_edgetpu.py", "src/params.json"],
            cwd=root,
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=120,
            check=False,
        )
        assert list(temporary.iterdir()) == []
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        return StepRun(
            folder=root,
            exit_code=done.returncode,
            events=tuple(json.loads(line) for line in lines),
            log=done.stderr,
        )

    @property
    def commands(self) -> list[list[str]]:
        """The arguments of each run of the compiler."""
        return [json.loads(line) for line in self.calls.read_text().splitlines()]


@pytest.fixture(params=_pythons())
def compile_model(request: pytest.FixtureRequest, tmp_path: Path) -> Compile:
    return Compile(request.param, tmp_path)


def messages(run: StepRun) -> list[str]:
    return [event["text"] for event in run.events if event["event"] == "message"]


def mapping(run: StepRun) -> dict[str, Any]:
    assert run.exit_code == 0, run.events
    found: dict[str, Any] = run.description["metrics"]["mapping"]
    return found


INTEGER = encode(integer_model(io="uint8"))


# --- success


def test_a_model_whose_operators_are_all_supported_is_mapped_wholly(compile_model: Compile) -> None:
    run = compile_model(INTEGER)

    assert mapping(run) == {
        "total": 4,
        "mapped": 4,
        "operators": [
            {"operator": "CONV_2D", "count": 1, "status": "Mapped to Edge TPU", "mapped": True},
            {"operator": "FULLY_CONNECTED", "count": 1, "status": "Mapped to Edge TPU", "mapped": True},
            {"operator": "QUANTIZE", "count": 2, "status": "Mapped to Edge TPU", "mapped": True},
        ],
        "subgraphs": 1,
        "segment": None,
        "on_chip_used_bytes": 1587,  # 1584 bytes in buffers, of which it makes 1.55KiB
        "on_chip_remaining_bytes": 8 << 20,
        "off_chip_streamed_bytes": 0,
        "not_expected_readable": [],
    }
    assert run.description["tools"] == {"edgetpu-compiler": "16.0.384591198"}
    assert run.description["metrics"]["run"] == {"milliseconds": 41, "attempts": 1, "first_failure": None}
    assert [op.label for op in read_model(run.output("model_edgetpu.tflite")).main.operators] == ["edgetpu-custom-op"]
    assert messages(run) == []


def test_inputs_and_outputs_keep_the_names_that_the_uncompiled_model_gives_them(compile_model: Compile) -> None:
    tensors = compile_model(INTEGER).description["tensors"]

    assert tensors["inputs"] == [
        {
            "name": "image",
            "tensor": "serving_default_image:0",
            "shape": [1, 9, 9, 3],
            "dtype": "uint8",
            "scale": 0.5,
            "zero_point": 0,
        }
    ]
    assert [(each["name"], each["shape"]) for each in tensors["outputs"]] == [("probabilities", [1, 10])]


@pytest.mark.parametrize(
    ("name", "mapped", "total"),
    [
        ("deeplabv3_mnv2_dm05_pascal_quant", 64, 72),
        ("keras_lstm_mnist_ptq", 6, 6),
        ("mobilenet_v1_0.25_128_quant", 31, 31),
        ("movenet_single_pose_lightning_ptq", 98, 157),
        ("split_concat", 3, 3),
    ],
)
def test_a_published_model_becomes_its_published_compilation(
    compile_model: Compile, name: str, mapped: int, total: int
) -> None:
    source = SHARED / f"{name}.tflite"
    if not source.is_file():
        pytest.skip(f"the published model {source.name} is not on this machine")

    run = compile_model(source.read_bytes(), pairs=str(SHARED))

    assert (mapping(run)["mapped"], mapping(run)["total"]) == (mapped, total)
    assert run.output("model_edgetpu.tflite") == (SHARED / f"{name}_edgetpu.tflite").read_bytes()
    assert len(run.description["tensors"]["inputs"]) == len(read_file(source).inputs)


def test_operators_that_stay_on_the_cpu_are_told_with_their_reason(compile_model: Compile) -> None:
    names = [f"t{number}" for number in range(6)]
    model = chain(names)
    operators = list(model.graphs[0].operators)
    operators[3] = replace(operators[3], name="LEAKY_RELU", inputs=(3,), version=1)

    found = mapping(compile_model(encode(with_graph(model, operators=tuple(operators)))))

    assert (found["mapped"], found["total"], found["subgraphs"]) == (3, 6, 1)
    assert [(each["operator"], each["count"], each["status"]) for each in found["operators"]] == [
        ("ADD", 3, "Mapped to Edge TPU"),
        ("ADD", 2, "More than one subgraph is not supported"),
        ("LEAKY_RELU", 1, "Operation not supported"),
    ]


def test_a_model_of_which_nothing_can_be_mapped_is_a_result_and_not_a_failure(compile_model: Compile) -> None:
    # Whether that will do is for the gate to say, which knows the manifest.
    found = mapping(compile_model(encode(chain(["a", "b"], operator="LEAKY_RELU"))))

    assert (found["mapped"], found["total"], found["subgraphs"]) == (0, 2, 0)


def test_the_template_names_the_output(compile_model: Compile) -> None:
    run = compile_model(INTEGER, {"output": "out/other.tflite"})

    assert run.exit_code == 0
    assert sorted(path.name for path in (run.folder / "out").iterdir()) == ["compile.log", "other.tflite", "step.json"]


def test_the_log_has_the_command_line_and_all_that_the_compiler_said(compile_model: Compile) -> None:
    text = compile_model(INTEGER).output("compile.log").decode()

    assert text.startswith("$ edgetpu_compiler --show_operations --out_dir out --timeout_sec 60 model.tflite\n")
    assert "\n[ended with exit code 0]\n[model_edgetpu.log]\nEdge TPU Compiler version 16.0.384591198\n" in text
    assert "CONV_2D                        1          Mapped to Edge TPU" in text


@pytest.mark.parametrize("place", ["in/modèle ünï.tflite", "in/a b;c'$(d).tflite", "in/--help", "in/model"])
def test_no_name_of_a_file_reaches_the_command_line(compile_model: Compile, place: str) -> None:
    run = compile_model(INTEGER, place=place)

    assert run.exit_code == 0
    assert compile_model.commands == [["--show_operations", "--out_dir", "out", "--timeout_sec", "60", "model.tflite"]]


# --- options


@pytest.mark.parametrize(
    ("params", "arguments"),
    [
        ({"timeout_sec": 7}, ["--timeout_sec", "7"]),
        ({"min_runtime_version": 13}, ["--timeout_sec", "60", "--min_runtime_version", "13"]),
        (
            {"search_delegate": True, "delegate_search_step": 30},
            ["--timeout_sec", "60", "--search_delegate", "--delegate_search_step", "30"],
        ),
        ({"search_delegate": False, "delegate_search_step": 30}, ["--timeout_sec", "60"]),
        (
            {"intermediate_tensors": ["conv/relu6", "image_int8"]},
            ["--timeout_sec", "60", "--intermediate_tensors", "conv/relu6,image_int8"],
        ),
    ],
)
def test_each_option_reaches_the_compiler(compile_model: Compile, params: dict[str, Any], arguments: list[str]) -> None:
    assert compile_model(INTEGER, params).exit_code == 0
    assert compile_model.commands == [["--show_operations", "--out_dir", "out", *arguments, "model.tflite"]]


def test_a_cut_leaves_what_follows_to_the_cpu(compile_model: Compile) -> None:
    found = mapping(compile_model(encode(chain(list("abcd"))), {"intermediate_tensors": ["b"]}))

    assert (found["mapped"], found["total"]) == (2, 4)


def test_a_search_that_ends_with_a_part_reports_that_part(compile_model: Compile) -> None:
    run = compile_model(
        encode(chain(list("abcdefgh"))), {"search_delegate": True, "delegate_search_step": 2}, fails_at=5
    )

    found = mapping(run)
    assert (found["mapped"], found["total"], found["segment"]) == (4, 8, 4)
    assert run.description["metrics"]["run"]["attempts"] == 1


def test_a_cut_at_a_tensor_that_is_not_there_is_refused_before_anything_runs(compile_model: Compile) -> None:
    run = compile_model(INTEGER, {"intermediate_tensors": ["conv/relu"]})

    assert (run.exit_code, run.error["code"]) == (1, "compiler-option")
    assert 'did you mean "conv/relu6"?' in run.error["message"]
    assert not compile_model.calls.exists()


def test_a_cut_at_a_name_that_the_compiler_cannot_be_told_is_refused(compile_model: Compile) -> None:
    run = compile_model(INTEGER, {"intermediate_tensors": ["StatefulPartitionedCall:0"]})

    assert run.error["code"] == "compiler-option"
    assert "commas and colons" in run.error["hint"]


# --- refusals and failures that are known


def _with_version(name: str, version: int) -> bytes:
    model = integer_model(io="uint8")
    operators = [
        replace(operator, version=version) if operator.name == name else operator
        for operator in model.graphs[0].operators
    ]
    return encode(with_graph(model, operators=tuple(operators)))


def _grouped(version: int) -> bytes:
    model = integer_model()
    filters = replace(model.graphs[0].tensors[1], shape=(8, 3, 3, 1), data=bytes(8 * 3 * 3))
    operators = [replace(model.graphs[0].operators[0], version=version), model.graphs[0].operators[1]]
    return encode(with_graph(with_tensor(model, 1, filters), operators=tuple(operators)))


@pytest.mark.parametrize(
    ("model", "config", "code", "fragments"),
    [
        pytest.param(
            _with_version("QUANTIZE", 3),
            {},
            "compiler-operator-version",
            ["QUANTIZE version 3 (operators 0, 3)"],
            id="operator-version",
        ),
        pytest.param(
            _grouped(6),
            {},
            "compiler-grouped-convolution",
            ["CONV_2D version 6 (operator 0)", "'conv/relu6'"],
            id="grouped-and-unreadable",
        ),
        pytest.param(
            _grouped(3),
            {},
            "compiler-grouped-convolution",
            ["3 in, 1 in each filter", "operator 0 CONV_2D"],
            id="grouped",
        ),
        pytest.param(
            encode(float_model()),
            {},
            "compiler-not-quantized",
            ["operator 0 CONV_2D", "operator 1 FULLY_CONNECTED"],
            id="float",
        ),
        pytest.param(
            encode(with_dynamic_batch(integer_model())),
            {},
            "compiler-dynamic-size",
            ["'image_int8' (?x9x9x3 int8"],
            id="dynamic",
        ),
        pytest.param(
            encode(custom_model("MyOp")),
            {},
            "compiler-operator",
            ["custom operator MyOp", "operator 2 MyOp"],
            id="custom",
        ),
        pytest.param(INTEGER, {"modes": ["scale"]}, "compiler-scale", ["scales of operator 0 CONV_2D"], id="scale"),
        pytest.param(
            INTEGER, {"modes": ["darwinn"]}, "compiler-operator", ["does not support STRIDED_SLICE"], id="darwinn"
        ),
        pytest.param(
            INTEGER,
            {"modes": ["large-activations"]},
            "compiler-large-activations",
            ["'image_int8' (1x9x9x3 int8, 243 B)"],
            id="large-activations",
        ),
        pytest.param(
            INTEGER, {"modes": ["timeout"]}, "compiler-timeout", ["within 60 s", "1x4x4x8 int8, 128 B"], id="timeout"
        ),
        pytest.param(
            INTEGER,
            {"modes": ["unreadable"]},
            "compiler-model",
            ["Did not get operators, tensors, or buffers"],
            id="unreadable",
        ),
        pytest.param(
            INTEGER,
            {"modes": ["internal-14"]},
            "compiler-internal",
            ["Internal compiler error. Aborting!"],
            id="internal-14",
        ),
        pytest.param(
            INTEGER,
            {"modes": ["exception"]},
            "compiler-internal",
            ["uncaught exception of type std::out_of_range"],
            id="exception",
        ),
        pytest.param(
            INTEGER,
            {"modes": ["silent"]},
            "compiler-internal",
            ["with exit code 1 without naming a reason"],
            id="silent",
        ),
        pytest.param(INTEGER, {"modes": ["segfault"]}, "compiler-internal", ["with exit code 139"], id="segfault"),
    ],
)
def test_a_known_failure_names_its_reason(
    compile_model: Compile, model: bytes, config: dict[str, Any], code: str, fragments: list[str]
) -> None:
    run = compile_model(model, **config)

    assert (run.exit_code, run.error["code"]) == (1, code)
    assert [fragment for fragment in fragments if fragment not in run.error["message"]] == []
    assert run.error["hint"]
    assert "Traceback" not in run.log
    assert not list((run.folder / "out").iterdir())


def test_operator_versions_that_are_not_expected_to_be_read_are_told_before_the_compiler_runs(
    compile_model: Compile,
) -> None:
    run = compile_model(_with_version("QUANTIZE", 3))

    assert messages(run)[0] == (
        "the Edge TPU compiler 16.0 is not expected to read QUANTIZE version 3 (operators 0, 3), which came with "
        "TensorFlow 2.7 or later"
    )


def test_a_compiler_that_reads_more_than_was_expected_is_believed(compile_model: Compile) -> None:
    run = compile_model(_with_version("FULLY_CONNECTED", 12))

    assert mapping(run)["not_expected_readable"] == ["FULLY_CONNECTED version 12"]
    assert len(messages(run)) == 1


def test_a_file_that_is_no_model_is_refused_before_anything_runs(compile_model: Compile) -> None:
    run = compile_model(b"PK\x03\x04 a zip archive, and no model")

    assert run.error["code"] == "compiler-model"
    assert not compile_model.calls.exists()


def test_a_toolchain_without_the_compiler_is_told(compile_model: Compile) -> None:
    run = compile_model(INTEGER, has_compiler=False)

    assert (run.exit_code, run.error["code"]) == (1, "toolchain")


def test_a_compiler_for_another_machine_is_told(compile_model: Compile) -> None:
    program = compile_model.folder / "tools" / "edgetpu_compiler"
    program.parent.mkdir()
    program.write_bytes(b"\x7fELF this is no program")
    program.chmod(0o755)

    run = compile_model(INTEGER, has_compiler=False)

    assert (run.exit_code, run.error["code"]) == (1, "toolchain")
    assert "x86-64" in run.error["hint"]


# --- nothing is believed


@pytest.mark.parametrize(
    ("mode", "fragment"),
    [
        ("rubbish", "does not say that it compiled anything"),
        ("no-file", "it wrote no file"),
        ("text-file", "it is no .tflite file"),
        ("cut-file", "it is damaged"),
        ("uncompiled-file", "what it wrote has no operator edgetpu-custom-op"),
        ("other-outputs", "its outputs are"),
        ("wrong-total", "it counts 14 operators, its table 4"),
        ("wrong-subgraphs", "it says that there are 71 subgraphs"),
        ("wrong-table", "the table that it printed and that of its .log file differ"),
        ("no-table", "there is no table of operators"),
    ],
)
def test_a_result_that_cannot_be_used_is_a_failure_although_the_exit_code_is_0(
    compile_model: Compile, mode: str, fragment: str
) -> None:
    run = compile_model(INTEGER, modes=[mode])

    assert (run.exit_code, run.error["code"]) == (1, "compiler-output")
    assert fragment in run.error["message"]
    assert not list((run.folder / "out").iterdir())


def test_what_a_compiler_prints_never_becomes_an_event(compile_model: Compile) -> None:
    run = compile_model(INTEGER, modes=["rubbish"])

    assert [event["code"] for event in run.events if event["event"] == "error"] == ["compiler-output"]


def test_the_table_that_was_printed_will_do_without_the_log_file(compile_model: Compile) -> None:
    assert mapping(compile_model(INTEGER, modes=["no-log"]))["mapped"] == 4


def test_a_compiler_that_hangs_is_killed_with_all_that_it_started(compile_model: Compile) -> None:
    started_s = time.monotonic()
    run = compile_model(INTEGER, {"timeout_sec": 1, "budget_sec": 2}, modes=["hang"])

    assert (run.exit_code, run.error["code"]) == (1, "compiler-timeout")
    assert "did not end within 2 s" in run.error["message"]
    assert "no time left for a second try" in run.error["message"]
    assert messages(run) == []
    assert time.monotonic() - started_s < 20
    assert _processes_with(str(compile_model.folder)) == []


def _processes_with(text: str) -> list[str]:
    """Return the processes in whose environment `text` stands."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if text.encode() in (folder / "environ").read_bytes():
                found.append(folder.name)
    return found


def test_a_compiler_that_never_stops_printing_is_killed(compile_model: Compile) -> None:
    run = compile_model(INTEGER, modes=["flood"])

    assert (run.exit_code, run.error["code"]) == (1, "compiler-output")
    assert "it printed more than 16 MiB" in run.error["message"]


# --- trying again


def test_a_failure_that_does_not_come_back_is_told_and_no_failure(compile_model: Compile) -> None:
    run = compile_model(INTEGER, modes=["internal-14", "ok"])

    assert mapping(run)["mapped"] == 4
    first, second = messages(run)
    assert first.endswith("trying once more")
    assert second == "the same command succeeded on the second try: the Edge TPU compiler is not steady here"
    about = run.description["metrics"]["run"]
    assert (about["attempts"], about["first_failure"]["code"]) == (2, "compiler-internal")
    assert compile_model.commands[0] == compile_model.commands[1]


def test_two_different_failures_are_both_told(compile_model: Compile) -> None:
    run = compile_model(INTEGER, modes=["scale", "darwinn"])

    assert run.error["code"] == "compiler-operator"
    assert "failed in different ways; first: the Edge TPU compiler cannot use the scales" in run.error["message"]
    assert "STRIDED_SLICE" in run.error["message"]


def test_a_failure_that_comes_back_is_told_once(compile_model: Compile) -> None:
    run = compile_model(INTEGER, modes=["scale"])

    assert "different ways" not in run.error["message"]
    assert len(compile_model.commands) == 2


# --- bisecting


@pytest.mark.parametrize(
    ("fails_at", "fault"),
    [(0, "silent"), (1, "internal"), (7, "large-activations"), (18, "exception"), (19, "internal-14")],
)
def test_a_failure_without_a_reason_is_bisected_to_its_operator(
    compile_model: Compile, fails_at: int, fault: str
) -> None:
    names = [f"net/block{number}/add;net/block{number}/bias" for number in range(20)]

    run = compile_model(encode(chain(names)), fails_at=fails_at, fault=fault)

    assert (
        f"the first operator that it fails on is operator {fails_at} ADD, which writes tensor" in run.error["message"]
    )
    assert f"'net/block{fails_at}/add' (1x8x8x4 int8, 256 B)" in run.error["message"]
    if fails_at:
        assert f'intermediate-tensors = ["{names[fails_at - 1]}"]' in run.error["hint"]
    # Two attempts, and what it takes to tell 20 operators apart.
    assert len(compile_model.commands) <= 2 + 5
    assert messages(run)[2].startswith("run 1: the first ")


def test_the_cut_that_bisecting_proposes_compiles(compile_model: Compile, tmp_path: Path) -> None:
    model = encode(chain([f"t{number}" for number in range(12)], skip=True))
    error = compile_model(model, fails_at=8).error
    assert 'intermediate-tensors = ["t0", "t7"]' in error["hint"]

    again = Compile(compile_model.python, tmp_path / "again")
    run = again(model, {"intermediate_tensors": ["t0", "t7"]}, fails_at=8)

    assert (mapping(run)["mapped"], mapping(run)["total"]) == (8, 12)


def test_bisecting_gets_by_with_names_that_the_compiler_does_not_take(compile_model: Compile) -> None:
    names = [f"Partitioned,Call:{number}" for number in range(20)]
    names[3] = names[4] = "twice the same name"

    run = compile_model(encode(chain(names)), fails_at=11)

    assert "the first operator that it fails on is operator 11 ADD" in run.error["message"]
    assert "'Partitioned,Call:11'" in run.error["message"]
    assert "intermediate-tensors" not in run.error["hint"]


def test_where_tensors_have_no_usable_names_the_operators_are_narrowed_down(compile_model: Compile) -> None:
    names = [f"t{number}" for number in range(20)]
    names[9] = names[10] = names[11] = ""

    run = compile_model(encode(chain(names)), fails_at=10)

    assert "is one of operator 9 ADD" in run.error["message"]
    assert " to operator 12 ADD" in run.error["message"]


def test_bisecting_keeps_to_the_other_options(compile_model: Compile) -> None:
    compile_model(
        encode(chain(list("abcdef"))),
        {"min_runtime_version": 13, "timeout_sec": 9, "search_delegate": True},
        fails_at=0,
    )

    bisecting = [command for command in compile_model.commands if "--search_delegate" not in command]
    assert len(compile_model.commands) - len(bisecting) == 2
    assert bisecting
    for command in bisecting:
        assert command[3:7] == ["--timeout_sec", "9", "--min_runtime_version", "13"]


def test_a_large_model_is_bisected_in_a_bounded_number_of_runs(compile_model: Compile) -> None:
    run = compile_model(encode(chain([f"t{number}" for number in range(300)])), fails_at=201)

    assert "operator 201 ADD" in run.error["message"]
    assert len(compile_model.commands) <= 2 + 9


# --- the modules beside the script


def test_the_modules_are_all_that_the_script_imports(tmp_path: Path) -> None:
    imported = set()
    for name in ("compile_edgetpu", *MODULES):
        for line in (steps_dir() / f"{name}.py").read_text().splitlines():
            words = line.split()
            if words[:1] in (["import"], ["from"]) and (steps_dir() / f"{words[1]}.py").is_file():
                imported.add(words[1])
    assert imported == {*MODULES, "tflite_operators"}


def test_a_compiled_model_keeps_an_operator_on_the_cpu_that_was_given_as_such(compile_model: Compile) -> None:
    run = compile_model(INTEGER, cpu=["FULLY_CONNECTED"])

    labels = [op.label for op in read_model(run.output("model_edgetpu.tflite")).main.operators]
    assert labels == ["edgetpu-custom-op", "FULLY_CONNECTED", "QUANTIZE"]
