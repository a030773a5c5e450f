"""CV25 and CV75 in real builds: the import is TensorFlow's, Ambarella's closed toolchain is stood in for."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.factories.ambarella import onnx_model, put_toolchain
from tests.factories.image_factory import image_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.integration.conftest import Tool

VARIABLE = "DLPU_AMBARELLA_TOOLCHAIN"
SIGNATURES = {"cv25": "0800020203000000", "cv75": "030003008eea5d0e"}


@pytest.fixture
def own_tool(tool: Tool, shared_toolchains: Path) -> Tool:
    """The tool with the prepared TensorFlow, and a folder of its own for what else it prepares."""
    (tool.cache / "toolchains").unlink()
    return replace(tool, environ={**tool.environ, "DLPU_TOOLCHAINS": str(shared_toolchains)})


@pytest.fixture
def toolchain(tmp_path: Path) -> Path:
    return put_toolchain(tmp_path / "cnngen", calls=str(tmp_path / "calls"))


@pytest.fixture
def keras(copy_example: Callable[[str], Path]) -> Path:
    """The example for a CPU and CV25."""
    folder = copy_example("digits")
    manifest = folder / "dlpu.toml"
    head = manifest.read_text().partition("[target.")[0]
    manifest.write_text(f'{head}[target.cpu]\n[target.cv25]\nactivations = "fx16"\ncoefficients = "fx16"\n')
    return folder


def write_onnx(folder: Path, targets: str, **files: bytes) -> Path:
    """A project with an ONNX model of 40 by 32 pixels, which needs nothing of TensorFlow."""
    (folder / "data").mkdir(parents=True)
    for number in range(3):
        (folder / f"data/{number}.png").write_bytes(image_bytes(size=(20 + number, 20)))
    (folder / "model.onnx").write_bytes(files.get("model", onnx_model()))
    (folder / "dlpu.toml").write_text(
        'schema = 1\n[project]\nname = "net"\nversion = "1.0.0"\nvendor = "Example AB"\n'
        '[model]\nsource = "model.onnx"\n[[model.input]]\nname = "images"\nmean = [0, 0, 0]\nstd = [255, 255, 255]\n'
        f'[calibration]\ndata = "data"\n[package]\nformats = ["bundle", "eap"]\n{targets}'
    )
    return folder


def states(built: Mapping[str, Any]) -> dict[str, str]:
    return {step["name"]: step["state"] for step in built["steps"]}


def commands(toolchain: Path) -> list[str]:
    return [json.loads(line)[0] for line in (toolchain.parent / "calls").read_text().splitlines()]


def test_cv25_from_keras(own_tool: Tool, keras: Path, toolchain: Path) -> None:
    own_tool = replace(own_tool, environ={**own_tool.environ, VARIABLE: str(toolchain)})
    assert own_tool.build(keras)["targets"][1]["soc"] == "cv25"

    bundle = keras / "dist/digits-1.0.0-cv25"
    assert (bundle / "model/model.bin").read_bytes().hex().startswith(SIGNATURES["cv25"])
    told = json.loads((bundle / "model.json").read_text())
    assert told["soc"]["larod-device"] == "ambarella-cvflow"
    assert told["compiler"] == {"name": "ambarella-cnngen", "version": "2.7.1", "archive-sha256": None}
    assert (told["toolchain"]["name"], told["toolchain"]["tensorflow"]) == ("tf2", "2.19.1")
    (image,) = told["inputs"]
    assert (image["name"], image["shape"], image["dtype"]) == ("image", [1, 3, 32, 32], "uint8")
    assert (image["memory"]["pitch-bytes"], image["preprocessing"]["pixel-identity"]) == (32, True)
    fragment = json.loads((bundle / "manifest.json.fragment").read_text())
    assert fragment["resources"]["deepLearningProcessor"] == {"enabled": True, "required": True}
    assert commands(toolchain) == ["gen_image_list.py", "tfparser.py", "vas", "cavalry_gen"]

    assert "nothing had to run" in own_tool.run("build", cwd=keras).out
    for file in ("dist/digits-1.0.0-cv25", "dist/digits-1.0.0-cv25.tar.gz"):
        shown = own_tool.run("inspect", file, cwd=keras)
        assert (shown.code, "ambarella-cnngen 2.7.1" in shown.out, "08 00 02 02" in shown.out) == (0, True, True)


def test_both_socs_from_onnx_need_no_tensorflow(own_tool: Tool, tmp_path: Path, toolchain: Path) -> None:
    project = write_onnx(tmp_path / "net", '[target.cv25]\n[target.cv75]\n[toolchain.ambarella]\npath = "../cnngen"\n')
    built = own_tool.build(project)
    assert states(built) == {"compile:cv25": "ran", "compile:cv75": "ran"}
    for soc, device in (("cv25", "ambarella-cvflow"), ("cv75", "cv75-dlpu-native")):
        bundle = project / f"dist/net-1.0.0-{soc}"
        assert (bundle / "model/model.bin").read_bytes().hex().startswith(SIGNATURES[soc])
        told = json.loads((bundle / "model.json").read_text())
        assert (told["soc"]["larod-device"], told["soc"]["architecture"]) == (device, "aarch64")
        (image,) = told["inputs"]
        assert (image["shape"], image["memory"]["pitch-bytes"]) == ([1, 3, 32, 40], 64)
        assert image["memory"]["inferred"] is (soc == "cv75")
        packed = project / f"dist/net_{soc.upper()}_1_0_0_aarch64.eap"
        with tarfile.open(packed) as archive:
            files = {entry.name: archive.extractfile(entry) for entry in archive if entry.isfile()}
        assert any(name.endswith("model/model.bin") for name in files)
        with tarfile.open(packed) as archive:
            script = archive.extractfile(next(name for name in archive.getnames() if name.rpartition("/")[2] == "net"))
            assert script is not None
            assert device in script.read().decode()
        shown = own_tool.run("inspect", packed, cwd=project)
        assert (shown.code, f"likely {soc}" in shown.out) == (0, True)
    assert [path.name[:9] for path in (own_tool.cache / "toolchains").iterdir() if path.is_dir()] == ["ambarella"]


def test_without_the_toolchain_the_others_are_still_built(own_tool: Tool, keras: Path) -> None:
    failed = own_tool.run("build", cwd=keras)
    assert failed.code == 7, failed.err
    assert VARIABLE in failed.err
    assert "render FOLDER --hand-over" in failed.err
    going = own_tool.run("build", "--keep-going", "--json", cwd=keras)
    assert going.code == 7, going.err
    told = json.loads(going.out)
    assert {each["soc"]: "archive" in each for each in told["targets"]} == {"cpu": True, "cv25": False}
    gone = own_tool.run("build", "--target", "cv25", cwd=keras, **{VARIABLE: "/nowhere"})
    assert (gone.code, "/nowhere" in gone.err) == (7, True)


def test_another_toolchain_compiles_again_and_the_same_one_elsewhere_does_not(
    own_tool: Tool, tmp_path: Path, toolchain: Path
) -> None:
    project = write_onnx(tmp_path / "net", "[target.cv25]\n")
    own_tool = replace(own_tool, environ={**own_tool.environ, VARIABLE: str(toolchain)})
    assert states(own_tool.build(project)) == {"compile": "ran"}
    assert states(own_tool.build(project)) == {"compile": "cached"}

    shutil.copytree(toolchain, tmp_path / "elsewhere")
    moved = replace(own_tool, environ={**own_tool.environ, VARIABLE: str(tmp_path / "elsewhere")})
    assert states(moved.build(project)) == {"compile": "cached"}
    (tmp_path / "elsewhere/version.txt").write_text("2.8\n")
    assert states(moved.build(project)) == {"compile": "ran"}
    (tmp_path / "elsewhere/bin/vas").chmod(0o744)
    assert states(moved.build(project)) == {"compile": "cached"}, "other permissions than the owner's do not count"
    with (tmp_path / "elsewhere/bin/vas").open("a") as stream:
        stream.write("# changed\n")
    assert states(moved.build(project)) == {"compile": "ran"}

    shutil.rmtree(toolchain)
    own_tool.run("cache", "clear", cwd=project)
    # The same tree as at first, in another place: the link of the prepared environment must not lead to the old one.
    put_toolchain(tmp_path / "third", calls=str(tmp_path / "calls"))
    third = replace(own_tool, environ={**own_tool.environ, VARIABLE: str(tmp_path / "third")})
    assert states(third.build(project)) == {"compile": "ran"}


def test_what_is_handed_over_compiles_to_what_the_build_makes(own_tool: Tool, keras: Path, toolchain: Path) -> None:
    over = keras / "over"
    rendered = own_tool.run("render", over, "--hand-over", cwd=keras)
    assert (rendered.code, rendered.out) == (0, f"{over}/cv25\n"), rendered.err
    path = f"{toolchain / 'bin'}:/usr/bin:/bin"
    subprocess.run(["sh", over / "cv25/run.sh"], env={"PATH": path}, cwd="/", capture_output=True, check=True)
    built = replace(own_tool, environ={**own_tool.environ, VARIABLE: str(toolchain)}).build(keras)
    assert states(built)["import"] == "cached"
    model = (keras / "dist/digits-1.0.0-cv25/model/model.bin").read_bytes()
    assert (over / "cv25/model.bin").read_bytes() == model


def test_nothing_is_handed_over_where_nothing_is_closed(own_tool: Tool, keras: Path) -> None:
    done = own_tool.run("render", keras / "over", "--hand-over", "--target", "cpu", cwd=keras)
    assert (done.code, "--hand-over" in done.err) == (2, True)


def test_a_fault_of_the_model_is_told_where_the_manifest_names_it(
    own_tool: Tool, tmp_path: Path, toolchain: Path
) -> None:
    project = write_onnx(tmp_path / "net", "[target.cv25]\n")
    manifest = project / "dlpu.toml"
    manifest.write_text(manifest.read_text().replace("mean = [0, 0, 0]", "mean = [127.5, 127.5, 127.5]"))
    failed = own_tool.run("build", cwd=project, **{VARIABLE: str(toolchain)})
    assert failed.code == 2
    assert ("cannot subtract" in failed.err, "dlpu.toml:" in failed.err) == (True, True)
    over = own_tool.run("render", project / "over", "--hand-over", cwd=project)
    assert (over.code, "cannot subtract" in over.err) == (2, True)


@pytest.mark.parametrize(
    ("keys", "said"),
    [('parser = "tf"', "parser"), ('input-format = "idf:1"', "input-format"), ("timeout = 0", "timeout")],
)
def test_what_cv75_does_not_take_is_refused(own_tool: Tool, tmp_path: Path, keys: str, said: str) -> None:
    project = write_onnx(tmp_path / "net", f"[target.cv75]\n{keys}\n")
    refused = own_tool.run("check", cwd=project)
    assert (refused.code, said in refused.err) == (2, True)
