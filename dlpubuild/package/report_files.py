"""The report of a build in its output folder: the same document as JSON, HTML and Markdown, beside the packages.

In: an output folder, the project's name and version, and the bytes of each file. Out: the files, exchanged whole for
new ones, and a stamp that names them and what they tell, so that the next build can leave them as they are and `clean`
finds them. What a report says is not known here.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlpubuild.cas.digest import digest_bytes, parse_digest
from dlpubuild.package.stamp import stamp_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from dlpubuild.cas.digest import Digest

SUFFIXES = ("json", "html", "md")
_STAMP = re.compile(r"\.(.+-report)\.files\.stamp\.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenReport:
    """A report on disk; `base` is the name of its files without suffix, `written` False where it lay there already."""

    folder: Path
    base: str
    written: bool

    def path(self, suffix: str) -> Path:
        """Return the path of one of the files; `suffix` is one of `SUFFIXES`."""
        return self.folder / f"{self.base}.{suffix}"


def report_base(name: str, version: str) -> str:
    """Return the name of a report's files without suffix.

    An SoC may be called `report`, and its package then has this name, as folder and with `.tar.gz`.
    """
    return f"{name}-{version}-report"


def stamp_base(base: str) -> str:
    """Return the name under which the stamp goes: no SoC's name has a dot."""
    return f"{base}.files"


def stamped_report(stamp: Path) -> Mapping[Path, Digest] | None:
    """Return the files that the stamp at `stamp` tells of; None where it is no report's, or was damaged."""
    found = _read(stamp)
    return None if found is None else found[1]


def current_report(out_dir: Path, base: str, key: str, digest_of: Callable[[Path], Digest]) -> WrittenReport | None:
    """Return the report in `out_dir` if it tells what `key` names and nobody changed it; else None.

    Args:
        out_dir: the output folder; it need not exist.
        base: see `report_base`.
        key: names what the report tells.
        digest_of: gives the digest of a file, and raises OSError where it cannot be read.
    """
    found = _read(stamp_path(out_dir, stamp_base(base)))
    if found is None or found[0] != key:
        return None
    try:
        if any(digest_of(path) != digest for path, digest in found[1].items()):
            return None
    except OSError:
        return None
    return WrittenReport(folder=out_dir, base=base, written=False)


def write_report(out_dir: Path, base: str, key: str, contents: Mapping[str, bytes]) -> WrittenReport:
    """Write a report and return it; `contents` has the bytes of each of `SUFFIXES`.

    Raises:
        OutputError: `out_dir` cannot be written, or a folder has the name of one of the files.
    """
    from dlpubuild.package import output_folder  # noqa: PLC0415 - a build with nothing to write pays for none of this

    report = WrittenReport(folder=out_dir, base=base, written=True)
    files = {report.path(suffix): contents[suffix] for suffix in SUFFIXES}
    stamp = {
        "schema": 1,
        "report": key,
        "files": {path.name: str(digest_bytes(content)) for path, content in files.items()},
    }
    files[stamp_path(out_dir, stamp_base(base))] = json.dumps(stamp, sort_keys=True, indent=1).encode() + b"\n"
    with output_folder.writable(out_dir):
        # The stamp comes last: without the files that it names it says nothing.
        for path, content in files.items():
            write_whole(path, content)
        output_folder.flush_folder(out_dir)
    return report


def write_whole(path: Path, content: bytes) -> None:
    """Write a file aside and put it in its place in one step.

    Raises:
        OSError: it cannot be written; nothing is left of it then.
        OutputError: there is a folder of that name.
    """
    from dlpubuild.package import output_folder  # noqa: PLC0415 - as in `write_report`

    aside = output_folder.temporary(path.parent, path.name, output_folder.NEW)
    try:
        with aside.open("wb") as target:
            target.write(content)
            target.flush()
            os.fsync(target.fileno())
        output_folder.replace_file(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def _read(stamp: Path) -> tuple[str, dict[Path, Digest]] | None:
    try:
        document = json.loads(stamp.read_bytes())
        base = _STAMP.fullmatch(stamp.name)
        if document["schema"] != 1 or base is None:
            return None
        # Only these: a stamp that was tampered with must not name other files to `clean`.
        names = [f"{base[1]}.{suffix}" for suffix in SUFFIXES]
        files = {stamp.parent / name: parse_digest(document["files"][name]) for name in names}
        return str(document["report"]), files
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
