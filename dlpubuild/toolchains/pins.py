"""What each toolchain is pinned to.

In: the lock files and archives that the tool pins, or a folder of the user's. Out: a `ToolchainPin`, whose `platform`
properties enter every action that runs in it, so that a result of one toolchain never serves another. Nothing here
installs or runs anything.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from dlpubuild.errors import ErrorCode, ToolchainError
from dlpubuild.resources import locks_dir
from dlpubuild.toolchains.archive import Archive
from dlpubuild.toolchains.brought import tree_sha256
from dlpubuild.toolchains.programs import find_programs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

# Names of machine types in REAPI's platform lexicon, by what `platform.machine()` says.
_ISA = MappingProxyType({"x86_64": "x86-64"})

# Where an image keeps its environment; the local executor puts its own environment in this place.
_ENVIRONMENT_PLACE = "/opt/tc"
_COMMON_ENVIRONMENT = MappingProxyType(
    {
        "PATH": "/opt/tc/bin:/usr/bin:/bin",
        "HOME": "/tmp",  # noqa: S108 - a container's own tmpfs; the local executor gives each action a folder of its own
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONHASHSEED": "0",
        # Scripts lie in a scratch folder that is thrown away: bytecode there is never read again.
        "PYTHONDONTWRITEBYTECODE": "1",
    }
)
_TENSORFLOW_ENVIRONMENT = MappingProxyType(
    {
        # oneDNN picks kernels by CPU model and so would the last bits of a calibration.
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        # A graphics card must not change the result.
        "CUDA_VISIBLE_DEVICES": "-1",
        "KERAS_BACKEND": "tensorflow",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePin:
    """The container image of a toolchain; at least one of `id` and `reference` is set.

    `id` is the image id (`sha256:…`), the digest of its configuration; `reference` is `<repository>@sha256:…`, the
    digest of its manifest, by which it can be pulled. `is_own` is true for an image that the project brings: nothing
    is known of what is in it. `origin` says to a person where the pin comes from.
    """

    id: str | None = None
    reference: str | None = None
    is_own: bool = False
    origin: str = ""

    def __post_init__(self) -> None:
        if self.id is None and self.reference is None:
            raise ValueError("an image is pinned by its id or by its reference")

    @property
    def name(self) -> str:
        """What names the content in an action: the reference where there is one, as a cluster knows no image ids."""
        return self.reference or self.id or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolchainPin:
    """A toolchain and the exact content it is pinned to.

    `python` is the minor version of the interpreter. `lock` holds every package with version and hashes, None where
    there are none; `source_only` names those that were published as source. `archive` is what a toolchain has besides
    Python, `own_programs` the user's own files in its place, by name. `folder` is where the user has a toolchain that
    is not public. `lock_sha256` names all of that: the bytes of the lock, of the archive, or of the files.
    `environment` is the whole environment an action runs with. `isa` is the machine type in REAPI's words. `image` is
    set where steps run in a container.
    """

    name: str
    title: str
    python: str
    isa: str
    lock: Path | None
    lock_sha256: str
    environment: Mapping[str, str]
    source_only: tuple[str, ...] = ()
    image: ImagePin | None = None
    archive: Archive | None = None
    own_programs: Mapping[str, Path] | None = None
    folder: Path | None = None

    @property
    def mount_point(self) -> str:
        """Where steps find `folder`: in an image it is mounted there, in a local environment it is a link."""
        return f"{_ENVIRONMENT_PLACE}/{self.name}"

    @property
    def content_name(self) -> str:
        """What names the content that steps run in: an image, with the tree that is mounted in it, or all of a lock."""
        if self.image is None:
            return self.lock_sha256
        return self.image.name if self.folder is None else f"{self.image.name} {self.lock_sha256}"

    @property
    def platform(self) -> tuple[tuple[str, str], ...]:
        """Platform properties of an action that runs here, sorted by name."""
        if self.image is not None:
            # Servers of the Remote Execution API take the name of an image with the scheme docker://.
            scheme = "docker://" if self.image.reference else ""
            return (
                ("ISA", self.isa),
                ("OSFamily", "linux"),
                ("container-image", f"{scheme}{self.image.name}"),
                *(() if self.folder is None else (("mounted-tree", f"sha256:{self.lock_sha256}"),)),
            )
        return (
            ("ISA", self.isa),
            ("OSFamily", "linux"),
            ("python-version", self.python),
            ("venv-lock", f"sha256:{self.lock_sha256}"),
        )

    @property
    def packages(self) -> Mapping[str, str]:
        """Name -> version of every package of the lock; reads the lock file."""
        return {} if self.lock is None else locked_versions(self.lock.read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """A lock of packages, an archive with a program, or a folder that only the user can bring.

    `program` begins the names of the archive's files, or is one of those in the folder. `variable` names the variable
    of the user's that says where the folder is; it is empty for all that can be fetched. Steps find the folder by the
    same variable.
    """

    title: str
    python: str
    environment: Mapping[str, str]
    lock_name: str = ""
    source_only: tuple[str, ...] = ()
    archive: Archive | None = None
    program: str = ""
    variable: str = ""


_KNOWN = MappingProxyType(
    {
        "tf2": _Known(
            title="TensorFlow 2.19.1 on Python 3.11",
            python="3.11",
            lock_name="tf2",
            environment=MappingProxyType({**_COMMON_ENVIRONMENT, **_TENSORFLOW_ENVIRONMENT}),
        ),
        "onnx": _Known(
            title="ONNX 1.19.1, onnx2tf and TensorFlow 2.19.1 on Python 3.11",
            python="3.11",
            lock_name="onnx",
            environment=MappingProxyType({**_COMMON_ENVIRONMENT, **_TENSORFLOW_ENVIRONMENT}),
        ),
        "tf1": _Known(
            title="TensorFlow 1.15.5 on Python 3.7",
            python="3.7",
            lock_name="tf1",
            source_only=("gast",),
            environment=MappingProxyType({**_COMMON_ENVIRONMENT, **_TENSORFLOW_ENVIRONMENT}),
        ),
        "edgetpu": _Known(
            title="the Edge TPU compiler 16.0",
            python="3.11",
            environment=_COMMON_ENVIRONMENT,
            # As in the Dockerfile, which says how sure the hash is; a test holds both equal.
            archive=Archive(
                url="https://github.com/ultralytics/assets/releases/download/v0.0.0/edgetpu-compiler_16.0_amd64.tar.gz",
                sha256="f9a97adbf2ff621d24a91721191264f2abc3c1db31e63d9a266d988f907269ce",
                variable="DLPU_EDGETPU_URL",
            ),
            program="edgetpu_compiler",
        ),
        "ambarella": _Known(
            title="the Ambarella toolchain, which is not public",
            python="3.11",
            environment=MappingProxyType(
                {
                    **_COMMON_ENVIRONMENT,
                    # The toolchain is made for a Python of the system's, which images have there.
                    "PATH": "/opt/tc/bin:/usr/local/bin:/usr/bin:/bin",
                    "DLPU_AMBARELLA_TOOLCHAIN": "/opt/tc/ambarella",
                }
            ),
            program="cavalry_gen",
            variable="DLPU_AMBARELLA_TOOLCHAIN",
        ),
    }
)


def toolchain_names() -> tuple[str, ...]:
    """Return the names of the toolchains this version can run, sorted."""
    return tuple(sorted(_KNOWN))


def folder_variable(name: str) -> str:
    """Return the variable that says where the user has toolchain `name`; empty for one that can be fetched."""
    known = _KNOWN.get(name)
    return known.variable if known else ""


def load_pin(name: str, *, machine: str, system: str) -> ToolchainPin:
    """Return the pin of toolchain `name` for a machine type (`x86_64`) and system (`linux`).

    Raises:
        ToolchainError: no such toolchain, or none for this kind of machine.
    """
    known = _KNOWN.get(name)
    if known is None:
        raise ToolchainError(
            ErrorCode.TOOLCHAIN,
            f'toolchain "{name}" is not part of this version of dlpubuild',
            hint=f"known toolchains: {', '.join(toolchain_names())}",
        )
    lock = locks_dir() / f"{known.lock_name}-{system}-{machine}.txt" if known.lock_name else None
    if machine not in _ISA or system != "linux" or (lock is not None and not lock.is_file()):
        raise ToolchainError(
            ErrorCode.TOOLCHAIN,
            f"toolchain {name} ({known.title}) has no lock for {system} on {machine}",
            hint="it runs on Linux on x86-64",
        )
    return ToolchainPin(
        name=name,
        title=known.title,
        python=known.python,
        isa=_ISA[machine],
        lock=lock,
        lock_sha256=hashlib.sha256(lock.read_bytes()).hexdigest()
        if lock
        else known.archive.sha256
        if known.archive
        else "",
        environment=known.environment,
        source_only=known.source_only,
        archive=known.archive,
    )


def folder_pin(
    name: str, folder: Path, *, machine: str, system: str, hashes_of: Callable[[Sequence[Path]], Sequence[str]]
) -> ToolchainPin:
    """Return the pin of toolchain `name` which is the user's own, in `folder`.

    A single program is looked for in the folder and its `bin` and `usr/bin`; a toolchain that is not public is the
    whole folder.

    Args:
        hashes_of: returns the sha256 of each file, in hexadecimal.

    Raises:
        ToolchainError: this toolchain is more than a program, or the folder has none.
    """
    pin = load_pin(name, machine=machine, system=system)
    program = _KNOWN[name].program
    if folder_variable(name):
        return with_folder(pin, folder, hashes_of)
    if not program:
        raise ToolchainError(
            ErrorCode.TOOLCHAIN,
            "a toolchain of packages that is installed in a folder cannot be used by this version yet",
            hint=f"name a container image, or remove path to build with the pinned one: {pin.title}",
        )
    programs = find_programs(folder, program)
    listed = "".join(
        f"{digest} {name}\n" for name, digest in zip(programs, hashes_of(tuple(programs.values())), strict=True)
    )
    return replace(pin, archive=None, own_programs=programs, lock_sha256=hashlib.sha256(listed.encode()).hexdigest())


def with_folder(pin: ToolchainPin, folder: Path, hashes_of: Callable[[Sequence[Path]], Sequence[str]]) -> ToolchainPin:
    """Return the pin of a toolchain that is not public with the folder in which the user has it.

    Raises:
        ToolchainError: the folder is not there, or does not have it.
    """
    # The way there must not matter: a link in it may change.
    real = folder.resolve()
    digest = tree_sha256(pin.name, real, _KNOWN[pin.name].program, hashes_of)
    return replace(pin, folder=real, lock_sha256=digest)


def own_image(name: str, origin: str) -> ImagePin:
    """Return the pin of an image of the project's own; `name` is its reference, or its id (`sha256:…`)."""
    if name.startswith("sha256:"):
        return ImagePin(id=name, is_own=True, origin=origin)
    return ImagePin(reference=name, is_own=True, origin=origin)


