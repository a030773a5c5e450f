"""The images of a container engine: found, listed, named, saved, loaded and removed.

In: a connection, and names of images. Out: `Image` values. Everything is done by the engine. Nothing is fetched from a
registry here, and nothing is removed but what is named.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from dlpubuild.containers.faults import engine_faults
from dlpubuild.errors import ErrorCode, ToolchainError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from dlpubuild.containers.connect import Connection

NAME_LABEL = "org.dlpubuild.image"
LOCK_LABEL = "org.dlpubuild.lock-sha256"
VERSION_LABEL = "org.opencontainers.image.version"
_COPY_BYTES = 1 << 20
_CONFLICT = 409


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image that the engine has.

    `id` is the digest of its configuration. `references` are the names by which registries know it,
    `repository@sha256:…`; empty before it has been pushed or pulled. `layers` are the digests of their contents,
    lowest first. `created` is as the image says it. All are sorted but the layers.
    """

    id: str
    references: tuple[str, ...]
    tags: tuple[str, ...]
    labels: Mapping[str, str]
    size_bytes: int
    created: str
    layers: tuple[str, ...]


def image_name(name: str, version: str) -> str:
    """Return the name that the tool gives to an image of its own, such as `tf2`."""
    return f"dlpubuild/{name}:{version}"


def find_image(connection: Connection, name: str) -> Image | None:
    """Return the image with this id, tag or reference; None where the engine has none.

    Raises:
        EngineMissingError: the engine does not answer.
    """
    from docker.errors import NotFound  # noqa: PLC0415 - imports the SDK

    with engine_faults(connection.address):
        try:
            api: Any = connection.client().api
            return _image(api.inspect_image(name))
        except NotFound:
            return None


def list_images(connection: Connection) -> tuple[Image, ...]:
    """Return every image that `dlpubuild image build` made, by the names of their labels.

    Raises:
        EngineMissingError: the engine does not answer.
    """
    with engine_faults(connection.address):
        found = connection.client().api.images(filters={"label": NAME_LABEL})
    images = [find_image(connection, each["Id"]) for each in found]
    return tuple(
        sorted(
            # One may have been removed since.
            (image for image in images if image is not None),
            key=lambda image: (image.labels[NAME_LABEL], image.tags, image.id),
        )
    )


def _image(document: Mapping[str, Any]) -> Image:
    return Image(
        id=document["Id"],
        references=tuple(sorted(document.get("RepoDigests") or ())),
        tags=tuple(sorted(document.get("RepoTags") or ())),
        labels=dict((document.get("Config") or {}).get("Labels") or {}),
        size_bytes=document.get("Size") or 0,
        created=document.get("Created") or "",
        layers=tuple((document.get("RootFS") or {}).get("Layers") or ()),
    )


def tag_image(connection: Connection, image: str, repository: str, tag: str) -> None:
    """Give an image another name.

    Raises:
        ToolchainError: there is no such image.
        EngineMissingError: the engine does not answer.
    """
    from docker.errors import NotFound  # noqa: PLC0415 - imports the SDK

    with engine_faults(connection.address):
        try:
            connection.client().api.tag(image, repository, tag)
        except NotFound as error:
            raise ToolchainError(ErrorCode.IMAGE_MISSING, f"the engine has no image {image}") from error


def remove_image(connection: Connection, name: str) -> str:
    """Remove an image, or one name of it; return why the engine keeps it, empty where it is gone.

    Raises:
        EngineMissingError: the engine does not answer.
    """
    from docker.errors import APIError, NotFound  # noqa: PLC0415 - imports the SDK

    with engine_faults(connection.address):
        try:
            connection.client().api.remove_image(name)
        except NotFound:
            return ""
        except APIError as error:
            if error.status_code != _CONFLICT:
                raise
            return str(error.explanation)
    return ""


def save_image(connection: Connection, name: str, target: Path) -> None:
    """Write an image to the archive `target`.

    Raises:
        EngineMissingError: the engine does not answer.
        OSError: `target` cannot be written.
    """
    with engine_faults(connection.address):
        api: Any = connection.client().api
        # The SDK's own call gives up where the engine needs more than a minute to collect the layers.
        url = api._url("/images/{0}/get", name)  # noqa: SLF001
        with api.get(url, stream=True, timeout=None) as response, target.open("wb") as sink:
            api._raise_for_status(response)  # noqa: SLF001
            for piece in response.iter_content(_COPY_BYTES):
                sink.write(piece)


def load_image(connection: Connection, source: Path) -> None:
    """Give the image in the archive `source` to the engine, with the tags it names.

    Raises:
        ToolchainError: the engine refuses it.
        EngineMissingError: the engine does not answer.
    """
    with engine_faults(connection.address), source.open("rb") as stream:
        api: Any = connection.client().api
        # As above: it answers when it has unpacked everything.
        response = api.post(api._url("/images/load"), data=_pieces(stream), timeout=None)  # noqa: SLF001
        api._raise_for_status(response)  # noqa: SLF001
        for line in response.content.splitlines():
            if line.strip() and "error" in (event := json.loads(line)):
                raise ToolchainError(
                    ErrorCode.IMAGE_BUILD,
                    f"the engine cannot load the image: {event['error']}",
                    hint="is there room on its disk? `docker load` must work",
                )


def _pieces(stream: IO[bytes]) -> Iterator[bytes]:
    while piece := stream.read(_COPY_BYTES):
        yield piece
