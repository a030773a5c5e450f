"""`dlpubuild lock`: pin what a release is built from."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from dlpubuild import __version__
from dlpubuild.commands import options
from dlpubuild.commands.wiring import open_memo, open_project, read_host

if TYPE_CHECKING:
    from pathlib import Path

    from dlpubuild.project.lock import Pins


def lock(manifest: options.ManifestOption = options.DEFAULT) -> None:
    """Pin what a release is built from, in dlpu.lock.

    The file is written beside the manifest, and what changed in it is printed. It pins the version of the tool and the
    digests of the model, of the calibration samples, of the locked environments, and of the container images where an
    engine has them. With it in version control, build --locked refuses to build from anything else.

    \b
    Examples:
      dlpubuild lock
      dlpubuild build --locked
    """  # noqa: D301 - click wants the character itself
    from dlpubuild.commands.containers import find_images  # noqa: PLC0415
    from dlpubuild.project.lock import pins_of  # noqa: PLC0415

    host = read_host()
    with open_memo(host) as memo:
        project = open_project(host, memo, manifest, ())
    path, before = lock_of(project.manifest.folder)
    found = find_images(host, project.manifest, project.toolchains, before.images)
    for note in found.notes:
        sys.stderr.write(f"note: {note}\n")
    write_lock(path, before, pins_of(project, __version__).with_images(found.images))


def lock_of(folder: Path) -> tuple[Path, Pins]:
    """Return where the lock of the project in `folder` lies, and its pins; none where there is no lock yet.

    Raises:
        UsageError: what lies there is not a lock file of this version.
    """
    from dlpubuild.project.lock import LOCK_NAME, Pins, read_pins  # noqa: PLC0415

    path = folder / LOCK_NAME
    return path, read_pins(path) if path.exists() else Pins(values={})


def write_lock(path: Path, before: Pins, after: Pins) -> None:
    """Write the lock where it differs from `before`, and print what changed.

    Raises:
        OutputError: it cannot be written.
    """
    from dlpubuild.commands.files import write_file  # noqa: PLC0415
    from dlpubuild.project.lock import differences  # noqa: PLC0415

    changed = differences(before, after)
    if not changed:
        sys.stdout.write(f"{path}: nothing changed\n")
        return
    write_file(path, after.encode())
    for each in changed:
        sys.stdout.write(f"{each.name}: {each.locked or 'new'} -> {each.found or 'gone'}\n")
    sys.stdout.write(f"{path}: written\n")
