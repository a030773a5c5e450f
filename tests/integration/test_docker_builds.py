"""Builds in containers as a user meets them: same bytes, pinned, offline, in the cli image, on bad days."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dlpubuild import __version__
from dlpubuild.containers.connect import Connection
from tests.integration.test_example import archives

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from docker import DockerClient

    from dlpubuild.containers.address import EngineAddress
    from tests.integration.conftest import Tool

OWNER = "org.dlpubuild.owner"
STEPS = 4
SOON_S = 60.0
MEASURED = Path(__file__).resolve().parents[2] / "examples/digits/dlpu.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Docker:
    """The tool with an engine that has the images, and the engine itself."""

    tool: Tool
    client: DockerClient
    address: EngineAddress

    def left(self) -> list[str]:
        """The containers that the tool's cache folder owns."""
        owner = (self.tool.cache / "owner").read_text().strip()
        # A container that is removed meanwhile is not left.
        found = self.client.containers.list(all=True, filters={"label": f"{OWNER}={owner}"}, ignore_removed=True)
        return [str(each.status) for each in found]


@pytest.fixture
def docker(
    tool: Tool, engine_address: EngineAddress, engine_environment: Mapping[str, str], tf2_image: str
) -> Iterator[Docker]:
    assert tf2_image.startswith("sha256:")
    environ = {**tool.environ, **engine_environment, "DLPU_EXECUTOR": "docker"}
    with Connection(engine_address, dict(os.environ)) as connection:
        yield Docker(tool=replace(tool, environ=environ), client=connection.client(), address=engine_address)


def told(err: str) -> str:
    return next(line for line in err.splitlines() if line.startswith("executor: "))


def test_containers_and_this_machine_give_the_same_packages(
    tool: Tool, docker: Docker, copy_example: Callable[[str], Path]
) -> None:
    here, there = copy_example("here"), copy_example("there")
    for each in (here, there):
        # With `[verify]`: its figures are in the packages.
        shutil.copy(MEASURED, each)
    built = tool.build(here)
    assert {step["state"] for step in built["steps"]} == {"ran"}
    built = docker.tool.build(there)
    assert {step["state"] for step in built["steps"]} == {"ran"}, "results of one toolchain never serve another"
    assert "verify:cpu" in {step["name"] for step in built["steps"]}
    assert len(archives(here)) == 3
    assert archives(here) == archives(there)
    assert docker.left() == []
    assert all(path.stat().st_uid == os.getuid() for path in there.rglob("dist/**/*"))


