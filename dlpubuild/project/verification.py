"""The validation data of a project: what there is, what is picked, and which class is the right one.

In: the `[verify]` table, the inputs and outputs of the model, and the project's labels. Out: a `VerificationSource`, or
None after noting every fault. What decodes is remembered by content; nothing else is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from dlpubuild.errors import ErrorCode
from dlpubuild.manifest.wording import counted
from dlpubuild.project.image_files import find_images
from dlpubuild.project.labels_table import KEY, MOST_BYTES, NAME, TableOfLabels, read_table
from dlpubuild.project.model import VerificationSource
from dlpubuild.project.paths import path_kind
from dlpubuild.project.sample_files import SampleRequest, image_samples, noting_refusals
from dlpubuild.project.validation_arrays import CLASSES, ValidationArrays
from dlpubuild.project.validation_classes import NoClassError, classes_of, only_output

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from dlpubuild.manifest.model import Metric, ModelInput, VerifySection
    from dlpubuild.project.faults import Faults, Memo
    from dlpubuild.project.image_files import FoundImages
    from dlpubuild.project.model import KnownTensor, SampleSource
    from dlpubuild.project.paths import ProjectPaths

_NAMED = 10
_HOW_TO_LABEL = (
    f"give the classes: a folder for each, {NAME} beside the images ({CLASSES} in an .npz file); or set metric = "
    '"agreement", "sqnr" or "mae", which compare the model with the float one and need none'
)
# Classes by output, of each sample by its name or row.
_Labels = dict[str, "Mapping[str, int]"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationRequest:
    """What is to be resolved: the table, what the model takes and gives, and the rules.

    `inputs` and `outputs` are empty where they are not known. `every_image`: decode all images, not only those that are
    picked.
    """

    section: VerifySection
    inputs: Sequence[ModelInput]
    outputs: Sequence[KnownTensor]
    labels: Sequence[str] | None
    paths: ProjectPaths
    memo: Memo
    every_image: bool

    def samples(self) -> SampleRequest:
        """Return what is asked for as a request for samples."""
        return SampleRequest(
            key=KEY,
            data=self.section.data,
            samples=self.section.samples,
            seed=self.section.seed,
            inputs=self.inputs,
            paths=self.paths,
            memo=self.memo,
            every_image=self.every_image,
            unreadable=ErrorCode.VALIDATION_UNREADABLE,
        )


def resolve_verification(faults: Faults, request: VerificationRequest) -> VerificationSource | None:
    """Return the validation samples that were picked, or None after noting why there are none."""
    samples = request.samples()

    def resolve() -> VerificationSource | None:
        path = request.paths.find(request.section.data)
        if path.suffix.lower() in (".npy", ".npz") and path_kind(path) == "file":
            return _arrays(faults, request, samples, path)
        return _images(faults, request, samples)

    before = len(faults.found)
    found = noting_refusals(faults, samples, resolve)
    metric = _metric(faults, request.section)
    if len(faults.found) == before and found is not None and metric == "top1" and not found.labels:
        message = f'"top1" needs to know what is right, and "{request.section.data}" does not say it'
        faults.add(ErrorCode.VALIDATION_LABEL, "verify.metric", message, _HOW_TO_LABEL)
    return found if len(faults.found) == before else None


def gated_metric(section: VerifySection, *, is_said: bool) -> Metric:
    """Return what the gate holds a model against; of boxes it is agreement, where the manifest says nothing."""
    return "agreement" if section.boxes is not None and not is_said else section.metric


def _metric(faults: Faults, section: VerifySection) -> Metric:
    metric = gated_metric(section, is_said="verify.metric" in faults.manifest.locations)
    if section.boxes is not None and metric == "top1":
        faults.add(
            ErrorCode.CONFLICT,
            "verify.metric",
            '"top1" says nothing of a model whose outputs are boxes',
            'use "agreement": the share of the float model\'s boxes that the built model has, too',
        )
    return metric


def _source(
    faults: Faults,
    request: VerificationRequest,
    samples: SampleSource,
    labels: Mapping[str, Sequence[int | None]],
    *,
    array: str = "",
    left_out: int = 0,
) -> VerificationSource:
    known = {name: tuple(each) for name, each in labels.items() if any(one is not None for one in each)}
    is_said = "verify.metric" in faults.manifest.locations
    return VerificationSource(
        samples=samples,
        labels=MappingProxyType(dict(sorted(known.items()))),
        metric=gated_metric(request.section, is_said=is_said),
        array=array,
        left_out=left_out,
    )


def _images(faults: Faults, request: VerificationRequest, samples: SampleRequest) -> VerificationSource | None:
    found = find_images(samples.data, samples.paths)
    if not found.images:
        others = f" ({counted(found.others, 'other file')})" if found.others else ""
        faults.add(
            ErrorCode.VALIDATION_EMPTY,
            KEY,
            f'"{samples.data}" holds no image{others}',
            f"put images there that training did not see: a folder for each class, or {NAME} beside them",
        )
        return None
    before = len(faults.found)
    labels = _image_labels(faults, request, samples, found)
    if len(faults.found) > before:
        return None
    names = sorted(found.images) if labels is None else sorted({name for each in labels.values() for name in each})
    picked = samples.picked(names)
    source = image_samples(faults, samples, found, picked)
    if source is None:
        return None
    given = {output: [each.get(name) for name in picked] for output, each in (labels or {}).items()}
    return _source(faults, request, source, given, left_out=len(found.images) - len(names))


def _image_labels(
    faults: Faults, request: VerificationRequest, samples: SampleRequest, found: FoundImages
) -> _Labels | None:
    """Return the classes of the images, None where nothing says them; faults are noted."""
    folder = request.paths.find(samples.data)
    if path_kind(folder) == "folder":
        table = request.paths.find(f"{samples.data}/{NAME}")
        if path_kind(table) == "file":
            shown = str(faults.manifest.folder / found.shown(NAME))
            if table.stat().st_size > MOST_BYTES:
                faults.add(ErrorCode.VALIDATION_LABEL, KEY, f'"{found.shown(NAME)}" has more than {MOST_BYTES} bytes')
                return None
            read = read_table(
                faults,
                TableOfLabels(
                    place=shown,
                    data=table.read_bytes(),
                    images=found.images,
                    outputs=request.outputs,
                    labels=request.labels,
                ),
            )
            return None if read is None else dict(read)
    return _folder_labels(faults, request, found)


def _folder_labels(faults: Faults, request: VerificationRequest, found: FoundImages) -> _Labels | None:
    """Return the class that the folder of each image names; None where no folder does."""
    names = sorted({name.partition("/")[0] for name in found.images if "/" in name})
    if not names:
        return None
    try:
        classes = classes_of(only_output(request.outputs, request.labels), request.labels)
    except NoClassError as error:
        if request.section.metric == "top1" and request.section.boxes is None:
            faults.add(ErrorCode.VALIDATION_LABEL, KEY, f"the classes that folders name: {error}", _HOW_TO_LABEL)
        return None
    indices: dict[str, int] = {}
    wrong: list[str] = []
    for name in names:
        try:
            indices[name] = classes.of_text(name)
        except NoClassError as error:
            wrong.append(str(error))
    if not indices and request.section.metric != "top1":
        return None  # folders that stand for something else
    if wrong:
        listed = "".join(f"\n        {each}" for each in wrong[:_NAMED])
        more = f"\n        and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        faults.add(
            ErrorCode.VALIDATION_LABEL,
            KEY,
            f'folders in "{found.folder}" name no class:{listed}{more}',
            "name each folder as its line in [model] labels, or by the index of the class",
        )
    beside = [name for name in found.images if "/" not in name]
    if beside:
        message = f'{counted(len(beside), "image")} in "{found.folder}" {"lies" if len(beside) == 1 else "lie"} beside'
        hint = "move them into the folder of their class"
        faults.add(ErrorCode.VALIDATION_LABEL, KEY, f"{message} the folders of the classes: {min(beside)}", hint)
    if wrong or beside:
        return None
    return {classes.output: {name: indices[name.partition("/")[0]] for name in found.images}}


def _arrays(
    faults: Faults, request: VerificationRequest, samples: SampleRequest, path: Path
) -> VerificationSource | None:
    found = ValidationArrays(
        faults=faults, samples=samples, path=path, outputs=request.outputs, labels=request.labels
    ).resolve()
    return None if found is None else _source(faults, request, found.samples, found.classes, array=found.array)
