"""What an `.eap` is, as text and as JSON; the models in it have pages of their own.

In: an `EapOverview`. Out: a page for a terminal, or JSON values. Names are those of a file of unknown origin, so they
are made printable. Nothing is read here.
"""

from __future__ import annotations

import stat
import time
from typing import TYPE_CHECKING, Any

from dlpubuild.report.text import columns, printable

if TYPE_CHECKING:
    from dlpubuild.package.eap.acap_manifest import AcapManifest
    from dlpubuild.package.eap.contents import EapEntry
    from dlpubuild.package.eap.overview import EapOverview

_SHOWN_ENTRIES = 200
_TYPES = {"file": stat.S_IFREG, "folder": stat.S_IFDIR, "link": stat.S_IFLNK}


def eap_text(found: EapOverview) -> str:
    """Return a page about the package for a terminal."""
    contents = found.contents
    rows = [("file", str(contents.path)), *_manifest_rows(contents.manifest)]
    rows.append(("larod device", ", ".join(found.larod_devices) or "none that is known is named"))
    entries = [_row(each) for each in contents.entries[:_SHOWN_ENTRIES]]
    more = len(contents.entries) - _SHOWN_ENTRIES
    blocks = [columns(rows), columns(entries, header=("mode", "bytes", "time", "entry"), right=frozenset({1}))]
    if more > 0:
        blocks.append(f"and {more} more entries")
    return "\n\n".join(blocks) + "\n"


def _manifest_rows(manifest: AcapManifest | None) -> list[tuple[str, str]]:
    if manifest is None:
        return [("manifest", "there is none that can be read")]
    schema = manifest.schema_text or "none named"
    versions = [f"{each.minimum or '…'} to {each.maximum or '…'}" for each in manifest.os_versions or ()]
    processor = manifest.deep_learning_processor
    rows = [
        ("application", manifest.app_name),
        ("name", manifest.friendly_name),
        ("version", manifest.version),
        ("vendor", manifest.vendor),
        ("vendor ID", manifest.vendor_id),
        ("schema", schema),
        ("architecture", manifest.architecture),
        ("AXIS OS", ", ".join(versions) or None),
        ("run mode", manifest.run_mode),
        ("run options", manifest.run_options),
        ("groups", ", ".join(manifest.groups) if manifest.groups else None),
        ("DLPU", None if processor is None else _processor(processor.get("enabled"), processor.get("required"))),
    ]
    return [(name, printable(value)) for name, value in rows if value is not None]


def _processor(enabled: object, required: object) -> str:
    if enabled is not True:
        return "not asked for"
    return "asked for, and needed to install" if required is True else "asked for"


def _row(entry: EapEntry) -> tuple[str, str, str, str]:
    mode = stat.filemode(_TYPES.get(entry.kind, 0) | entry.mode)
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(entry.mtime_s)) if 0 <= entry.mtime_s < 1 << 33 else "?"
    return (mode, str(entry.size_bytes), when, printable(entry.path))


def eap_json(found: EapOverview) -> dict[str, Any]:
    """Return everything that is known of the package as JSON values."""
    contents = found.contents
    return {
        "manifest": None if contents.manifest is None else dict(contents.manifest.document),
        "package_conf": dict(contents.package_conf),
        "larod_devices": list(found.larod_devices),
        "entries": [
            {
                "path": each.path,
                "kind": each.kind,
                "mode": f"{each.mode:04o}",
                "size_bytes": each.size_bytes,
                "mtime_s": each.mtime_s,
            }
            for each in contents.entries
        ],
        "models": list(contents.models),
    }
