"""What an SoC has against the model that a target was built from.

In: an SoC, the digest of a model that can be read, and what the manifest says of lint. Out: a `LintReport`, remembered
by all that it depends on, so that a build with nothing to do neither reads the model nor imports Jinja. Nothing fails.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from typing import TYPE_CHECKING

from dlpubuild import __version__
from dlpubuild.cas.memo import MAX_FACT_BYTES
from dlpubuild.targets.lint.record import report_json, report_of
from dlpubuild.targets.lint.table import table_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlpubuild.cas.digest import Digest
    from dlpubuild.project.faults import Memo
    from dlpubuild.targets.lint.model import LintReport, LintSettings
    from dlpubuild.targets.model import Soc
    from dlpubuild.tflite.model import TfliteModel

_KIND = "lint-2"


def lint_built(
    soc: Soc, digest: Digest, model: Callable[[], TfliteModel], *, settings: LintSettings, memo: Memo
) -> LintReport:
    """Return what `soc` has against the model with this digest; `model` reads it, where it was not linted before.

    Raises:
        TemplateError: an expression of the SoC's table is faulty.
    """
    key = lint_key(soc, digest, settings)
    known = memo.recall(_KIND, key)
    if known is not None:
        try:
            return report_of(json.loads(zlib.decompress(known)))
        except (zlib.error, ValueError, KeyError, TypeError):
            pass  # damaged on disk, or of another version: linting again costs a moment
    from dlpubuild.targets.lint.run import lint_model  # noqa: PLC0415 - a build with nothing to do needs none of it

    report = lint_model(model(), soc, settings)
    # The findings of a rule are much alike, so that this makes a tenth of them.
    packed = zlib.compress(json.dumps(report_json(report)).encode(), level=1)
    if len(packed) <= MAX_FACT_BYTES:
        memo.remember(_KIND, key, packed)
    return report


def lint_key(soc: Soc, digest: Digest, settings: LintSettings) -> str:
    """Return what stands for all that a report depends on: model, rules, settings, and the version of the tool."""
    rules = sorted((name, said.severity, said.reason) for name, said in settings.rules.items())
    table = table_of(soc)
    parts = [
        __version__,
        str(digest),
        soc.name,
        soc.gate,
        soc.allowed_quantization,
        soc.allowed_io,
        table.sha256,
        str(table.file),
        rules,
    ]
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()
