"""What goes into the build of an image: arguments, labels and files.

In: the name of an image, and what the user sets. Out: the build arguments and labels for it, and a folder with exactly
the files that the Dockerfile reads. The same in, the same out: no clock, and no path of this machine. Runs nothing.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from dlpubuild.containers.images import LOCK_LABEL, VERSION_LABEL
from dlpubuild.containers.layer import EPOCH_S
from dlpubuild.errors import ErrorCode, UsageError
from dlpubuild.resources import dockerfile, image_sources, locks_dir

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

# Docker hands these to what runs in a build, and keeps them out of the image and of the key of its cache.
PROXY_VARIABLES = tuple(
    variable for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY") for variable in (name, name.lower())
)
_DEFAULT_REGISTRY = "docker.io"
_ARGUMENT = re.compile(r"^ARG ([A-Z][A-Z0-9_]*)(?:=(.*))?$", re.MULTILINE)
_OWN_ARGUMENTS = frozenset({"BASE_REGISTRY", "PIP_INDEX_URL"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One image of the Dockerfile; its stage has the same name.

    `base` names the Python image that it begins from, `lock` the file with the packages in its `/opt/tc`, where there
    are any.
    """

    name: str
    title: str
    base: str
    lock: str | None = None


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        recipe.name: recipe
        for recipe in (
            Recipe(name="tf2", title="TensorFlow 2.19.1", base="python311", lock="tf2-linux-x86_64.txt"),
            Recipe(name="tf1", title="TensorFlow 1.15.5", base="python37", lock="tf1-linux-x86_64.txt"),
            Recipe(
                name="onnx", title="ONNX, onnx2tf and TensorFlow 2.19.1", base="python311", lock="onnx-linux-x86_64.txt"
            ),
            Recipe(name="edgetpu", title="the Edge TPU compiler", base="python311"),
            Recipe(name="ambarella", title="a system for the Ambarella toolchain", base="python311"),
            Recipe(name="cli", title="dlpubuild with the Docker client", base="python311"),
            Recipe(name="cli-tf2", title="dlpubuild with TensorFlow", base="python311", lock="tf2-linux-x86_64.txt"),
        )
    }
)
BASES = tuple(sorted({recipe.base for recipe in RECIPES.values()}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a user sets for builds of images.

    `bases` replaces base images by name, `registry` is a mirror of Docker Hub, `index_url` a package index.
    `ca_bundle` is a file of certificates that programs in the build trust. `arguments` are further arguments of the
    Dockerfile. `proxies` are variables, as `PROXY_VARIABLES` names them. `network` is that of commands in the build.
    """

    bases: Mapping[str, str] = field(default_factory=dict)
    registry: str = ""
    index_url: str = ""
    ca_bundle: Path | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)
    proxies: Mapping[str, str] = field(default_factory=dict)
    network: str = ""


def find_recipe(name: str) -> Recipe:
    """Return the recipe of the image `name`.

    Raises:
        UsageError: there is none.
    """
    if name not in RECIPES:
        raise UsageError(
            ErrorCode.UNKNOWN_VALUE, f'there is no image "{name}"', hint=f"there are: {', '.join(RECIPES)}"
        )
    return RECIPES[name]


def lock_sha256(recipe: Recipe) -> str:
    """Return the digest of the lock whose packages are in the image, in hexadecimal; empty where there are none."""
    return hashlib.sha256((locks_dir() / recipe.lock).read_bytes()).hexdigest() if recipe.lock else ""


def declared_arguments() -> Mapping[str, str]:
    """Return the arguments that the Dockerfile takes, with their defaults; the first of a name counts."""
    found: dict[str, str] = {}
    for name, default in _ARGUMENT.findall(dockerfile().read_text("utf-8")):
        found.setdefault(name, default.strip('"'))
    return found


def base_image(recipe: Recipe, settings: Settings) -> str:
    """Return the base image of a build as it is to be recorded.

    A mirror serves the same bytes under the same digest, so its name is not recorded.
    """
    own = settings.bases.get(recipe.base)
    return own or declared_arguments()[_base_argument(recipe.base)].replace("${BASE_REGISTRY}", _DEFAULT_REGISTRY)


def build_arguments(recipe: Recipe, settings: Settings) -> Mapping[str, str]:
    """Return the build arguments of an image, sorted by name.

    Raises:
        UsageError: the Dockerfile has no such argument, or another option sets it.
    """
    declared = declared_arguments()
    own = _OWN_ARGUMENTS | {_base_argument(base) for base in BASES}
    for name in settings.arguments:
        if name not in declared or name in own:
            known = ", ".join(sorted(declared.keys() - own))
            raise UsageError(
                ErrorCode.UNKNOWN_VALUE,
                f"--build-arg {name}: "
                + ("it has an option of its own" if name in own else "there is no such argument"),
                hint=f"the others are: {known}",
            )
    arguments = {**settings.proxies, **settings.arguments}
    if recipe.base in settings.bases:
        arguments[_base_argument(recipe.base)] = settings.bases[recipe.base]
    if settings.registry:
        arguments["BASE_REGISTRY"] = settings.registry.rstrip("/")
    if settings.index_url:
        arguments["PIP_INDEX_URL"] = settings.index_url
    return dict(sorted(arguments.items()))


def build_labels(recipe: Recipe, settings: Settings, *, version: str, base_digest: str) -> Mapping[str, str]:
    """Return the labels that depend on the build, sorted; the Dockerfile sets the others.

    Args:
        recipe: the image.
        settings: what the user set.
        version: of the tool.
        base_digest: what the engine knows the base image by; empty where its name says it, or nobody knows.
    """
    base, _, digest = base_image(recipe, settings).partition("@")
    labels = {
        VERSION_LABEL: version,
        # A package URL: where the sources are to be had is for the index to say that one trusts.
        "org.opencontainers.image.source": f"pkg:pypi/dlpubuild@{version}",
        "org.opencontainers.image.base.name": base,
    }
    if digest or base_digest:
        labels["org.opencontainers.image.base.digest"] = digest or base_digest
    if recipe.lock:
        labels[LOCK_LABEL] = lock_sha256(recipe)
    return dict(sorted(labels.items()))


def parse_pairs(option: str, texts: Iterable[str], known: Iterable[str] = ()) -> Mapping[str, str]:
    """Return the values of an option that is given as NAME=VALUE, several times.

    Raises:
        UsageError: one has another form, or another name than those known.
    """
    pairs = {}
    names = tuple(known)
    for text in texts:
        name, sign, value = text.partition("=")
        if not (name and sign and value) or (names and name not in names):
            form = f"one of {', '.join(names)}, and its value" if names else "NAME=VALUE"
            raise UsageError(ErrorCode.USAGE, f'{option}: "{text}" is not {form}', hint=f"write {option} NAME=VALUE")
        pairs[name] = value
    return pairs


def write_context(folder: Path) -> None:
    """Copy every file that the Dockerfile reads to `folder`, with fixed times and permissions.

    Raises:
        OSError: it cannot be written.
    """
    for name, source in image_sources().items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        # Who installs a wheel need not keep what may be run; the Dockerfile runs these.
        may_run = name.startswith("docker/") or source.stat().st_mode & 0o100
        target.chmod(0o755 if may_run else 0o644)
        os.utime(target, (EPOCH_S, EPOCH_S))


def _base_argument(base: str) -> str:
    return f"{base.upper()}_IMAGE"
