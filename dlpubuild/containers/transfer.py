"""Images fetched from a registry and given to one, by the container engine.

In: a connection, and names. Out: the image that the engine has then, or the digest that the registry gave it. What is
fetched is named by its digest, so that a registry can give that or nothing. Credentials are those of `docker login`.
"""

from __future__ import annotations

import json
import queue
import re
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dlpubuild.containers.faults import engine_faults
from dlpubuild.containers.images import find_image, remove_image, tag_image
from dlpubuild.errors import ErrorCode, InterruptedBuildError, ToolchainError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from dlpubuild.containers.connect import Connection
    from dlpubuild.containers.images import Image
    from dlpubuild.containers.references import Reference

_POLL_S = 0.1
_SAY_EVERY_S = 3.0
_MIB = 1 << 20
# What engines and registries say, and what to do about it; the first that fits.
_HINTS = (
    (
        "credentials? (store|helper)|error getting credentials|docker-credential",
        "see credsStore in Docker's config.json",
    ),
    (
        "denied|unauthorized|authentication|no basic auth|forbidden",
        "log in with `docker login REGISTRY`; in some registries the repository has to be made first",
    ),
    (
        "x509|certificate",
        "the engine does not trust the registry: put its authority into /etc/docker/certs.d/REGISTRY/ca.crt",
    ),
    (
        "HTTP response to HTTPS",
        "the registry speaks no TLS; the engine takes that only where its insecure-registries names it",
    ),
    ("toomanyrequests|rate limit", "log in, wait, or pull from a mirror"),
    (
        "manifest unknown|not found",
        "the registry has nothing under that digest; was it pushed, and to this repository?",
    ),
    (
        "no such host|dial tcp|timeout|connection refused|network is unreachable|EOF",
        "the engine cannot reach the registry: check its name, the network, and the engine's own proxy settings",
    ),
    ("no space left", "free some room on the engine's disk: docker system df"),
    ("", "the engine's log says more"),
)


def pull_image(
    connection: Connection, reference: Reference, *, say: Callable[[str], None], cancelled: threading.Event
) -> Image:
    """Return the image that `reference` names, after the engine has fetched it.

    Raises:
        ToolchainError: the registry does not give it.
        EngineMissingError: the engine does not answer.
        InterruptedBuildError: `cancelled` was set.
    """
    progress = _Progress(say=say, what=f"pulling {reference.repository}")
    with _transfer_faults(connection, f"{reference} cannot be pulled"):
        # Images hold Linux on x86-64; an index would let the engine choose.
        parameters = {"fromImage": reference.repository, "tag": reference.digest, "platform": "linux/amd64"}
        _follow(_events(connection, "/images/create", parameters, reference.repository), progress, cancelled)
    found = find_image(connection, str(reference))
    if found is None:
        raise ToolchainError(ErrorCode.IMAGE_TRANSFER, f"the engine pulled {reference}, and does not have it now")
    return found


def push_image(
    connection: Connection,
    image: str,
    repository: str,
    tag: str,
    *,
    say: Callable[[str], None],
    cancelled: threading.Event,
) -> str:
    """Push an image to `repository:tag`; return the digest of its manifest in the registry, `sha256:…`.

    The engine keeps that name for the image, because with it goes what it knows of the digest. Where the push fails,
    the name goes again.

    Raises:
        ToolchainError: there is no such image, or the registry does not take it.
        EngineMissingError: the engine does not answer.
        InterruptedBuildError: `cancelled` was set.
    """
    name = f"{repository}:{tag}"
    was_there = find_image(connection, name) is not None
    tag_image(connection, image, repository, tag)
    progress = _Progress(say=say, what=f"pushing {name}")
    try:
        with _transfer_faults(connection, f"{name} cannot be pushed"):
            _follow(_events(connection, f"/images/{repository}/push", {"tag": tag}, repository), progress, cancelled)
    except (ToolchainError, InterruptedBuildError):
        if not was_there:
            remove_image(connection, name)
        raise
    if not progress.digest:
        raise ToolchainError(ErrorCode.IMAGE_TRANSFER, f"{name} was pushed, but the engine tells no digest")
    return progress.digest


