"""`dlpubuild image` on real engines: builds that work and that fail, the same id twice, a registry, pruning.

What is built, removed or killed here is on an engine of the test's own; the machine's keeps its images.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import dlpubuild
from dlpubuild.containers.connect import Connection
from dlpubuild.containers.images import find_image, load_image, remove_image, save_image, tag_image
from dlpubuild.containers.recipe import RECIPES, Settings, base_image
from dlpubuild.resources import image_sources
from tests.engine_fixtures import ENVIRON, not_available
from tests.factories.engines import podman_engine, private_engine
from tests.factories.runner import Runner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from dlpubuild.containers.address import EngineAddress
    from tests.factories.engines import PrivateEngine

ROOT = Path(__file__).resolve().parents[2]


def test_an_installed_wheel_gives_the_build_context_of_the_checkout(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob(f"dlpubuild-{dlpubuild.__version__}-*.whl"))) as wheel:
        wheel.extractall(tmp_path / "installed")
    ask = (
        "import hashlib, json, dlpubuild.resources as r\n"
        "print(json.dumps({n: hashlib.sha256(p.read_bytes()).hexdigest() for n, p in r.image_sources().items()}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", ask],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "installed"), "PYTHONDONTWRITEBYTECODE": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    here = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in image_sources().items()}
    assert json.loads(done.stdout) == here


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """An engine with nothing but a base image, and the tool that builds on it."""

    engine: PrivateEngine
    connection: Connection
    folder: Path

    @property
    def environ(self) -> Mapping[str, str]:
        return {
            **{name: value for name, value in ENVIRON.items() if not name.startswith(("DOCKER_", "DLPU_BASE_"))},
            "DOCKER_HOST": self.engine.address.url,
            "DLPU_BASE_PYTHON311": "test-base:1",
            "DLPU_CACHE_DIR": str(self.folder / "cache"),
            "PYTHONPATH": str(ROOT),
        }

    def start(self, *arguments: str, **environ: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "dlpubuild", "image", *arguments],
            cwd=self.folder,
            env={**self.environ, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments, **environ)
        out, err = process.communicate(timeout=600)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)


@pytest.fixture(scope="module")
def base_archive(engine_address: EngineAddress, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base image of the machine's engine, as an archive."""
    name = ENVIRON.get("DLPU_BASE_PYTHON311") or base_image(RECIPES["tf2"], Settings())
    archive = tmp_path_factory.mktemp("base") / "base.tar"
    with Connection(engine_address, ENVIRON) as connection:
        found = find_image(connection, name)
        if found is None:
            not_available(f"the engine has no base image {name}: .ci/engine makes or pulls one")
        tag_image(connection, found.id, "test-base", "1")
        try:
            save_image(connection, "test-base:1", archive)
        finally:
            remove_image(connection, "test-base:1")
    return archive


