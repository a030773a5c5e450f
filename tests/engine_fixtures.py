"""A real container engine for tests: its address, a small image, and the images that the Dockerfile makes.

In: the environment that pytest was started with. Out: addresses and image ids, found once per session. Where there is
no engine, or an image cannot be had, the tests that ask are skipped with the reason; where the variable CI is set they
fail, because there they must run. Nothing here starts an engine (`.ci/engine` does) or removes an image: all of them
are kept for the next run.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NoReturn

import pytest

import dlpubuild
from dlpubuild.errors import DlpuError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dlpubuild.containers.address import EngineAddress

ROOT = Path(__file__).resolve().parents[1]

# As it was before `clean_environment` took the user's settings out of a test's way.
ENVIRON: Mapping[str, str] = MappingProxyType(dict(os.environ))

SMALL_REPOSITORY = "dlpubuild-test/small"
# What tests of the executor run. `env` must lie where actions expect it.
_APPLETS = (
    *(
        "cat",
        "chmod",
        "cp",
        "dd",
        "echo",
        "false",
        "find",
        "grep",
        "head",
        "hostname",
        "id",
        "kill",
        "ln",
        "ls",
        "mkdir",
    ),
    *("mkfifo", "mknod", "mount", "mv", "nc", "nproc", "printf", "ps", "pwd", "rm", "sed", "seq", "sha256sum", "sh"),
    *("sleep", "sort", "stat", "sync", "tail", "tar", "test", "timeout", "touch", "tr", "true", "truncate", "uname"),
    *("wc", "wget", "whoami", "yes"),
)
_IMAGE_BUILD_S = 1800


def not_available(reason: str) -> NoReturn:
    """Skip the test that asked; where the variable CI is set, fail it."""
    if ENVIRON.get("CI"):
        pytest.fail(f"{reason}; where CI is set this test must run", pytrace=False)
    pytest.skip(reason)


@contextmanager
def one_process(name: str) -> Iterator[None]:
    """Let one process of this user at a time do what `name` says: pytest may run in several."""
    with (Path(tempfile.gettempdir()) / f"dlpubuild-tests-{os.getuid()}-{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def engine_address() -> EngineAddress:
    """Where a container engine answers, found as the product finds it."""
    from dlpubuild.containers.address import find_address
    from dlpubuild.containers.connect import Connection

    try:
        address = find_address(ENVIRON, Path.home())
        if address is None:
            not_available("no container engine: DOCKER_HOST is not set and none of the usual sockets is there")
        with Connection(address, ENVIRON) as connection:
            connection.facts()
    except DlpuError as error:
        reason = error.message
    else:
        return address
    not_available(f"no container engine: {reason}")


@pytest.fixture(scope="session")
def engine_environment(engine_address: EngineAddress) -> Mapping[str, str]:
    """Variables by which the tool and the docker program find the same engine, whatever else a test sets."""
    return MappingProxyType(dict(engine_address.variables))


@pytest.fixture(scope="session")
def small_image(engine_address: EngineAddress) -> str:
    """The id of a 2 MB image with /bin/sh and /usr/bin/env: a static busybox and nothing else."""
    from dlpubuild.containers.connect import Connection

    busybox = _static_busybox()
    if busybox is None:
        not_available("no static busybox to make a small image of: install busybox-static")
    with one_process("small-image"), Connection(engine_address, ENVIRON) as connection:
        content, tag = small_image_archive(busybox.read_bytes())
        client = connection.client()
        found = client.images.list(name=tag)
        if not found:
            found = client.images.load(content)
        return str(found[0].id)


def _static_busybox() -> Path | None:
    for name in ("busybox", "busybox.static"):
        found = shutil.which(name, path=f"{ENVIRON.get('PATH', '')}:/bin:/usr/bin")
        # A static program names no interpreter.
        if found and b"/ld-linux" not in Path(found).read_bytes()[:4096]:
            return Path(found)
    return None


def small_image_archive(busybox: bytes) -> tuple[bytes, str]:
    """Return an image as `docker load` takes it, and its tag; the same program gives the same bytes and id."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for folder in ("bin", "dev", "etc", "proc", "root", "sys", "tmp", "usr", "usr/bin", "var"):
            member = tarfile.TarInfo(folder)
            member.type, member.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            archive.addfile(member)
        _add_file(archive, "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n", 0o644)
        _add_file(archive, "etc/group", b"root:x:0:\nnogroup:x:65534:\n", 0o644)
        _add_file(archive, "bin/busybox", busybox, 0o755)
        for name in (*(f"bin/{applet}" for applet in _APPLETS), "usr/bin/env"):
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.mode = tarfile.SYMTYPE, "/bin/busybox", 0o777
            archive.addfile(member)
    config = json.dumps(
        {
            "architecture": "amd64",
            "config": {"Env": ["PATH=/usr/bin:/bin"], "Cmd": ["/bin/sh"]},
            "created": "1980-01-01T00:00:00Z",
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer.getvalue()).hexdigest()}"]},
        },
        sort_keys=True,
    ).encode()
    name = hashlib.sha256(config).hexdigest()
    tag = f"{SMALL_REPOSITORY}:{name[:16]}"
    manifest = [{"Config": f"{name}.json", "RepoTags": [tag], "Layers": ["layer.tar"]}]
    image = io.BytesIO()
    with tarfile.open(fileobj=image, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        _add_file(archive, f"{name}.json", config, 0o644)
        _add_file(archive, "layer.tar", layer.getvalue(), 0o644)
        _add_file(archive, "manifest.json", json.dumps(manifest).encode(), 0o644)
    return image.getvalue(), tag


def _add_file(archive: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), mode
    archive.addfile(member, io.BytesIO(content))


@pytest.fixture(scope="session")
def tf2_image(engine_address: EngineAddress, engine_environment: Mapping[str, str]) -> str:
    """The id of the tf2 image of this checkout, built where it is not there yet."""
    return _image("tf2", engine_address, engine_environment)


@pytest.fixture(scope="session")
def tf1_image(engine_address: EngineAddress, engine_environment: Mapping[str, str]) -> str:
    """The id of the tf1 image of this checkout, built where it is not there yet."""
    return _image("tf1", engine_address, engine_environment)


@pytest.fixture(scope="session")
def onnx_image(engine_address: EngineAddress, engine_environment: Mapping[str, str]) -> str:
    """The id of the onnx image of this checkout, built where it is not there yet."""
    return _image("onnx", engine_address, engine_environment)


@pytest.fixture(scope="session")
def edgetpu_image(engine_address: EngineAddress, engine_environment: Mapping[str, str]) -> str:
    """The id of the edgetpu image of this checkout, built where it is not there yet."""
    return _image("edgetpu", engine_address, engine_environment)


@pytest.fixture(scope="session")
def ambarella_image(engine_address: EngineAddress, engine_environment: Mapping[str, str]) -> str:
    """The id of the ambarella image of this checkout, built where it is not there yet."""
    return _image("ambarella", engine_address, engine_environment)


@pytest.fixture(scope="session")
def cli_image(engine_address: EngineAddress, engine_environment: Mapping[str, str]) -> str:
    """The id of the cli image of this checkout, built where it is not there yet."""
    return _image("cli", engine_address, engine_environment)


@pytest.fixture(scope="session")
def cli_tf2_image(engine_address: EngineAddress, engine_environment: Mapping[str, str]) -> str:
    """The id of the cli-tf2 image of this checkout, built where it is not there yet."""
    return _image("cli-tf2", engine_address, engine_environment)


def _image(name: str, address: EngineAddress, environment: Mapping[str, str]) -> str:
    """Return the id of an image of this checkout; the product's own command builds it."""
    from dlpubuild.containers.connect import Connection

    with one_process("images"):
        done = subprocess.run(
            [sys.executable, "-m", "dlpubuild", "image", "build", name],
            env={**ENVIRON, **environment, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=_IMAGE_BUILD_S,
            check=False,
        )
        if done.returncode != 0:
            print(done.stderr, file=sys.stderr)  # noqa: T201 - pytest shows it where the test fails
            lines = [line.strip() for line in done.stderr.splitlines() if not line.startswith("  hint: ")]
            not_available(f"the image {name} cannot be built ({lines[-1][-300:]}); `.ci/engine` sets up what it takes")
        with Connection(address, ENVIRON) as connection:
            return str(connection.client().images.get(f"dlpubuild/{name}:{dlpubuild.__version__}").id)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every test that uses these fixtures its markers, so that `-m "not engine"` leaves none over."""
    for item in items:
        used: set[str] = set(getattr(item, "fixturenames", ()))
        if any(name.endswith("_image") and name != "small_image" for name in used & _FIXTURES):
            item.add_marker(pytest.mark.images)
        if used & _FIXTURES:
            item.add_marker(pytest.mark.engine)


_FIXTURES = frozenset(
    {
        *("engine_address", "engine_environment", "small_image", "tf2_image", "tf1_image", "onnx_image"),
        *("edgetpu_image", "ambarella_image", "cli_image", "cli_tf2_image"),
    }
)


@pytest.fixture(autouse=True)
def engine_where_marked(request: pytest.FixtureRequest) -> None:
    """Skip a test marked `engine`, or in CI fail it, where no engine answers, whatever fixtures it uses."""
    if request.node.get_closest_marker("engine") is not None:
        request.getfixturevalue("engine_address")
