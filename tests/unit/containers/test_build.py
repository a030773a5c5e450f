"""Building: which program is taken, what it is told, what a person is told of it, and how its faults are reported.

The programs here are scripts that say what real ones were seen to say; tests/integration/test_images.py has real ones.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from dlpubuild.containers.address import EngineAddress, TlsFiles
from dlpubuild.containers.build import Request, build_image
from dlpubuild.containers.program import Program, find_program
from dlpubuild.containers.progress import Progress
from dlpubuild.errors import ErrorCode, InterruptedBuildError, ToolchainError

ADDRESS = EngineAddress(url="unix:///run/engine.sock", source="a test")
WITH_PLUGIN = (
    'if [ "$1" = buildx ]; then echo "github.com/docker/buildx 0.13.1"; else echo "Docker version 28.2.2, build e"; fi'
)
WITHOUT_PLUGIN = (
    'if [ "$1" = buildx ]; then echo "docker: unknown command: docker buildx" >&2; exit 1; fi\n'
    'echo "Docker version 28.2.2, build e6534b4"'
)
OLD = (
    'if [ "$1" = buildx ]; then echo "docker: \'buildx\' is not a docker command." >&2; exit 1; fi\n'
    'echo "Docker version 20.10.24+dfsg1, build 297e128"'
)


def _program(folder: Path, script: str, name: str = "docker") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def _find(path: str, *, is_podman: bool = False, **environ: str) -> Program:
    return find_program({"PATH": path, **environ}, ADDRESS, is_podman=is_podman)


@pytest.mark.parametrize("script", [WITH_PLUGIN, OLD])
def test_a_program_with_buildkit_is_taken(tmp_path: Path, script: str) -> None:
    program = _program(tmp_path / "bin", script)
    assert _find(f"{program.parent}:/usr/bin:/bin").path == str(program)


def test_a_program_without_buildkit_is_passed_over(tmp_path: Path) -> None:
    first = _program(tmp_path / "a", WITHOUT_PLUGIN)
    second = _program(tmp_path / "b", OLD)
    assert _find(f"{first.parent}:{second.parent}").path == str(second)


def test_a_named_program_is_taken_or_refused(tmp_path: Path) -> None:
    good, bad = _program(tmp_path / "a", OLD), _program(tmp_path / "b", WITHOUT_PLUGIN)
    assert _find(str(bad.parent), DLPU_DOCKER=str(good)).path == str(good)
    with pytest.raises(ToolchainError) as caught:
        _find(str(good.parent), DLPU_DOCKER=str(bad))
    assert caught.value.code is ErrorCode.IMAGE_BUILD
    assert str(bad) in caught.value.message
    assert "buildx" in caught.value.hint


def test_no_program_at_all_is_said(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError) as caught:
        _find(str(tmp_path))
    assert caught.value.code is ErrorCode.IMAGE_BUILD
    assert "DLPU_DOCKER" in caught.value.hint


def test_podmans_engine_is_built_on_with_podman(tmp_path: Path) -> None:
    podman = _program(tmp_path / "bin", "exit 1", name="podman")
    found = _find(str(podman.parent), is_podman=True)
    assert (found.path, found.is_podman, found.variables["CONTAINER_HOST"]) == (str(podman), True, ADDRESS.url)
    with pytest.raises(ToolchainError) as caught:
        _find(str(tmp_path), is_podman=True)
    assert caught.value.code is ErrorCode.IMAGE_BUILD


def test_the_program_is_led_to_the_engine_of_the_steps(tmp_path: Path) -> None:
    program = _program(tmp_path / "bin", OLD)
    address = EngineAddress(
        url="tcp://engine.example:2376",
        source="a test",
        tls=TlsFiles(folder=Path("/certs"), ca=None, certificate=None, key=None, verify=True),
    )
    environ = {
        "PATH": str(program.parent),
        "HOME": "/home/me",
        "DOCKER_CONTEXT": "other",
        "DOCKER_CONFIG": "/home/me/docker",
        "BUILDX_BUILDER": "remote",
    }
    variables = find_program(environ, address, is_podman=False).variables
    assert variables == {
        "PATH": str(program.parent),
        "HOME": "/home/me",
        "DOCKER_CONFIG": "/home/me/docker",
        "DOCKER_HOST": "tcp://engine.example:2376",
        "DOCKER_TLS_VERIFY": "1",
        "DOCKER_CERT_PATH": "/certs",
        "DOCKER_BUILDKIT": "1",
        "BUILDX_BUILDER": "default",
        "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
    }


def test_dockers_program_does_not_build_on_podmans_engine(tmp_path: Path) -> None:
    """A machine may have both, and DLPU_DOCKER may be set for Docker's engine."""
    docker = _program(tmp_path / "docker", OLD)
    podman = _program(tmp_path / "podman", 'echo "podman version 4.3.1"', name="podman")
    for named in (docker, podman):
        found = _find(f"{podman.parent}:/usr/bin:/bin", is_podman=True, DLPU_DOCKER=str(named))
        assert (found.path, found.is_podman) == (str(podman), True)


