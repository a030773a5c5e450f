"""The calibration data of a project: what there is, what is picked, and whether it can be read.

In: the `[calibration]` table and the inputs it feeds. Out: a `CalibrationSource`, or None after noting every fault.
What decodes is remembered by content; nothing else is written.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlpubuild.errors import DlpuError, ErrorCode
from dlpubuild.manifest.wording import counted, in_a_row
from dlpubuild.project.arrays import ArrayHeader, npy_header, npz_headers
from dlpubuild.project.image_files import find_images
from dlpubuild.project.images import undecodable
from dlpubuild.project.model import IMAGE_RANK, CalibrationSource, SourceFile
from dlpubuild.project.paths import PathRefusedError, path_kind
from dlpubuild.project.sampling import pick, pick_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from dlpubuild.cas.digest import Digest
    from dlpubuild.manifest.model import CalibrationSection, ModelInput
    from dlpubuild.project.faults import Faults, Memo
    from dlpubuild.project.image_files import FoundImages
    from dlpubuild.project.paths import ProjectPaths

_KEY = "calibration.data"
_NAMED = 10
_DECODED = "images-decode-2"


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationRequest:
    """What is to be resolved: the table, the inputs it feeds (empty where they are not known), and the rules.

    `every_image`: decode all images, not only those that are picked.
    """

    section: CalibrationSection
    inputs: Sequence[ModelInput]
    paths: ProjectPaths
    memo: Memo
    every_image: bool


def resolve_calibration(faults: Faults, request: CalibrationRequest) -> CalibrationSource | None:
    """Return the samples that were picked, or None after noting why there are none."""
    data = request.section.data
    try:
        path = request.paths.find(data)
        kind = path_kind(path)
        if path.suffix.lower() in (".npy", ".npz") and kind == "file":
            return _arrays(faults, request, path)
        return _images(faults, request)
    except PathRefusedError as error:
        faults.add_refused(_KEY, error)
    except OSError as error:
        faults.add(ErrorCode.CALIBRATION_UNREADABLE, _KEY, f'"{data}" cannot be read: {error.strerror or error}')
    except DlpuError as error:
        faults.add_unreadable(_KEY, error)
    return None


def _images(faults: Faults, request: CalibrationRequest) -> CalibrationSource | None:
    section = request.section
    found = find_images(section.data, request.paths)
    if not found.images:
        others = f" ({counted(found.others, 'other file')})" if found.others else ""
        faults.add(
            ErrorCode.CALIBRATION_EMPTY,
            _KEY,
            f'"{section.data}" holds no image{others}',
            "put about 100 images there that look like what the camera will see (.jpg, .png, ...)",
        )
        return None
    misfit = _image_misfit(request.inputs)
    if misfit:
        faults.add(ErrorCode.CONFLICT, _KEY, *misfit)
        return None
    picked = pick(found.images, samples=section.samples, seed=section.seed)
    # Digests are in the order of the samples, and a sample is staged by its position: its name changes nothing.
    digests = _digests(request, found, picked)
    files = tuple(
        SourceFile(
            staged=f"{position:05d}{os.path.splitext(name)[1].lower()}",  # noqa: PTH122 - a relative name, as text
            path=found.images[name],
            name=found.shown(name),
            digest=digest,
        )
        for position, (name, digest) in enumerate(zip(picked, digests, strict=True))
    )
    if request.every_image:
        names = sorted(found.images)
        _check_decodable(faults, request, found, dict(zip(names, _digests(request, found, names), strict=True)))
    else:
        _check_decodable(faults, request, found, dict(zip(picked, digests, strict=True)))
    return CalibrationSource(kind="images", files=files, indices=(), available=len(found.images))


def _digests(request: CalibrationRequest, found: FoundImages, names: Sequence[str]) -> Sequence[Digest]:
    return request.memo.digest_files([found.images[name] for name in names])


def _image_misfit(inputs: Sequence[ModelInput]) -> tuple[str, str] | None:
    """Return why images cannot feed these inputs, and what to do; None where they can, or may."""
    if len(inputs) > 1:
        names = in_a_row(each.name for each in inputs)
        return (
            f"images can feed one input, but the model has {len(inputs)} ({names})",
            "use an .npz file with one array per input name",
        )
    shape = inputs[0].shape if inputs else None
    if shape is None:
        return None
    color, name = inputs[0].color, inputs[0].name
    channels = 1 if color == "gray" else 3
    if len(shape) == IMAGE_RANK and shape[3] == channels:
        return None
    return (
        f'{color} images need an input of shape [1, height, width, {channels}]; "{name}" has {list(shape)}',
        "use an .npy file with one row per sample, or correct [[model.input]] color",
    )


def _check_decodable(
    faults: Faults, request: CalibrationRequest, found: FoundImages, digests: Mapping[str, Digest]
) -> None:
    """Note which of the images in `digests` do not decode. A set that decoded is remembered by its contents."""
    names = sorted(digests)
    key = hashlib.sha256("\n".join(sorted(digest.hash for digest in digests.values())).encode()).hexdigest()
    if request.memo.recall(_DECODED, key) is not None:
        return
    reasons = dict(undecodable([found.images[name] for name in names]))
    if not reasons:
        request.memo.remember(_DECODED, key, b"")
        return
    bad = [name for name in names if found.images[name] in reasons]
    listed = "\n".join(f"        {found.shown(name)}: {reasons[found.images[name]]}" for name in bad[:_NAMED])
    more = f"\n        and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
    faults.add(
        ErrorCode.CALIBRATION_UNREADABLE,
        _KEY,
        f'{len(bad)} of {counted(len(names), "image")} in "{request.section.data}" cannot be decoded:\n{listed}{more}',
        "replace or remove them",
    )


def _arrays(faults: Faults, request: CalibrationRequest, path: Path) -> CalibrationSource | None:
    section = request.section
    is_npz = path.suffix.lower() == ".npz"
    try:
        headers = npz_headers(path) if is_npz else (npy_header(path),)
        fed = _fed(headers, request.inputs, is_npz=is_npz)
    except ValueError as error:
        faults.add(ErrorCode.CALIBRATION_UNREADABLE, _KEY, f'"{section.data}" cannot be used: {error}')
        return None
    rows = fed[0].rows
    if rows == 0:
        faults.add(ErrorCode.CALIBRATION_EMPTY, _KEY, f'"{section.data}" holds no sample')
        return None
    (digest,) = request.memo.digest_files([path])
    return CalibrationSource(
        kind="npz" if is_npz else "npy",
        files=(SourceFile(staged=f"samples{path.suffix.lower()}", path=path, name=section.data, digest=digest),),
        indices=tuple(pick_rows(rows, samples=section.samples, seed=section.seed)),
        available=rows,
    )


def _fed(headers: Sequence[ArrayHeader], inputs: Sequence[ModelInput], *, is_npz: bool) -> Sequence[ArrayHeader]:
    """Return the array of each input; all there are where the inputs are not known.

    Raises:
        ValueError: the arrays do not fit the inputs, or one another; the text says why.
    """
    if not headers:
        raise ValueError("it holds no array")
    if not is_npz and len(inputs) > 1:
        raise ValueError(f"one array cannot feed {len(inputs)} inputs; use an .npz file with one array per input name")
    by_name = {header.name: header for header in headers}
    # One array and one input leave no doubt, whatever the array is called.
    if inputs and not len(inputs) == len(headers) == 1:
        missing = [each.name for each in inputs if each.name not in by_name]
        if missing:
            raise ValueError(f"it has no array for input {in_a_row(missing)}; it has {in_a_row(by_name)}")
        headers = [by_name[each.name] for each in inputs]
    if len({header.rows for header in headers}) > 1:
        lengths = ", ".join(f"{header.name}: {header.rows}" for header in headers)
        raise ValueError(f"its arrays have different numbers of samples ({lengths})")
    for header, each in zip(headers, inputs, strict=False):
        if each.shape is not None and header.shape[1:] not in (each.shape, each.shape[1:]):
            raise ValueError(
                f'input "{each.name}" takes {list(each.shape[1:])}, but a sample has {list(header.shape[1:])}; '
                "the first dimension of an array counts its samples"
            )
    return headers
