"""The images themselves, on a real engine: what is in them, what is not, and that they run as anybody."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import dlpubuild
from dlpubuild.containers.connect import Connection
from dlpubuild.containers.recipe import RECIPES, lock_sha256
from dlpubuild.resources import image_sources
from tests.engine_fixtures import ENVIRON, not_available
from tests.factories.runner import Runner

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dlpubuild.containers.address import EngineAddress

ROOT = Path(__file__).resolve().parents[2]
TOOLCHAIN_IMAGES = ("tf2", "tf1", "onnx", "ambarella")


@pytest.fixture
def run(engine_address: EngineAddress) -> Iterator[Runner]:
    with Connection(engine_address, ENVIRON) as connection:
        yield Runner(connection)


@pytest.mark.slow
def test_tf2_imports_tensorflow(run: Runner, tf2_image: str) -> None:
    said = run(tf2_image, "python", "-c", "import tensorflow, PIL; print('version', tensorflow.__version__)")
    assert "version 2.19.1" in said


@pytest.mark.slow
def test_tf1_converts_with_the_old_converter(run: Runner, tf1_image: str) -> None:
    script = """
import tensorflow as tf
graph = tf.Graph()
with graph.as_default(), tf.compat.v1.Session(graph=graph) as session:
    x = tf.compat.v1.placeholder(tf.float32, [1, 4], name="x")
    converter = tf.compat.v1.lite.TFLiteConverter.from_session(session, [x], [tf.nn.relu(x)])
    converter.experimental_new_converter = False
    print("version", tf.__version__, converter.convert()[4:8].decode())
