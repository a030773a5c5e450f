"""`dlpubuild image`: the container images that steps run in, and those for CI."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dlpubuild import __version__
from dlpubuild.commands import options
from dlpubuild.commands.interrupts import interruptible
from dlpubuild.commands.wiring import open_memo, read_host

if TYPE_CHECKING:
    from collections.abc import Mapping

app = typer.Typer(
    help="Build, share, list and remove the container images of the tool.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_NAMES = "tf2, tf1, onnx, edgetpu, ambarella, cli, cli-tf2"
NamesArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[NAME]...", help=f"Which: {_NAMES}. tf2 when left out.", show_default=False),
]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A name as for build, or what the engine calls it.")]


@app.command()
def build(
    names: NamesArgument = None,
    base: Annotated[
        list[str] | None,
        typer.Option(
            "--base",
            metavar="NAME=IMAGE",
            help="Begin from this image instead; NAME is python311 or python37. Also DLPU_BASE_PYTHON311 and so on.",
        ),
    ] = None,
    base_registry: Annotated[
        str,
        typer.Option("--base-registry", metavar="HOST", help="A mirror of Docker Hub.", envvar="DLPU_BASE_REGISTRY"),
    ] = "",
    index_url: Annotated[
        str,
        typer.Option(
            "--index-url",
            metavar="URL",
            help="A package index; also UV_DEFAULT_INDEX, PIP_INDEX_URL.",
            envvar="DLPU_INDEX_URL",
        ),
    ] = "",
    ca_bundle: Annotated[
        Path | None,
        typer.Option(
            "--ca-bundle",
            metavar="FILE",
            help="Certificates that programs in the build trust; also SSL_CERT_FILE. They do not stay in the image.",
            envvar="DLPU_CA_BUNDLE",
        ),
    ] = None,
    build_arg: Annotated[
        list[str] | None,
        typer.Option("--build-arg", metavar="NAME=VALUE", help="Another argument of the Dockerfile."),
    ] = None,
    network: Annotated[
        str,
        typer.Option(
            "--network", metavar="NAME", help="Network of the build: host, where a proxy listens on this machine only."
        ),
    ] = "",
    tag: Annotated[
        list[str] | None,
        typer.Option("--tag", metavar="NAME:TAG", help="A further name; only where one image is built."),
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Run every step of the Dockerfile again.")] = False,
    as_json: options.JsonOption = False,
) -> None:
    """Build images, from the Dockerfile that comes with the tool.

    An image gets the name dlpubuild/NAME:VERSION, and the same id wherever it is built from the same inputs. That takes
    a docker program with BuildKit (DLPU_DOCKER names one), a network, and for tf2 about two minutes and 5 GB of disk.
    HTTP_PROXY, HTTPS_PROXY and NO_PROXY hold in the build and do not stay in the image.

    \b
    Examples:
      dlpubuild image build tf2
      dlpubuild image build tf2 --base-registry mirror.example --ca-bundle company.pem
    """  # noqa: D301 - click wants the character itself
    from dlpubuild.commands.execution import connect_engine  # noqa: PLC0415
    from dlpubuild.commands.imaging import ImageMaker, made_document, read_settings  # noqa: PLC0415
    from dlpubuild.containers.recipe import find_recipe  # noqa: PLC0415
    from dlpubuild.report.text import seconds_text, size_text  # noqa: PLC0415

    host = read_host()
    recipes = [find_recipe(name) for name in dict.fromkeys(names or ["tf2"])]
    tags = further_tags(tag or [], len(recipes))
    settings = read_settings(
        host,
        bases=base or [],
        registry=base_registry,
        index_url=index_url,
        ca_bundle=ca_bundle,
        arguments=build_arg or [],
        network=network,
    )
    documents: list[Mapping[str, object]] = []
    with interruptible() as interrupts, connect_engine(host) as connection, open_memo(host) as memo:
        maker = ImageMaker(
            host=host,
            connection=connection,
            settings=settings,
            memo=memo,
            say=_say,
            interrupts=interrupts,
            use_cache=not no_cache,
        )
        for recipe in recipes:
            made = maker.make(recipe, tags)
            documents.append(made_document(made))
            if not as_json:
                size, time = size_text(made.image.size_bytes), seconds_text(made.seconds)
                sys.stdout.write(f"{made.tags[0]}  {made.image.id}  {size}  {time}\n")
                sys.stdout.flush()
    if as_json:
        sys.stdout.write(json.dumps(documents, indent=2) + "\n")


@app.command()
def pull(
    references: Annotated[
        list[str] | None,
        typer.Argument(metavar="[REFERENCE]...", help="REPOSITORY@sha256:DIGEST; a tag alone is refused."),
    ] = None,
    manifest: options.ManifestOption = options.DEFAULT,
    as_json: options.JsonOption = False,
) -> None:
    """Fetch images by their digests from registries.

    Without arguments they are those that dlpu.toml and dlpu.lock name. An image of this version that dlpubuild image
    build made elsewhere also gets its name, so that builds find it. Credentials are those of docker login.

    \b
    Examples:
      dlpubuild image pull
      dlpubuild image pull registry.example/dlpubuild/tf2@sha256:<64 hexadecimal digits>
    """  # noqa: D301 - click wants the character itself
    from dlpubuild.commands.execution import connect_engine  # noqa: PLC0415
    from dlpubuild.commands.known_images import name_pulled, pinned_references  # noqa: PLC0415
    from dlpubuild.containers.references import parse_pinned  # noqa: PLC0415
    from dlpubuild.containers.transfer import pull_image  # noqa: PLC0415

    host = read_host()
    wanted = [parse_pinned(text) for text in references or pinned_references(host, manifest)]
    documents = []
    with interruptible() as interrupts, connect_engine(host) as connection:
        for reference in dict.fromkeys(wanted):
            with interrupts.deferred() as cancelled:
                image = pull_image(connection, reference, say=_say, cancelled=cancelled)
            tagged = name_pulled(connection, image)
            documents.append({"reference": str(reference), "id": image.id, "tag": tagged or None})
            if not as_json:
                sys.stdout.write(f"{reference}  {image.id}{f'  {tagged}' if tagged else ''}\n")
    if as_json:
        sys.stdout.write(json.dumps(documents, indent=2) + "\n")


@app.command()
def push(
    name: NameArgument,
    repository: Annotated[
        str, typer.Argument(metavar="REPOSITORY[:TAG]", help="Where to; the tag is the tool's version when left out.")
    ],
    as_json: options.JsonOption = False,
) -> None:
    """Give an image to a registry, and print the digest to pin it by.

    Credentials are those of docker login.

    \b
    Example:
      dlpubuild image push tf2 registry.example/dlpubuild/tf2
    """  # noqa: D301 - click wants the character itself
    from dlpubuild.commands.execution import connect_engine  # noqa: PLC0415
    from dlpubuild.commands.known_images import require_image  # noqa: PLC0415
    from dlpubuild.containers.images import NAME_LABEL  # noqa: PLC0415
    from dlpubuild.containers.references import Reference, parse_tagged  # noqa: PLC0415
    from dlpubuild.containers.transfer import push_image  # noqa: PLC0415
    from dlpubuild.report.image import pin_text  # noqa: PLC0415

    host = read_host()
    where, tag = parse_tagged(repository, __version__)
    with interruptible() as interrupts, connect_engine(host) as connection:
        image = require_image(connection, name)
        with interrupts.deferred() as cancelled:
            digest = push_image(connection, image.id, where, tag, say=_say, cancelled=cancelled)
    reference = str(Reference(where, digest))
    if as_json:
        document = {
            "name": image.labels.get(NAME_LABEL),
            "id": image.id,
            "tag": f"{where}:{tag}",
            "reference": reference,
        }
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    else:
        sys.stdout.write(pin_text(image.labels.get(NAME_LABEL, name), reference))


@app.command("list")
def list_images(as_json: options.JsonOption = False) -> None:
    """Show the images that the engine has, and which of this version are not built.

    \b
    Example:
      dlpubuild image list
    """  # noqa: D301 - click wants the character itself
    from dlpubuild.commands.execution import connect_engine  # noqa: PLC0415
    from dlpubuild.commands.known_images import image_rows  # noqa: PLC0415
    from dlpubuild.report.image import images_text  # noqa: PLC0415

    with connect_engine(read_host()) as connection:
        rows = image_rows(connection)
    text = json.dumps([row.document for row in rows], indent=2) + "\n" if as_json else images_text(rows)
    sys.stdout.write(text)


@app.command()
def inspect(name: NameArgument, as_json: options.JsonOption = False) -> None:
    """Show one image: its id, names, layers and labels.

    \b
    Example:
      dlpubuild image inspect tf2
    """  # noqa: D301 - click wants the character itself
    from dlpubuild.commands.execution import connect_engine  # noqa: PLC0415
    from dlpubuild.commands.known_images import image_row, require_image  # noqa: PLC0415
    from dlpubuild.report.image import image_text  # noqa: PLC0415

    with connect_engine(read_host()) as connection:
        row = image_row(require_image(connection, name))
    sys.stdout.write(json.dumps(row.document, indent=2) + "\n" if as_json else image_text(row))


@app.command()
def lock(manifest: options.ManifestOption = options.DEFAULT) -> None:
    """Pin the images of a project's toolchains in dlpu.lock.

    They are those that the engine has now, by id, and by the digest in a registry where they were pushed or pulled.
    Everything else in the lock stays as it is; dlpubuild lock pins that.

    \b
    Example:
      dlpubuild image lock
    """  # noqa: D301 - click wants the character itself
    from dlpubuild.commands.containers import find_images  # noqa: PLC0415
    from dlpubuild.commands.lock import lock_of, write_lock  # noqa: PLC0415
    from dlpubuild.commands.wiring import open_project  # noqa: PLC0415

    host = read_host()
    with open_memo(host) as memo:
        project = open_project(host, memo, manifest, ())
    path, before = lock_of(project.manifest.folder)
    found = find_images(host, project.manifest, project.toolchains, before.images, must=True)
    write_lock(path, before, before.with_images(found.images))


@app.command()
def prune(
    manifest: options.ManifestOption = options.DEFAULT,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Only say what would be removed.")] = False,
    as_json: options.JsonOption = False,
) -> None:
    """Remove images of the tool's that are not used any more.

    Those of this version stay, those that dlpu.lock and dlpu.toml name, and those that a container uses.
    Images of anything else are not touched. What the builder keeps to be quick is no image: docker builder prune
    removes that.

    \b
    Examples:
      dlpubuild image prune --dry-run
      dlpubuild image prune
    """  # noqa: D301 - click wants the character itself
    from dlpubuild.commands.execution import connect_engine  # noqa: PLC0415
    from dlpubuild.commands.known_images import prune_images  # noqa: PLC0415
    from dlpubuild.report.text import size_text  # noqa: PLC0415

    host = read_host()
    with connect_engine(host) as connection:
        done = prune_images(host, connection, manifest, dry_run=dry_run)
    if as_json:
        removed = [row.document for row in done.removed]
        kept = [{"id": row.id, "why": why} for row, why in done.kept]
        sys.stdout.write(json.dumps({"removed": removed, "kept": kept}, indent=2) + "\n")
        return
    for row in done.removed:
        known = ", ".join(row.tags or row.references) or "(no name)"
        sys.stdout.write(f"{'would remove' if dry_run else 'removed'} {row.id}  {row.name}  {known}\n")
    for row, why in done.kept:
        sys.stdout.write(f"kept {row.id}  {row.name}: {why}\n")
    sys.stdout.write(f"{len(done.removed)} images, {size_text(sum(row.size_bytes for row in done.removed))}\n")


def further_tags(tags: list[str], images: int) -> tuple[str, ...]:
    """Return the names that `--tag` gives, each with a tag.

    Raises:
        UsageError: it is no name, or it would be given to several images.
    """
    from dlpubuild.containers.references import parse_tagged  # noqa: PLC0415
    from dlpubuild.errors import ErrorCode, UsageError  # noqa: PLC0415

    if tags and images > 1:
        raise UsageError(ErrorCode.USAGE, f"--tag names one image, and {images} are to be built")
    return tuple(":".join(parse_tagged(tag, __version__)) for tag in tags)


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
