"""The container of a step, as the engine is asked for it; the integration tests look at it from inside."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dlpubuild.cas.action import Command
from dlpubuild.containers.address import EngineAddress
from dlpubuild.containers.connect import EngineFacts
from dlpubuild.errors import DlpuError, EngineMissingError, ErrorCode, ToolchainError, UsageError
from dlpubuild.executors.docker.container import (
    EXPIRES_LABEL,
    LEASE_LABEL,
    OWNER_LABEL,
    Marks,
    User,
    bind_mount,
    container_config,
    work_volume,
)
from dlpubuild.executors.docker.image import RunImage, ToolchainMount
from dlpubuild.executors.docker.limits import Limits, SettledLimits, settle_limits, size
from dlpubuild.executors.docker.refusals import RefusedError, refusal
from dlpubuild.executors.docker.sweep import is_abandoned

GIB = 1 << 30
ADDRESS = EngineAddress(url="unix:///e.sock", source="a test")
COMMAND = Command(arguments=("python", "src/step.py"), environment={"B": "2", "A": "1 1"}, output_paths=("out/x",))
LIMITS = SettledLimits(memory_bytes=GIB, nano_cpus=1_500_000_000, pids=64)
MARKS = Marks(owner="me", lease="12-ab", expires_s=1000)
FACTS = EngineFacts(
    version="99",
    api="1.41",
    is_podman=False,
    is_rootless=False,
    remaps_users=False,
    memory_bytes=8 * GIB,
    cores=4,
    architecture="x86_64",
    name="engine",
)


def config(limits: SettledLimits = LIMITS, image: RunImage | None = None) -> dict[str, object]:
    image = image or RunImage(name="sha256:1")
    return container_config(COMMAND, image, limits, MARKS, User(uid=7, gid=8), [work_volume()])


def test_a_container_is_as_closed_as_engines_can_make_it() -> None:
    assert config() == {
        "Image": "sha256:1",
        "Entrypoint": ["/usr/bin/env"],
        "Cmd": ["-i", "A=1 1", "B=2", "python", "src/step.py"],
        "WorkingDir": "/w",
        "User": "7:8",
        "Hostname": "dlpubuild",
        "NetworkDisabled": True,
        "StopSignal": "SIGKILL",
        "Labels": {OWNER_LABEL: "me", LEASE_LABEL: "12-ab", EXPIRES_LABEL: "1000"},
        "AttachStdin": False,
        "AttachStdout": True,
        "AttachStderr": True,
        "HostConfig": {
            "NetworkMode": "none",
            "ReadonlyRootfs": True,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "LogConfig": {"Type": "none"},
            "Tmpfs": {"/tmp": f"rw,exec,nosuid,nodev,mode=1777,size={GIB}"},
            "Mounts": [{"Type": "volume", "Target": "/w"}],
            "Memory": GIB,
            "MemorySwap": GIB,
            "NanoCpus": 1_500_000_000,
            "PidsLimit": 64,
        },
    }


def test_a_toolchain_of_this_machine_is_mounted_read_only() -> None:
    mount = ToolchainMount(source=Path("/opt/vendor"), target="/opt/vendor")
    host = config(image=RunImage(name="x", mounts=(mount,)))["HostConfig"]
    assert isinstance(host, dict)
    assert host["Mounts"][1:] == [bind_mount("/opt/vendor", "/opt/vendor", read_only=True)]


def test_what_the_engine_cannot_limit_is_not_asked_for() -> None:
    host = config(replace(LIMITS, unlimited=("cpus", "memory")))["HostConfig"]
    assert isinstance(host, dict)
    assert {"Memory", "MemorySwap", "NanoCpus"}.isdisjoint(host)
    assert host["PidsLimit"] == 64


def test_limits_left_out_are_three_quarters_of_the_memory_and_all_cores() -> None:
    settled = settle_limits(Limits(memory_bytes=None, cpus=None, pids=64), FACTS)
    assert settled == SettledLimits(memory_bytes=6 * GIB, nano_cpus=None, pids=64)


def test_limits_that_are_given_are_taken() -> None:
    settled = settle_limits(Limits(memory_bytes=GIB, cpus=1.5, pids=64), FACTS)
    assert settled == LIMITS


def test_a_limit_of_more_cores_than_the_engine_has_is_kept_by_all_of_them() -> None:
    """A project's limit must not keep it from being built on a smaller machine; engines refuse such a number."""
    assert settle_limits(Limits(memory_bytes=GIB, cpus=64, pids=64), FACTS).nano_cpus is None


