"""`dlpubuild lock`: pin what a release is built from."""

from __future__ import annotations

import sys

from dlpubuild import __version__
from dlpubuild.commands import options
from dlpubuild.commands.wiring import open_memo, open_project, read_host


def lock(manifest: options.ManifestOption = options.DEFAULT) -> None:
    """Pin what a release is built from, in dlpu.lock.

    The file is written beside the manifest, and what changed in it is printed. It pins the version of the tool and the
    digests of the model, of the calibration samples and of the locked environments. With it in version control, build
    --locked refuses to build from anything else.

    \b
    Examples:
      dlpubuild lock
      dlpubuild build --locked
    """  # noqa: D301 - click wants the character itself
    from dlpubuild.commands.files import write_file  # noqa: PLC0415
    from dlpubuild.project.lock import LOCK_NAME, Pins, differences, pins_of, read_pins  # noqa: PLC0415

    host = read_host()
    with open_memo(host) as memo:
        project = open_project(host, memo, manifest, ())
    found = pins_of(project, __version__)
    path = project.manifest.folder / LOCK_NAME
    before = read_pins(path) if path.exists() else Pins(values={})
    changed = differences(before, found)
    if not changed:
        sys.stdout.write(f"{path}: nothing changed\n")
        return
    write_file(path, found.encode())
    for each in changed:
        sys.stdout.write(f"{each.name}: {each.locked or 'new'} -> {each.found or 'gone'}\n")
    sys.stdout.write(f"{path}: written\n")
