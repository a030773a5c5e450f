"""The container of one step, as the Engine API describes it.

In: an action, an image, limits, and how files get in. Out: the body of `POST /containers/create`. All isolation is in
this one value: no network, a read-only root, an own /tmp, no capabilities, no way to gain any, a user without rights,
limits, no log on the engine, and no folder of the host but what is handed in. Never talks to an engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dlpubuild.cas.action import Command
    from dlpubuild.executors.docker.image import RunImage
    from dlpubuild.executors.docker.limits import SettledLimits

WORK = "/w"
OUT = "out"
_HOSTNAME = "dlpubuild"

OWNER_LABEL = "org.dlpubuild.owner"
LEASE_LABEL = "org.dlpubuild.lease"
EXPIRES_LABEL = "org.dlpubuild.expires"

# No user of any image: steps need no name, and no rights. Below 65536, so that engines that map users know it.
NOBODY = 65532


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """By which a container is found again: whose it is, and when nobody can need it any more.

    `owner` is the id of a cache folder, `lease` the name of a file that is locked as long as the build lives.
    """

    owner: str
    lease: str
    expires_s: int

    @property
    def labels(self) -> dict[str, str]:
        """The labels of the container."""
        return {OWNER_LABEL: self.owner, LEASE_LABEL: self.lease, EXPIRES_LABEL: str(self.expires_s)}


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """The numeric ids that a step runs with."""

    uid: int
    gid: int


def bind_mount(source: str, target: str, *, read_only: bool) -> dict[str, Any]:
    """A folder of the engine's machine; one that is not there is refused, where `Binds` would make it."""
    return {"Type": "bind", "Source": source, "Target": target, "ReadOnly": read_only}


def work_volume() -> dict[str, Any]:
    """An empty folder that lives as long as its container."""
    return {"Type": "volume", "Target": WORK}


def container_config(
    command: Command,
    image: RunImage,
    limits: SettledLimits,
    marks: Marks,
    user: User,
    mounts: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Return the container that runs `command`.

    Its environment is exactly the command's: what the image sets, and what engines add, reaches only `env`.

    Raises:
        ValueError: the name of the program holds an equals sign, which `env` takes for a variable.
    """
    if "=" in command.arguments[0]:
        raise ValueError(f"a program's name cannot hold an equals sign: {command.arguments[0]!r}")
    variables = [f"{name}={value}" for name, value in sorted(command.environment.items())]
    toolchain = [bind_mount(str(mount.source), mount.target, read_only=True) for mount in image.mounts]
    return {
        "Image": image.name,
        "Entrypoint": ["/usr/bin/env"],
        "Cmd": ["-i", *variables, *command.arguments],
        "WorkingDir": WORK,
        "User": f"{user.uid}:{user.gid}",
        "Hostname": _HOSTNAME,
        # Beside the network mode `none`, so that the engine sets up nothing at all: 0.13 s less for each step.
        "NetworkDisabled": True,
        # There is nothing to save: an engine that is shut down needs not wait for the step to take notice.
        "StopSignal": "SIGKILL",
        "Labels": marks.labels,
        "AttachStdin": False,
        "AttachStdout": True,
        "AttachStderr": True,
        "HostConfig": {
            "NetworkMode": "none",
            "ReadonlyRootfs": True,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "LogConfig": {"Type": "none"},
            "Tmpfs": {"/tmp": f"rw,exec,nosuid,nodev,mode=1777,size={limits.memory_bytes}"},  # noqa: S108 - its own
            "Mounts": [*mounts, *toolchain],
            **_resources(limits),
        },
    }


def _resources(limits: SettledLimits) -> dict[str, int]:
    """What the engine can limit of what is to be limited; some refuse a container that asks for the rest."""
    wanted = {
        # As much memory and swap together as memory alone: no swap.
        "memory": {"Memory": limits.memory_bytes, "MemorySwap": limits.memory_bytes},
        "cpus": {} if limits.nano_cpus is None else {"NanoCpus": limits.nano_cpus},
        "pids": {"PidsLimit": limits.pids},
    }
    return {key: value for name, keys in wanted.items() if name not in limits.unlimited for key, value in keys.items()}