@pytest.mark.parametrize(
    ("limits", "word"),
    [
        (Limits(memory_bytes=5 << 20, cpus=None, pids=64), "--memory"),
        (Limits(memory_bytes=None, cpus=0, pids=64), "--cpus"),
        (Limits(memory_bytes=None, cpus=None, pids=0), "--pids"),
    ],
)
def test_limits_that_the_engine_cannot_keep_are_refused(limits: Limits, word: str) -> None:
    with pytest.raises(UsageError) as caught:
        settle_limits(limits, FACTS)
    assert caught.value.code is ErrorCode.USAGE
    assert word in caught.value.hint


@pytest.mark.parametrize(
    ("size_bytes", "text"), [(6 << 20, "6MiB"), (1500 << 20, "1.46GiB"), (GIB, "1GiB"), (18 * GIB, "18GiB")]
)
def test_sizes_are_said_as_the_manifest_takes_them(size_bytes: int, text: str) -> None:
    assert size(size_bytes) == text


def refused(what: str, status: int, said: str, image: str = "sha256:1") -> DlpuError:
    return refusal(ADDRESS, what, image, status, said)


# What Docker 20.10 and Podman 4.3 say.
@pytest.mark.parametrize("said", ["No such image: sha256:1", "sha256:1: image not known"])
def test_an_image_that_is_gone_is_told_as_such(said: str) -> None:
    error = refused("create", 404, said)
    assert isinstance(error, ToolchainError)
    assert error.code is ErrorCode.IMAGE_MISSING


def test_an_image_that_runs_nothing_is_told_as_such() -> None:
    said = 'OCI runtime create failed: exec: "/usr/bin/env": stat /usr/bin/env: no such file or directory: unknown'
    error = refused("start", 400, said)
    assert isinstance(error, ToolchainError)
    assert error.code is ErrorCode.TOOLCHAIN


def test_a_full_disk_of_the_engine_is_told_as_such() -> None:
    error = refused("create", 500, "write /var/lib/docker/x: no space left on device")
    assert isinstance(error, EngineMissingError)
    assert "docker system df" in error.hint


def test_a_container_that_somebody_removed_is_told_as_lost() -> None:
    error = refused("inspect", 404, "No such container: 1", image="")
    assert isinstance(error, RefusedError)
    assert error.code is ErrorCode.ENGINE_LOST


def test_other_words_of_the_engine_are_quoted_and_not_without_end() -> None:
    error = refused("start", 500, "cgroups: " + "x" * 5000)
    assert error.code is ErrorCode.ENGINE
    assert "refused to start" in error.message
    assert "cgroups: xxx" in error.message
    assert len(error.message) < 600


ALIVE = frozenset({"alive"})


@pytest.mark.parametrize(
    ("owner", "lease", "expires", "expected"),
    [
        ("me", "alive", "2000", False),
        ("me", "alive", "0", False),  # the machine slept
        ("me", "dead", "2000", True),
        ("me", "", "2000", True),
        ("other", "dead", "2000", False),
        ("other", "alive", "2000", False),
        ("other", "dead", "701", False),  # clocks differ
        ("other", "dead", "699", True),
        ("other", "dead", "", False),
        ("other", "dead", "soon", False),
        ("other", "dead", "9" * 5000, False),
    ],
)
def test_only_containers_that_nobody_waits_for_are_abandoned(
    owner: str, lease: str, expires: str, expected: bool
) -> None:
    labels = {OWNER_LABEL: owner, LEASE_LABEL: lease, EXPIRES_LABEL: expires}
    assert is_abandoned(labels, "me", ALIVE, now_s=1000) is expected
