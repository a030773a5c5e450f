"""The Docker context that is in use: what `docker context use` and `DOCKER_CONTEXT` choose.

In: the environment and the folder of Docker's configuration. Out: the endpoint that the context names, as it is
written there, or None where no context is in use. Nothing is checked here but that the files can be read.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dlpubuild.errors import EngineMissingError, ErrorCode

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_REPAIR = "repair it, or set DOCKER_HOST, which goes before it"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextEndpoint:
    """Where a context says that the engine is.

    `host` is not empty. `source` is what chose the context. `tls_folder` holds its PEM files, where it has some;
    with `skips_verify` the engine's certificate is not to be looked at.
    """

    name: str
    source: str
    host: str
    tls_folder: Path
    skips_verify: bool


def find_endpoint(environ: Mapping[str, str], folder: Path) -> ContextEndpoint | None:
    """Return the endpoint of the context in use; None where that is the default, or leaves it to the usual sockets.

    Raises:
        EngineMissingError: the context does not exist, or a file of Docker's configuration cannot be read.
    """
    name, source = _chosen(environ, folder)
    if name in {"", "default"}:
        return None
    key = hashlib.sha256(name.encode()).hexdigest()
    path = folder / "contexts" / "meta" / key / "meta.json"
    content = _read_object(path)
    if content is None:
        raise EngineMissingError(
            ErrorCode.ENGINE,
            f'the Docker context "{name}", which {source} names, does not exist',
            hint="`docker context ls` shows those that do; DOCKER_HOST sets an address without one",
        )
    endpoints = content.get("Endpoints")
    docker = endpoints.get("docker") if isinstance(endpoints, dict) else None
    host = docker.get("Host", "") if isinstance(docker, dict) else None
    if not isinstance(docker, dict) or not isinstance(host, str):
        raise EngineMissingError(
            ErrorCode.ENGINE,
            f'{path}: the Docker context "{name}" has no Docker endpoint',
            hint="`docker context ls` shows those that have one",
        )
    if not host.strip():
        return None
    return ContextEndpoint(
        name=name,
        source=source,
        host=host.strip(),
        tls_folder=folder / "contexts" / "tls" / key / "docker",
        skips_verify=bool(docker.get("SkipTLSVerify")),
    )


def _chosen(environ: Mapping[str, str], folder: Path) -> tuple[str, str]:
    """The name of the context in use, empty where none is, and what chose it."""
    if name := environ.get("DOCKER_CONTEXT", ""):
        return name, "DOCKER_CONTEXT"
    path = folder / "config.json"
    chosen = (_read_object(path) or {}).get("currentContext") or ""
    if not isinstance(chosen, str):
        raise EngineMissingError(
            ErrorCode.ENGINE, f"{path}: currentContext is not a name", hint="`docker context use default` resets it"
        )
    return chosen, str(path)


def _read_object(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in the file; None where there is no file."""
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise EngineMissingError(
            ErrorCode.ENGINE,
            f"{path} cannot be read: {error.strerror}",
            hint="it says which engine Docker's programs use; DOCKER_HOST goes before it",
        ) from error
    except (ValueError, RecursionError) as error:
        raise EngineMissingError(ErrorCode.ENGINE, f"{path} is not JSON: {error}", hint=_REPAIR) from error
    if not isinstance(content, dict):
        raise EngineMissingError(ErrorCode.ENGINE, f"{path} does not hold a JSON object", hint=_REPAIR)
    return content
