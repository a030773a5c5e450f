"""`lint`: which model, for which SoCs, shown how, and with which exit code."""

from __future__ import annotations

import io
import json
import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from dlpubuild.errors import ExitCode
from dlpubuild.package.bundle import write_bundle
from tests.factories.tflite_factory import (
    custom_model,
    encode,
    float_model,
    integer_model,
    with_dynamic_batch,
)
from tests.unit.package.specs import make_spec

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.commands.conftest import Tool

PER_TENSOR = encode(integer_model(io="uint8"))
PER_CHANNEL = encode(integer_model(per_channel=True, io="uint8"))
DYNAMIC = encode(with_dynamic_batch(integer_model()))
MANIFEST = """\
schema = 1
[project]
name = "x"
version = "1.0.0"
[model]
source = "m.tflite"
"""
DEVBOARD = """\
schema = 1
soc = "devboard"
title = "Development board"
larod-device = "cpu-tflite"
architecture = "aarch64"
deep-learning-processor = false
model-file = "model.tflite"
[defaults]
quantization = "none"
io = "float32"
toolchain = "tf2"
[allowed]
quantization = ["none"]
io = ["float32"]
toolchain = ["tf2"]
[gate]
integer-only = false
static-shapes = true
[lint]
processor = "NPU"
[lint.sources]
ours = "our own measurements"
[[lint.operator]]
names = ["CONV_2D"]
source = "ours"
evidence = "measured"
[[lint.rule]]
rule = "small"
on = "model"
require = "model.parameter_bytes < 100"
found = "{{ model.parameter_bytes }} bytes"
wanted = "less than 100"
change = "use fewer filters"
severity = "error"
source = "ours"
evidence = "measured"
"""


@pytest.fixture
def folder(empty: Tool) -> Path:
    (empty.folder / "m.tflite").write_bytes(PER_TENSOR)
    return empty.folder


def test_findings_of_one_soc(empty: Tool, folder: Path) -> None:
    done = empty.run("lint", "m.tflite", "--target", "artpec8", "--json")
    told = json.loads(done.out)
    assert (done.code, done.err) == (0, "")
    assert (told["schema"], told["file"], told["target"]) == (1, "m.tflite", "artpec8")
    assert told["placement"]["dlpu"] == {"CONV_2D": 1, "FULLY_CONNECTED": 1, "QUANTIZE": 2}
    assert told["placement"]["cpu"] == {}
    assert {each["severity"] for each in told["findings"]} == {"advice"}


def test_without_a_target_it_is_held_against_every_soc_that_takes_its_quantization(empty: Tool, folder: Path) -> None:
    def targets(data: bytes) -> list[str]:
        (folder / "m.tflite").write_bytes(data)
        told = json.loads(empty.run("lint", "m.tflite", "--json").out)
        return [each["target"] for each in told["targets"]] if "targets" in told else [told["target"]]

    assert targets(PER_TENSOR) == ["artpec7", "artpec8", "artpec9", "cpu"]
    assert targets(PER_CHANNEL) == ["artpec7", "artpec9", "cpu"]
    assert targets(encode(float_model())) == ["cpu", "cv25", "cv75"]
    assert targets(encode(custom_model("edgetpu-custom-op"))) == ["artpec7"]


def test_a_page_is_shown_for_each_soc(empty: Tool, folder: Path) -> None:
    done = empty.run("lint", "m.tflite", "-t", "cpu", "-t", "artpec8", "-t", "cpu")
    assert done.out.count("m.tflite for CPU\n") == 1
    assert done.out.index("for CPU") < done.out.index("for ARTPEC-8")


@pytest.mark.parametrize(
    ("data", "fail_on", "code"),
    [
        (PER_TENSOR, None, 0),
        (PER_CHANNEL, None, ExitCode.GATE_FAILED),
        (PER_CHANNEL, "warning", ExitCode.GATE_FAILED),
        (PER_CHANNEL, "never", 0),
        (DYNAMIC, "error", ExitCode.GATE_FAILED),
    ],
)
def test_what_it_fails_on(empty: Tool, folder: Path, data: bytes, fail_on: str | None, code: int) -> None:
    (folder / "m.tflite").write_bytes(data)
    more = () if fail_on is None else ("--fail-on", fail_on)
    done = empty.run("lint", "m.tflite", "-t", "artpec8", *more)
    # The page says it all; there is no error besides.
    assert (done.code, done.err) == (code, "")


