"""`dlpubuild inspect`: what is in a model file or a package."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dlpubuild.commands import options
from dlpubuild.errors import DlpuError, ErrorCode, Location

if TYPE_CHECKING:
    from dlpubuild.package.eap.overview import EapOverview
    from dlpubuild.report.inspect_source import SourceFacts

_SHOWN_AS_SOURCE = (".pb", ".keras", ".h5", ".hdf5", ".onnx", ".bin")


def inspect(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A model (.tflite, .pb, .keras, .h5, .onnx, .bin or a SavedModel folder), a bundle (.tar.gz or its "
            "folder), or an .eap.",
        ),
    ],
    as_json: options.JsonOption = False,
) -> None:
    """Show what is in a model or in a package.

    Inputs and outputs, quantization, operators, size, and multiply-accumulates, as they are in the file: nothing is
    believed that is not in the tensors themselves. Of a .tflite it also says whether the Edge TPU compiler can read its
    operators. Of a package, the models in it are shown: where one was compiled, what it was compiled from as well;
    of an .eap also its manifest, its entries, and the larod device that it names. The format of a .bin is not public:
    of one in a bundle it is shown what the bundle says of it.

    \b
    Examples:
      dlpubuild inspect dist/digits-1.0.0-artpec8/model/model.tflite
      dlpubuild inspect dist/digits-1.0.0-artpec8.tar.gz --json
      dlpubuild inspect frozen_graph.pb
    """  # noqa: D301 - click wants the character itself
    from dlpubuild.report.inspect_eap import eap_json, eap_text  # noqa: PLC0415 - `--help` pays for none of this

    overview = _overview(file)
    pages = _source_pages(file) if _is_source(file) else _binary_pages(file) or _tflite_pages(file)
    if as_json:
        document = dict(pages[0][1])
        if overview is not None:
            document["application"] = eap_json(overview)
        if len(pages) > 1:
            document["further_models"] = [{"file": member, **table} for member, table, _ in pages[1:]]
        sys.stdout.write(json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
    else:
        texts = [] if overview is None else [eap_text(overview)]
        sys.stdout.write("\n".join([*texts, *(text for _, _, text in pages)]))


def _overview(path: Path) -> EapOverview | None:
    """What an `.eap` is, beside the models in it; None for every other file."""
    if path.suffix != ".eap" or path.is_dir():
        return None
    from dlpubuild.commands.wiring import read_socs  # noqa: PLC0415 - as in `_source_pages`
    from dlpubuild.package.eap.overview import eap_overview  # noqa: PLC0415 - as above

    return eap_overview(path, {soc.larod_device for soc in read_socs(None, None).values()})


def _is_source(path: Path) -> bool:
    return path.suffix.lower() in _SHOWN_AS_SOURCE or (path / "saved_model.pb").is_file()


def _source_pages(path: Path) -> list[tuple[str, dict[str, Any], str]]:
    from dlpubuild.project.signature import UnreadableModelError  # noqa: PLC0415 - `--help` pays for none of this
    from dlpubuild.report.inspect_source import source_json, source_text  # noqa: PLC0415

    try:
        if path.suffix.lower() == ".onnx":
            return [_onnx_page(path)]
        facts = _source_facts(path)
    except UnreadableModelError as error:
        raise DlpuError(ErrorCode.NOT_A_MODEL, f"it cannot be used: {error}", location=Location(str(path))) from error
    except OSError as error:
        raise DlpuError(
            ErrorCode.MODEL_UNREADABLE,
            f"the model cannot be read: {error.strerror or error}",
            location=Location(str(path)),
        ) from error
    return [("", source_json(facts), source_text(facts))]


def _onnx_page(path: Path) -> tuple[str, dict[str, Any], str]:
    from dlpubuild.project.onnx_signature import read_onnx  # noqa: PLC0415
    from dlpubuild.report.inspect_onnx import onnx_json, onnx_text  # noqa: PLC0415

    facts, size_bytes = read_onnx(path), _size(path)
    return "", onnx_json(size_bytes, facts), onnx_text(str(path), size_bytes, facts)


def _source_facts(path: Path) -> SourceFacts:
    from dlpubuild.project.frozen_graph import read_frozen_graph  # noqa: PLC0415
    from dlpubuild.project.model_source import model_format, peek_model  # noqa: PLC0415
    from dlpubuild.project.ready_model import guess_bin_soc  # noqa: PLC0415
    from dlpubuild.report.inspect_source import SourceFacts  # noqa: PLC0415

    path.stat()
    found, reading = model_format(path), peek_model(path)
    operators, likely = None, None
    if found == "frozen-graph":
        operators = read_frozen_graph(path.read_bytes()).operators
    elif found == "compiled":
        with path.open("rb") as stream:
            likely = guess_bin_soc(stream.read(64))
    return SourceFacts(
        name=str(path),
        format=str(found),
        size_bytes=_size(path),
        reading=reading,
        operators=operators,
        likely_soc=likely,
    )


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return sum(each.stat().st_size for each in files)


def _binary_pages(path: Path) -> list[tuple[str, dict[str, Any], str]]:
    """The page of a bundle whose model only the camera can read; none for all else."""
    from dlpubuild.package.binary_contents import read_packaged_binary  # noqa: PLC0415
    from dlpubuild.report.inspect_binary import binary_json, binary_text  # noqa: PLC0415

    binary = read_packaged_binary(path)
    return [] if binary is None else [("", binary_json(binary), binary_text(str(path), binary))]


def _tflite_pages(path: Path) -> list[tuple[str, dict[str, Any], str]]:
    from dlpubuild.package.contents import is_package, read_packaged_models  # noqa: PLC0415
    from dlpubuild.project.model import KnownSignature, ModelReading  # noqa: PLC0415
    from dlpubuild.project.ready_model import guess_bin_soc  # noqa: PLC0415
    from dlpubuild.report.inspect import inspect_json, inspect_text  # noqa: PLC0415
    from dlpubuild.report.inspect_source import SourceFacts, source_json, source_text  # noqa: PLC0415
    from dlpubuild.tflite.facts import summarise  # noqa: PLC0415
    from dlpubuild.tflite.read import read_file, read_model  # noqa: PLC0415

    if not is_package(path):
        model = read_file(path)
        facts = summarise(model)
        return [("", inspect_json(model, facts), inspect_text(str(path), model, facts))]
    found = read_packaged_models(path)
    pages = []
    for member, content in found:
        name = str(path) if len(found) == 1 else f"{path}: {member}"
        if member.endswith(".bin"):
            compiled = SourceFacts(
                name=name,
                format="compiled",
                size_bytes=len(content),
                reading=ModelReading(signature=KnownSignature(), state="compiled"),
                likely_soc=guess_bin_soc(content),
            )
            pages.append((member, source_json(compiled), source_text(compiled)))
            continue
        try:
            model = read_model(content)
        except DlpuError as error:
            error.location = Location(f"{path}: {member}")
            if not pages:
                raise
            # An application may carry files that only end as a model does.
            pages.append((member, {"error": error.message}, f"{name}: {error.message}\n"))
            continue
        facts = summarise(model)
        pages.append((member, inspect_json(model, facts), inspect_text(name, model, facts)))
    return pages
