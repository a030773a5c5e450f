"""The program that builds images on an engine.

In: the user's variables and the engine's address. Out: a `Program` that is known to have BuildKit, with an environment
that leads it to that engine and no other. It is asked what it can do; nothing is built.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlpubuild.errors import ErrorCode, ToolchainError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dlpubuild.containers.address import EngineAddress

_ASK_S = 20.0
# The first docker program to leave BuildKit to a plug-in.
_FIRST_WITH_PLUGIN = 23


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program that builds images, and whether it is Podman's. `variables` is its whole environment."""

    path: str
    is_podman: bool
    variables: Mapping[str, str]


def find_program(environ: Mapping[str, str], address: EngineAddress, *, is_podman: bool) -> Program:
    """Return a program that can build on the engine at `address`.

    `DLPU_DOCKER` names it; else it is the first `docker` on `PATH` that has BuildKit, or for Podman's engine `podman`.
    There a `DLPU_DOCKER` that is Docker's counts for nothing: it cannot build on Podman's engine.

    Raises:
        ToolchainError: there is none.
    """
    # Those of the user's may lead to another engine than the one that steps run on.
    kept = {name: value for name, value in environ.items() if not name.startswith(("DOCKER_", "BUILDX_", "BUILDKIT_"))}
    if "DOCKER_CONFIG" in environ:
        kept["DOCKER_CONFIG"] = environ["DOCKER_CONFIG"]
    variables = {
        **kept,
        **address.variables,
        "DOCKER_BUILDKIT": "1",
        # The builder inside the engine, so that the image ends up there, and nothing attached to it.
        "BUILDX_BUILDER": "default",
        "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
    }
    if is_podman:
        variables["CONTAINER_HOST"] = address.url
    wanted = environ.get("DLPU_DOCKER", "")
    if is_podman and wanted and not _answer(wanted, "--version", variables=variables).startswith("podman"):
        wanted = ""
    found = [wanted] if wanted else _on_path("podman" if is_podman else "docker", environ.get("PATH", ""))
    for path in found:
        if is_podman or _has_buildkit(path, variables):
            return Program(path=path, is_podman=is_podman, variables=variables)
    raise _no_program(wanted, found, is_podman=is_podman)


def _no_program(wanted: str, found: Sequence[str], *, is_podman: bool) -> ToolchainError:
    if is_podman:
        return ToolchainError(
            ErrorCode.IMAGE_BUILD,
            "the engine is Podman's, and there is no podman program here to build images with",
            hint="install podman, or name the program in DLPU_DOCKER",
        )
    if not found:
        what = "images are built by the docker program, and there is none on PATH"
    else:
        what = f"{wanted or ', '.join(found)} cannot build images: it lacks BuildKit"
    return ToolchainError(
        ErrorCode.IMAGE_BUILD,
        what,
        hint="install its plug-in buildx (docker-buildx-plugin, on Debian docker-buildx), or name another program in "
        "DLPU_DOCKER",
    )


def _on_path(name: str, path: str) -> list[str]:
    found = (shutil.which(name, path=folder) for folder in path.split(os.pathsep) if folder)
    return list(dict.fromkeys(program for program in found if program))


def _has_buildkit(program: str, variables: Mapping[str, str]) -> bool:
    """Whether it has the plug-in, or is old enough to have BuildKit inside."""
    if _answer(program, "buildx", "version", variables=variables):
        return True
    match = re.search(r"version (\d+)\.", _answer(program, "--version", variables=variables))
    return match is not None and int(match[1]) < _FIRST_WITH_PLUGIN


def _answer(program: str, *arguments: str, variables: Mapping[str, str]) -> str:
    try:
        done = subprocess.run(
            [program, *arguments],
            env=dict(variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ASK_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