def test_a_manifest_says_targets_severities_and_what_fails(empty: Tool, folder: Path) -> None:
    rules = (
        '[target.cpu]\n[lint]\nfail-on = "warning"\n'
        '[lint.rules."cpu/dynamic-shape"]\nseverity = "advice"\nreason = "a test"\n'
    )
    (folder / "dlpu.toml").write_text(MANIFEST + rules)
    (folder / "m.tflite").write_bytes(DYNAMIC)
    done = empty.run("lint", "m.tflite", "-f", "dlpu.toml", "--json")
    told = json.loads(done.out)
    assert (done.code, told["target"]) == (0, "cpu")
    assert {(each["rule"], each["severity"], each["reason"]) for each in told["findings"]} >= {
        ("cpu/dynamic-shape", "advice", "a test")
    }
    (folder / "dlpu.toml").write_text(MANIFEST + rules.replace("advice", "warning"))
    assert empty.run("lint", "m.tflite", "-f", "dlpu.toml").code == ExitCode.GATE_FAILED
    assert empty.run("lint", "m.tflite", "-f", "dlpu.toml", "--fail-on", "error").code == 0


def test_an_unknown_rule_in_the_manifest_is_a_fault(empty: Tool, folder: Path) -> None:
    (folder / "dlpu.toml").write_text(
        MANIFEST + '[target.cpu]\n[lint.rules."cpu/dynamic-shapes"]\nseverity = "off"\nreason = "x"\n'
    )
    for command in (("lint", "m.tflite", "-f", "dlpu.toml"), ("check",)):
        done = empty.run(*command)
        assert done.code == ExitCode.USAGE
        assert 'did you mean "cpu/dynamic-shape"?' in done.err


def own_soc(folder: Path, text: str = DEVBOARD) -> None:
    (folder / "templates" / "devboard").mkdir(parents=True)
    (folder / "templates" / "devboard" / "target.toml").write_text(text)
    manifest = MANIFEST.replace('version = "1.0.0"', 'version = "1.0.0"\ntemplates = "templates"')
    (folder / "dlpu.toml").write_text(manifest + "[target.devboard]\n")
    (folder / "m.tflite").write_bytes(encode(float_model()))


def test_an_soc_of_the_projects_own_has_rules_of_its_own(empty: Tool, folder: Path) -> None:
    own_soc(folder)
    done = empty.run("lint", "m.tflite", "-f", "dlpu.toml", "--json")
    told = json.loads(done.out)
    assert done.code == ExitCode.GATE_FAILED
    assert [each["rule"] for each in told["findings"]] == ["devboard/small"]
    assert told["placement"]["dlpu"] == {"CONV_2D": 1}
    assert told["placement"]["cpu"] == {"FULLY_CONNECTED": 1}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (DEVBOARD.replace("model.parameter_bytes < 100", "model.weight < 100"), "weight"),
        (DEVBOARD.replace("{{ model.parameter_bytes }}", "{{ model."), "small"),
        (DEVBOARD.replace('source = "ours"', 'source = "theirs"', 1), "theirs"),
        (DEVBOARD.replace('on = "model"', 'on = "planet"'), "planet"),
        (DEVBOARD.replace('severity = "error"', ""), "severity"),
    ],
)
def test_a_faulty_table_of_the_projects_own_is_named_without_a_traceback(
    empty: Tool, folder: Path, text: str, said: str
) -> None:
    own_soc(folder, text)
    done = empty.run("lint", "m.tflite", "-f", "dlpu.toml")
    assert done.code == ExitCode.USAGE
    assert "target.toml" in done.err
    assert said in done.err
    assert "Traceback" not in done.err


def test_sarif_is_written_beside_the_page(empty: Tool, folder: Path) -> None:
    done = empty.run("lint", "m.tflite", "-t", "artpec8", "--sarif", "out.sarif")
    assert done.out.startswith("m.tflite for ARTPEC-8\n")
    log = json.loads((folder / "out.sarif").read_text())
    assert log["runs"][0]["artifacts"][0]["location"]["uri"] == "m.tflite"
    assert not [each for each in folder.iterdir() if each.name.endswith(".part")]


def test_sarif_on_standard_output_stands_there_alone(empty: Tool, folder: Path) -> None:
    done = empty.run("lint", "m.tflite", "-t", "artpec8", "--sarif", "-")
    assert json.loads(done.out)["version"] == "2.1.0"
    assert empty.run("lint", "m.tflite", "--json", "--sarif", "-").code == ExitCode.USAGE