def test_a_build_with_nothing_to_do_starts_nothing_and_imports_no_sdk(
    docker: Docker, copy_example: Callable[[str], Path]
) -> None:
    project = copy_example("digits")
    docker.tool.build(project)
    code = (
        "import sys\nfrom dlpubuild import cli\ncode = cli.run(['build'])\n"
        "assert not {'docker', 'requests', 'urllib3'} & set(sys.modules)\nsys.exit(code)"
    )
    again = subprocess.run(
        [docker.tool.command()[0], "-c", code],
        cwd=project,
        env=dict(docker.tool.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 0, again.stderr
    assert "nothing had to run" in again.stdout


def test_auto_takes_the_engine_that_answers_and_says_so(
    tool: Tool, docker: Docker, copy_example: Callable[[str], Path]
) -> None:
    project = copy_example("digits")
    done = docker.tool.run("build", "--executor", "auto", "--step", "import", cwd=project)
    assert done.code == 0, done.err
    assert told(done.err).startswith("executor: docker (auto: ")
    without = tool.run(
        "build", "--executor", "auto", "--step", "import", cwd=project, DOCKER_HOST="unix:///nowhere/docker.sock"
    )
    assert without.code == 0, without.err
    assert told(without.err).startswith("executor: local (auto: ")
    assert "/nowhere/docker.sock" in told(without.err)


def test_a_release_is_built_from_the_locked_image_or_refused(
    docker: Docker, copy_example: Callable[[str], Path]
) -> None:
    project = copy_example("digits")
    locked = docker.tool.run("lock", cwd=project)
    assert locked.code == 0, locked.err
    assert "image.tf2.id: new -> sha256:" in locked.out
    assert docker.tool.run("build", "--locked", "--offline", "--step", "import", cwd=project).code == 0
    path = project / "dlpu.lock"
    lock = json.loads(path.read_text())
    lock["pins"]["image.tf2.id"] = "sha256:" + "0" * 64
    path.write_text(json.dumps(lock))
    gone = docker.tool.run("build", "--locked", "--offline", cwd=project)
    assert gone.code == 7, gone.err
    assert "which the engine does not have" in gone.err
    assert not list((project / "dist").glob("digits-1.0.0-[!r]*")), "there is a report of it, and no package"
    del lock["pins"]["image.tf2.id"]
    path.write_text(json.dumps(lock))
    unlocked = docker.tool.run("build", "--locked", "--offline", cwd=project)
    assert unlocked.code == 4, unlocked.err
    assert "image.tf2.id: locked nothing, found sha256:" in unlocked.err


def test_an_image_of_another_lock_is_refused(
    docker: Docker, copy_example: Callable[[str], Path], tmp_path: Path
) -> None:
    """As after an upgrade of the tool, with the image of the version before."""
    project = copy_example("digits")
    context = tmp_path / "context"
    context.mkdir()
    other = docker.client.containers.create(f"dlpubuild/tf2:{__version__}", ["true"])
    try:
        image = other.commit("dlpubuild-test/other-lock", changes='LABEL org.dlpubuild.lock-sha256="00"')
    finally:
        other.remove()
    try:
        lock = {"schema": 1, "pins": {"image.tf2.id": image.id}}
        (project / "dlpu.lock").write_text(json.dumps(lock))
        done = docker.tool.run("build", cwd=project)
        assert done.code == 7, done.err
        assert "was made from another lock" in done.err
    finally:
        docker.client.images.remove("dlpubuild-test/other-lock")


@pytest.mark.skipif(os.getuid() != 0, reason="only root may cut a process off from the network")
def test_it_builds_with_the_network_cut_off(docker: Docker, copy_example: Callable[[str], Path]) -> None:
    project = copy_example("digits")
    if docker.address.scheme != "unix":
        pytest.skip("an engine behind a network needs it")
    done = subprocess.run(
        ["unshare", "--net", *docker.tool.command("build", "--json")],
        cwd=project,
        env=dict(docker.tool.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["steps"]) == STEPS
    assert len(archives(project)) == 3


@pytest.mark.parametrize("user", ["1234:1234", "0:0"])
def test_it_builds_inside_the_cli_image_with_the_engines_socket(
    docker: Docker, cli_image: str, copy_example: Callable[[str], Path], user: str
) -> None:
    """Only the socket and the project are mounted, the project at another path than it has outside."""
    if docker.address.scheme != "unix":
        pytest.skip("the socket of this engine cannot be mounted")
    project = copy_example("digits")
    uid, gid = map(int, user.split(":"))
    for path in (project, *project.rglob("*")):
        os.chown(path, uid, gid)
    socket = docker.address.socket
    done = subprocess.run(
        [
            *("docker", "run", "--rm", "--network", "none", "--user", user),
            *("--group-add", str(Path(socket).stat().st_gid)),
            *("--volume", f"{socket}:/var/run/docker.sock", "--volume", f"{project}:/project", "--workdir", "/project"),
            *("--env", "DLPU_CACHE_DIR=/project/.cache"),
            *(cli_image, "dlpubuild", "build", "--executor", "docker", "--json"),
        ],
        env={**os.environ, **docker.address.variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    built: dict[str, Any] = json.loads(done.stdout)
    assert {step["state"] for step in built["steps"]} == {"ran"}
    outside = copy_example("outside")
    docker.tool.build(outside)
    assert archives(project) == archives(outside)
    assert {(path.stat().st_uid, path.stat().st_gid) for path in project.rglob("*")} == {(uid, gid)}
    assert docker.left() == []


def _slow(project: Path) -> None:
    """Let the import take a minute more, with a template folder of the project's own."""
    templates = Path(__file__).resolve().parents[2] / "templates"
    for soc in ("artpec8", "artpec9", "cpu"):
        shutil.copytree(templates / soc, project / "templates" / soc)
    # What the templates include as well: an import that is not slow would be over when it is looked at.
    for shared in templates.glob("_*.j2"):
        shutil.copy(shared, project / "templates" / shared.name)
    for path in project.glob("templates/**/*.j2"):
        path.write_text(path.read_text().replace("import_model.py", "slow.py"))
    for folder in project.glob("templates/*/"):
        (folder / "slow.py").write_text("import time\nopen('out/started', 'w').close()\ntime.sleep(120)\n")
    manifest = project / "dlpu.toml"
    manifest.write_text(manifest.read_text().replace("[project]\n", '[project]\ntemplates = "templates"\n', 1))


def _wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < deadline, f"never saw {what}"
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_build_leaves_no_container(
    docker: Docker, copy_example: Callable[[str], Path], number: signal.Signals
) -> None:
    project = copy_example("digits")
    _slow(project)
    process = docker.tool.start("build", cwd=project)
    _wait(lambda: (docker.tool.cache / "owner").exists() and docker.left() == ["running"], "a running step")
    begun = time.monotonic()
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert time.monotonic() - begun < 10
    assert docker.left() == []
    assert list((docker.tool.cache / "scratch").iterdir()) == []


def test_what_a_killed_build_left_is_removed_by_the_next(docker: Docker, copy_example: Callable[[str], Path]) -> None:
    project = copy_example("digits")
    _slow(project)
    process = docker.tool.start("build", cwd=project)
    _wait(lambda: (docker.tool.cache / "owner").exists() and docker.left() == ["running"], "a running step")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert "running" in docker.left()
    # A build in another project with the same cache, which has nothing to do with the one that was killed.
    other = copy_example("other")
    docker.tool.build(other, "--target", "cpu")
    assert docker.left() == []
    assert list((docker.tool.cache / "scratch").iterdir()) == []


def test_a_step_that_wants_too_much_memory_is_told_from_a_failure(
    docker: Docker, copy_example: Callable[[str], Path]
) -> None:
    project = copy_example("digits")
    done = docker.tool.run("build", "--memory", "96MiB", cwd=project)
    assert done.code == 1, done.err
    assert "memory" in done.err
    assert "96" in done.err
    assert "--memory" in done.err
    assert docker.left() == []
