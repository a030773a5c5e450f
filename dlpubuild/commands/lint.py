"""`dlpubuild lint`: what SoCs have against a model, before any camera sees it."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dlpubuild.commands import options
from dlpubuild.commands.wiring import read_host
from dlpubuild.errors import DlpuError, ErrorCode, ExitCode, Location, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dlpubuild.manifest.model import Manifest
    from dlpubuild.targets.lint.model import LintReport
    from dlpubuild.targets.model import Soc
    from dlpubuild.tflite.model import TfliteModel

_OTHER_FORMATS = (".bin", ".h5", ".hdf5", ".keras", ".onnx", ".pb")
_HINT = "lint takes a .tflite, or a bundle or an .eap with one in it; build the model, and lint what is in dist"


class FailOn(StrEnum):
    """From which severity on the command fails."""

    ERROR = "error"
    WARNING = "warning"
    NEVER = "never"


def lint(
    model: Annotated[
        Path,
        typer.Argument(metavar="MODEL", help="A .tflite, a bundle (.tar.gz or its folder), or an .eap."),
    ],
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            "-t",
            metavar="SOC",
            help="For this SoC; may be given several times. Left out: the manifest's targets, or the bundle's, or "
            "every SoC that takes a model of this quantization.",
        ),
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(
            "--manifest", "-f", metavar="FILE", help="What this manifest says under [lint] counts, and its own SoCs."
        ),
    ] = None,
    as_json: options.JsonOption = False,
    sarif: Annotated[
        Path | None,
        typer.Option("--sarif", metavar="FILE", help="Write SARIF 2.1.0 there, or with - on standard output."),
    ] = None,
    fail_on: Annotated[
        FailOn | None,
        typer.Option(
            "--fail-on",
            help="Fail where there is a finding of this severity or a greater one; error where neither this nor the "
            "manifest says it.",
        ),
    ] = None,
) -> None:
    """Say what runs on the DLPU of an SoC, and what to change.

    Every operator and tensor is held against the rules in the SoC's target.toml. An error is what a build or the camera
    refuses; a warning, what runs on the CPU or costs accuracy; advice, what is known to be faster. Each finding says
    what was found, what the SoC wants, what to change in training code, and whether that is documented, measured or
    inferred. Where operators run is a prediction; it says what it rests on. A build does the same with every target.

    \b
    Examples:
      dlpubuild lint model.tflite --target artpec8
      dlpubuild lint dist/digits-1.0.0-artpec9.tar.gz --json
      dlpubuild lint model.tflite -f dlpu.toml --sarif lint.sarif --fail-on warning

    \b
    Exit codes: 0 nothing that fails, 2 the command line, the manifest or a template is at fault, 5 something that
    fails was found.
    """  # noqa: D301 - click wants the character itself
    from dlpubuild.commands.wiring import read_manifest, read_socs  # noqa: PLC0415 - `--help` pays for none of this
    from dlpubuild.project.lint_rules import lint_settings  # noqa: PLC0415
    from dlpubuild.targets.lint.model import LintSettings  # noqa: PLC0415
    from dlpubuild.targets.lint.run import lint_model  # noqa: PLC0415
    from dlpubuild.targets.lint.verdict import failing  # noqa: PLC0415

    to_stdout = sarif is not None and str(sarif) == "-"
    if as_json and to_stdout:
        raise UsageError(ErrorCode.USAGE, "--json and --sarif - both write to standard output", hint="choose one")
    read = None if manifest is None else read_manifest(manifest, None)
    socs = read_socs(read, None)
    settings = LintSettings() if read is None else lint_settings(read, socs)
    name, content = _read(model)
    chosen = _chosen(content, socs, _wanted(model, target or (), read, socs))
    linted = [(soc, lint_model(content, soc, settings)) for soc in chosen]
    if sarif is not None:
        _write_sarif(sarif, model, linted)
    if not to_stdout:
        _show(name, str(model), linted, as_json=as_json)
    limit = fail_on.value if fail_on is not None else settings.fail_on
    if any(failing(report, limit) for _, report in linted):
        raise typer.Exit(ExitCode.GATE_FAILED)


def _read(path: Path) -> tuple[str, TfliteModel]:
    """Return the model at `path` with its name; of a package, what was compiled rather than what that became."""
    from dlpubuild.package.kinds import is_package  # noqa: PLC0415 - as in `lint`
    from dlpubuild.tflite.read import read_file, read_model  # noqa: PLC0415

    if path.suffix.lower() in _OTHER_FORMATS or (path / "saved_model.pb").is_file():
        raise DlpuError(
            ErrorCode.MODEL_FORMAT,
            "lint looks at TensorFlow Lite models only",
            location=Location(str(path)),
            hint=_HINT,
        )
    if not is_package(path):
        return str(path), read_file(path)
    from dlpubuild.package.contents import read_packaged_models  # noqa: PLC0415 - as in `lint`

    try:
        members = [each for each in read_packaged_models(path) if each.member.endswith(".tflite")]
    except DlpuError as error:
        error.hint = _HINT
        raise
    if not members:
        raise DlpuError(
            ErrorCode.MODEL_FORMAT,
            "the model in it can be read by the camera only",
            location=Location(str(path)),
            hint="lint the .tflite that it was compiled from",
        )
    # The compiled file comes first, where there are two.
    chosen = members[-1]
    try:
        return f"{path}: {chosen.member}", read_model(chosen.content)
    except DlpuError as error:
        error.location = Location(f"{path}: {chosen.member}")
        raise


def _wanted(model: Path, targets: Sequence[str], manifest: Manifest | None, socs: Mapping[str, Soc]) -> Sequence[str]:
    """Return the SoCs that are asked for, by name: the user's, else the manifest's, else the one of the bundle."""
    if targets:
        return tuple(dict.fromkeys(targets))
    if manifest is not None:
        return tuple(section.soc for section in manifest.targets)
    from dlpubuild.package.kinds import is_package  # noqa: PLC0415 - as in `lint`

    if not is_package(model):
        return ()
    from dlpubuild.package.sealed import open_sealed  # noqa: PLC0415

    try:
        soc = open_sealed(model).soc
    except DlpuError:
        return ()  # a folder with a model in it will do
    return (soc,) if soc is not None and soc in socs else ()


def _chosen(model: TfliteModel, socs: Mapping[str, Soc], wanted: Sequence[str]) -> list[Soc]:
    from dlpubuild.manifest.wording import did_you_mean, nearest_value  # noqa: PLC0415 - as in `lint`
    from dlpubuild.targets.lint.gate_rules import takes_quantization  # noqa: PLC0415

    for name in wanted:
        if name not in socs:
            guess = did_you_mean(nearest_value(name, socs)) or f"; known: {', '.join(socs)}"
            raise UsageError(ErrorCode.UNKNOWN_VALUE, f'--target: unknown SoC "{name}"{guess}')
    if wanted:
        return [socs[name] for name in wanted]
    return [soc for soc in socs.values() if takes_quantization(model, soc)] or list(socs.values())


def _write_sarif(path: Path, model: Path, linted: Sequence[tuple[Soc, LintReport]]) -> None:
    from dlpubuild.report.sarif import sarif_log  # noqa: PLC0415 - as in `lint`

    text = json.dumps(sarif_log(str(model), linted), indent=2, ensure_ascii=False) + "\n"
    if str(path) == "-":
        sys.stdout.write(text)
        return
    from dlpubuild.commands.files import write_file  # noqa: PLC0415 - as in `lint`

    write_file(path, text.encode("utf-8", "backslashreplace"))


def _show(name: str, file: str, linted: Sequence[tuple[Soc, LintReport]], *, as_json: bool) -> None:
    from dlpubuild.report.lint import lint_json, lint_text  # noqa: PLC0415 - as in `lint`

    if as_json:
        # A path may hold bytes that are no UTF-8, which JSON cannot.
        told = file.encode("utf-8", "backslashreplace").decode()
        document = lint_json(told, [report for _, report in linted])
        sys.stdout.write(json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
        return
    host = read_host()
    titled = [(soc.title, report) for soc, report in linted]
    sys.stdout.write(lint_text(name, titled, colored=host.colors_on(sys.stdout), width=host.width_of(sys.stdout)))
