"""What users copy into their CI, run for real: the action, the scripts of the GitLab jobs, the commands of docs/ci.md.

GitHub and GitLab are not here: `tests/doubles` lay out a job as they do. Everything else is: the images, the engine,
TensorFlow. Jobs run as an unprivileged user, so that it shows whom the packages belong to.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from dlpubuild.containers.address import EngineAddress
from tests.doubles.github_runner import ROOT, GithubRunner, own_tool
from tests.doubles.gitlab_runner import GitlabJob, gitlab_job
from tests.integration.conftest import EXAMPLE, Tool
from tests.integration.test_bad_days import processes_of
from tests.unit.docs.pages import page

pytestmark = pytest.mark.slow

ARCHIVES = ["digits-1.0.0-artpec8.tar.gz", "digits-1.0.0-artpec9.tar.gz", "digits-1.0.0-cpu.tar.gz"]
CALLER = 12345
NO_DIGEST = "@sha256:" + "0" * 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A user without rights on this machine but that of talking to the engine, and a folder of theirs.

    Where the tests do not run as root it is who runs them.
    """

    folder: Path
    socket: Path
    uid: int
    prefix: tuple[str, ...]

    @property
    def environ(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.folder), "DOCKER_HOST": f"unix://{self.socket}"}

    def project(self, name: str) -> Path:
        """A copy of the example that belongs to the caller."""
        project = self.folder / name
        shutil.copytree(EXAMPLE, project, ignore=shutil.ignore_patterns("dist"))
        self.own(project)
        return project

    def own(self, folder: Path) -> None:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, self.uid, -1)

    def owners(self, folder: Path) -> set[int]:
        return {path.stat().st_uid for path in (folder, *folder.rglob("*"))}


@pytest.fixture
def caller(engine_address: EngineAddress) -> Iterator[Caller]:
    socket = Path(engine_address.socket)
    if not engine_address.socket:
        pytest.skip(f"the engine is not reached by a socket: {engine_address.url}")
    # Not below tmp_path: no other user may enter that.
    folder = Path(tempfile.mkdtemp(prefix="dlpubuild-ci-"))
    is_root = os.geteuid() == 0
    uid = CALLER if is_root else os.geteuid()
    group = str(socket.stat().st_gid)
    prefix = ("setpriv", f"--reuid={uid}", f"--regid={uid}", f"--groups={group}") if is_root else ()
    folder.chmod(0o755)
    os.chown(folder, uid, -1)
    yield Caller(folder=folder, socket=socket, uid=uid, prefix=prefix)
    shutil.rmtree(folder)


@pytest.fixture
def job(caller: Caller) -> GithubRunner:
    """A job of GitHub's with a checked-out example, on a machine with an engine and without this tool."""
    temp, action = caller.folder / "_temp", caller.folder / "_action"
    temp.mkdir()
    shutil.copytree(ROOT / "ci", action / "ci")
    caller.project("work space")
    for folder in (temp, action):
        caller.own(folder)
    return GithubRunner(
        temp=temp, workspace=caller.folder / "work space", environ=caller.environ, prefix=caller.prefix, action=action
    )


