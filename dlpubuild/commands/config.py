"""`dlpubuild config`: every effective value, and where it came from."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from dlpubuild.commands import options
from dlpubuild.commands.wiring import DEFAULT_BUDGET, open_memo, read_host, read_manifest, read_socs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dlpubuild.manifest.effective import Override, Value
    from dlpubuild.manifest.model import Manifest
    from dlpubuild.targets.model import Soc

# Settings that are no part of the manifest, by the environment variable that sets them.
_VARIABLES = {
    "DLPU_CACHE_BUDGET": "cache.budget",
    "DLPU_CACHE_DIR": "cache.dir",
    "DLPU_CPUS": "limits.cpus",
    "DLPU_EXECUTOR": "executor",
    "DLPU_JOBS": "jobs",
    "DLPU_LOCKED": "locked",
    "DLPU_MEMORY": "limits.memory",
    "DLPU_OFFLINE": "offline",
    "DLPU_OUTPUT_DIR": "output",
    "DLPU_PIDS": "limits.pids",
}


def config(
    manifest: options.ManifestOption = options.DEFAULT,
    as_json: options.JsonOption = False,
) -> None:
    """Print each setting and where it comes from.

    A command-line option wins over an environment variable, that over the manifest, that over the SoC's default,
    that over the tool's.

    \b
    Examples:
      dlpubuild config
      DLPU_JOBS=4 dlpubuild config --json
    """  # noqa: D301 - click wants the character itself
    from dlpubuild.manifest.effective import effective_values  # noqa: PLC0415
    from dlpubuild.report.text import columns  # noqa: PLC0415

    host = read_host()
    with open_memo(host) as memo:
        read = read_manifest(manifest, memo)
        socs = read_socs(read, memo)
    values = effective_values(
        read,
        overrides=[_from_environment(host.environ)],
        soc_defaults=_soc_defaults(read, socs),
        tool_defaults={
            "cache.budget": DEFAULT_BUDGET,
            "cache.dir": str(host.cache),
            "executor": "auto",
            "jobs": host.cores,
            "locked": False,
            "offline": False,
            "output": "dist",
        },
    )
    if as_json:
        rows = [{"path": each.path, "value": each.value, "source": each.source} for each in values]
        sys.stdout.write(json.dumps(rows, indent=2, ensure_ascii=False) + "\n")
        return
    table = [(each.path, _value_text(each.value), each.source) for each in values]
    sys.stdout.write(columns(table, header=("setting", "value", "from")) + "\n")


def _from_environment(environ: Mapping[str, str]) -> dict[str, Override]:
    from dlpubuild.manifest.effective import Override  # noqa: PLC0415

    return {
        setting: Override(value=environ[name], source=f"environment {name}")
        for name, setting in _VARIABLES.items()
        if environ.get(name)
    }


def _soc_defaults(manifest: Manifest, socs: Mapping[str, Soc]) -> dict[str, dict[str, Value]]:
    defaults: dict[str, dict[str, Value]] = {}
    for target in manifest.targets:
        soc = socs.get(target.soc)
        if soc is not None:
            quantization = target.quantization or soc.default_quantization
            defaults[soc.name] = {
                "quantization": soc.default_quantization,
                "io": soc.io_for(quantization),
                "toolchain": soc.default_toolchain,
            }
    return defaults


def _value_text(value: Value) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
