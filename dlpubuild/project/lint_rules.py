"""What the manifest says of lint rules, held against the rules that there are.

In: a manifest and the SoCs that are known. Out: `LintSettings`, or the fault of each rule that no SoC has. No model is
looked at here.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from dlpubuild.errors import ErrorCode
from dlpubuild.manifest.tomlpath import join_path
from dlpubuild.manifest.wording import did_you_mean, nearest_value
from dlpubuild.project.faults import Faults
from dlpubuild.targets.lint.model import LintSettings, RuleSetting
from dlpubuild.targets.lint.table import table_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dlpubuild.manifest.model import Manifest
    from dlpubuild.targets.model import Soc


def settings_of(manifest: Manifest) -> LintSettings:
    """Return what `manifest` says, whatever rules there are."""
    return LintSettings(
        fail_on=manifest.lint.fail_on,
        rules=MappingProxyType(
            {rule.id: RuleSetting(severity=rule.severity, reason=rule.reason) for rule in manifest.lint.rules}
        ),
    )


def lint_settings(manifest: Manifest, socs: Mapping[str, Soc]) -> LintSettings:
    """Return what `manifest` says.

    Raises:
        ManifestError: it names a rule that no SoC has.
    """
    faults = Faults(manifest)
    check_lint_rules(faults, socs)
    faults.raise_if_any()
    return settings_of(manifest)


def check_lint_rules(faults: Faults, socs: Mapping[str, Soc]) -> None:
    """Note each rule in the manifest that no SoC has."""
    for rule in faults.manifest.lint.rules:
        soc = socs.get(rule.id.partition("/")[0])
        own = table_of(soc).rule_ids if soc is not None else ()
        if rule.id in own:
            continue
        path = join_path("lint.rules", rule.id)
        known = own or tuple(name for each in socs.values() for name in table_of(each).rule_ids)
        guess = did_you_mean(nearest_value(rule.id, known))
        what = f"{soc.title} has no such rule" if soc is not None else "there is no such SoC"
        faults.add(
            ErrorCode.UNKNOWN_VALUE,
            path,
            f"{what}{guess}",
            f"its rules: {', '.join(own)}" if own and not guess else "",
        )