def _events(
    connection: Connection, path: str, parameters: Mapping[str, str], repository: str
) -> Generator[dict[str, Any]]:
    """Yield what the engine tells; closing the generator ends what it does."""
    from docker import auth  # noqa: PLC0415 - imports the SDK

    api: Any = connection.client().api
    registry, _ = auth.resolve_repository_name(repository)
    # The engine takes a push without credentials only where the header is there.
    header = auth.get_config_header(api, registry) or auth.encode_header({})
    url = api._url(path)  # noqa: SLF001 - the SDK's own calls give up after a minute without news
    with api.post(url, params=parameters, headers={"X-Registry-Auth": header}, stream=True, timeout=None) as response:
        api._raise_for_status(response)  # noqa: SLF001
        for line in response.iter_lines():
            if line.strip():
                yield json.loads(line)


def _follow(events: Generator[dict[str, Any]], progress: _Progress, cancelled: threading.Event) -> None:
    """Tell of the events until they end.

    They are read in a thread of their own, because an engine that waits for a registry may say nothing for minutes.
    """
    news: queue.SimpleQueue[dict[str, Any] | BaseException | None] = queue.SimpleQueue()
    stopped = threading.Event()

    def read() -> None:
        try:
            with closing(events):
                for event in events:
                    news.put(event)
                    if stopped.is_set():
                        break
            news.put(None)
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            news.put(error)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        while True:
            if cancelled.is_set():
                raise InterruptedBuildError(ErrorCode.INTERRUPTED, "interrupted")
            try:
                event = news.get(timeout=_POLL_S)
            except queue.Empty:
                continue
            if event is None:
                return
            if isinstance(event, BaseException):
                raise event
            progress.take(event)
    finally:
        stopped.set()
        reader.join(timeout=1)


class _RefusedError(Exception):
    """The engine said within its answer that it failed."""


@dataclass(slots=True, kw_only=True)
class _Progress:
    """Sums up what the engine tells of each layer, and says it every few seconds."""

    say: Callable[[str], None]
    what: str
    digest: str = ""
    done: dict[str, int] = field(default_factory=dict)
    total: dict[str, int] = field(default_factory=dict)
    said_s: float = field(default_factory=time.monotonic)

    def take(self, event: Mapping[str, Any]) -> None:
        if "error" in event:
            raise _RefusedError(str(event["error"]))
        self.digest = (event.get("aux") or {}).get("Digest") or self.digest
        layer, detail = event.get("id"), event.get("progressDetail") or {}
        # Unpacking is told in the same way, and counts again.
        if event.get("status") in ("Downloading", "Pushing") and layer and isinstance(detail.get("current"), int):
            self.done[layer] = detail["current"]
            self.total[layer] = max(detail["current"], detail.get("total") or 0)
        now_s = time.monotonic()
        if self.done and now_s - self.said_s >= _SAY_EVERY_S:
            self.said_s = now_s
            done, total = sum(self.done.values()), sum(self.total.values())
            self.say(f"{self.what}: {done / _MIB:.0f} of {total / _MIB:.0f} MiB")


@contextmanager
def _transfer_faults(connection: Connection, what: str) -> Iterator[None]:
    from docker.errors import APIError, DockerException  # noqa: PLC0415 - imports the SDK

    with engine_faults(connection.address):
        try:
            yield
        except _RefusedError as error:
            raise _refused(what, str(error)) from error
        except APIError as error:
            raise _refused(what, str(error.explanation or error)) from error
        except DockerException as error:
            # Of the program that keeps credentials; a connection that failed is none.
            raise _refused(what, str(error)) from error


def _refused(what: str, text: str) -> ToolchainError:
    said = " ".join(text.split())
    return ToolchainError(ErrorCode.IMAGE_TRANSFER, f"{what}: {said}", hint=_hint(said))


def _hint(text: str) -> str:
    return next(hint for pattern, hint in _HINTS if re.search(pattern, text, flags=re.IGNORECASE))