@pytest.fixture(scope="module")
def workshop(base_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    with new_workshop(base_archive, tmp_path_factory.mktemp("workshop")) as found:
        yield found


@contextmanager
def new_workshop(
    base_archive: Path,
    folder: Path,
    start: Callable[[Path], AbstractContextManager[PrivateEngine]] = private_engine,
) -> Iterator[Workshop]:
    with start(folder) as engine, Connection(engine.address, ENVIRON) as connection:
        load_image(connection, base_archive)
        yield Workshop(engine=engine, connection=connection, folder=folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A file that a server on this machine has."""

    url: str
    sha256: str
    asked: list[str]

    def arguments(self, *, sha256: str = "") -> tuple[str, ...]:
        # The commands of a build see this machine's loopback with the network of the host.
        url, digest = f"EDGETPU_URL={self.url}", f"EDGETPU_SHA256={sha256 or self.sha256}"
        return ("--network", "host", "--build-arg", url, "--build-arg", digest)


@pytest.fixture(scope="module")
def compiler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Download]:
    """A server with an archive like that of the Edge TPU compiler, which may not be handed on: a double is in it."""
    folder = tmp_path_factory.mktemp("served")
    double = ROOT / "tests" / "doubles" / "edgetpu_compiler"
    with tarfile.open(folder / "edgetpu.tar.gz", "w:gz") as archive:
        member = archive.gettarinfo(double, "usr/bin/edgetpu_compiler")
        member.mode, member.uid, member.gid = 0o755, 1000, 1000
        with double.open("rb") as content:
            archive.addfile(member, content)
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            asked.append(self.requestline)

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Download(
            url=f"http://127.0.0.1:{server.server_address[1]}/edgetpu.tar.gz",
            sha256=hashlib.sha256((folder / "edgetpu.tar.gz").read_bytes()).hexdigest(),
            asked=asked,
        )
        server.shutdown()


def _built(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    (built,) = json.loads(done.stdout)
    assert isinstance(built, dict)
    return built


@pytest.mark.slow
def test_edgetpu_is_downloaded_checked_and_runs_as_anybody(workshop: Workshop, compiler: Download) -> None:
    built = _built(workshop.run("build", "edgetpu", "--json", *compiler.arguments()))
    run = Runner(workshop.connection)
    assert run(built["id"], "edgetpu_compiler", "--version") == "Edge TPU Compiler version 16.0.384591198\n"
    assert run(built["id"], "python", "-c", "import sys; print(sys.prefix)") == "/opt/tc\n"
    image = find_image(workshop.connection, f"dlpubuild/edgetpu:{dlpubuild.__version__}")
    assert image is not None
    assert image.id == built["id"]
    assert image.labels["org.dlpubuild.edgetpu-sha256"] == compiler.sha256


@pytest.mark.slow
def test_a_download_with_another_hash_fails_the_build(workshop: Workshop, compiler: Download) -> None:
    done = workshop.run("build", "edgetpu", *compiler.arguments(sha256="ab" * 32))
    assert done.returncode == 7
    assert f"sha256 mismatch: {compiler.url} has {compiler.sha256}, and {'ab' * 32} was expected" in done.stderr
    assert "other bytes than those that are pinned" in done.stderr


@pytest.mark.slow
def test_a_download_that_cannot_be_had_fails_the_build(workshop: Workshop) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/x.tar.gz"
    done = workshop.run("build", "edgetpu", "--network", "host", "--build-arg", f"EDGETPU_URL={url}")
    assert done.returncode == 7
    assert f"{url} cannot be downloaded" in done.stderr
    assert "HTTPS_PROXY" in done.stderr


@pytest.mark.slow
def test_two_builds_without_a_cache_give_the_same_id(workshop: Workshop, compiler: Download) -> None:
    first = _built(workshop.run("build", "edgetpu", "--json", "--no-cache", *compiler.arguments()))
    asked = len(compiler.asked)
    second = _built(workshop.run("build", "edgetpu", "--json", "--no-cache", *compiler.arguments()))
    assert len(compiler.asked) > asked
    assert (second["id"], second["layers"]) == (first["id"], first["layers"])
    # What the builder made before it was normalised is gone: one image of this name, and the base.
    images = workshop.connection.client().images.list()
    assert sorted(str(image.id) for image in images if image.tags != ["test-base:1"]) == [first["id"]]


@pytest.mark.slow
def test_a_build_with_nothing_to_do_makes_no_other_image(workshop: Workshop, compiler: Download) -> None:
    first = _built(workshop.run("build", "edgetpu", "--json", *compiler.arguments()))
    again = workshop.run("build", "edgetpu", "--json", "--tag", "registry.example/e:1", *compiler.arguments())
    assert _built(again)["id"] == first["id"]
    assert "making file times" not in again.stderr
    assert find_image(workshop.connection, "registry.example/e:1") is not None
    remove_image(workshop.connection, "registry.example/e:1")


@pytest.mark.slow
def test_a_base_image_that_is_nowhere_is_told(workshop: Workshop) -> None:
    done = workshop.run("build", "edgetpu", "--base", "python311=127.0.0.1:1/nowhere:1")
    assert done.returncode == 7
    assert "--base-registry" in done.stderr


@pytest.mark.slow
def test_ctrl_c_ends_a_build_at_once_and_leaves_nothing(workshop: Workshop) -> None:
    """The server takes the connection and says nothing, so the build hangs."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x.tar.gz"
        process = workshop.start("build", "edgetpu", "--network", "host", "--build-arg", f"EDGETPU_URL={url}")
        silent.settimeout(120)
        peer, _ = silent.accept()
        with peer:
            process.send_signal(signal.SIGINT)
            begin = time.monotonic()
            _, err = process.communicate(timeout=60)
            assert time.monotonic() - begin < 10
    assert process.returncode == 130
    assert "Traceback" not in err
    assert list((workshop.folder / "cache" / "scratch").iterdir()) == []
    containers = workshop.connection.client().containers.list(all=True)
    assert containers == []


@pytest.mark.slow
def test_an_engine_that_dies_while_it_builds_is_told(base_archive: Path, tmp_path: Path) -> None:
    with new_workshop(base_archive, tmp_path) as workshop, socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x.tar.gz"
        process = workshop.start("build", "edgetpu", "--network", "host", "--build-arg", f"EDGETPU_URL={url}")
        silent.settimeout(120)
        peer, _ = silent.accept()
        with peer:
            workshop.engine.kill()
            _, err = process.communicate(timeout=60)
    assert process.returncode == 6, err
    assert "was lost" in err
    assert "Traceback" not in err


@pytest.mark.slow
def test_podman_builds_the_same_image(
    workshop: Workshop, base_archive: Path, compiler: Download, tmp_path: Path
) -> None:
    docker = _built(workshop.run("build", "edgetpu", "--json", *compiler.arguments()))
    with new_workshop(base_archive, tmp_path, podman_engine) as shop:
        podman = _built(shop.run("build", "edgetpu", "--json", *compiler.arguments()))
        images = [find_image(each.connection, made["id"]) for each, made in ((workshop, docker), (shop, podman))]
    first, second = (image.labels for image in images if image is not None)
    assert first == second
    assert podman["layers"] == docker["layers"]
    assert podman["id"] == docker["id"]


@pytest.mark.slow
def test_prune_removes_images_of_other_versions_and_nothing_else(workshop: Workshop, compiler: Download) -> None:
    built = _built(workshop.run("build", "edgetpu", "--json", *compiler.arguments()))
    api = workshop.connection.client()
    container = api.containers.create(built["id"], ["true"], labels={})
    old = container.commit(
        repository="dlpubuild/edgetpu", tag="0.0.1", conf={"Labels": {"org.opencontainers.image.version": "0.0.1"}}
    )
    container.remove()
    assert workshop.run("prune", "--dry-run").stdout.splitlines()[0].startswith(f"would remove {old.id}")
    assert workshop.run("prune").stdout.splitlines()[0].startswith(f"removed {old.id}")
    left = {image.id for image in api.images.list()}
    assert old.id not in left
    assert built["id"] in left
    assert find_image(workshop.connection, "test-base:1") is not None
    assert workshop.run("prune").stdout == "0 images, 0 B\n"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The host and port of a real registry on the loopback interface, to which engines speak without TLS."""
    folder = tmp_path_factory.mktemp("registry")
    program = _registry_program(folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
    settings = folder / "config.yml"
    storage = f"storage: {{filesystem: {{rootdirectory: {folder}/data}}}}"
    settings.write_text(f"version: 0.1\nlog: {{level: warn}}\n{storage}\nhttp: {{addr: '{host}', secret: x}}\n")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, "serve", str(settings)],
            env={"PATH": os.environ["PATH"], "OTEL_TRACES_EXPORTER": "none"},
            stdout=log,
            stderr=log,
        )
        try:
            _wait_for(host, process, folder / "log")
            yield host
        finally:
            process.terminate()
            process.wait(timeout=20)


def _registry_program(folder: Path) -> str:
    """Debian's docker-registry: the installed one, else out of its package, which is not installed for this."""
    from shutil import which

    if found := which("docker-registry"):
        return found
    if os.geteuid() != 0 or which("apt-get") is None:
        not_available("no registry: install docker-registry")
    options = ["-q", "-o", "APT::Sandbox::User=root"]
    said = ""
    for verb in (["download", "docker-registry"], ["update"], ["download", "docker-registry"]):
        said = subprocess.run(
            ["apt-get", *options, *verb], cwd=folder, capture_output=True, text=True, check=False
        ).stderr
        if packages := sorted(folder.glob("docker-registry_*.deb")):
            subprocess.run(["dpkg-deb", "--extract", str(packages[0]), str(folder)], check=True)
            return str(folder / "usr" / "bin" / "docker-registry")
    return not_available(f"no registry: docker-registry cannot be downloaded: {said[-300:]}")


def _wait_for(host: str, process: subprocess.Popen[bytes], log: Path) -> None:
    address, _, port = host.partition(":")
    for _ in range(200):
        try:
            socket.create_connection((address, int(port)), timeout=1).close()
        except OSError:
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"the registry does not start: {log.read_text()}")


@pytest.fixture
def tool(engine_address: EngineAddress, engine_environment: Mapping[str, str], tmp_path: Path) -> Callable[..., Any]:
    """Run `dlpubuild image` against the machine's engine, in an empty folder."""
    if engine_address.scheme != "unix":
        not_available("the engine's loopback interface is not this machine's")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "dlpubuild", "image", *arguments],
            cwd=tmp_path,
            env={**ENVIRON, **engine_environment, "PYTHONPATH": str(ROOT), "DLPU_CACHE_DIR": str(tmp_path / "cache")},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return run


