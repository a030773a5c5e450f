"""What is known of the images on an engine: which are of this version, which a project names, which nobody does.

In: a connection, and a manifest. Out: rows for a report, references to pull, or what was removed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlpubuild import __version__
from dlpubuild.commands.execution import own_images
from dlpubuild.commands.lock import lock_of
from dlpubuild.commands.wiring import open_memo, read_manifest
from dlpubuild.containers.images import (
    LOCK_LABEL,
    NAME_LABEL,
    VERSION_LABEL,
    find_image,
    image_name,
    list_images,
    remove_image,
    tag_image,
)
from dlpubuild.containers.recipe import RECIPES, lock_sha256
from dlpubuild.errors import ErrorCode, ToolchainError, UsageError
from dlpubuild.report.image import ImageRow

if TYPE_CHECKING:
    from pathlib import Path

    from dlpubuild.commands.wiring import Host
    from dlpubuild.containers.connect import Connection
    from dlpubuild.containers.images import Image


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What was removed, and what was to be and stays, with the reason."""

    removed: tuple[ImageRow, ...]
    kept: tuple[tuple[ImageRow, str], ...]


def is_current(image: Image) -> bool:
    """Return whether an image was made by this version, from its locks."""
    recipe = RECIPES.get(image.labels.get(NAME_LABEL, ""))
    return (
        recipe is not None
        and image.labels.get(VERSION_LABEL) == __version__
        and image.labels.get(LOCK_LABEL, "") == lock_sha256(recipe)
    )


def image_row(image: Image) -> ImageRow:
    """Return what a report says of an image."""
    name = image.labels.get(NAME_LABEL, "")
    return ImageRow(
        name=name or "(not of this tool)",
        state="current" if is_current(image) else "other",
        title=RECIPES[name].title if name in RECIPES else "",
        id=image.id,
        version=image.labels.get(VERSION_LABEL, ""),
        lock_sha256=image.labels.get(LOCK_LABEL, ""),
        tags=image.tags,
        references=image.references,
        layers=image.layers,
        labels=image.labels,
        size_bytes=image.size_bytes,
    )


def image_rows(connection: Connection) -> tuple[ImageRow, ...]:
    """Return every image of the tool's on the engine, and one row for each of this version that is not there."""
    rows = [image_row(image) for image in list_images(connection)]
    there = {row.name for row in rows if row.state == "current"}
    rows += [
        ImageRow(name=name, state="missing", title=recipe.title)
        for name, recipe in RECIPES.items()
        if name not in there
    ]
    order = list(RECIPES)
    return tuple(sorted(rows, key=lambda row: (order.index(row.name) if row.name in order else len(order), row.state)))


def require_image(connection: Connection, name: str) -> Image:
    """Return the image that a person calls `name`: one of the tool's names, or what the engine calls it.

    Raises:
        ToolchainError: the engine has no such image.
    """
    known = name in RECIPES
    image = find_image(connection, image_name(name, __version__) if known else name)
    if image is None:
        raise ToolchainError(
            ErrorCode.IMAGE_MISSING,
            f"the engine has no image {image_name(name, __version__) if known else name}",
            hint=f"dlpubuild image build {name}" if known else "dlpubuild image list shows those of this tool",
        )
    return image


def pinned_references(host: Host, manifest: Path) -> tuple[str, ...]:
    """Return the references by which a project names images, in `dlpu.toml` and in `dlpu.lock`.

    Raises:
        UsageError: there is none.
    """
    with open_memo(host) as memo:
        read = read_manifest(manifest, memo)
    path, pins = lock_of(read.folder)
    own = own_images(read)
    locked = {name: image for name, image in pins.images.items() if name not in own}
    references = [name for name in own.values() if "@" in name]
    references += [image.reference for image in locked.values() if image.reference]
    if references:
        return tuple(references)
    built = ", ".join(locked)
    raise UsageError(
        ErrorCode.USAGE,
        f"{path} pins {built} by id only, which no registry knows" if built else "no image is named by a digest",
        hint="dlpubuild image push, then dlpubuild image lock: from then on the lock says where to pull from"
        if built
        else f"name one: dlpubuild image pull REPOSITORY@sha256:…, or write it into {manifest} or dlpu.lock",
    )


def name_pulled(connection: Connection, image: Image) -> str:
    """Give an image that this version made elsewhere the name that builds look for; return it, empty for all others."""
    if not is_current(image):
        return ""
    name = image_name(image.labels[NAME_LABEL], __version__)
    repository, _, tag = name.rpartition(":")
    tag_image(connection, image.id, repository, tag)
    return name


def prune_images(host: Host, connection: Connection, manifest: Path, *, dry_run: bool) -> Pruned:
    """Remove the images of the tool's that neither this version nor the project uses.

    Args:
        host: this machine.
        connection: to the engine.
        manifest: of the project, which need not exist.
        dry_run: remove nothing.
    """
    used = _used_by_project(host, manifest)
    removed, kept = [], []
    for image in list_images(connection):
        current = image_name(image.labels[NAME_LABEL], __version__)
        if current in image.tags or image.id in used or used.intersection(image.references):
            continue
        why = "" if dry_run else _remove(connection, image)
        if why:
            kept.append((image_row(image), why))
        else:
            removed.append(image_row(image))
    return Pruned(removed=tuple(removed), kept=tuple(kept))


def _used_by_project(host: Host, manifest: Path) -> frozenset[str]:
    if not manifest.exists():
        return frozenset()
    with open_memo(host) as memo:
        read = read_manifest(manifest, memo)
    _, pins = lock_of(read.folder)
    locked = [name for image in pins.images.values() for name in (image.id, image.reference) if name]
    return frozenset([*own_images(read).values(), *locked])


def _remove(connection: Connection, image: Image) -> str:
    """Remove an image with all its names; return why the engine keeps it."""
    for name in image.tags:
        if why := remove_image(connection, name):
            return why
    return remove_image(connection, image.id)
