"""HTML views: one self-contained page from a report document or from a comparison of two.

In: dicts as their schemas describe them. Out: the text of a page that loads nothing. Nothing is read but the templates
beside this file, and nothing written. Jinja is imported when a page is made, because other commands need it not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def report_html(document: Mapping[str, Any]) -> str:
    """Return the page of a report document."""
    from dlpubuild.report.html.environment import render_page  # noqa: PLC0415 - Jinja is slow to import
    from dlpubuild.report.html.view import report_context  # noqa: PLC0415

    return render_page("report.html.j2", styles=("report.css",), scripts=("report.js",), **report_context(document))


def compare_html(comparison: Mapping[str, Any]) -> str:
    """Return the page of a comparison of two reports."""
    from dlpubuild.report.html.compare_view import compare_context  # noqa: PLC0415 - Jinja is slow to import
    from dlpubuild.report.html.environment import render_page  # noqa: PLC0415

    return render_page("compare.html.j2", styles=("report.css",), scripts=("report.js",), **compare_context(comparison))