def archives(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.tar.gz"))


def test_the_action_installs_the_tool_and_builds_what_is_not_in_the_cache(
    tool: Tool, copy_example: Callable[[str], Path], tmp_path: Path
) -> None:
    temp = tmp_path / "_temp"
    temp.mkdir()
    project = copy_example("work space")
    runner = GithubRunner(
        temp=temp,
        workspace=project,
        environ={**tool.environ, "HOME": os.environ["HOME"], "DLPU_CACHE_DIR": str(tool.cache)},
        given={"python": {"python-path": sys.executable}},
    )
    done = runner.use(executor="local")
    assert done.code == 0, done.log
    assert done.outputs["exit-code"] == "0"
    assert done.outputs["dist"] == str(project / "dist")
    assert archives(project / "dist") == ARCHIVES
    report = json.loads(Path(done.outputs["report"]).read_text())
    assert report["ok"]
    assert [target["soc"] for target in report["targets"]] == ["artpec8", "artpec9", "cpu"]
    assert "ARTPEC-8" in done.summary
    assert "3 packages built: 4 steps ran" in done.log
    again = runner.use(executor="local", output="elsewhere", arguments="--target cpu")
    assert again.code == 0, again.log
    assert "group::install" not in again.log
    assert archives(Path(again.outputs["dist"])) == ARCHIVES[2:]
    manifest = project / "dlpu.toml"
    manifest.write_text(f'{manifest.read_text()}\n[lint]\nfail-on = "warning"\n')
    failed = runner.use(executor="local")
    assert failed.code == 5, failed.log
    told = json.loads(Path(failed.outputs["report"]).read_text())
    assert [target["state"] for target in told["targets"]] == ["failed", "skipped", "skipped"]
    assert Path(failed.outputs["report-html"]).stat().st_size > 10_000
    assert Path(failed.outputs["report-markdown"]).read_text() in failed.summary


def test_a_cancelled_job_ends_the_build_and_what_it_started(
    tool: Tool, copy_example: Callable[[str], Path], tmp_path: Path
) -> None:
    project, temp, output = copy_example("digits"), tmp_path / "_temp", tmp_path / "output"
    own_tool(temp)
    inputs = {"COMMAND": "build", "EXECUTOR": "local", "DIRECTORY": "."}
    names = ("COMMAND", "ARGUMENTS", "DIRECTORY", "MANIFEST", "OUTPUT", "EXECUTOR", "IMAGE")
    with subprocess.Popen(
        [ROOT / "ci" / "github" / "run"],
        cwd=project,
        env={
            **tool.environ,
            **{f"INPUT_{name}": inputs.get(name, "") for name in names},
            "GITHUB_OUTPUT": str(output),
            "GITHUB_WORKSPACE": str(project),
            "RUNNER_TEMP": str(temp),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as running:
        deadline = time.monotonic() + 60
        while not processes_of(tool.cache):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        running.send_signal(signal.SIGTERM)
        log, _ = running.communicate(timeout=30)
    assert running.returncode == 130, log
    assert "exit-code=130" in output.read_text()
    assert processes_of(tool.cache) == []


def test_the_action_builds_in_the_image_with_tensorflow(job: GithubRunner, caller: Caller, cli_tf2_image: str) -> None:
    done = job.use(image=cli_tf2_image, executor="local")
    assert done.code == 0, done.log
    dist = Path(done.outputs["dist"])
    assert archives(dist) == ARCHIVES
    assert caller.owners(dist) == {caller.uid}
    assert "ARTPEC-8" in done.summary
    assert "3 packages built: 7 steps ran" in done.log


def test_the_action_builds_in_containers_beside_the_image_of_the_tool(
    job: GithubRunner, caller: Caller, cli_image: str, tf2_image: str
) -> None:
    done = job.use(image=cli_image, executor="docker", arguments="--target cpu")
    assert done.code == 0, done.log
    dist = Path(done.outputs["dist"])
    assert archives(dist) == ARCHIVES[2:]
    assert caller.owners(dist) == {caller.uid}


def run_gitlab_job(caller: Caller, job: GitlabJob, image: str, *mounts: str) -> subprocess.CompletedProcess[str]:
    """Run a job's script as the runner does: by the bash of the image, in the project, with the job's variables."""
    user = job.keys["image"]["docker"]["user"]
    return subprocess.run(
        [
            *("docker", "run", "--rm", "--interactive", "--user", user, "--workdir", job.variables["CI_PROJECT_DIR"]),
            *(word for mount in mounts for word in ("--mount", mount)),
            *(word for name, value in job.variables.items() for word in ("--env", f"{name}={value}")),
            *(image, "bash", "-eo", "pipefail"),
        ],
        input=job.script,
        env=caller.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def test_the_gitlab_job_without_an_engine_builds_in_its_own_container(caller: Caller, cli_tf2_image: str) -> None:
    project = caller.project("project")
    job = gitlab_job(".dlpubuild-local", project="/builds/group/project", DLPUBUILD_ARGUMENTS="--target cpu --jobs 1")
    done = run_gitlab_job(caller, job, cli_tf2_image, f"type=bind,src={project},dst=/builds/group/project")
    assert done.returncode == 0, done.stdout
    assert archives(project / "dist") == ARCHIVES[2:]
    assert any((project / ".dlpu-cache" / "ac").rglob("*"))


def test_the_gitlab_job_with_a_socket_builds_in_containers_beside_its_own(
    caller: Caller, cli_image: str, tf2_image: str
) -> None:
    project = caller.project("project")
    job = gitlab_job(".dlpubuild-socket", project="/builds/group/project", DLPUBUILD_ARGUMENTS="--target cpu")
    mounts = (
        f"type=bind,src={project},dst=/builds/group/project",
        f"type=bind,src={caller.socket},dst=/var/run/docker.sock",
    )
    done = run_gitlab_job(caller, job, cli_image, *mounts)
    assert done.returncode == 0, done.stdout
    assert archives(project / "dist") == ARCHIVES[2:]


def documented(command: str, images: Mapping[str, str]) -> str:
    """The block of docs/ci.md that holds `command`, with real images in it."""
    (text,) = [block.text for block in page("docs/ci.md").blocks if block.kind == "sh" and command in block.text]
    for name, image in images.items():
        text = text.replace(f"registry.example/dlpubuild/{name}{NO_DIGEST}", image)
    assert NO_DIGEST not in text
    return text


@pytest.mark.parametrize("place", ["the same place", "another place"])
def test_the_documented_command_with_the_socket_builds_packages_of_the_callers(
    caller: Caller, cli_image: str, tf2_image: str, place: str
) -> None:
    project = caller.project("my project")
    text = documented("dlpubuild build --executor docker", {"cli": cli_image})
    text = text.replace("src=/var/run/docker.sock", f"src={caller.socket}")
    if place == "another place":
        text = text.replace('dst=$PWD" --workdir "$PWD"', 'dst=/elsewhere" --workdir /elsewhere')
        text = text.replace('DLPU_CACHE_DIR="$PWD/.dlpu-cache"', "DLPU_CACHE_DIR=/elsewhere/.dlpu-cache")
        assert text.count("/elsewhere") == 3
    done = subprocess.run(
        [*caller.prefix, "sh", "-euc", text],
        cwd=project,
        env=caller.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert archives(project / "dist") == ARCHIVES
    assert caller.owners(project) == {caller.uid}


def test_the_documented_command_without_an_engine_builds_without_a_network(caller: Caller, cli_tf2_image: str) -> None:
    project = caller.project("my project")
    done = subprocess.run(
        [*caller.prefix, "sh", "-euc", documented("--network none", {"cli-tf2": cli_tf2_image})],
        cwd=project,
        env=caller.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert archives(project / "dist") == ARCHIVES
    assert caller.owners(project) == {caller.uid}