def _build(tmp_path: Path, script: str, said: list[str] | None = None, **request: object) -> str:
    program = _program(tmp_path / "bin", script)
    lines = [] if said is None else said
    return build_image(
        Program(path=str(program), is_podman=False, variables={"PATH": os.environ["PATH"]}),
        Request(
            **{"context": tmp_path, "stage": "tf2", "arguments": {}, "labels": {}, **request}  # type: ignore[arg-type]
        ),
        log=tmp_path / "build.log",
        say=lines.append,
        cancelled=threading.Event(),
    )


# Finds the argument of --iidfile and writes an id there.
SUCCESS = 'while [ "$1" != --iidfile ]; do shift; done; printf sha256:abc >"$2"'


def test_the_id_is_what_the_program_wrote(tmp_path: Path) -> None:
    assert _build(tmp_path, SUCCESS) == "sha256:abc"
    assert not (tmp_path / "build.id").exists()


def test_the_command_names_secrets_by_their_files_and_arguments_without_their_values(tmp_path: Path) -> None:
    script = f'printf "%s\\n" "$@" >{tmp_path}/asked; echo "$PIP_INDEX_URL" >{tmp_path}/index; {SUCCESS}'
    _build(
        tmp_path,
        script,
        arguments={"PIP_INDEX_URL": "https://me:secret@index.example"},
        labels={"b": "2"},
        ca_bundle=Path("/etc/ca.pem"),
        network="host",
        use_cache=False,
    )
    assert (tmp_path / "asked").read_text().splitlines() == [
        *("build", "--progress=plain", "--platform", "linux/amd64", "--target", "tf2"),
        *("--iidfile", f"{tmp_path}/build.id", "--build-arg", "PIP_INDEX_URL", "--label", "b=2"),
        *("--secret", "id=ca,src=/etc/ca.pem", "--network", "host", "--no-cache", str(tmp_path)),
    ]
    assert (tmp_path / "index").read_text() == "https://me:secret@index.example\n"


# As BuildKit of engine 20.10 wrote it.
PLAIN = """\
#1 [internal] load build definition from Dockerfile
#1 sha256:bf72f73b
#1 DONE 0.0s

#4 [tf2-environment 1/2] FROM docker.io/library/base
#4 sha256:c9484d87
#4 CACHED

#8 [tf2-environment 2/2] RUN --mount=type=secret,id=ca     /run/docker/python-environment /opt/tc
#8 sha256:70dc20bb
#8 7.180 Collecting tensorflow-cpu==2.19.1
#8 7.187   Downloading tensorflow_cpu-2.19.1-cp311-cp311-manylinux_2_17_x86_64.whl (251.8 MB)
#8 DONE 26.0s
"""


