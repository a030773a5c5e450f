"""Each setting of a build with the place it comes from: what `dlpubuild config` prints.

In: a manifest, what the command line and the environment override, the defaults of each SoC and of the tool. Out:
one `EffectiveValue` for each setting that has a value. Nothing is read from anywhere else.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from dlpubuild.manifest.model import LintRuleSection, Manifest, TargetSection, ToolchainSection
from dlpubuild.manifest.tomlpath import join_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Value: TypeAlias = str | int | float | bool | tuple[str | int | float, ...]

_NOT_SETTINGS = {
    Manifest: frozenset({"path", "sha256", "locations"}),
    TargetSection: frozenset({"soc"}),
    ToolchainSection: frozenset({"name"}),
    LintRuleSection: frozenset({"id"}),
}
_TOML_NAMES = {"inputs": "input", "outputs": "output", "targets": "target", "toolchains": "toolchain", "rules": "rules"}
_OPTIONAL_TABLES = frozenset({"boxes", "calibration", "verify", "sdk_image"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """A value from outside of the manifest; `source` says where from: `command line`, `environment DLPU_JOBS`."""

    value: Value
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveValue:
    """One setting as the build uses it.

    Attributes:
        path: the TOML path, or a name of the same form for a setting that the manifest does not have.
        value: what the build uses.
        source: `command line`, `environment DLPU_…`, `manifest dlpu.toml:12`, `default of the SoC` or `default`.
    """

    path: str
    value: Value
    source: str


def effective_values(
    manifest: Manifest,
    *,
    overrides: Sequence[Mapping[str, Override]] = (),
    soc_defaults: Mapping[str, Mapping[str, Value]] | None = None,
    tool_defaults: Mapping[str, Value] | None = None,
) -> tuple[EffectiveValue, ...]:
    """Return every setting that has a value: those of the manifest in its order, then the others by name.

    Args:
        manifest: the manifest, its defaults filled in.
        overrides: settings by path, the layer that wins first; usually the command line, then the environment.
        soc_defaults: for each SoC, the values of keys that `[target.<soc>]` may leave out, spelled as in TOML.
        tool_defaults: settings that the manifest does not have, by name, such as `jobs`.
    """
    outside = _first_of_each(overrides)
    settings = dict(_settings(manifest, ""))
    defaults = {
        join_path(join_path("target", soc), key): value
        for soc, values in (soc_defaults or {}).items()
        for key, value in values.items()
    }
    found = [_effective(path, value, manifest, outside, defaults) for path, value in settings.items()]
    others = {path: (value, "default") for path, value in (tool_defaults or {}).items()}
    others |= {path: (override.value, override.source) for path, override in outside.items()}
    found += [
        EffectiveValue(path=path, value=value, source=source)
        for path, (value, source) in sorted(others.items())
        if path not in settings
    ]
    return tuple(value for value in found if value is not None)


def _first_of_each(layers: Sequence[Mapping[str, Override]]) -> dict[str, Override]:
    merged: dict[str, Override] = {}
    for layer in reversed(layers):
        merged.update(layer)
    return merged


def _effective(
    path: str,
    value: Value | None,
    manifest: Manifest,
    outside: Mapping[str, Override],
    soc_defaults: Mapping[str, Value],
) -> EffectiveValue | None:
    if path in outside:
        return EffectiveValue(path=path, value=outside[path].value, source=outside[path].source)
    if path in manifest.locations and value is not None:
        place = manifest.locations[path]
        return EffectiveValue(path=path, value=value, source=f"manifest {place.file}:{place.line}")
    if path in soc_defaults:
        return EffectiveValue(path=path, value=soc_defaults[path], source="default of the SoC")
    return None if value is None else EffectiveValue(path=path, value=value, source="default")


def _settings(section: Any, path: str) -> Iterator[tuple[str, Value | None]]:
    """Yield each setting below a section with its TOML path, `None` where nothing is said, in file-format order."""
    passed_over = _NOT_SETTINGS.get(type(section), frozenset())
    for field in fields(section):
        if field.name in passed_over:
            continue
        here = join_path(path, _TOML_NAMES.get(field.name, field.name.replace("_", "-")))
        value = getattr(section, field.name)
        if is_dataclass(value):
            yield from _settings(value, here)
        elif field.name in _TOML_NAMES:
            for index, item in enumerate(value):
                yield from _settings(item, join_path(here, _table_key(item, index)))
        elif value is not None or field.name not in _OPTIONAL_TABLES:
            yield here, value


def _table_key(item: Any, index: int) -> str | int:
    if isinstance(item, TargetSection):
        return item.soc
    if isinstance(item, LintRuleSection):
        return item.id
    return item.name if isinstance(item, ToolchainSection) else index
