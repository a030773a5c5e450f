"""`dlpubuild report`: what a build made, shown again, and what changed between two."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from dlpubuild.commands import options
from dlpubuild.errors import ErrorCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dlpubuild.commands.wiring import Host


def report(
    source: Annotated[
        Path | None,
        typer.Argument(
            metavar="SOURCE",
            help="A report's .json, a folder with one, or a bundle; the project's last report when left out.",
            show_default=False,
        ),
    ] = None,
    manifest: options.ManifestOption = options.DEFAULT,
    output: options.OutputOption = None,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            "--compare",
            metavar="OLD NEW",
            help="Show what changed from OLD to NEW; each is what SOURCE can be.",
            show_default=False,
        ),
    ] = None,
    as_json: options.JsonOption = False,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print Markdown, short enough for a comment on a pull request.")
    ] = False,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write one self-contained page to this file, or to -."),
    ] = None,
) -> None:
    """Show what a build made, or what changed between two.

    A build leaves its report beside the packages, as a page, as JSON and as Markdown. This shows it as text, or makes
    it again from the JSON, that of another version of a project or of somebody else's, too. Of a bundle it tells what
    is in there: no times, no findings, nothing measured.

    \b
    Examples:
      dlpubuild report                            # of the project's last build
      dlpubuild report dist/digits-1.0.0-report.json --html digits.html
      dlpubuild report --compare released/digits-1.0.0-report.json dist --markdown
      dlpubuild report --compare digits-1.0.0-artpec8.tar.gz digits-1.1.0-artpec8.tar.gz

    \b
    Exit codes: 0 shown, whatever the report says; 1 it cannot be written; 2 there is no report, or it cannot be used.
    """  # noqa: D301 - click wants the character itself
    from dlpubuild.commands.wiring import read_host  # noqa: PLC0415 - `--help` needs none of it
    from dlpubuild.report.saved import find_report, read_report  # noqa: PLC0415

    if sum((as_json, as_markdown, html is not None)) > 1:
        raise UsageError(ErrorCode.USAGE, "--json, --markdown and --html exclude one another")
    if compare is not None and source is not None:
        raise UsageError(ErrorCode.USAGE, f"--compare takes two reports, and {source} is a third")
    host = read_host()
    document: Mapping[str, Any]
    if compare is not None:
        from dlpubuild.report.compare import compare as compared  # noqa: PLC0415

        document, views = compared(*(find_report(path) for path in compare)), _comparison_views()
    else:
        document = find_report(source) if source is not None else read_report(_last_report(host, manifest, output))
        views = _report_views()
    if html is not None:
        _write(html, views.html(document))
    elif as_json:
        sys.stdout.write(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    elif as_markdown:
        sys.stdout.write(views.markdown(document))
    else:
        colored, width = host.colors_on(sys.stdout), host.width_of(sys.stdout)
        sys.stdout.write(views.text(document, colored=colored, width=width))


class _Views(NamedTuple):
    """What draws a document."""

    html: Callable[[Mapping[str, Any]], str]
    markdown: Callable[[Mapping[str, Any]], str]
    text: Callable[..., str]


def _report_views() -> _Views:
    from dlpubuild.report.html import report_html  # noqa: PLC0415 - Jinja and jsonschema are slow to import
    from dlpubuild.report.markdown import report_markdown  # noqa: PLC0415
    from dlpubuild.report.summary import report_text  # noqa: PLC0415

    return _Views(html=report_html, markdown=report_markdown, text=report_text)


def _comparison_views() -> _Views:
    from dlpubuild.report.compare_views import compare_markdown, compare_text  # noqa: PLC0415 - as above
    from dlpubuild.report.html import compare_html  # noqa: PLC0415

    return _Views(html=compare_html, markdown=compare_markdown, text=compare_text)


def _write(path: Path, page: str) -> None:
    from dlpubuild.commands.files import write_file  # noqa: PLC0415 - as above

    content = page.encode("utf-8", "replace")
    if str(path) == "-":
        sys.stdout.write(content.decode())
        return
    write_file(path, content)


def _last_report(host: Host, manifest: Path, output: Path | None) -> Path:
    from dlpubuild.commands.wiring import open_memo, read_manifest  # noqa: PLC0415 - as above
    from dlpubuild.package.report_files import report_base  # noqa: PLC0415

    with open_memo(host) as memo:
        read = read_manifest(manifest, memo)
    base = report_base(read.project.name, read.project.version)
    path = (output or read.folder / "dist") / f"{base}.json"
    if not path.exists():
        raise UsageError(
            ErrorCode.PATH_MISSING,
            f"there is no report of {read.project.name} {read.project.version}: {path}",
            hint="a build writes it: dlpubuild build; or name a report's .json",
        )
    return path