"""
    assert "version 1.15.5 TFL3" in run(tf1_image, "python", "-c", script)
    assert run(tf1_image, "sh", "-c", "command -v toco_from_protos") == "/opt/tc/bin/toco_from_protos\n"


@pytest.mark.slow
def test_onnx_has_both_converters(run: Runner, onnx_image: str) -> None:
    script = "import cv2, onnx, onnxruntime, onnx2tf, tf2onnx; print('versions', onnx.__version__, onnx2tf.__version__)"
    assert "versions 1.19.1 1.29.24" in run(onnx_image, "python", "-c", script)


@pytest.mark.slow
def test_ambarella_has_python_and_the_libraries(run: Runner, ambarella_image: str) -> None:
    script = "import ctypes; [ctypes.CDLL(n) for n in ('libgomp.so.1', 'libglib-2.0.so.0', 'libstdc++.so.6')]"
    assert run(ambarella_image, "python", "-c", script) == ""


@pytest.mark.slow
def test_cli_has_the_tool_and_the_docker_client(run: Runner, cli_image: str) -> None:
    assert run(cli_image, "dlpubuild", "--version") == f"dlpubuild {dlpubuild.__version__}\n"
    assert "Docker version" in run(cli_image, "docker", "--version")
    assert "buildx" in run(cli_image, "docker", "buildx", "version")
    # It refuses to run for a user that has no name, so the image's own.
    assert "OpenSSH" in run(cli_image, "ssh", "-V", user="65532:65532")
    assert run(cli_image, "sh", "-c", "echo $HOME") == "/home/dlpubuild\n"


@pytest.mark.slow
def test_any_user_may_write_to_the_home_of_cli(run: Runner, cli_image: str) -> None:
    said = run(cli_image, "sh", "-c", "mkdir -p ~/.cache/dlpubuild && dlpubuild cache info", read_only=False)
    assert "/home/dlpubuild/.cache/dlpubuild" in said


@pytest.mark.slow
def test_cli_carries_what_it_takes_to_build_images(run: Runner, cli_image: str) -> None:
    ask = (
        "import hashlib, dlpubuild.resources as r\n"
        "for n, p in r.image_sources().items(): print(hashlib.sha256(p.read_bytes()).hexdigest(), n)"
    )
    said = run(cli_image, "/opt/dlpubuild/bin/python", "-c", ask)
    here = [f"{hashlib.sha256(path.read_bytes()).hexdigest()} {name}" for name, path in image_sources().items()]
    assert said.splitlines() == here


@pytest.mark.slow
def test_cli_tf2_builds_the_example_without_engine_and_network(run: Runner, cli_tf2_image: str, tmp_path: Path) -> None:
    if run.connection.address.scheme != "unix":
        not_available("the engine does not see files of this machine")
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as sink:
        sink.add(ROOT / "examples" / "digits", "digits", filter=lambda m: None if "/dist" in m.name else m)
    (tmp_path / "digits.tar").write_bytes(archive.getvalue())
    (tmp_path / "digits.tar").chmod(0o644)
    tmp_path.chmod(0o755)
    script = (
        "cd /tmp && tar -xf /given/digits.tar && cd digits && DLPU_CACHE_DIR=/tmp/cache dlpubuild build --offline "
        "&& ls dist/*.tar.gz"
    )
    said = run(
        cli_tf2_image,
        *("sh", "-c", script),
        volumes={str(tmp_path): {"bind": "/given", "mode": "ro"}},
        tmpfs={"/tmp": "exec"},
    )
    assert len([line for line in said.splitlines() if line.startswith("dist/") and line.endswith(".tar.gz")]) == 3


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tf2", "tf1", "onnx", "ambarella", "cli", "cli-tf2"])
def test_an_image_is_as_its_recipe_says(run: Runner, request: pytest.FixtureRequest, name: str) -> None:
    image_id = request.getfixturevalue(f"{name.replace('-', '_')}_image")
    document = run.connection.client().images.get(image_id).attrs
    labels, config = document["Config"]["Labels"], document["Config"]
    assert labels["org.dlpubuild.image"] == name
    assert labels.get("org.dlpubuild.lock-sha256", "") == lock_sha256(RECIPES[name])
    assert labels["org.opencontainers.image.version"] == dlpubuild.__version__
    for key in ("title", "description", "licenses", "source", "base.name"):
        assert labels[f"org.opencontainers.image.{key}"]
    assert config["User"] == "65532:65532"
    assert not config["Entrypoint"]
    variables = {variable.partition("=")[0] for variable in config["Env"]}
    assert variables == {"PATH"} if name in TOOLCHAIN_IMAGES else variables >= {"PATH", "HOME"}
    assert document["Created"].startswith("1980-01-01T00:00:00")
    history = run.connection.client().images.get(image_id).history()
    assert {entry["CreatedBy"] for entry in history} == {f"dlpubuild image build {name}"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tf2", "tf1", "onnx", "ambarella", "cli", "cli-tf2"])
def test_an_image_holds_no_build_tools_no_setuid_program_and_no_certificate_of_the_build(
    run: Runner, request: pytest.FixtureRequest, name: str
) -> None:
    image = request.getfixturevalue(f"{name.replace('-', '_')}_image")
    script = (
        "command -v gcc cc make pip pip3 easy_install;"
        "find / -xdev -type f -perm /6000;"
        "find / -xdev -name 'ca.crt';"
        "find / -xdev -newermt 1980-01-02 ! -path '/etc*' ! -path '/dev*' ! -name .dockerenv"
        " ! -path / ! -path /proc ! -path /sys ! -path /tmp;"
        "ls -A /run /var/cache/apt /var/lib/apt/lists /var/log;"
    )
    said = run(image, "sh", "-c", f"{{ {script} }} 2>/dev/null", user="0:0", cap_drop=[], cap_add=[])
    assert [line for line in said.splitlines() if line and not line.endswith(":")] == []
    assert (
        run(image, "/usr/bin/env", "python3", "-c", "import importlib.util as u; print(u.find_spec('pip'))") == "None\n"
    )


@pytest.mark.slow
def test_bytecode_is_never_held_against_file_times(run: Runner, tf2_image: str) -> None:
    """Flags 0b01 in the header: with a hash of the source, and not checked (PEP 552)."""
    script = """
import pathlib, collections, sysconfig
folders = ["/opt/tc/lib/python3.11/site-packages", sysconfig.get_path("stdlib")]
files = [f for folder in folders for f in pathlib.Path(folder).rglob("*.pyc")]
print(len(files) > 5000, collections.Counter(f.open("rb").read(8)[4:].hex() for f in files).keys())
"""
    assert run(tf2_image, "python", "-c", script) == "True dict_keys(['01000000'])\n"
