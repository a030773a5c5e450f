"""`dlpu.lock`: what a release was built from, so that it can be built again or refused.

In: a `Project`. Out: `Pins`, their JSON text, and what differs between two of them. Holds digests and versions, no
clock, path of a machine or address. Nothing here is run.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from dlpubuild.errors import ErrorCode, Location, OutOfDateError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from dlpubuild.project.model import Project, SourceFile

LOCK_NAME = "dlpu.lock"
_SCHEMA = 1
_IMAGE = re.compile(r"image\.([a-z0-9-]+)\.(id|reference)")
_DIGEST = r"sha256:[0-9a-f]{64}"
# As in schemas/lock.schema.json, which a test compares.
_VALUES = (
    (re.compile(r"tool"), re.compile(r"\S+")),
    (re.compile(r"model|calibration|validation"), re.compile(_DIGEST)),
    (re.compile(r"toolchain\.[a-z0-9-]+"), re.compile(rf"python \d+\.\d+, {_DIGEST}")),
    (re.compile(r"image\.[a-z0-9-]+\.id"), re.compile(_DIGEST)),
    (re.compile(r"image\.[a-z0-9-]+\.reference"), re.compile(rf"[A-Za-z0-9][A-Za-z0-9._:/-]*@{_DIGEST}")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedImage:
    """An image as a lock names it; one of the two is set at least.

    `id` is the image id, the digest of its configuration: what an engine calls it that built or loaded it.
    `reference` is `<repository>@sha256:…`, the digest of its manifest: what it can be pulled by.
    """

    id: str | None = None
    reference: str | None = None

    def __post_init__(self) -> None:
        if self.id is None and self.reference is None:
            raise ValueError("an image is locked by its id or by its reference")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pins:
    """What a lock pins, as flat names and values, sorted by name.

    `tool` is the version of dlpubuild; `model`, `calibration` and `validation` digests over staged names and contents,
    the last with what is right; each `toolchain.<name>` the digest of its locked environment; `image.<name>.id` and
    `image.<name>.reference` the image that it runs in. What a selection of targets does not use is not there.
    """

    values: Mapping[str, str]

    @property
    def images(self) -> Mapping[str, LockedImage]:
        """The images by the name of their toolchain, sorted."""
        found: dict[str, dict[str, str]] = {}
        for key, value in self.values.items():
            if match := _IMAGE.fullmatch(key):
                found.setdefault(match[1], {})[match[2]] = value
        return MappingProxyType({name: LockedImage(**found[name]) for name in sorted(found)})

    def with_images(self, images: Mapping[str, LockedImage]) -> Pins:
        """Return these pins with `images` in place of those that are there."""
        values = {key: value for key, value in self.values.items() if not _IMAGE.fullmatch(key)}
        for name, image in images.items():
            if image.id is not None:
                values[f"image.{name}.id"] = image.id
            if image.reference is not None:
                values[f"image.{name}.reference"] = image.reference
        return Pins(values=dict(sorted(values.items())))

    def encode(self) -> bytes:
        """Return the text of the lock file."""
        return (json.dumps({"schema": _SCHEMA, "pins": dict(self.values)}, indent=2, sort_keys=True) + "\n").encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One pin that differs; an absent side is None."""

    name: str
    locked: str | None
    found: str | None

    def __str__(self) -> str:
        return f"{self.name}: locked {self.locked or 'nothing'}, found {self.found or 'nothing'}"


def pins_of(project: Project, tool_version: str) -> Pins:
    """Return the pins of a project as it is now."""
    values = {"tool": tool_version, "model": files_digest(project.model.files)}
    if project.calibration is not None:
        values["calibration"] = files_digest(project.calibration.files, project.calibration.indices)
    if project.verification is not None:
        data = project.verification
        answers = [f"{output} {list(each)}\n" for output, each in sorted(data.labels.items())]
        values["validation"] = files_digest(data.samples.files, data.samples.indices, answers)
    images = {}
    for name, pin in project.toolchains.items():
        if pin.image is None or not pin.image.is_own or pin.folder is not None:
            values[f"toolchain.{name}"] = f"python {pin.python}, sha256:{pin.lock_sha256}"
        if pin.image is not None:
            images[name] = LockedImage(id=pin.image.id, reference=pin.image.reference)
    return Pins(values=values).with_images(images)


def files_digest(files: Iterable[SourceFile], rows: Iterable[int] = (), more: Iterable[str] = ()) -> str:
    """Return `sha256:…` over staged names, contents, picked rows and more lines; where the files lie does not count."""
    lines = [f"{file.digest}  {file.staged}\n" for file in files]
    lines += [f"{row}\n" for row in rows]
    lines += more
    return f"sha256:{hashlib.sha256(''.join(lines).encode()).hexdigest()}"


def read_pins(path: Path) -> Pins:
    """Return the pins of the lock file at `path`.

    Raises:
        UsageError: there is none, or it is not a lock file of this version.
    """
    place = Location(str(path))
    hint = "write it with: dlpubuild lock"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(ErrorCode.PATH_MISSING, "there is no lock file", location=place, hint=hint) from error
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(ErrorCode.PATH_KIND, f"cannot be read: {error}", location=place, hint=hint) from error
    if not isinstance(document, dict) or document.get("schema") != _SCHEMA:
        raise UsageError(ErrorCode.PATH_KIND, "is not a lock file of this version", location=place, hint=hint)
    pins = document.get("pins")
    if not isinstance(pins, dict):
        raise UsageError(ErrorCode.PATH_KIND, "holds no pins", location=place, hint=hint)
    for name, value in sorted(pins.items()):
        if not _is_pin(name, value):
            message = f"holds a pin that this version does not know: {json.dumps({name: value}, ensure_ascii=False)}"
            raise UsageError(ErrorCode.PATH_KIND, message, location=place, hint=hint)
    return Pins(values=dict(sorted(pins.items())))


def _is_pin(name: str, value: object) -> bool:
    if not isinstance(value, str):
        return False
    return any(names.fullmatch(name) and values.fullmatch(value) for names, values in _VALUES)


def differences(locked: Pins, found: Pins) -> tuple[Difference, ...]:
    """Return every pin that differs, by name."""
    names = sorted(locked.values.keys() | found.values.keys())
    return tuple(
        Difference(name=name, locked=locked.values.get(name), found=found.values.get(name))
        for name in names
        if locked.values.get(name) != found.values.get(name)
    )


def require_equal(path: Path, locked: Pins, found: Pins) -> None:
    """Refuse to go on where the lock file at `path` does not hold for all that this build uses.

    Raises:
        OutOfDateError: something differs; every difference is told.
    """
    # A build of some targets does not use all that was locked for all of them.
    different = [each for each in differences(locked, found) if each.found is not None]
    if different:
        listed = "\n".join(f"    {each}" for each in different)
        raise OutOfDateError(
            ErrorCode.LOCK_MISMATCH,
            f"the project is not what was locked:\n{listed}",
            location=Location(str(path)),
            hint="restore what differs, or accept it with: dlpubuild lock",
        )
