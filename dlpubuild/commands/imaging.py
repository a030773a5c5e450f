"""How an image of the tool's own is made: what the user's settings are, and the steps from the Dockerfile to a tag.

In: the host, a connection to an engine, options. Out: an image on that engine, whose id depends on what went in and not
on when, where and by which builder it was built.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dlpubuild import __version__
from dlpubuild.containers.recipe import BASES, PROXY_VARIABLES, Settings, parse_pairs
from dlpubuild.errors import ErrorCode, ToolchainError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dlpubuild.cas.memo import Memo
    from dlpubuild.commands.interrupts import Interrupts
    from dlpubuild.commands.wiring import Host
    from dlpubuild.containers.connect import Connection
    from dlpubuild.containers.images import Image
    from dlpubuild.containers.recipe import Recipe

# What the memo knows: the id of the image that came of an image as the builder made it. The number goes with what
# `normalise_image` writes.
_MEMO_KIND = "normal-image-2"


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeImage:
    """An image that was made, and how long that took."""

    recipe: Recipe
    image: Image
    tags: tuple[str, ...]
    seconds: float


def read_settings(
    host: Host,
    *,
    bases: Sequence[str],
    registry: str,
    index_url: str,
    ca_bundle: Path | None,
    arguments: Sequence[str],
    network: str = "",
) -> Settings:
    """Return what options and environment variables set for builds of images; an option wins.

    Raises:
        UsageError: an option has no such form, or there is no such file.
    """
    environ = host.environ
    from_environ = {
        name: environ[f"DLPU_BASE_{name.upper()}"] for name in BASES if environ.get(f"DLPU_BASE_{name.upper()}")
    }
    if ca_bundle is not None and not ca_bundle.is_file():
        raise UsageError(
            ErrorCode.PATH_MISSING,
            f"--ca-bundle: {ca_bundle} is no file",
            hint="name a file of certificates in PEM form, such as /etc/ssl/certs/ca-certificates.crt",
        )
    if ca_bundle is None:
        system = Path(environ.get("SSL_CERT_FILE") or "/nonexistent")
        ca_bundle = system if system.is_file() else None
    return Settings(
        bases={**{name: base for name, base in from_environ.items() if base}, **parse_pairs("--base", bases, BASES)},
        registry=registry,
        index_url=index_url or environ.get("UV_DEFAULT_INDEX") or environ.get("PIP_INDEX_URL") or "",
        ca_bundle=None if ca_bundle is None else ca_bundle.absolute(),
        arguments=parse_pairs("--build-arg", arguments),
        proxies={name: environ[name] for name in PROXY_VARIABLES if environ.get(name)},
        network=network,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageMaker:
    """Makes images on one engine, one after the other."""

    host: Host
    connection: Connection
    settings: Settings
    memo: Memo
    say: Callable[[str], None]
    interrupts: Interrupts
    use_cache: bool = True

    def make(self, recipe: Recipe, tags: Sequence[str] = ()) -> MadeImage:
        """Return the image, built, normalised and with the tool's own name beside `tags`.

        Raises:
            ToolchainError: it cannot be built.
            EngineMissingError: the engine does not answer, or went away.
            StoreError: the cache folder cannot be used.
            InterruptedBuildError: a signal came while the builder ran.
        """
        from dlpubuild.cas.faults import store_faults  # noqa: PLC0415
        from dlpubuild.containers.images import find_image, image_name, remove_image  # noqa: PLC0415
        from dlpubuild.executors.staging import scratch_folder, sweep_scratch  # noqa: PLC0415

        begin = time.monotonic()
        names = (image_name(recipe.name, __version__), *tags)
        scratch = self.host.cache / "scratch"
        with store_faults(self.host.cache):
            sweep_scratch(scratch)
            with scratch_folder(scratch) as folder:
                built = self._build(recipe, folder)
                image = self._known(built, names) or self._normalised(recipe, built, names, folder)
        left = find_image(self.connection, built)
        if left is not None and left.id != image.id and not left.tags:
            remove_image(self.connection, built)
        return MadeImage(recipe=recipe, image=image, tags=names, seconds=time.monotonic() - begin)

    def _build(self, recipe: Recipe, folder: Path) -> str:
        from dlpubuild.containers.build import Request, build_image  # noqa: PLC0415
        from dlpubuild.containers.faults import engine_faults  # noqa: PLC0415
        from dlpubuild.containers.program import find_program  # noqa: PLC0415
        from dlpubuild.containers.recipe import build_arguments, build_labels, write_context  # noqa: PLC0415

        arguments = build_arguments(recipe, self.settings)
        labels = build_labels(recipe, self.settings, version=__version__, base_digest=self._base_digest(recipe))
        is_podman = self.connection.facts().is_podman
        program = find_program(self.host.environ, self.connection.address, is_podman=is_podman)
        write_context(folder / "context")
        log = self.host.cache / "logs" / f"image-{recipe.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        request = Request(
            context=folder / "context",
            stage=recipe.name,
            arguments=arguments,
            labels=labels,
            ca_bundle=self.settings.ca_bundle,
            network=self.settings.network,
            use_cache=self.use_cache,
        )
        self.say(f"{recipe.name}: building with {program.path}; everything it says goes to {log}")
        try:
            with self.interrupts.deferred() as cancelled:
                return build_image(
                    program, request, log=log, say=lambda line: self.say(f"{recipe.name}: {line}"), cancelled=cancelled
                )
        except ToolchainError:
            # Of an engine that died the builder says anything but that.
            with engine_faults(self.connection.address, lost=True):
                self.connection.client().ping()
            raise

    def _base_digest(self, recipe: Recipe) -> str:
        """What the engine knows a base image by that was named by a tag; empty where the builder is to pull it."""
        from dlpubuild.containers.images import find_image  # noqa: PLC0415

        own = self.settings.bases.get(recipe.base, "")
        if not own or "@" in own:
            return ""
        found = find_image(self.connection, own)
        return "" if found is None else found.id

    def _known(self, built: str, names: Sequence[str]) -> Image | None:
        """The image that came of the same build before, if the engine still has it."""
        from dlpubuild.containers.images import find_image, tag_image  # noqa: PLC0415

        normal = self.memo.recall(_MEMO_KIND, built)
        found = None if normal is None else find_image(self.connection, normal.decode())
        if found is None:
            return None
        for name in names:
            repository, _, tag = name.rpartition(":")
            tag_image(self.connection, found.id, repository, tag)
        return find_image(self.connection, found.id)

    def _normalised(self, recipe: Recipe, built: str, names: Sequence[str], folder: Path) -> Image:
        from dlpubuild.containers.images import find_image, load_image, save_image  # noqa: PLC0415
        from dlpubuild.containers.normalise import normalise_image  # noqa: PLC0415

        self.say(f"{recipe.name}: making file times and order the same for every build")
        save_image(self.connection, built, folder / "built.tar")
        normalise_image(folder / "built.tar", folder / "image.tar", tags=names)
        (folder / "built.tar").unlink()
        load_image(self.connection, folder / "image.tar")
        found = find_image(self.connection, names[0])
        if found is None:
            raise ToolchainError(
                ErrorCode.IMAGE_BUILD,
                f"the engine took the image {names[0]}, and does not have it now",
                hint="its log may say why; is there room on its disk?",
            )
        self.memo.remember(_MEMO_KIND, built, found.id.encode())
        return found


def made_document(made: MadeImage) -> Mapping[str, object]:
    """Return what `--json` prints of an image that was made."""
    return {
        "name": made.recipe.name,
        "id": made.image.id,
        "tags": list(made.tags),
        "bytes": made.image.size_bytes,
        "layers": list(made.image.layers),
        "seconds": round(made.seconds, 1),
    }