def test_stages_are_told_as_they_come_and_cached_ones_are_not(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text(PLAIN)
    said: list[str] = []
    _build(tmp_path, f"cat {tmp_path}/plain >&2; {SUCCESS}", said)
    assert said == [
        "tf2-environment: RUN /run/docker/python-environment /opt/tc",
        "tf2-environment: Downloading tensorflow_cpu-2.19.1-cp311-cp311-manylinux_2_17_x86_64.whl (251.8 MB)",
        "tf2-environment: done in 26.0 s",
    ]
    assert (tmp_path / "build.log").read_text() == PLAIN


FAILED = """\
#8 [tf2-environment 2/2] RUN /run/docker/python-environment /opt/tc
#9 [root311 2/2] RUN /run/docker/root-filesystem /rootfs
#8 1.100 Collecting numpy
#9 1.200 tar: quite normal
#8 2.500 {said}
#8 ERROR: executor failed running [/bin/sh -c x]: exit code: 1
#9 CANCELED
------
 > [tf2-environment 2/2] RUN:
------
executor failed running [/bin/sh -c x]: exit code: 1
"""


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "other bytes"),
        ("sha256 mismatch: http://files.example/e has ab, and cd was expected", "other bytes"),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: unable to get local issuer", "--ca-bundle"),
        ("x509: certificate signed by unknown authority", "--ca-bundle"),
        ("NewConnectionError: [Errno -3] Temporary failure in name resolution", "HTTPS_PROXY"),
        ("http://files.example/e cannot be downloaded: <urlopen error [Errno 111] Connection refused>", "HTTPS_PROXY"),
        ("OSError: [Errno 28] No space left on device", "docker builder prune"),
        ("pull access denied for x, repository does not exist", "--base-registry"),
        ("something that nobody foresaw", "docs/images.md"),
    ],
)
def test_a_failed_build_shows_the_lines_of_its_step_and_says_what_to_do(tmp_path: Path, said: str, hint: str) -> None:
    (tmp_path / "plain").write_text(FAILED.replace("{said}", said))
    with pytest.raises(ToolchainError) as caught:
        _build(tmp_path, f"cat {tmp_path}/plain >&2; exit 1")
    assert caught.value.code is ErrorCode.IMAGE_BUILD
    assert caught.value.message.splitlines()[1:] == ["    Collecting numpy", f"    {said}"]
    assert str(tmp_path / "build.log") in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "said",
    [
        "failed to solve: failed to load metadata",
        'failed to do request: Head "https://registry.example/v2/library/python/manifests/sha256:a3": no such host',
    ],
)
def test_a_base_image_that_cannot_be_pulled_is_told(tmp_path: Path, said: str) -> None:
    (tmp_path / "plain").write_text(f"#3 [internal] load metadata for x\n#3 ERROR: x: not found\n------\n{said}\n")
    with pytest.raises(ToolchainError) as caught:
        _build(tmp_path, f"cat {tmp_path}/plain >&2; exit 1")
    assert "--base-registry" in caught.value.hint


def test_a_proxy_on_the_loopback_is_the_likely_reason(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text(FAILED.replace("{said}", "ProxyError: Connection refused"))
    for url in ("http://127.0.0.1:3128", "localhost:3128"):
        with pytest.raises(ToolchainError) as caught:
            _build(
                tmp_path, f"cat {tmp_path}/plain >&2; exit 1", arguments={"https_proxy": url, "NO_PROXY": "localhost"}
            )
        assert "https_proxy" in caught.value.hint
        assert "--network host" in caught.value.hint


def test_an_interrupted_build_leaves_no_process(tmp_path: Path) -> None:
    program = _program(tmp_path / "bin", f"echo $$ >{tmp_path}/pid; exec sleep 60")
    cancelled = threading.Event()
    threading.Timer(0.5, cancelled.set).start()
    begin = time.monotonic()
    with pytest.raises(InterruptedBuildError):
        build_image(
            Program(path=str(program), is_podman=False, variables={"PATH": os.environ["PATH"]}),
            Request(context=tmp_path, stage="tf2", arguments={}, labels={}),
            log=tmp_path / "build.log",
            say=lambda _: None,
            cancelled=cancelled,
        )
    assert time.monotonic() - begin < 30
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_podmans_steps_are_told(tmp_path: Path) -> None:
    said: list[str] = []
    progress = Progress(say=said.append)
    for line in ("[1/3] STEP 2/3: RUN --mount=type=bind,source=docker /run/x", "Collecting y", "--> 0123"):
        progress.take(line)
    assert said == ["[1/3] STEP 2/3: RUN /run/x"]
