"""The example project on ARTPEC-7: quantized as for ARTPEC-9, compiled, held against a share; and no compiler."""

from __future__ import annotations

import hashlib
import json
import tarfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from dlpubuild.tflite.read import read_model
from tests.factories.edgetpu import put_compiler

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.conftest import Tool

BASE = "digits-1.0.0-artpec7"


@pytest.fixture
def own_tool(tool: Tool, shared_toolchains: Path) -> Tool:
    """The tool with the prepared TensorFlow, and a folder of its own for what else it prepares."""
    (tool.cache / "toolchains").unlink()
    return replace(tool, environ={**tool.environ, "DLPU_TOOLCHAINS": str(shared_toolchains)})


@pytest.fixture
def project(copy_example: Callable[[str], Path]) -> Path:
    """The example with ARTPEC-7 among its targets."""
    folder = copy_example("digits")
    manifest = folder / "dlpu.toml"
    manifest.write_text(manifest.read_text() + "\n[target.artpec7]\n")
    return folder


def with_compiler(project: Path, **config: Any) -> None:
    """Give the project a compiler of its own; see `put_compiler`."""
    put_compiler(project / "compiler", **config)
    manifest = project / "dlpu.toml"
    manifest.write_text(manifest.read_text() + '\n[toolchain.edgetpu]\npath = "compiler"\n')


def archive_files(project: Path) -> dict[str, bytes]:
    with tarfile.open(project / f"dist/{BASE}.tar.gz") as archive:
        entries = [(entry, archive.extractfile(entry)) for entry in archive]
        return {entry.name.removeprefix(f"{BASE}/"): stream.read() for entry, stream in entries if stream is not None}


def test_the_bundle_has_the_compiled_model_and_what_it_was_made_from(own_tool: Tool, project: Path) -> None:
    with_compiler(project)
    built = own_tool.build(project)
    steps = {step["name"]: step["targets"] for step in built["steps"]}
    assert steps["calibrate"] == ["artpec8", "artpec9", "artpec7"]
    assert steps["quantize:artpec9+artpec7"] == ["artpec9", "artpec7"]
    assert (steps["import"], steps["compile"]) == (["artpec8", "artpec9", "cpu", "artpec7"], ["artpec7"])

    files = archive_files(project)
    compiled, plain = files["model/model.tflite"], files["model/model_uncompiled.tflite"]
    artpec9 = project / "dist/digits-1.0.0-artpec9"
    assert plain == (artpec9 / "model/model.tflite").read_bytes()
    assert [each.custom_code for each in read_model(compiled).main.operators] == ["edgetpu-custom-op"]

    told = json.loads(files["model.json"])
    assert told["soc"]["larod-device"] == "google-edge-tpu-tflite"
    assert (told["model"]["file"], told["model"]["sha256"]) == (
        "model/model.tflite",
        hashlib.sha256(compiled).hexdigest(),
    )
    assert told["model"]["uncompiled"] == {
        "file": "model/model_uncompiled.tflite",
        "sha256": hashlib.sha256(plain).hexdigest(),
        "size-bytes": len(plain),
    }
    assert told["compiler"] == {"name": "edgetpu-compiler", "version": "16.0.384591198", "archive-sha256": None}
    assert (told["mapping"]["total"], told["mapping"]["subgraphs"]) == (told["mapping"]["mapped"], 1)
    assert sum(each["count"] for each in told["mapping"]["operators"]) == told["mapping"]["total"]
    other = json.loads((artpec9 / "model.json").read_bytes())
    assert [told[name] for name in ("inputs", "outputs")] == [other[name] for name in ("inputs", "outputs")]
    for name in ("macs", "parameter-bytes", "min-runtime", "operators"):
        assert told["model"][name] == other["model"][name]

    shown = own_tool.run("inspect", f"dist/{BASE}.tar.gz", cwd=project)
    assert (shown.code, "edgetpu-custom-op" in shown.out) == (0, True)
    again = own_tool.run("build", cwd=project)
    assert "nothing had to run" in again.out


def test_a_second_compilation_leaves_the_same_bytes(own_tool: Tool, project: Path) -> None:
    """Times in the compiler's log and record differ, and a first try that fails is told, but not in the package."""
    with_compiler(project, calls=str(project / "calls"))
    own_tool.build(project, "--target", "artpec7")
    first = (project / f"dist/{BASE}.tar.gz").read_bytes()
    assert own_tool.run("cache", "clear", cwd=project).code == 0
    built = own_tool.build(project, "--target", "artpec7")
    assert {step["state"] for step in built["steps"]} == {"ran"}
    assert (project / f"dist/{BASE}.tar.gz").read_bytes() == first


def test_too_few_operators_on_the_edge_tpu_end_the_build_with_exit_code_5(own_tool: Tool, project: Path) -> None:
    with_compiler(project, cpu=["SOFTMAX"])
    noted = own_tool.run("build", "--target", "artpec7", cwd=project)
    assert noted.code == 0, noted.err
    assert "operators run on the CPU, which is slower: 1 SOFTMAX" in noted.err
    manifest = project / "dlpu.toml"
    manifest.write_text(manifest.read_text().replace("[target.artpec7]\n", "[target.artpec7]\nmin-mapped = 1.0\n"))
    for _ in range(2):
        refused = own_tool.run("build", "--target", "artpec7", cwd=project)
        assert refused.code == 5, refused.err
        assert "wanted at least 100 %" in refused.err
        assert "1 SOFTMAX" in refused.err


def test_without_the_compiler_the_others_are_still_built(own_tool: Tool, project: Path) -> None:
    failed = own_tool.run("build", "--offline", "--target", "artpec7", cwd=project)
    assert failed.code == 7, failed.err
    assert "dlpubuild toolchain prepare edgetpu" in failed.err
    going = own_tool.run("build", "--offline", "--keep-going", "--json", cwd=project)
    assert going.code == 7, going.err
    told = json.loads(going.out)
    assert {each["soc"]: "archive" in each for each in told["targets"]} == {
        "artpec8": True,
        "artpec9": True,
        "cpu": True,
        "artpec7": False,
    }
    assert [each["code"] for each in told["errors"]] == ["toolchain-offline"]
