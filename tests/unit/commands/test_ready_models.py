"""Commands on models that are no Keras model: what `inspect` shows, what `init` writes, what `check` finds."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dlpubuild.errors import ExitCode
from tests.factories.model_factory import classifier, graph_def, hdf5, keras_archive, saved_model
from tests.factories.tflite_factory import custom_model, encode, float_model, integer_model

if TYPE_CHECKING:
    from tests.unit.commands.conftest import Tool

SHARED = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "models"
GRAPH = graph_def([("image", "Placeholder", []), ("scores", "Softmax", ["image"])], shapes={"image": (-1, 8, 8, 3)})
AWARE = graph_def(
    [("image", "Placeholder", []), ("q", "FakeQuantWithMinMaxVars", ["image"])], shapes={"image": (1, 8, 8, 3)}
)
CV25 = bytes.fromhex("0800020203000000") + bytes(64)


def write(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


# inspect


@pytest.mark.skipif(not SHARED.is_dir(), reason="the published models are not on this machine")
def test_inspect_shows_every_published_model(empty: Tool) -> None:
    files = sorted(SHARED.iterdir())
    assert len(files) >= 13
    for path in files:
        page, told = empty.run("inspect", path), empty.run("inspect", path, "--json")
        assert (page.code, told.code) == (0, 0), page.err + told.err
        assert json.loads(told.out)["is_compiled_for_edgetpu"] is path.stem.endswith("_edgetpu")
        assert ("compiled for it" in page.out) is path.stem.endswith("_edgetpu")


def test_inspect_says_what_the_edge_tpu_compiler_makes_of_a_model(empty: Tool) -> None:
    models = {
        "integer": (integer_model(), "reads all operator versions"),
        "float": (float_model(), "needs an integer model"),
        "custom": (custom_model("Mine"), "leaves custom operators to the CPU"),
        "compiled": (custom_model("edgetpu-custom-op"), "compiled for it, in 1 part; 2 operators run on the CPU"),
    }
    for name, (spec, told) in models.items():
        write(empty.folder, {f"{name}.tflite": encode(spec)})
        assert told in empty.run("inspect", f"{name}.tflite").out


@pytest.mark.parametrize(
    ("name", "files", "told"),
    [
        ("g.pb", {"g.pb": GRAPH}, ["frozen-graph", "image", "?x8x8x3", "scores", "Softmax"]),
        ("q.pb", {"q.pb": AWARE}, ["trained quantization-aware", "FakeQuantWithMinMaxVars"]),
        ("m.keras", {"m.keras": keras_archive(classifier())}, ["keras", "image", "probabilities"]),
        ("m.h5", {"m.h5": hdf5(classifier())}, ["keras", "float"]),
        ("sm", {"sm/saved_model.pb": saved_model({"x": (1, 4)}, {"y": None})}, ["saved-model", "1x4", "not known"]),
        ("m.bin", {"m.bin": CV25}, ["compiled", "likely cv25", "weak"]),
        ("n.bin", {"n.bin": bytes(64)}, ["compiled", "not recognised"]),
    ],
)
def test_inspect_shows_what_a_model_of_another_format_says(
    empty: Tool, name: str, files: dict[str, bytes], told: list[str]
) -> None:
    write(empty.folder, files)
    done = empty.run("inspect", name)
    assert done.code == 0, done.err
    assert [word for word in told if word not in done.out] == []
    document = json.loads(empty.run("inspect", name, "--json").out)
    assert document["size_bytes"] == sum(len(data) for data in files.values())


@pytest.mark.parametrize("name", ["x.pb", "x.tflite", "x.bin", "x.keras", "x.h5", "x.onnx"])
@pytest.mark.parametrize("data", [None, b"", b"\x1f\x8b", b"<html>", b"\x08\x01\x12"])
def test_inspect_of_what_is_no_model_is_an_error(empty: Tool, name: str, data: bytes | None) -> None:
    if data is not None:
        write(empty.folder, {name: data})
    elif name == "x.bin":
        pytest.skip("covered by the others")
    done = empty.run("inspect", name)
    if name == "x.bin" and data == b"\x08\x01\x12":
        assert done.code == 0  # nothing is known that it could not be
    else:
        assert done.code not in (0, ExitCode.INTERNAL)
        assert name in done.err


# init


@pytest.mark.parametrize(
    ("name", "data", "targets"),
    [
        ("net.tflite", encode(integer_model(io="uint8")), {"artpec7", "artpec8", "artpec9", "cpu"}),
        ("net.tflite", encode(integer_model(per_channel=True, io="uint8")), {"artpec7", "artpec9", "cpu"}),
        ("net.tflite", encode(float_model(weights="float16")), {"cpu"}),
        ("net_edgetpu.tflite", encode(custom_model("edgetpu-custom-op")), {"artpec7"}),
    ],
)
def test_init_of_a_ready_model_asks_for_what_it_fits_and_checks(
    empty: Tool, name: str, data: bytes, targets: set[str]
) -> None:
    write(empty.folder, {name: data})
    done = empty.run("init", name)
    assert done.code == 0, done.err
    document = tomllib.loads((empty.folder / "dlpu.toml").read_text(encoding="utf-8"))
    assert set(document["target"]) == targets
    assert "calibration" not in document
    assert document["project"]["name"] == "net"
    checked = empty.run("check", *(["--target", "cpu"] if "cpu" in targets else []))
    assert checked.code == 0 or "toolchain" in checked.err, checked.err


def test_init_of_a_float_model_asks_for_calibration_data(empty: Tool) -> None:
    write(empty.folder, {"a.tflite": encode(float_model()), "b.pb": GRAPH})
    for name in ("a.tflite", "b.pb"):
        done = empty.run("init", name, "--force")
        assert done.code == 0, done.err
        document = tomllib.loads((empty.folder / "dlpu.toml").read_text(encoding="utf-8"))
        assert {"artpec8", "cpu"} <= set(document["target"])
        assert "calibration" in document
        assert document["model"]["input"][0]["name"] == "image"


def test_init_of_a_graph_that_was_trained_for_integers_asks_for_tensorflow_1(empty: Tool) -> None:
    write(empty.folder, {"q.pb": AWARE})
    assert empty.run("init", "q.pb").code == 0
    targets = tomllib.loads((empty.folder / "dlpu.toml").read_text(encoding="utf-8"))["target"]
    assert targets["artpec8"] == {"toolchain": "tf1"}


def test_init_for_an_soc_that_cannot_start_from_the_model_says_why(empty: Tool) -> None:
    write(empty.folder, {"net_edgetpu.tflite": encode(custom_model("edgetpu-custom-op"))})
    done = empty.run("init", "net_edgetpu.tflite", "-t", "artpec8")
    assert done.code == ExitCode.USAGE
    assert "Edge TPU" in done.err
    assert not (empty.folder / "dlpu.toml").exists()


def test_init_of_a_bin_asks_for_the_soc_it_is_likely_for_and_another_is_noted(empty: Tool) -> None:
    write(empty.folder, {"net.bin": CV25, "other.bin": bytes(64)})
    assert empty.run("init", "net.bin").code == 0
    document = tomllib.loads((empty.folder / "dlpu.toml").read_text(encoding="utf-8"))
    assert list(document["target"]) == ["cv25"]
    assert {"name", "shape"} == set(document["model"]["input"][0]) == set(document["model"]["output"][0])
    checked = empty.run("check")
    assert (checked.code, "cv25" in checked.err) == (0, False), checked.err
    assert empty.run("init", "net.bin", "-t", "cv75", "--force").code == 0
    checked = empty.run("check")
    assert (checked.code, "compiled for cv25" in checked.err) == (0, True), checked.err
    assert empty.run("init", "other.bin", "--force").code == 0
    document = tomllib.loads((empty.folder / "dlpu.toml").read_text(encoding="utf-8"))
    assert set(document["target"]) == {"cv25", "cv75"}


def test_a_bin_is_packaged_with_the_tensors_that_the_manifest_declares(empty: Tool) -> None:
    write(empty.folder, {"net.bin": CV25})
    assert empty.run("init", "net.bin").code == 0
    done = empty.run("build")
    assert done.code == 0, done.err
    folder = empty.folder / "dist/net-0.1.0-cv25"
    assert (folder / "model/model.bin").read_bytes() == CV25
    described = json.loads((folder / "model.json").read_text())
    assert (described["toolchain"], described["compiler"]) == (None, None)
    assert [each["shape"] for each in described["inputs"] + described["outputs"]] == [[1, 3, 224, 224], [1, 1000]]


# check and build


MANIFEST = 'schema = 1\n[project]\nname = "toy"\nversion = "1.0.0"\n[model]\nsource = "net.tflite"\n'


def test_check_holds_a_ready_model_against_the_soc(empty: Tool) -> None:
    files = {"net.tflite": encode(integer_model(per_channel=True, io="uint8"))}
    write(empty.folder, {**files, "dlpu.toml": f"{MANIFEST}[target.artpec8]\n".encode()})
    done = empty.run("check")
    assert done.code == ExitCode.GATE_FAILED
    assert "per-channel-tensor" in done.err
    built = empty.run("build")
    assert built.code == ExitCode.GATE_FAILED
    assert "per-channel-tensor" in built.err + built.out


def test_a_ready_model_is_packaged_as_it_is(empty: Tool) -> None:
    data = encode(integer_model(io="uint8", output_io="float32"))
    write(empty.folder, {"net.tflite": data, "dlpu.toml": f"{MANIFEST}[target.artpec8]\n[target.cpu]\n".encode()})
    done = empty.run("build")
    assert done.code == 0, done.err
    for soc in ("artpec8", "cpu"):
        folder = empty.folder / f"dist/toy-1.0.0-{soc}"
        assert (folder / "model/model.tflite").read_bytes() == data
        assert json.loads((folder / "model.json").read_text())["toolchain"] is None
        assert "packaged as given" in (folder / "README.md").read_text()
    assert "nothing had to run" in empty.run("build").out


def test_a_compiled_model_is_packaged_for_artpec7(empty: Tool) -> None:
    data = encode(custom_model("edgetpu-custom-op"))
    write(empty.folder, {"net.tflite": data, "dlpu.toml": f"{MANIFEST}[target.artpec7]\n".encode()})
    done = empty.run("build")
    assert done.code == 0, done.err
    folder = empty.folder / "dist/toy-1.0.0-artpec7"
    assert (folder / "model/model.tflite").read_bytes() == data
    described = json.loads((folder / "model.json").read_text())
    assert (described["toolchain"], described["compiler"]) == (None, None)
    assert described["model"]["uncompiled"] is None


@pytest.mark.skipif(not SHARED.is_dir(), reason="the published models are not on this machine")
def test_published_compiled_models_pass_the_gate_of_artpec7(empty: Tool) -> None:
    for path in sorted(SHARED.glob("*_edgetpu.tflite")):
        write(empty.folder, {"net.tflite": path.read_bytes(), "dlpu.toml": f"{MANIFEST}[target.artpec7]\n".encode()})
        done = empty.run("check")
        assert done.code == 0, done.err
