"""One manifest with all six SoCs: six bundles and six applications in one command, the work they have in common once.

TensorFlow and the ONNX exporter are real; the Edge TPU compiler and Ambarella's tools are closed and have stand-ins.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.engine_fixtures import not_available
from tests.factories.every_soc import (
    FACTS,
    HEADS,
    NAME,
    bundle_of,
    checksums,
    described,
    put_two_heads,
    with_ambarella,
    with_edgetpu,
)

if TYPE_CHECKING:
    from tests.integration.conftest import Tool

SOCS = tuple(FACTS)
AMBARELLA = ("cv25", "cv75")


@pytest.fixture
def tool(tool: Tool, shared_toolchains: Path) -> Tool:
    """The tool with what writes ONNX prepared beside TensorFlow, and a folder of its own for the tools of a project."""
    done = tool.run("toolchain", "prepare", "onnx", cwd=tool.cache)
    if done.code != 0:
        not_available(f"the onnx toolchain cannot be prepared: {done.err.strip()}")
    (tool.cache / "toolchains").unlink()
    return replace(tool, environ={**tool.environ, "DLPU_TOOLCHAINS": str(shared_toolchains)})


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The example with stand-ins for both closed toolchains."""
    folder = put_two_heads(tmp_path / NAME)
    with_edgetpu(folder)
    with_ambarella(folder)
    return folder


def eap_of(project: Path, soc: str) -> Path:
    title = soc.upper().replace("ARTPEC", "ARTPEC-")
    (path,) = (project / "dist").glob(f"*_{title}_*.eap")
    return path


def listed(path: Path) -> list[tuple[str, str, str]]:
    """Return mode, owner and name of each member as GNU tar lists them."""
    done = subprocess.run(["tar", "tvzf", str(path)], capture_output=True, text=True, check=True)
    rows = [line.split() for line in done.stdout.splitlines()]
    return [(row[0], row[1], row[-1]) for row in rows]


def test_one_command_makes_six_bundles_and_six_applications(tool: Tool, project: Path) -> None:
    built = tool.build(project)
    assert {each["soc"] for each in built["targets"]} == set(SOCS)
    assert built["errors"] == []
    dist = project / "dist"
    assert len(list(dist.glob("*.tar.gz"))) == 6
    assert len(list(dist.glob("*.eap"))) == 6
    for soc, (device, architecture, file) in FACTS.items():
        told, files = described(dist, soc), bundle_of(dist, soc)
        assert (told["soc"]["larod-device"], told["soc"]["architecture"]) == (device, architecture)
        assert told["model"]["file"] == f"model/{file}"
        assert told["model"]["sha256"] == hashlib.sha256(files[f"model/{file}"]).hexdigest()
        assert [each["name"] for each in told["outputs"]] == list(HEADS)
        assert files["label/labels.txt"] == b"person\ncar\n"

        with tarfile.open(eap_of(project, soc)) as archive:
            inside = {member.name: archive.extractfile(member) for member in archive}
            texts = {name: stream.read() for name, stream in inside.items() if stream is not None}
        assert json.loads(texts["manifest.json"])["acapPackageConf"]["setup"]["architecture"] == architecture
        assert f"DEVICE={device}\n" in texts["two_heads"].decode()
        assert texts[f"model/{file}"] == files[f"model/{file}"]
        assert texts["label/labels.txt"] == files["label/labels.txt"]


def test_import_and_calibration_run_once_for_all_that_need_them(tool: Tool, project: Path) -> None:
    planned = tool.run("plan", "--format", "json", cwd=project)
    assert planned.code == 0, planned.err
    steps = json.loads(planned.out)["steps"]
    shared: dict[str, list[list[str]]] = {}
    for step in steps:
        shared.setdefault(step["name"].partition(":")[0], []).append(sorted(step["targets"]))
    assert shared["calibrate"] == [["artpec7", "artpec8", "artpec9"]]
    # The float model of the CPU is the one that is calibrated, and the one that CV25 and CV75 start from.
    assert shared["import"] == [sorted(SOCS)]
    assert len(shared["quantize"]) == 2


def test_the_second_run_has_nothing_to_do(tool: Tool, project: Path) -> None:
    first = tool.build(project)
    assert {step["state"] for step in first["steps"]} == {"ran"}
    before = checksums(project / "dist")
    again = tool.run("build", cwd=project)
    assert again.code == 0, again.err
    assert "nothing had to run" in again.out
    assert checksums(project / "dist") == before


