"""Toolchains in containers: which image each is pinned to, and the executor that runs steps in them.

In: what the manifest and the lock say of images, and a connection to an engine. Out: `ImagePin`s while a build is
planned, a `DockerExecutor` while it runs. Planning asks a local engine over its socket and never imports the SDK;
images are checked, and pulled where a digest names them, when the first step needs them, once per build.
"""

from __future__ import annotations

import json
import os
import threading
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from dlpubuild import __version__
from dlpubuild.containers.ask import ask, can_ask
from dlpubuild.containers.images import LOCK_LABEL, NAME_LABEL, image_name
from dlpubuild.errors import EngineMissingError, ErrorCode, ToolchainError
from dlpubuild.executors.docker.container import OWNER_LABEL
from dlpubuild.toolchains.pins import ImagePin, folder_variable, own_image, pin_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dlpubuild.cas.store import Store
    from dlpubuild.commands.execution import EngineParts
    from dlpubuild.commands.wiring import Host
    from dlpubuild.containers.connect import Connection
    from dlpubuild.containers.images import Image
    from dlpubuild.executors.base import Executor
    from dlpubuild.executors.docker.executor import RunImage
    from dlpubuild.manifest.model import Manifest
    from dlpubuild.project.lock import LockedImage
    from dlpubuild.toolchains.pins import ToolchainPin

# The Dockerfile sets it to the sha256 that it checked.
ARCHIVE_LABEL = "org.dlpubuild.edgetpu-sha256"
_OK = 200
_NOT_FOUND = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageBook:
    """Says which image a toolchain runs in: the project's own, else the locked one, else the tool's on the engine.

    `own` maps the name of a toolchain to the reference in the manifest, `locked` to what `dlpu.lock` says. With
    `must_be_there` the engine is asked for a locked image, too, where it could not be pulled.
    """

    connection: Connection
    own: Mapping[str, str]
    locked: Mapping[str, LockedImage]
    must_be_there: bool = False

    def image_of(self, pin: ToolchainPin) -> ImagePin:
        """Return the image of a toolchain.

        Raises:
            ToolchainError: there is no image of the tool's on the engine, or it was made from another lock, or a
                locked one must be there and is not.
            EngineMissingError: the engine has to be asked, and does not answer.
        """
        if pin.name in self.own:
            return own_image(self.own[pin.name], "dlpu.toml")
        locked = self.locked.get(pin.name)
        if locked is not None:
            image = ImagePin(id=locked.id, reference=locked.reference, origin="dlpu.lock")
            if self.must_be_there and locked.id and not locked.reference and not ask_image(self.connection, locked.id):
                raise _not_there(pin, image)
            return image
        return ImagePin(id=ask_tool_image(self.connection, pin).id, origin=tool_image(pin.name))


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineImage:
    """What an engine says of an image without the SDK: id, references it can be pulled by, labels."""

    id: str
    references: tuple[str, ...]
    labels: Mapping[str, str]


def tool_image(name: str) -> str:
    """Return the name that `dlpubuild image build` gives to an image of this version."""
    return image_name(name, __version__)


def ask_image(connection: Connection, name: str) -> EngineImage | None:
    """Return what the engine says of the image `name`, None where it has none.

    Raises:
        EngineMissingError: it does not answer, or answers what no engine answers.
    """
    document = _inspected(connection, name)
    if document is None:
        return None
    labels = (document.get("Config") or {}).get("Labels") or {}
    return EngineImage(
        id=str(document["Id"]), references=tuple(sorted(document.get("RepoDigests") or ())), labels=labels
    )


def ask_tool_image(connection: Connection, pin: ToolchainPin) -> EngineImage:
    """Return the tool's own image for a toolchain, as the engine has it.

    Raises:
        ToolchainError: it has none, or one that was made from another lock.
        EngineMissingError: as `ask_image`.
    """
    name = tool_image(pin.name)
    found = ask_image(connection, name)
    if found is None:
        raise ToolchainError(
            ErrorCode.IMAGE_MISSING,
            f"the engine has no image {name} for toolchain {pin.name}",
            hint=f"dlpubuild image build {pin.name}",
        )
    _check_label(pin, name, found.labels)
    return found


def _not_there(pin: ToolchainPin, image: ImagePin) -> ToolchainError:
    if image.is_own:
        return ToolchainError(
            ErrorCode.IMAGE_MISSING,
            f"{image.origin} names image {image.id} as {pin.title}, and the engine does not have it",
            hint="an id names an image that was built or loaded there: do that, or name one that can be pulled, "
            "<repository>@sha256:…",
        )
    return ToolchainError(
        ErrorCode.IMAGE_MISSING,
        f"{image.origin} pins toolchain {pin.name} to image {image.id}, which the engine does not have",
        hint=f"`dlpubuild image build {pin.name}` makes the same image from the same inputs; or accept the one "
        "that is there with: dlpubuild lock",
    )


