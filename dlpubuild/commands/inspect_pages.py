"""What `inspect` shows of a file: a page for each model in it.

In: the path of a model or of a package. Out: pages, whose text and JSON are made when they are asked for. What reads
other formats is imported where such a file is given, so that a `.tflite` costs no more than its own reader.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dlpubuild.errors import DlpuError, ErrorCode, Location
from dlpubuild.package.kinds import is_package

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dlpubuild.package.eap.overview import EapOverview
    from dlpubuild.report.inspect import Shown
    from dlpubuild.report.inspect_source import SourceFacts
    from dlpubuild.tflite.facts import ModelFacts
    from dlpubuild.tflite.model import TfliteModel

_SHOWN_AS_SOURCE = (".pb", ".keras", ".h5", ".hdf5", ".onnx", ".bin")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One model: where it lies in its package, empty outside of one, and the name it is shown under.

    A `.tflite` has `model` and `facts`; all else has its text and its JSON values ready.
    """

    member: str = ""
    name: str
    model: TfliteModel | None = None
    facts: ModelFacts | None = None
    ready_text: str = ""
    ready_json: dict[str, Any] | None = None

    def pieces(self, shown: Shown) -> Iterator[str]:
        """Yield its text."""
        from dlpubuild.report.inspect import inspect_pieces  # noqa: PLC0415

        if self.model is None or self.facts is None:
            yield self.ready_text
        else:
            yield from inspect_pieces(self.name, self.model, self.facts, shown)

    def document(self) -> dict[str, Any]:
        """Return its JSON values, with iterators for long lists."""
        from dlpubuild.report.inspect_json import inspect_json  # noqa: PLC0415

        if self.model is None or self.facts is None:
            return dict(self.ready_json or {})
        return inspect_json(self.model, self.facts)


def pages_of(path: Path) -> list[Page]:
    """Return a page for each model in the file `path`; there is at least one.

    Raises:
        DlpuError: it cannot be read, or there is nothing in it that can be shown.
    """
    if path.suffix.lower() in _SHOWN_AS_SOURCE or (path / "saved_model.pb").is_file():
        return [_source_page(path)]
    if is_package(path):
        return _binary_pages(path) or _packed_pages(path)
    from dlpubuild.tflite.read import read_file  # noqa: PLC0415

    return [_model_page("", str(path), read_file(path))]


def overview_of(path: Path) -> EapOverview | None:
    """Return what an `.eap` is, beside the models in it; None for every other file."""
    if path.suffix != ".eap" or path.is_dir():
        return None
    from dlpubuild.commands.wiring import read_socs  # noqa: PLC0415
    from dlpubuild.package.eap.overview import eap_overview  # noqa: PLC0415

    return eap_overview(path, {soc.larod_device for soc in read_socs(None, None).values()})


def _model_page(member: str, name: str, model: TfliteModel) -> Page:
    from dlpubuild.tflite.facts import summarise  # noqa: PLC0415

    return Page(member=member, name=name, model=model, facts=summarise(model))


def _source_page(path: Path) -> Page:
    from dlpubuild.project.signature import UnreadableModelError  # noqa: PLC0415
    from dlpubuild.report.inspect_source import source_json, source_text  # noqa: PLC0415

    try:
        if path.suffix.lower() == ".onnx":
            return _onnx_page(path)
        facts = _source_facts(path)
    except UnreadableModelError as error:
        raise DlpuError(ErrorCode.NOT_A_MODEL, f"it cannot be used: {error}", location=Location(str(path))) from error
    except OSError as error:
        raise DlpuError(
            ErrorCode.MODEL_UNREADABLE,
            f"the model cannot be read: {error.strerror or error}",
            location=Location(str(path)),
        ) from error
    return Page(name=str(path), ready_text=source_text(facts), ready_json=source_json(facts))


def _onnx_page(path: Path) -> Page:
    from dlpubuild.project.onnx_signature import read_onnx  # noqa: PLC0415
    from dlpubuild.report.inspect_onnx import onnx_json, onnx_text  # noqa: PLC0415

    facts, size_bytes = read_onnx(path), _size(path)
    return Page(
        name=str(path),
        ready_text=onnx_text(str(path), size_bytes, facts),
        ready_json=onnx_json(size_bytes, facts),
    )


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


def _binary_pages(path: Path) -> list[Page]:
    """The page of a bundle whose model only the camera can read; none for all else."""
    from dlpubuild.package.binary_contents import read_packaged_binary  # noqa: PLC0415
    from dlpubuild.report.inspect_binary import binary_json, binary_text  # noqa: PLC0415

    binary = read_packaged_binary(path)
    if binary is None:
        return []
    return [Page(name=str(path), ready_text=binary_text(str(path), binary), ready_json=binary_json(binary))]


def _packed_pages(path: Path) -> list[Page]:
    from dlpubuild.package.contents import read_packaged_models  # noqa: PLC0415
    from dlpubuild.tflite.read import read_model  # noqa: PLC0415

    found = read_packaged_models(path)
    pages: list[Page] = []
    for member, content in found:
        name = str(path) if len(found) == 1 else f"{path}: {member}"
        if member.endswith(".bin"):
            pages.append(_compiled_page(member, name, content))
            continue
        try:
            pages.append(_model_page(member, name, read_model(content)))
        except DlpuError as error:
            error.location = Location(f"{path}: {member}")
            if not pages:
                raise
            # An application may carry files that only end as a model does.
            text, document = f"{name}: {error.message}\n", {"error": error.message}
            pages.append(Page(member=member, name=name, ready_text=text, ready_json=document))
    return pages


def _compiled_page(member: str, name: str, content: bytes) -> Page:
    from dlpubuild.project.model import KnownSignature, ModelReading  # noqa: PLC0415
    from dlpubuild.project.ready_model import guess_bin_soc  # noqa: PLC0415
    from dlpubuild.report.inspect_source import SourceFacts, source_json, source_text  # noqa: PLC0415

    facts = SourceFacts(
        name=name,
        format="compiled",
        size_bytes=len(content),
        reading=ModelReading(signature=KnownSignature(), state="compiled"),
        likely_soc=guess_bin_soc(content),
    )
    return Page(member=member, name=name, ready_text=source_text(facts), ready_json=source_json(facts))