def container_pin(name: str) -> ToolchainPin:
    """Return the pin of toolchain `name` as an image holds it: Linux on x86-64, whatever this machine is.

    Raises:
        ToolchainError: no such toolchain.
    """
    return load_pin(name, machine="x86_64", system="linux")


def image_pin(name: str, image_of: Callable[[ToolchainPin], ImagePin]) -> ToolchainPin:
    """Return the pin of toolchain `name` in the image that `image_of` returns for it.

    Raises:
        ToolchainError: no such toolchain, or what `image_of` raises.
    """
    pin = container_pin(name)
    return replace(pin, image=image_of(pin))


def pin_for(pins: Iterable[ToolchainPin], platform: Mapping[str, str]) -> ToolchainPin:
    """Return the pin whose platform properties an action carries.

    Raises:
        ToolchainError: none has them.
    """
    for pin in pins:
        if dict(pin.platform) == dict(platform):
            return pin
    raise ToolchainError(ErrorCode.TOOLCHAIN, f"no toolchain of this version fits the platform {dict(platform)}")


def locked_versions(lock_text: str) -> Mapping[str, str]:
    """Return package name -> version of a requirements file as `uv pip compile --generate-hashes` writes it."""
    return MappingProxyType(dict(re.findall(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==(\S+)", lock_text, flags=re.MULTILINE)))


def without_packages(lock_text: str, names: Sequence[str]) -> str:
    """Return the lock without the entries of some packages."""
    entries = re.split(r"^(?=[A-Za-z0-9])", lock_text, flags=re.MULTILINE)
    return "".join(entry for entry in entries if entry.partition("==")[0] not in names)
