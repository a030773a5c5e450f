"""The few calls of the Engine API that a step needs.

In: a container, or what is to become one. Out: what the engine answers. Every fault is an error that a person can act
on: the connection's, as `engine_faults` says it, and what the engine refuses, said here. The SDK is imported by the
connection; its low-level client is used, because the other one asks twice what is known already.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BufferedReader
from typing import TYPE_CHECKING, Any

from dlpubuild.containers.faults import engine_faults
from dlpubuild.errors import EngineMissingError, ToolchainError
from dlpubuild.executors.docker.refusals import RefusedError, refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from concurrent.futures import Future

    from docker import APIClient
    from requests import Response

    from dlpubuild.containers.connect import Connection

_ANSWER_S = 60.0
# What was sent may have to reach the engine's disk first.
_SEND_S = 600.0
_READ_BYTES = 1 << 18
_NOT_FOUND = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What the engine says of a container's process; `exit_code` counts only where it does not run."""

    is_running: bool
    exit_code: int
    is_oom_killed: bool
    # Set where the engine confines containers by SELinux labels, which no folder of the user's has.
    label: str


@dataclass(frozen=True, slots=True)
class Calls:
    """The calls, on a connection that threads share."""

    connection: Connection

    def create(self, config: Mapping[str, Any]) -> str:
        """Create a container and return its id.

        Raises:
            ToolchainError: the image is gone (IMAGE_MISSING).
            EngineMissingError: the engine refuses, or does not answer.
        """
        with self._faults("create", image=config["Image"], lost=False) as api:
            answer = _checked(api.post(f"{_base(api)}/create", json=dict(config), timeout=_ANSWER_S))
            return str(answer.json()["Id"])

    def attach(self, container: str) -> Response:
        """Return an open response whose raw body is what the container writes from now on, in frames.

        It is no upgraded connection, so that the HTTP library reads it, through TLS and ssh alike; it never times out.
        """
        with self._faults("attach to") as api:
            wanted = {"stdout": 1, "stderr": 1, "stream": 1}
            response = api.post(_url(api, container, "attach"), params=wanted, stream=True)
            return _checked(response)

    def start(self, container: str, image: str) -> None:
        """Start a container.

        Raises:
            ToolchainError: the image cannot run steps.
            EngineMissingError: the engine refuses, or does not answer.
        """
        with self._faults("start", image=image) as api:
            api.start(container)

    def inspect(self, container: str) -> State:
        """Return the state of a container.

        Raises:
            EngineMissingError: somebody removed it, or the engine does not answer (ENGINE_LOST).
        """
        with self._faults("inspect") as api:
            document = api.inspect_container(container)
        state = document["State"]
        return State(
            is_running=bool(state["Running"]),
            exit_code=int(state["ExitCode"]),
            is_oom_killed=bool(state.get("OOMKilled")),
            label=str(document.get("ProcessLabel") or ""),
        )

    def send(self, container: str, path: str, archive: Iterable[bytes]) -> None:
        """Unpack a tar archive, piece by piece, into the folder `path` of a container that does not run."""
        with self._faults("send files to") as api:
            response = api.put(
                _url(api, container, "archive"), params={"path": path}, data=archive, timeout=(_ANSWER_S, _SEND_S)
            )
            _checked(response).close()

    @contextmanager
    def received(self, container: str, path: str) -> Iterator[BufferedReader]:
        """A stream that is a tar archive of the file or folder `path` of a container, for the time of a block."""
        with self._faults("read files of") as api:
            response = api.get(
                _url(api, container, "archive"),
                params={"path": path},
                headers={"Accept-Encoding": "identity"},
                stream=True,
                timeout=_ANSWER_S,
            )
            with _checked(response), BufferedReader(response.raw, _READ_BYTES) as archive:
                yield archive

    def remove(self, container: str) -> None:
        """Remove a container with its volumes, running or not; that it is gone already is fine.

        Raises:
            EngineMissingError: the engine does not answer, or does not do it.
        """
        from docker.errors import APIError  # noqa: PLC0415 - the SDK is imported when it is used

        with self._faults("remove") as api:
            try:
                api.remove_container(container, force=True, v=True)
            except APIError as error:
                # 409: somebody else is removing it.
                if error.status_code not in {_NOT_FOUND, 409}:
                    raise

    def find(self, labels: Mapping[str, str]) -> list[dict[str, str]]:
        """Return the labels of all containers that have these, each with its id as `Id`; an empty value is any."""
        wanted = [f"{name}={value}" if value else name for name, value in labels.items()]
        with self._faults("list", lost=False) as api:
            filters = json.dumps({"label": wanted})
            answer = _checked(api.get(f"{_base(api)}/json", params={"all": "1", "filters": filters}, timeout=_ANSWER_S))
            return [{**(each.get("Labels") or {}), "Id": str(each["Id"])} for each in answer.json()]

    def answers(self) -> bool:
        """Return whether the engine answers at all."""
        with suppress(EngineMissingError), self._faults("ping") as api:
            api.ping()
            return True
        return False

    @contextmanager
    def _faults(self, what: str, *, image: str = "", lost: bool = True) -> Iterator[APIClient]:
        api = self.connection.client().api
        from docker.errors import APIError  # noqa: PLC0415 - imported with the client

        address = self.connection.address
        with engine_faults(address, lost=lost):
            try:
                yield api
            except APIError as error:
                raise refusal(address, what, image, error.status_code or 0, _said(error)) from error


@contextmanager
def created(calls: Calls, config: Mapping[str, Any]) -> Iterator[str]:
    """A container for the time of a `with` block; none is left, whatever happens in it."""
    making: Future[str] | None = None
    try:
        # Ctrl-C reaches the main thread only: the engine finishes what it was asked for, and then we know its id.
        with ThreadPoolExecutor(1) as pool:
            making = pool.submit(calls.create, config)
            container = making.result()
        yield container
    finally:
        if making is not None:
            # An engine that is gone keeps its containers; a later build sweeps them.
            with suppress(EngineMissingError):
                _remove(calls, making, config["Labels"])


def _remove(calls: Calls, making: Future[str], labels: Mapping[str, str]) -> None:
    error = making.exception()
    if error is None:
        calls.remove(making.result())
    elif not isinstance(error, (RefusedError, ToolchainError)):
        # No answer came; the engine may have done it all the same.
        for found in calls.find(labels):
            calls.remove(found["Id"])


def _base(api: APIClient) -> str:
    return f"{api.base_url}/v{api.api_version}/containers"


def _url(api: APIClient, container: str, what: str) -> str:
    return f"{_base(api)}/{container}/{what}"


def _checked(response: Response) -> Response:
    """Return the response of an engine that did what it was asked.

    Raises:
        APIError: it did not; the response is closed.
    """
    from docker.errors import create_api_error_from_http_exception  # noqa: PLC0415 - imported with the client
    from requests import HTTPError  # noqa: PLC0415 - as above

    try:
        response.raise_for_status()
    except HTTPError as error:
        with response:
            create_api_error_from_http_exception(error)
    return response


def _said(error: Exception) -> str:
    return " ".join(str(getattr(error, "explanation", None) or error).split())
