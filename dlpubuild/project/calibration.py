"""The calibration data of a project: what there is, what is picked, and whether it can be read.

In: the `[calibration]` table and the inputs it feeds. Out: a `SampleSource`, or None after noting every fault.
What decodes is remembered by content; nothing else is written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlpubuild.errors import ErrorCode
from dlpubuild.manifest.wording import counted
from dlpubuild.project.arrays import npy_header, npz_headers
from dlpubuild.project.image_files import find_images
from dlpubuild.project.model import SampleSource, SourceFile
from dlpubuild.project.paths import path_kind
from dlpubuild.project.sample_files import SampleRequest, arrays_fed, image_samples, noting_refusals

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dlpubuild.manifest.model import CalibrationSection, ModelInput
    from dlpubuild.project.faults import Faults, Memo
    from dlpubuild.project.paths import ProjectPaths


def calibration_request(
    section: CalibrationSection, inputs: Sequence[ModelInput], paths: ProjectPaths, memo: Memo, *, every_image: bool
) -> SampleRequest:
    """Return what is to be resolved of the table; `inputs` are empty where they are not known.

    Args:
        section: the table.
        inputs: what the samples feed.
        paths: which files may be read.
        memo: what is known of files.
        every_image: decode all images, not only those that are picked.
    """
    return SampleRequest(
        key="calibration.data",
        data=section.data,
        samples=section.samples,
        seed=section.seed,
        inputs=inputs,
        paths=paths,
        memo=memo,
        every_image=every_image,
        unreadable=ErrorCode.CALIBRATION_UNREADABLE,
    )


def resolve_calibration(faults: Faults, request: SampleRequest) -> SampleSource | None:
    """Return the samples that were picked, or None after noting why there are none."""

    def resolve() -> SampleSource | None:
        path = request.paths.find(request.data)
        if path.suffix.lower() in (".npy", ".npz") and path_kind(path) == "file":
            return _arrays(faults, request, path)
        return _images(faults, request)

    return noting_refusals(faults, request, resolve)


def _images(faults: Faults, request: SampleRequest) -> SampleSource | None:
    found = find_images(request.data, request.paths)
    if not found.images:
        others = f" ({counted(found.others, 'other file')})" if found.others else ""
        faults.add(
            ErrorCode.CALIBRATION_EMPTY,
            request.key,
            f'"{request.data}" holds no image{others}',
            "put about 100 images there that look like what the camera will see (.jpg, .png, ...)",
        )
        return None
    return image_samples(faults, request, found, request.picked(list(found.images)))


def _arrays(faults: Faults, request: SampleRequest, path: Path) -> SampleSource | None:
    is_npz = path.suffix.lower() == ".npz"
    try:
        headers = npz_headers(path) if is_npz else (npy_header(path),)
        fed = arrays_fed(headers, request.inputs, is_npz=is_npz)
    except ValueError as error:
        faults.add(request.unreadable, request.key, f'"{request.data}" cannot be used: {error}')
        return None
    rows = fed[0].rows
    if rows == 0:
        faults.add(ErrorCode.CALIBRATION_EMPTY, request.key, f'"{request.data}" holds no sample')
        return None
    (digest,) = request.memo.digest_files([path])
    return SampleSource(
        kind="npz" if is_npz else "npy",
        files=(SourceFile(staged=f"samples{path.suffix.lower()}", path=path, name=request.data, digest=digest),),
        indices=request.picked_rows(rows),
        available=rows,
    )
