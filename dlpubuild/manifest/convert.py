"""A valid TOML document as a `Manifest`, with the defaults filled in.

In: a document that satisfies the schema. Out: frozen dataclasses. Nothing is checked here, and the defaults
are those of the dataclasses, which a test holds equal to the schema's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dlpubuild.manifest.model import (
    AcapSection,
    BoxesSection,
    CalibrationSection,
    LimitsSection,
    LintRuleSection,
    LintSection,
    Manifest,
    ModelInput,
    ModelOutput,
    ModelSection,
    PackageSection,
    ProjectSection,
    SdkImages,
    TargetSection,
    ToolchainSection,
    VerifySection,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dlpubuild.manifest.source import Source

_FRACTIONS = frozenset(
    {"mean", "std", "max_drop", "min_agreement", "min_sqnr", "score", "iou", "nms_iou", "min_mapped", "cpus"}
)


def manifest_of(source: Source, *, path: Path, sha256: str) -> Manifest:
    """Return the manifest that `source` spells out.

    Args:
        source: a document that satisfies the schema.
        path: where the manifest lies.
        sha256: that of the file's bytes, in hex.
    """
    document = source.document
    calibration, verify = document.get("calibration"), document.get("verify")
    return Manifest(
        path=path,
        sha256=sha256,
        schema=document["schema"],
        project=ProjectSection(**_fields(document["project"])),
        model=_model(document["model"]),
        targets=tuple(TargetSection(soc=soc, **_fields(table)) for soc, table in document["target"].items()),
        calibration=None if calibration is None else CalibrationSection(**_fields(calibration)),
        verify=None if verify is None else _verify(verify),
        toolchains=tuple(
            ToolchainSection(name=name, **_fields(table)) for name, table in document.get("toolchain", {}).items()
        ),
        limits=LimitsSection(**_fields(document.get("limits", {}))),
        lint=_lint(document.get("lint", {})),
        package=_package(document.get("package", {})),
        locations=source.places.values,
    )


def _model(table: Mapping[str, Any]) -> ModelSection:
    fields = _fields({key: value for key, value in table.items() if key not in {"input", "output"}})
    return ModelSection(
        **fields,
        inputs=tuple(ModelInput(**_fields(item)) for item in table.get("input", ())),
        outputs=tuple(ModelOutput(**_fields(item)) for item in table.get("output", ())),
    )


def _lint(table: Mapping[str, Any]) -> LintSection:
    fields = _fields({key: value for key, value in table.items() if key != "rules"})
    rules = table.get("rules", {})
    return LintSection(**fields, rules=tuple(LintRuleSection(id=name, **_fields(each)) for name, each in rules.items()))


def _verify(table: Mapping[str, Any]) -> VerifySection:
    fields = _fields(table)
    if "boxes" in fields:
        fields["boxes"] = BoxesSection(**_fields(fields["boxes"]))
    return VerifySection(**fields)


def _package(table: Mapping[str, Any]) -> PackageSection:
    fields = _fields({key: value for key, value in table.items() if key != "acap"})
    acap = _fields(table.get("acap", {}))
    if "sdk_image" in acap:
        acap["sdk_image"] = SdkImages(**acap["sdk_image"])
    return PackageSection(**fields, acap=AcapSection(**acap))


def _fields(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys as Python spells them, arrays as tuples, and fractions as floats even where 0 is written."""
    fields: dict[str, Any] = {}
    for key, value in table.items():
        name = key.replace("-", "_")
        if isinstance(value, list):
            fields[name] = tuple(float(item) for item in value) if name in _FRACTIONS else tuple(value)
        else:
            fields[name] = float(value) if name in _FRACTIONS else value
    return fields
