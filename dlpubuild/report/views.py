"""A report document in the form that a file's name asks for.

In: a document as `schemas/report.schema.json` describes it. Out: bytes. What makes a page is imported when one is made:
a build with nothing to do makes none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dlpubuild.package.report_files import SUFFIXES
from dlpubuild.report.document import encode_report

if TYPE_CHECKING:
    from collections.abc import Mapping


def rendered(document: Mapping[str, Any], suffix: str) -> bytes:
    """Return a report as a file with this suffix, one of `SUFFIXES`, holds it."""
    if suffix == "json":
        return encode_report(document)
    if suffix == "html":
        from dlpubuild.report.html import report_html  # noqa: PLC0415 - Jinja takes a while to import

        return _utf8(report_html(document))
    if suffix == "md":
        from dlpubuild.report.markdown import report_markdown  # noqa: PLC0415

        return _utf8(report_markdown(document))
    raise ValueError(f"a report is no .{suffix}: {', '.join(SUFFIXES)}")


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "replace")