def _inspected(connection: Connection, name: str) -> Mapping[str, Any] | None:
    address = connection.address
    if not can_ask(address):
        return _inspected_by_sdk(connection, name)
    path = f"/images/{quote(name, safe='/:@')}/json"
    answer = ask(address, path)
    if answer.status == _NOT_FOUND:
        return None
    try:
        document = json.loads(answer.body)
    except ValueError:
        document = None
    if answer.status != _OK or not isinstance(document, dict) or "Id" not in document:
        said = answer.body[:200].decode("utf-8", "replace").strip()
        raise EngineMissingError(
            ErrorCode.ENGINE,
            f"{address} answers the question for an image with {answer.status}, as no container engine does: {said}",
            hint="is this the address of an engine? DOCKER_HOST and `docker context ls` say what is used",
        )
    return document


def _inspected_by_sdk(connection: Connection, name: str) -> Mapping[str, Any] | None:
    from docker.errors import NotFound  # noqa: PLC0415 - see the module's docstring

    from dlpubuild.containers.faults import engine_faults  # noqa: PLC0415

    with engine_faults(connection.address):
        try:
            document: Mapping[str, Any] = connection.client().images.get(name).attrs
        except NotFound:
            return None
    return document


def _check_label(pin: ToolchainPin, name: str, labels: Mapping[str, str]) -> None:
    if folder_variable(pin.name):
        # Its image is a system only: what is pinned is mounted.
        if labels.get(NAME_LABEL) == pin.name:
            return
        raise ToolchainError(
            ErrorCode.IMAGE_MISMATCH,
            f"image {name} was not made by `dlpubuild image build`",
            hint=f"dlpubuild image build {pin.name}, or name an image of your own under [toolchain.{pin.name}]",
        )
    found = labels.get(LOCK_LABEL if pin.archive is None else ARCHIVE_LABEL)
    if found != pin.lock_sha256:
        what = f"was made from another lock ({found[:16]}…)" if found else "was not made by `dlpubuild image build`"
        raise ToolchainError(
            ErrorCode.IMAGE_MISMATCH,
            f"image {name} {what}; this version pins toolchain {pin.name} to {pin.lock_sha256[:16]}…",
            hint=f"dlpubuild image build {pin.name}, then dlpubuild lock where there is a dlpu.lock",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundImages:
    """What a lock is to say of images, and what a user should know of those that it cannot."""

    images: Mapping[str, LockedImage]
    notes: tuple[str, ...]


def find_images(
    host: Host,
    manifest: Manifest,
    toolchains: Mapping[str, ToolchainPin],
    before: Mapping[str, LockedImage],
    *,
    must: bool = False,
) -> FoundImages:
    """Return the images that the toolchains in use run in now.

    The project's own are as the manifest names them, the others as the engine has them under the tool's name. Where it
    cannot be asked, or has none, what was locked `before` stays.

    Args:
        host: this machine.
        manifest: the project's.
        toolchains: those in use, by name.
        before: the images of the lock as it is.
        must: an image that cannot be found is an error, not a note.

    Raises:
        EngineMissingError, ToolchainError: with `must`, as above.
    """
    from dlpubuild.commands.execution import connect_engine, own_images  # noqa: PLC0415
    from dlpubuild.project.lock import LockedImage  # noqa: PLC0415
    from dlpubuild.toolchains.pins import container_pin  # noqa: PLC0415

    own = own_images(manifest)
    images: dict[str, LockedImage] = {}
    notes: list[str] = []
    for name in toolchains:
        if name in own:
            pin = own_image(own[name], "")
            images[name] = LockedImage(id=pin.id, reference=pin.reference)
            continue
        try:
            with connect_engine(host) as connection:
                found = ask_tool_image(connection, container_pin(name))
            images[name] = LockedImage(id=found.id, reference=next(iter(found.references), None))
        except (EngineMissingError, ToolchainError) as error:
            if must:
                raise
            what = "the image that was locked stays" if name in before else "no image is locked"
            notes.append(f"{what} for toolchain {name}: {error.message}")
            if name in before:
                images[name] = before[name]
    return FoundImages(images=images, notes=tuple(notes))


@contextmanager
def docker_executor(
    host: Host, store: Store, connection: Connection, pins: Sequence[ToolchainPin], parts: EngineParts
) -> Iterator[Executor]:
    """The Docker executor for the time of a `with` block; containers that killed builds left are removed first."""
    from dlpubuild.executors.docker.executor import DockerExecutor  # noqa: PLC0415

    scratch = host.cache / "scratch"
    owner = _owner(host.cache)
    images = _Images(connection=connection, pins=pins, parts=parts)
    executor = DockerExecutor(
        store=store,
        scratch=scratch,
        connection=connection,
        image_of=images.image_of,
        limits=parts.limits,
        owner=owner,
        now_ns=host.now_ns,
    )
    try:
        _sweep(host, connection, owner, scratch)
        yield executor
    finally:
        executor.close()
        connection.close()


def _sweep(host: Host, connection: Connection, owner: str, scratch: Path) -> None:
    """Remove what killed builds left; an engine that does not answer is told of when a step needs it."""
    from dlpubuild.cas.lease import living  # noqa: PLC0415

    now_s = host.now_ns() // 1_000_000_000

    def alive() -> frozenset[str]:
        return frozenset(Path(lease).name for lease in living(scratch))

    with suppress(EngineMissingError):
        found = _labels_of_containers(connection) if can_ask(connection.address) else None
        if found == []:
            return
        from dlpubuild.executors.docker.sweep import is_abandoned, sweep_containers  # noqa: PLC0415 - seldom needed

        held = alive()
        if found is None or any(is_abandoned(labels, owner, held, now_s) for labels in found):
            sweep_containers(connection, owner, alive, now_s)


def _labels_of_containers(connection: Connection) -> list[dict[str, str]]:
    """The labels of every container that some build made, asked without the SDK."""
    wanted = quote(json.dumps({"label": [OWNER_LABEL]}))
    answer = ask(connection.address, f"/containers/json?all=1&filters={wanted}")
    with suppress(ValueError, TypeError, AttributeError):
        return [dict(each.get("Labels") or {}) for each in json.loads(answer.body)]
    return []


def _owner(cache: Path) -> str:
    """A random id that stays with the cache folder, whose leases say which containers are somebody's."""
    path = cache / "owner"
    with suppress(FileNotFoundError):
        return path.read_text(encoding="ascii").strip()
    aside = cache / f"owner.{uuid.uuid4().hex}"
    aside.write_text(f"{uuid.uuid4().hex}\n", encoding="ascii")
    with suppress(FileExistsError):
        # Never replaces what another build has just written.
        os.link(aside, path)
    aside.unlink()
    return path.read_text(encoding="ascii").strip()


@dataclass(slots=True, kw_only=True)
class _Images:
    """Finds, checks or pulls the image that an action's platform names, once per build."""

    connection: Connection
    pins: Sequence[ToolchainPin]
    parts: EngineParts
    checking: threading.Lock = field(default_factory=threading.Lock)
    found: dict[str, RunImage | ToolchainError] = field(default_factory=dict)
    has_warned: bool = False

    def image_of(self, platform: Mapping[str, str]) -> RunImage:
        with self.checking:
            return self._once(pin_for(self.pins, platform))

    def _once(self, pin: ToolchainPin) -> RunImage:
        if pin.name not in self.found:
            try:
                self.found[pin.name] = self._checked(pin)
            except ToolchainError as error:
                self.found[pin.name] = error
        known = self.found[pin.name]
        if isinstance(known, ToolchainError):
            raise known
        return known

    def _checked(self, pin: ToolchainPin) -> RunImage:
        from dlpubuild.executors.docker.executor import RunImage, ToolchainMount  # noqa: PLC0415

        if pin.image is None:
            raise AssertionError("a toolchain of the Docker executor has an image")
        self._warn_of_limits()
        image = self._present(pin, pin.image)
        if not pin.image.is_own:
            _check_label(pin, pin.image.name, image.labels)
        if pin.folder is None:
            return RunImage(name=image.id)
        return RunImage(name=image.id, mounts=(ToolchainMount(source=pin.folder, target=pin.mount_point),))

    def _warn_of_limits(self) -> None:
        """Say, once per build, what the engine cannot limit: rootless engines on cgroups 1 drop limits silently."""
        from dlpubuild.engine.events import Notice  # noqa: PLC0415

        unlimited = self.connection.facts().unlimited
        if unlimited and not self.has_warned:
            self.has_warned = True
            self.parts.observe(Notice(text=f"note: this engine cannot limit {', '.join(unlimited)} of a step"))

    def _present(self, pin: ToolchainPin, image: ImagePin) -> Image:
        from dlpubuild.containers.images import find_image  # noqa: PLC0415 - imports the SDK
        from dlpubuild.containers.references import parse_pinned  # noqa: PLC0415
        from dlpubuild.containers.transfer import pull_image  # noqa: PLC0415
        from dlpubuild.engine.events import Notice  # noqa: PLC0415

        for name in (image.id, image.reference):
            if name is not None and (found := find_image(self.connection, name)) is not None:
                return found
        if image.reference is None:
            raise _not_there(pin, image)
        if self.parts.offline:
            raise ToolchainError(
                ErrorCode.IMAGE_MISSING,
                f"the engine lacks {image.reference}, which {image.origin} pins, and --offline forbids to pull it",
                hint="pull it while there is a network: dlpubuild image pull",
            )
        self.parts.observe(Notice(text=f"pulling {image.reference}, which {image.origin} pins"))
        return pull_image(
            self.connection,
            parse_pinned(image.reference),
            say=lambda text: self.parts.observe(Notice(text=text)),
            cancelled=self.parts.cancelled,
        )
