"""`dlpubuild inspect`: what is in a model file or a package, and what is different in another one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dlpubuild.commands import options
from dlpubuild.errors import DlpuError, ErrorCode, ExitCode, Location, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dlpubuild.commands.inspect_pages import Page
    from dlpubuild.report.inspect import Shown
    from dlpubuild.tflite.compare import Difference

_STANDARD_OUTPUT = "-"


def inspect(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A model (.tflite, .pb, .keras, .h5, .onnx, .bin or a SavedModel folder), a bundle (.tar.gz or its "
            "folder), or an .eap.",
        ),
    ],
    diff: Annotated[
        Path | None,
        typer.Option("--diff", metavar="FILE", help="Show what is different in this file, a .tflite or a package."),
    ] = None,
    operators: Annotated[
        bool, typer.Option("--operators", help="Show every operator with its parameters and what it costs.")
    ] = False,
    tensors: Annotated[
        bool, typer.Option("--tensors", help="Show every tensor with its shape, type and quantization.")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="Show all of it: every operator, every tensor.")] = False,
    as_json: options.JsonOption = False,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write a page that a browser shows; - for standard output."),
    ] = None,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="With --diff: exit with 4 where the files are different.")
    ] = False,
) -> None:
    """Show what is in a model or in a package, or what is different between two.

    Inputs and outputs, quantization, operators, size, and multiply-accumulates, as they are in the file: nothing is
    believed that is not in the tensors themselves. Of a .tflite it also says which TensorFlow it needs, what is odd in
    it, and whether the Edge TPU compiler can read its operators; of a compiled one, what was mapped and what was left.
    Of a package, the models in it are shown: where one was compiled, what it was compiled from as well; of an .eap also
    its manifest, its entries, and the larod device that it names. The format of a .bin is not public: of one in a
    bundle it is shown what the bundle says of it. JSON and HTML have all that --all shows.

    \b
    Examples:
      dlpubuild inspect dist/digits-1.0.0-artpec8/model/model.tflite
      dlpubuild inspect dist/digits-1.0.0-artpec8.tar.gz --json
      dlpubuild inspect model.tflite --operators
      dlpubuild inspect model.tflite --html model.html
      dlpubuild inspect old.tflite --diff new.tflite
      dlpubuild inspect frozen_graph.pb
    """  # noqa: D301 - click wants the character itself
    from dlpubuild.commands.inspect_pages import overview_of, pages_of  # noqa: PLC0415 - `--help` pays for none of this
    from dlpubuild.report.inspect import Shown  # noqa: PLC0415

    _refuse_combinations(diff=diff, as_json=as_json, html=html, exit_code=exit_code)
    shown = Shown(operators=operators or everything, tensors=tensors or everything, width=_width())
    if diff is not None:
        _show_difference(file, diff, as_json=as_json, exit_code=exit_code, everything=everything)
        return
    overview, pages = overview_of(file), pages_of(file)
    application, preface = None, ""
    if overview is not None:
        from dlpubuild.report.inspect_eap import eap_json, eap_text  # noqa: PLC0415

        application, preface = eap_json(overview), eap_text(overview)
    if html is not None:
        _write_html(html, file, pages, preface)
    elif as_json:
        _write_json(_document(pages, application))
    else:
        _write(_texts(pages, preface, shown))


def _refuse_combinations(*, diff: Path | None, as_json: bool, html: Path | None, exit_code: bool) -> None:
    if html is not None and (as_json or diff is not None):
        other = "--json" if as_json else "--diff"
        raise UsageError(ErrorCode.USAGE, f"--html and {other} cannot be given together")
    if exit_code and diff is None:
        raise UsageError(ErrorCode.USAGE, "--exit-code says whether two files are different", hint="give --diff FILE")


def _width() -> int | None:
    from dlpubuild.commands.wiring import read_host  # noqa: PLC0415

    return read_host().width_of(sys.stdout)


def _write(pieces: Iterable[str]) -> None:
    for piece in pieces:
        sys.stdout.write(piece)


def _write_json(document: dict[str, Any]) -> None:
    from dlpubuild.report.json_text import joined, json_chunks  # noqa: PLC0415

    _write(joined(json_chunks(document)))


def _texts(pages: list[Page], preface: str, shown: Shown) -> Iterator[str]:
    yield preface
    for number, page in enumerate(pages):
        yield "\n" if preface or number else ""
        yield from page.pieces(shown)


def _document(pages: list[Page], application: dict[str, Any] | None) -> dict[str, Any]:
    document = pages[0].document()
    if application is not None:
        document["application"] = application
    if len(pages) > 1:
        document["further_models"] = ({"file": page.member, **page.document()} for page in pages[1:])
    return document


def _write_html(target: Path, file: Path, pages: list[Page], preface: str) -> None:
    from dlpubuild.commands.files import write_pieces  # noqa: PLC0415
    from dlpubuild.report.inspect_html import Section, inspect_html  # noqa: PLC0415

    sections = [Section(name=page.name, model=page.model, facts=page.facts, text=page.ready_text) for page in pages]
    if preface:
        sections.insert(0, Section(name="The application", text=preface))
    pieces = inspect_html(file.name or str(file), sections)
    if str(target) == _STANDARD_OUTPUT:
        _write(pieces)
    else:
        write_pieces(target, pieces)


def _show_difference(file: Path, other: Path, *, as_json: bool, exit_code: bool, everything: bool) -> None:
    """Show what is different between the models of two files, the first with the first and so on."""
    from dlpubuild.commands.inspect_pages import pages_of  # noqa: PLC0415
    from dlpubuild.report.inspect_diff import diff_json, diff_pieces  # noqa: PLC0415

    pairs = _pairs(file, pages_of(file), other, pages_of(other))
    found = [_difference(mine, theirs) for mine, theirs in pairs]
    if as_json:
        names = [{"old": mine.name, "new": theirs.name} for mine, theirs in pairs]
        documents = [{**name, **diff_json(each)} for name, each in zip(names, found, strict=True)]
        further = {"further_models": iter(documents[1:])} if documents[1:] else {}
        _write_json({"schema": 1, **documents[0], **further})
    else:
        for number, ((mine, theirs), each) in enumerate(zip(pairs, found, strict=True)):
            _write("\n" if number else "")
            _write(diff_pieces((mine.name, theirs.name), each, everything=everything, width=_width()))
    if exit_code and not all(each.same_bytes for each in found):
        raise typer.Exit(int(ExitCode.OUT_OF_DATE))


def _pairs(file: Path, mine: list[Page], other: Path, theirs: list[Page]) -> list[tuple[Page, Page]]:
    """Pair the model that the camera loads with that of the other file, and what it was compiled from with the same."""
    for path, pages in ((file, mine), (other, theirs)):
        if pages[0].model is None:
            raise DlpuError(
                ErrorCode.NOT_A_MODEL,
                "only .tflite files can be compared, and packages with one",
                location=Location(str(path)),
            )
    both = zip(mine, theirs, strict=False)
    return [pair for pair in both if pair[0].model is not None and pair[1].model is not None]


def _difference(old: Page, new: Page) -> Difference:
    from dlpubuild.tflite.compare import compare  # noqa: PLC0415

    if old.model is None or new.model is None:
        raise AssertionError
    return compare(old.model, new.model)