def test_the_same_bytes_come_out_of_a_cold_build_elsewhere(tool: Tool, project: Path, tmp_path: Path) -> None:
    tool.build(project)
    other = tmp_path / "ein anderer Ordner"
    project.rename(other)
    first = checksums(other / "dist")
    (other / "dist").rename(tmp_path / "first dist")
    assert tool.run("cache", "clear", cwd=other).code == 0
    rebuilt = tool.build(other, "--jobs", "1")
    assert {step["state"] for step in rebuilt["steps"]} == {"ran"}
    assert len(first) == 12
    assert checksums(other / "dist") == first


def test_without_ambarellas_toolchain_the_other_four_are_built(tool: Tool, tmp_path: Path) -> None:
    project = put_two_heads(tmp_path / NAME)
    with_edgetpu(project)
    refused = tool.run("build", cwd=project)
    assert refused.code == 7, refused.err
    assert "ambarella" in refused.err
    assert not (project / "dist").exists() or not list((project / "dist").iterdir())
    going = tool.run("build", "--keep-going", "--json", cwd=project)
    assert going.code == 7, going.err
    told = json.loads(going.out)
    built = {each["soc"] for each in told["targets"] if "archive" in each}
    assert built == set(SOCS) - set(AMBARELLA)
    assert len(list((project / "dist").glob("*.eap"))) == 4
    assert "Traceback" not in going.err


def test_an_application_lists_as_the_sdk_packs_it(tool: Tool, project: Path) -> None:
    tool.build(project)
    for soc, (_, _, file) in FACTS.items():
        members = listed(eap_of(project, soc))
        assert [name for _, _, name in members] == [
            *("two_heads", "package.conf", "param.conf", "LICENSE", "manifest.json", "label/labels.txt"),
            f"model/{file}",
        ]
        assert {owner for _, owner, _ in members} == {"0/0"}
        assert [mode for mode, _, _ in members] == [
            "-rwxr-xr-x",
            *["-rw-r--r--"] * 3,
            "-rw-------",
            *["-rw-r--r--"] * 2,
        ]


_PAIR = """
import sys
import keras, numpy as np
keras.utils.set_random_seed(5)
left = keras.Input((32, 64, 3), name="left")
right = keras.Input((32, 64, 3), name="right")
def branch(x, name):
    x = keras.layers.Conv2D(16, 3, strides=2, padding="same", activation="relu", name=name + "_conv")(x)
    return keras.layers.AveragePooling2D((16, 32), name=name + "_pool")(x)
both = keras.layers.Flatten(name="flat")(keras.layers.Add(name="sum")([branch(left, "l"), branch(right, "r")]))
near = keras.layers.Dense(1, activation="sigmoid", name="near")(both)
kind = keras.layers.Dense(4, activation="softmax", name="kind")(both)
keras.Model([left, right], [near, kind]).save(sys.argv[1] + "/pair.keras")
random = np.random.default_rng(0)
np.savez(sys.argv[1] + "/data.npz", **{
    name: random.integers(0, 256, (12, 32, 64, 3), dtype=np.uint8) for name in ("left", "right")
})
"""

_PAIR_MANIFEST = """
schema = 1
[project]
name = "pair"
version = "2.1.0"
vendor = "Example AB"
[model]
source = "pair.keras"
[[model.input]]
name = "left"
std = [255.0, 255.0, 255.0]
mean = [0.0, 0.0, 0.0]
[[model.input]]
name = "right"
std = [255.0, 255.0, 255.0]
mean = [0.0, 0.0, 0.0]
[[model.output]]
name = "kind"
[[model.output]]
name = "near"
[calibration]
data = "data.npz"
samples = 10
[package]
formats = ["bundle", "eap"]
"""


def test_two_inputs_calibrated_by_arrays_become_packages_of_all_six(tool: Tool, tmp_path: Path) -> None:
    project = tmp_path / "pair"
    project.mkdir()
    subprocess.run([str(tool.python), "-c", _PAIR, str(project)], check=True, capture_output=True, text=True)
    targets = "".join(f"[target.{soc}]\n" for soc in SOCS)
    (project / "dlpu.toml").write_text(_PAIR_MANIFEST + targets)
    with_edgetpu(project)
    with_ambarella(project)
    built: dict[str, Any] = tool.build(project)
    assert {each["soc"] for each in built["targets"]} == set(SOCS)
    for soc, (device, _, file) in FACTS.items():
        told = described(project / "dist", soc, base="pair-2.1.0")
        assert told["soc"]["larod-device"] == device
        assert [each["name"] for each in told["inputs"]] == ["left", "right"]
        assert [each["name"] for each in told["outputs"]] == ["kind", "near"]
        assert f"model/{file}" in bundle_of(project / "dist", soc, base="pair-2.1.0")
    assert len(list((project / "dist").glob("*.eap"))) == 6
