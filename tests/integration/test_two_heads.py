"""The example of every SoC as far as its tools are public: accuracy of both outputs, their names, labels; ARTPEC-7."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.factories.every_soc import (
    FACTS,
    HEADS,
    NAME,
    OPEN_SOCS,
    bundle_of,
    described,
    only_targets,
    put_two_heads,
    with_edgetpu,
)

if TYPE_CHECKING:
    from tests.integration.conftest import Tool

SOCS = ("artpec7", *OPEN_SOCS)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The example with an Edge TPU compiler, for the SoCs that need no other closed tool."""
    folder = put_two_heads(tmp_path / NAME)
    only_targets(folder, SOCS)
    with_edgetpu(folder)
    return folder


def test_both_outputs_are_right_at_least_nine_times_in_ten(tool: Tool, project: Path) -> None:
    """Per-tensor for ARTPEC-8, per-channel for ARTPEC-9 and before the compiler for ARTPEC-7, float for the CPU."""
    built = tool.build(project)
    assert {each["soc"]: each["quantization"] for each in built["targets"]} == {
        "artpec7": "per-channel",
        "artpec8": "per-tensor",
        "artpec9": "per-channel",
        "cpu": "none",
    }
    models = [str(project / f"dist/{NAME}-1.0.0-{soc}/model/model.tflite") for soc in SOCS]
    measured = subprocess.run(
        [str(tool.python), str(project / "evaluate.py"), "--min", "0.9", *models],
        capture_output=True,
        text=True,
        check=False,
    )
    assert measured.returncode == 0, measured.stdout + measured.stderr
    assert len(measured.stdout.splitlines()) == len(SOCS)
    assert "artpec7/model/model_uncompiled.tflite" in measured.stdout, "the compiled one runs on the Edge TPU only"


def test_packages_name_both_outputs_in_the_manifests_order(tool: Tool, project: Path) -> None:
    tool.build(project)
    for soc in SOCS:
        told = described(project / "dist", soc)
        device, architecture, file = FACTS[soc]
        assert told["soc"]["larod-device"] == device
        assert told["soc"]["architecture"] == architecture
        assert told["model"]["file"] == f"model/{file}"
        assert [each["name"] for each in told["outputs"]] == list(HEADS)
        assert [each["shape"] for each in told["outputs"]] == [[1, 1], [1, 1]]
        assert [each["name"] for each in told["inputs"]] == ["image"]
        assert told["labels"] == {"file": "label/labels.txt", "count": 2}
        files = bundle_of(project / "dist", soc)
        assert files["label/labels.txt"] == b"person\ncar\n"
        header = files["model/model_params.h"].decode()
        assert re.findall(r"^#define (OUTPUT_\d_NAME) (.*)$", header, re.MULTILINE) == [
            ("OUTPUT_0_NAME", f'"{HEADS[0]}"'),
            ("OUTPUT_1_NAME", f'"{HEADS[1]}"'),
        ]
        assert "#define MODEL_NUM_OUTPUTS 2\n" in header


def test_outputs_listed_the_other_way_round_come_out_that_way(tool: Tool, project: Path) -> None:
    only_targets(project, ("artpec8",))
    manifest = project / "dlpu.toml"
    first, second = HEADS
    swapped = manifest.read_text().replace(first, "-").replace(second, first).replace('-"', f'{second}"')
    manifest.write_text(swapped)
    tool.build(project)
    told = described(project / "dist", "artpec8")
    assert [each["name"] for each in told["outputs"]] == [second, first]
    measured = subprocess.run(
        [
            str(tool.python),
            str(project / "evaluate.py"),
            str(project / f"dist/{NAME}-1.0.0-artpec8/model/model.tflite"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    shares = [float(share) for share in re.findall(r"0\.\d+|1\.0+", measured.stdout)[:2]]
    assert max(shares) < 0.75, "the values went the other way round as well, not only the names"


def test_floats_at_the_border_of_a_compiled_model_are_told_to_run_on_the_cpu(tool: Tool, project: Path) -> None:
    only_targets(project, ("artpec7",))
    manifest = project / "dlpu.toml"
    manifest.write_text(manifest.read_text().replace("[target.artpec7]", '[target.artpec7]\nio = "float32"'))
    done = tool.run("build", cwd=project)
    assert done.code == 0, done.err
    assert "operators run on the CPU, which is slower: 2 DEQUANTIZE, 1 QUANTIZE" in done.err
    told = described(project / "dist", "artpec7")
    assert {each["dtype"] for each in (*told["inputs"], *told["outputs"])} == {"float32"}


def test_a_compiler_of_ones_own_is_checked_locked_and_rendered_like_a_pinned_one(tool: Tool, project: Path) -> None:
    only_targets(project, ("artpec7",))
    checked = tool.run("check", cwd=project)
    assert (checked.code, checked.err) == (0, "")
    assert tool.run("render", str(project / "by-hand"), cwd=project).code == 0
    assert (project / "by-hand/compile/run").is_file()
    assert tool.run("lock", cwd=project).code == 0
    locked = tool.run("build", "--locked", "--offline", cwd=project)
    assert locked.code == 0, locked.err
    with_edgetpu(project, manifest=False, cpu=["ADD"])
    other = tool.run("build", "--locked", "--offline", cwd=project)
    assert other.code == 4, other.err
    assert "toolchain.edgetpu" in other.err
    (project / "tools/edgetpu/edgetpu_compiler").unlink()
    missing = tool.run("check", cwd=project)
    assert missing.code == 7, missing.err
    assert "has no program edgetpu_compiler" in missing.err
