"""`dlpubuild clean`: packages and reports removed."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from dlpubuild.commands import options
from dlpubuild.commands.wiring import open_memo, read_host, read_manifest


def clean(
    manifest: options.ManifestOption = options.DEFAULT,
    output: options.OutputOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Only say what would be removed.")] = False,
) -> None:
    """Remove the packages and reports of this project.

    Only what builds left in the output folder is removed; the cache stays, so that the next build has nothing to run.
    To empty the cache as well: dlpubuild cache clear.

    \b
    Examples:
      dlpubuild clean --dry-run
      dlpubuild clean
    """  # noqa: D301 - click wants the character itself
    from dlpubuild.package.removal import package_paths, remove_packages  # noqa: PLC0415

    host = read_host()
    with open_memo(host) as memo:
        read = read_manifest(manifest, memo)
    folder = output or read.folder / "dist"
    paths = package_paths(folder, read.project.name)
    if not dry_run:
        remove_packages(folder, paths)
    for path in paths:
        sys.stdout.write(f"{'would remove' if dry_run else 'removed'} {path}\n")
    if not paths:
        sys.stdout.write(f"nothing to remove in {folder}\n")