def test_what_was_pushed_is_pulled_again_by_its_digest(
    tool: Callable[..., Any], registry: str, engine_address: EngineAddress, small_image: str
) -> None:
    repository = f"{registry}/dlpubuild/small"
    pushed = tool("push", small_image, f"{repository}:1", "--json")
    assert pushed.returncode == 0, pushed.stderr
    document = json.loads(pushed.stdout)
    assert document["id"] == small_image
    assert document["tag"] == f"{repository}:1"
    reference = document["reference"]
    assert reference.startswith(f"{repository}@sha256:")
    assert tool("push", small_image, f"{repository}:1").stdout.splitlines()[0] == reference

    with Connection(engine_address, ENVIRON) as connection:
        remove_image(connection, f"{repository}:1")
        assert find_image(connection, reference) is None
        pulled = tool("pull", reference, "--json")
        assert pulled.returncode == 0, pulled.stderr
        assert json.loads(pulled.stdout) == [{"reference": reference, "id": small_image, "tag": None}]
        image = find_image(connection, reference)
        assert image is not None
        assert reference in image.references
        remove_image(connection, reference)


def test_a_digest_that_the_registry_does_not_have_is_told(tool: Callable[..., Any], registry: str) -> None:
    done = tool("pull", f"{registry}/dlpubuild/small@sha256:{'ab' * 32}")
    assert done.returncode == 7
    assert "cannot be pulled" in done.stderr
    assert "under that digest" in done.stderr


def test_a_registry_that_is_not_there_is_told(
    tool: Callable[..., Any], small_image: str, engine_address: EngineAddress
) -> None:
    repository = f"127.0.0.1:1/run{os.getpid()}"
    for arguments in (("pull", f"{repository}@sha256:{'ab' * 32}"), ("push", small_image, repository)):
        done = tool(*arguments)
        assert done.returncode == 7
        assert "cannot reach the registry" in done.stderr
    with Connection(engine_address, ENVIRON) as connection:
        image = find_image(connection, small_image)
    assert image is not None
    assert not [tag for tag in image.tags if tag.startswith(repository)]