def test_sarif_that_cannot_be_written_is_an_error(empty: Tool, folder: Path) -> None:
    done = empty.run("lint", "m.tflite", "-t", "artpec8", "--sarif", "m.tflite/out.sarif")
    assert done.code == ExitCode.STEP_FAILED
    assert "m.tflite/out.sarif cannot be written" in done.err


def test_a_bundle_is_linted_as_it_was_before_it_was_compiled(empty: Tool, folder: Path) -> None:
    compiled = encode(custom_model("edgetpu-custom-op"))
    with tarfile.open(folder / "b.tar.gz", "w:gz") as archive:
        for name, data in (("model.tflite", compiled), ("model_uncompiled.tflite", PER_CHANNEL)):
            member = tarfile.TarInfo(f"b/model/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    told = json.loads(empty.run("lint", "b.tar.gz", "-t", "artpec7", "--json").out)
    assert told["file"] == "b.tar.gz"
    assert told["placement"]["dlpu"] == {"CONV_2D": 1, "FULLY_CONNECTED": 1, "QUANTIZE": 2}


def test_a_bundle_is_linted_for_the_soc_that_it_was_built_for(empty: Tool, tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(PER_TENSOR)
    bundle = write_bundle(make_spec(tmp_path / "blob"), tmp_path / "dist")
    for path in (bundle.archive, bundle.folder):
        told = json.loads(empty.run("lint", path, "--json").out)
        assert told["target"] == "artpec8"


def test_an_unknown_soc_is_a_fault_of_the_command_line(empty: Tool, folder: Path) -> None:
    done = empty.run("lint", "m.tflite", "-t", "artpec88")
    assert done.code == ExitCode.USAGE
    assert 'did you mean "artpec8"?' in done.err


@pytest.mark.parametrize("name", ["m.onnx", "m.keras", "m.h5", "m.pb", "m.bin"])
def test_other_formats_are_told_apart(empty: Tool, folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"x")
    done = empty.run("lint", name)
    assert done.code == ExitCode.STEP_FAILED
    assert "lint looks at TensorFlow Lite models only" in done.err
    assert "lint takes a .tflite" in done.err


@pytest.mark.parametrize("name", ["saved", "empty-folder"])
def test_folders_that_are_no_bundle_are_told(empty: Tool, folder: Path, name: str) -> None:
    (folder / name).mkdir()
    if name == "saved":
        (folder / name / "saved_model.pb").write_bytes(b"x")
    done = empty.run("lint", name)
    assert done.code == ExitCode.STEP_FAILED
    assert "lint takes a .tflite" in done.err


def test_a_bundle_with_nothing_but_a_bin_says_what_to_lint(empty: Tool, folder: Path) -> None:
    (folder / "b" / "model").mkdir(parents=True)
    (folder / "b" / "model" / "model.bin").write_bytes(b"x")
    done = empty.run("lint", "b")
    assert "lint the .tflite that it was compiled from" in done.err


@pytest.mark.parametrize("data", [b"", b"garbage", PER_TENSOR[:100], b"\0\0\0\0TFL3" + b"\xff" * 64])
def test_damaged_files_are_errors(empty: Tool, folder: Path, data: bytes) -> None:
    (folder / "m.tflite").write_bytes(data)
    done = empty.run("lint", "m.tflite")
    assert done.code == ExitCode.STEP_FAILED
    assert "m.tflite" in done.err


def test_a_name_that_is_no_utf8_can_be_told(empty: Tool, folder: Path) -> None:
    name = os.fsdecode(b"\xff <b>.tflite")
    (folder / name).write_bytes(PER_TENSOR)
    assert empty.spawn("lint", name, "-t", "artpec8").code == 0
    told = json.loads(empty.spawn("lint", name, "-t", "artpec8", "--json").out)
    assert told["file"] == "\\udcff <b>.tflite"
    log = json.loads(empty.spawn("lint", name, "-t", "artpec8", "--sarif", "-").out)
    assert log["runs"][0]["artifacts"][0]["location"]["uri"] == "%FF%20%3Cb%3E.tflite"


def test_a_file_that_is_not_there_is_an_error(empty: Tool, folder: Path) -> None:
    assert empty.run("lint", "none.tflite").code == ExitCode.STEP_FAILED
