"""ARTPEC-7 in containers: the compiling step in the edgetpu image, which the product's own Dockerfile makes.

The compiler in it is a stand-in, from an archive like the real one's. As its hash is another, the project names the
image as its own; so it is pushed to a registry of the test's, which gives it a digest.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import threading
from dataclasses import dataclass, replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import dlpubuild
from dlpubuild.containers.connect import Connection
from tests.engine_fixtures import ENVIRON, one_process
from tests.factories.edgetpu import DOUBLE, put_compiler
from tests.factories.tflite_factory import encode, integer_model
from tests.integration.conftest import ROOT, Done, Tool, _environment
from tests.integration.test_docker_builds import OWNER
from tests.integration.test_image_builds import registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from docker import DockerClient

    from dlpubuild.containers.address import EngineAddress

__all__ = ["registry"]

BUILD_S = 900
NAME = f"dlpubuild/edgetpu:{dlpubuild.__version__}"
# In the container, where the stand-in counts its runs.
CALLS = "/tmp/calls"
# What ends a step long before its own time-outs would.
IMPATIENT = ("budget_sec = 14000", "budget_sec = 3")


@dataclass(frozen=True, slots=True, kw_only=True)
class Compilers:
    """Images with the stand-in, by what it does; `plain` is the one that the Dockerfile made."""

    client: DockerClient
    repository: str
    plain: str

    def reference(self, **config: Any) -> str:
        """Return the digest by which an image whose stand-in does as `config` says can be named."""
        content = json.dumps(config, sort_keys=True).encode()
        tag = hashlib.sha256(content).hexdigest()[:16]
        container = self.client.containers.create(self.plain, ["true"])
        try:
            container.put_archive("/", _archive([("usr/bin/edgetpu_compiler.json", content, 0o644)]))
            image = container.commit(self.repository, tag)
        finally:
            container.remove()
        self.client.images.push(self.repository, tag)
        image.reload()
        return next(str(each) for each in image.attrs["RepoDigests"] if each.startswith(self.repository))


def _archive(files: list[tuple[str, bytes, int]]) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for path, content, bits in files:
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(content), bits
            archive.addfile(member, io.BytesIO(content))
    return target.getvalue()


@pytest.fixture(scope="module")
def compilers(
    engine_address: EngineAddress,
    engine_environment: Mapping[str, str],
    tf2_image: str,
    registry: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Compilers]:
    """The image, built by the product from an archive that a server on this machine has."""
    assert tf2_image.startswith("sha256:")
    folder = tmp_path_factory.mktemp("served")
    archive = folder / "edgetpu.tar.gz"
    files = [("usr/bin/edgetpu_compiler", DOUBLE.read_bytes(), 0o755)]
    archive.write_bytes(gzip.compress(_archive(files), mtime=0))
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    with (
        ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder))) as server,
        Connection(engine_address, dict(os.environ)) as connection,
        one_process("edgetpu-image"),
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = connection.client()
        before = [str(image.id) for image in client.images.list(name=NAME)]
        done = subprocess.run(
            [
                *(sys.executable, "-m", "dlpubuild", "image", "build", "edgetpu", "--json", "--network", "host"),
                *("--build-arg", f"EDGETPU_URL=http://127.0.0.1:{server.server_address[1]}/edgetpu.tar.gz"),
                *("--build-arg", f"EDGETPU_SHA256={sha256}"),
            ],
            env={**ENVIRON, **engine_environment, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=BUILD_S,
            check=False,
        )
        server.shutdown()
        assert done.returncode == 0, done.stderr
        (built,) = json.loads(done.stdout)
        client.images.get(built["id"]).tag("dlpubuild-test/edgetpu", "double")
        # The tool's own name must not stay on an image with a stand-in.
        client.images.remove(NAME, noprune=True)
        for name in before:
            client.images.get(name).tag(*NAME.split(":"))
        repository = f"{registry}/dlpubuild/edgetpu"
        yield Compilers(client=client, repository=repository, plain=built["id"])
        for image in client.images.list(name=repository):
            client.images.remove(str(image.id), force=True)


@pytest.fixture
def docker(engine_environment: Mapping[str, str], tmp_path: Path) -> Tool:
    """The tool with an engine, and nothing prepared on this machine."""
    cache = tmp_path / "cache"
    environ = {**_environment(cache), **engine_environment, "DLPU_EXECUTOR": "docker"}
    return Tool(cache=cache, environ=environ, python=Path(sys.executable))


@pytest.fixture
def left(docker: Tool, compilers: Compilers) -> Callable[[], list[Any]]:
    """A function that returns the containers that the tool left."""

    def found() -> list[Any]:
        label = f"{OWNER}={(docker.cache / 'owner').read_text().strip()}"
        return list(compilers.client.containers.list(all=True, filters={"label": label}, ignore_removed=True))

    return found


def write_integer_project(folder: Path, reference: str, *lines: str) -> Path:
    """A project whose model is quantized already, so that compiling is all there is to do."""
    (folder / "templates").mkdir(parents=True)
    shutil.copytree(ROOT / "templates" / "artpec7", folder / "templates" / "artpec7")
    for shared in (ROOT / "templates").glob("_*.j2"):
        shutil.copy(shared, folder / "templates" / shared.name)
    steps = folder / "templates" / "artpec7" / "steps.toml.j2"
    assert IMPATIENT[0] in steps.read_text()
    steps.write_text(steps.read_text().replace(*IMPATIENT))
    (folder / "model.tflite").write_bytes(encode(integer_model(io="uint8")))
    more = "\n".join(lines)
    (folder / "dlpu.toml").write_text(
        f'schema = 1\n[project]\nname = "toy"\nversion = "1.0.0"\ntemplates = "templates"\n'
        f'[model]\nsource = "model.tflite"\n[target.artpec7]\n{more}\n[toolchain.edgetpu]\nimage = "{reference}"\n'
    )
    return folder


def build(docker: Tool, project: Path) -> Done:
    return docker.run("build", cwd=project)


def test_the_example_is_compiled_in_its_image_to_the_same_bytes_as_on_this_machine(
    tool: Tool,
    docker: Tool,
    compilers: Compilers,
    copy_example: Callable[[str], Path],
    left: Callable[[], list[Any]],
    shared_toolchains: Path,
) -> None:
    here, there = copy_example("here"), copy_example("there")
    put_compiler(here / "compiler")
    for project, line in ((here, 'path = "compiler"'), (there, f'image = "{compilers.reference()}"')):
        manifest = project / "dlpu.toml"
        manifest.write_text(manifest.read_text() + f"\n[target.artpec7]\n\n[toolchain.edgetpu]\n{line}\n")
    (tool.cache / "toolchains").unlink()
    local = replace(tool, environ={**tool.environ, "DLPU_TOOLCHAINS": str(shared_toolchains)})
    local.build(here, "--target", "artpec7")
    built = docker.build(there, "--target", "artpec7")
    assert {step["name"]: step["state"] for step in built["steps"]}["compile"] == "ran"
    archives = [project / "dist" / "digits-1.0.0-artpec7.tar.gz" for project in (here, there)]
    assert archives[0].read_bytes() == archives[1].read_bytes()
    assert left() == []
    assert "nothing had to run" in docker.run("build", "--target", "artpec7", cwd=there).out


def test_a_model_that_is_quantized_already_is_only_compiled(docker: Tool, compilers: Compilers, tmp_path: Path) -> None:
    project = write_integer_project(tmp_path / "project", compilers.reference())
    built = docker.build(project)
    assert [step["name"] for step in built["steps"]] == ["compile"]
    with tarfile.open(project / "dist" / "toy-1.0.0-artpec7.tar.gz") as archive:
        names = archive.getnames()
    assert {"model/model.tflite", "model/model_uncompiled.tflite"} <= {name.partition("/")[2] for name in names}


@pytest.mark.parametrize(
    ("modes", "code", "words"),
    [
        (["large-activations"], 1, "large activation"),
        (["scale", "darwinn"], 1, "failed in different ways"),
        (["rubbish"], 1, "does not say that it compiled anything"),
        (["cut-file"], 1, "it is damaged"),
        (["segfault"], 1, "by signal SIGSEGV"),
        (["flood"], 1, "it printed more than 16 MiB"),
        (["hang"], 1, "did not end within 3 s"),
    ],
)
def test_a_compiler_that_fails_in_its_container_is_told_and_leaves_nothing(
    docker: Tool,
    compilers: Compilers,
    tmp_path: Path,
    left: Callable[[], list[Any]],
    modes: list[str],
    code: int,
    words: str,
) -> None:
    project = write_integer_project(tmp_path / "project", compilers.reference(modes=modes, calls=CALLS))
    done = build(docker, project)
    assert done.code == code, done.err
    assert words in done.err
    assert "Traceback" not in done.err
    assert not list((project / "dist").glob("*.tar.gz"))
    assert left() == []


def test_a_failure_that_does_not_come_back_is_told_and_no_failure(
    docker: Tool, compilers: Compilers, tmp_path: Path
) -> None:
    reference = compilers.reference(modes=["internal-14", "ok"], calls=CALLS)
    done = build(docker, write_integer_project(tmp_path / "project", reference))
    assert done.code == 0, done.err
    assert "the same command succeeded on the second try" in done.err


def test_too_few_mapped_operators_end_the_build_with_exit_code_5(
    docker: Tool, compilers: Compilers, tmp_path: Path
) -> None:
    reference = compilers.reference(cpu=["FULLY_CONNECTED"])
    done = build(docker, write_integer_project(tmp_path / "project", reference, "min-mapped = 1.0"))
    assert done.code == 5, done.err
    assert "wanted at least 100 %" in done.err


def test_nothing_mapped_fails_without_any_wish(docker: Tool, compilers: Compilers, tmp_path: Path) -> None:
    reference = compilers.reference(cpu=["CONV_2D", "FULLY_CONNECTED", "QUANTIZE"])
    done = build(docker, write_integer_project(tmp_path / "project", reference))
    assert done.code == 5, done.err
