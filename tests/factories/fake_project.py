"""A whole project whose steps are small scripts, for tests of everything but TensorFlow.

The project brings its own template folder with SoCs that run these scripts in the toolchain `tf2`; an environment
that stands in for TensorFlow's is this interpreter under the name that a prepared one has. Its models are real
`.tflite` files.
"""

from __future__ import annotations

import base64
import io
import json
import struct
import sys
import zipfile
import zlib
from typing import TYPE_CHECKING

from dlpubuild.toolchains.environment import environment_folder
from dlpubuild.toolchains.pins import load_pin
from tests.factories.tflite_factory import encode, float_model

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

MODEL = encode(float_model())

_MODEL_TEXT = base64.b85encode(zlib.compress(MODEL, 9)).decode()

# Reads its parameters and inputs, notes that it ran, may be told to wait, and leaves a real model.
CONVERT = f"""
import base64, json, os, sys, time, zlib
params = json.load(open(sys.argv[1]))
print(json.dumps({{"event": "message", "text": "converting"}}), flush=True)
for done in range(1, 4):
    print(json.dumps({{"event": "progress", "done": done, "total": 3, "unit": "samples"}}, sort_keys=True), flush=True)
open(params["model"], "rb").read()
open("out/model.tflite", "wb").write(zlib.decompress(base64.b85decode({_MODEL_TEXT!r})))
open("out/step.json", "w").write("{{}}")
"""

FINISH = """
import json, shutil, sys
params = json.load(open(sys.argv[1]))
shutil.copyfile("in/model.tflite", "out/model.tflite")
open("out/step.json", "w").write("{}")
"""

STEPS = """schema = 1

[[step]]
id = "import"
title = "convert the model"
script = "convert.py"
toolchain = {{ target.toolchain }}
timeout = 60
outputs = ["out/model.tflite"]
inputs = { {{ model.staged }} = "@model" }
[step.params]
model = {{ model.staged }}

[[step]]
id = "finish"
title = "finish the model"
script = "finish.py"
toolchain = {{ target.toolchain }}
timeout = 60
outputs = ["out/model.tflite"]
inputs = { "in/model.tflite" = "import:out/model.tflite" }
[step.params]
soc = {{ target.soc }}

[result]
"model.tflite" = "finish:out/model.tflite"
"""

_TARGET = """schema = 1
soc = "{soc}"
title = "Fake {soc}"
larod-device = "cpu-tflite"
architecture = "aarch64"
deep-learning-processor = false
model-file = "model.tflite"

[defaults]
quantization = "none"
io = "float32"
toolchain = "tf2"

[allowed]
quantization = ["none", "dynamic", "per-tensor"]
io = ["float32"]
toolchain = ["tf2"]

[gate]
integer-only = false
static-shapes = true
batch = 1
"""

_MANIFEST = """schema = 1

[project]
name = "toy"
version = "1.0.0"
templates = "templates"

[model]
source = "model/toy.keras"
"""


def write_project(
    folder: Path,
    *,
    socs: Sequence[str] = ("fake",),
    steps: str | Mapping[str, str] = STEPS,
    scripts: Mapping[str, str] | None = None,
    manifest: str = "",
) -> Path:
    """Write a project below `folder` and return its manifest.

    Args:
        socs: names of the SoCs it brings and asks for.
        steps: the step template of every SoC, or one per SoC.
        scripts: step scripts by file name, besides or instead of `convert.py` and `finish.py`.
        manifest: more TOML for the manifest.
    """
    for soc in socs:
        place = folder / "templates" / soc
        place.mkdir(parents=True)
        (place / "target.toml").write_text(_TARGET.format(soc=soc))
        (place / "steps.toml.j2").write_text(steps if isinstance(steps, str) else steps[soc])
        for name, text in {"convert.py": CONVERT, "finish.py": FINISH, **(scripts or {})}.items():
            (place / name).write_text(text)
    (folder / "model").mkdir()
    (folder / "model" / "toy.keras").write_bytes(keras_archive())
    path = folder / "dlpu.toml"
    path.write_text(_MANIFEST + manifest + "".join(f"\n[target.{soc}]\n" for soc in socs))
    return path


def keras_archive() -> bytes:
    """Return a `.keras` file as far as it is looked at before the import: its configuration."""
    layers = [
        {"class_name": "InputLayer", "config": {"name": "image", "batch_shape": [None, 9, 9, 3]}},
        {
            "class_name": "Dense",
            "config": {"name": "probabilities", "units": 10},
            "build_config": {"input_shape": [None, 128]},
        },
    ]
    config = {
        "class_name": "Functional",
        "config": {
            "layers": layers,
            "input_layers": [["image", 0, 0]],
            "output_layers": [["probabilities", 0, 0]],
        },
    }
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(zipfile.ZipInfo("config.json"), json.dumps(config))
    return stream.getvalue()


def png(value: int) -> bytes:
    """Return a gray image of one pixel; `value` below 65536 makes it unlike every other."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 16, 0, 0, 0, 0)
    pixels = zlib.compress(struct.pack(">BH", 0, value))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def prepare_fake_environment(cache: Path) -> Path:
    """Put this interpreter where a prepared `tf2` is looked for below the cache folder; return the folder."""
    folder = environment_folder(load_pin("tf2", machine="x86_64", system="linux"), cache)
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(sys.executable)
    (folder / "dlpubuild-environment.json").write_text("{}\n")
    return folder
