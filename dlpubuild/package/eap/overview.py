"""What an `.eap` is, beside the models in it: its manifest, its entries, and which larod device it runs them on.

In: the path of an `.eap`, and the larod devices that are known. Out: an `EapOverview`. The device is looked for where
applications name it: in `runOptions`, and in an executable that is a script. Nothing is unpacked to disk.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlpubuild.package.eap.contents import read_eap, read_eap_file

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from dlpubuild.package.eap.contents import EapContents

# A script is read for the device, a compiled program is not: any name may be in it.
_MAX_SCRIPT_BYTES = 1 << 20
_WORD = re.compile(r"[A-Za-z0-9_-]+")
# How the measuring application begins; what follows explains other devices, too.
_SETTING = re.compile(r"""^DEVICE=['"]?([A-Za-z0-9_-]+)""", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class EapOverview:
    """An `.eap`; `larod_devices` are those that it names, sorted, none where it names none that is known."""

    contents: EapContents
    larod_devices: tuple[str, ...]


def eap_overview(path: Path, devices: Collection[str]) -> EapOverview:
    """Return what the `.eap` at `path` is; `devices` are the larod devices that are known.

    Raises:
        DlpuError: it cannot be read, or is no gzip'd tar.
    """
    contents = read_eap(path)
    told = contents.manifest.run_options if contents.manifest is not None else contents.package_conf.get("APPOPTS")
    named = set((told or "").split()) & set(devices)
    if not named:
        script = _script(contents)
        named = set(_SETTING.findall(script) or _WORD.findall(script)) & set(devices)
    return EapOverview(contents=contents, larod_devices=tuple(sorted(named)))


def _script(contents: EapContents) -> str:
    """The executable where it is a script; the settings that it begins with name the device."""
    name = contents.manifest.app_name if contents.manifest is not None else contents.package_conf.get("APPNAME")
    size = next((each.size_bytes for each in contents.entries if each.path == name and each.kind == "file"), None)
    if name is None or size is None or size > _MAX_SCRIPT_BYTES:
        return ""
    data = read_eap_file(contents.path, name)
    return data.decode("utf-8", "replace") if data.startswith(b"#!") else ""
