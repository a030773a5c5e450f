"""Samples that a model is fed with, of the project's own: what there is, what is picked, and whether it can be read.

In: what a table of the manifest says of its data, and the inputs it feeds. Out: a `SampleSource`, or None after noting
every fault. What decodes is remembered by content; nothing else is written.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from dlpubuild.errors import DlpuError, ErrorCode
from dlpubuild.manifest.wording import counted, in_a_row
from dlpubuild.project.images import undecodable
from dlpubuild.project.model import IMAGE_RANK, SampleSource, SourceFile
from dlpubuild.project.paths import PathRefusedError
from dlpubuild.project.sampling import pick, pick_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dlpubuild.cas.digest import Digest
    from dlpubuild.manifest.model import ModelInput
    from dlpubuild.project.arrays import ArrayHeader
    from dlpubuild.project.faults import Faults, Memo
    from dlpubuild.project.image_files import FoundImages
    from dlpubuild.project.paths import ProjectPaths

_Found = TypeVar("_Found")
_NAMED = 10
_DECODED = "images-decode-2"


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRequest:
    """What is to be resolved, by which rules.

    `key` is the TOML path of `data`. `samples` are picked at most, all where it is None. `inputs` are those that are
    fed, empty where they are not known. `every_image`: decode all images, not only those that are picked. Faults of
    the data have the code `unreadable`.
    """

    key: str
    data: str
    samples: int | None
    seed: int
    inputs: Sequence[ModelInput]
    paths: ProjectPaths
    memo: Memo
    every_image: bool
    unreadable: ErrorCode

    def picked(self, names: Sequence[str]) -> list[str]:
        """Return the names of the samples that are fed, in their order."""
        return pick(names, samples=len(names) if self.samples is None else self.samples, seed=self.seed)

    def picked_rows(self, count: int) -> tuple[int, ...]:
        """Return the rows that are fed of so many, in their order."""
        return tuple(pick_rows(count, samples=count if self.samples is None else self.samples, seed=self.seed))


def noting_refusals(faults: Faults, request: SampleRequest, resolve: Callable[[], _Found | None]) -> _Found | None:
    """Return what `resolve` returns, or None after noting why the files cannot be used."""
    try:
        return resolve()
    except PathRefusedError as error:
        faults.add_refused(request.key, error)
    except OSError as error:
        faults.add(request.unreadable, request.key, f'"{request.data}" cannot be read: {error.strerror or error}')
    except DlpuError as error:
        faults.add_unreadable(request.key, error)
    return None


def image_samples(
    faults: Faults, request: SampleRequest, found: FoundImages, picked: Sequence[str]
) -> SampleSource | None:
    """Return the images of `found` that are named in `picked`, in that order."""
    misfit = _image_misfit(request.inputs)
    if misfit:
        faults.add(ErrorCode.CONFLICT, request.key, *misfit)
        return None
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
    return SampleSource(kind="images", files=files, indices=(), available=len(found.images))


def _digests(request: SampleRequest, found: FoundImages, names: Sequence[str]) -> Sequence[Digest]:
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


def _check_decodable(faults: Faults, request: SampleRequest, found: FoundImages, digests: Mapping[str, Digest]) -> None:
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
        request.unreadable,
        request.key,
        f'{len(bad)} of {counted(len(names), "image")} in "{request.data}" cannot be decoded:\n{listed}{more}',
        "replace or remove them",
    )


def arrays_fed(headers: Sequence[ArrayHeader], inputs: Sequence[ModelInput], *, is_npz: bool) -> Sequence[ArrayHeader]:
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
