"""An `.eap` written: streamed through GNU gzip to a name of its own, then put in its place.

In: an `EapRequest` and where to write. Out: a `WrittenEap`. The bytes are those of
`tar --format gnu --owner 0 --group 0 --numeric-owner --sort name --mtime @EPOCH … | gzip -n -9` over a folder with the
same files and modes. Nothing half-written stays, and nothing is held in memory whole.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from dlpubuild.cas.digest import digest_stream
from dlpubuild.package import output_folder
from dlpubuild.package.eap.check import sound_content
from dlpubuild.package.eap.stamp import WrittenEap, eap_base, eap_key, encode_eap_stamp, stamped_eap
from dlpubuild.package.stamp import stamp_path
from dlpubuild.package.tar import write_entries

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dlpubuild.cas.digest import Digest
    from dlpubuild.package.eap.compressor import Gzip
    from dlpubuild.package.eap.members import EapContent
    from dlpubuild.package.eap.request import EapRequest


def write_eap(request: EapRequest, out_dir: Path, *, gzip: Gzip) -> WrittenEap:
    """Write the `.eap` of `request` to `out_dir`, and a stamp beside it; what was there of that name is replaced.

    An `.eap` that an earlier build of the same target left under another name is removed.

    Raises:
        ManifestError: every fault of the application.
        OutputError: `out_dir` cannot be written, or gzip failed.
        BlobMissingError: a file that is packed is gone.
        StoreError: it cannot be read or is not what its digest says.
    """
    return write_content(
        sound_content(request), out_dir, base_name=request.package.base_name, epoch_s=request.package.epoch_s, gzip=gzip
    )


def write_content(content: EapContent, out_dir: Path, *, base_name: str, epoch_s: int, gzip: Gzip) -> WrittenEap:
    """Write what was checked already; see `write_eap`."""
    key = eap_key(content, epoch_s=epoch_s)
    return place_eap(
        key, out_dir / content.file_name, base_name, lambda path: pack(content, path, epoch_s=epoch_s, gzip=gzip)
    )


def place_eap(key: str, path: Path, base_name: str, make: Callable[[Path], Digest]) -> WrittenEap:
    """Put an `.eap` at `path`, and its stamp beside it; see `write_eap`.

    Args:
        key: names the bytes.
        path: in the output folder.
        base_name: that of the package.
        make: writes the file that it is given, and returns the digest.
    """
    out_dir, base = path.parent, eap_base(base_name)
    with output_folder.writable(out_dir):
        try:
            temporary = output_folder.temporary(out_dir, base, output_folder.ARCHIVE)
            eap = WrittenEap(key=key, path=path, digest=make(temporary))
            _remove_former(out_dir, base, eap)
            output_folder.replace_file(temporary, eap.path)
            _write_stamp(eap, out_dir, base)
            output_folder.flush_folder(out_dir)
        except BaseException:
            # Ctrl-C included: what is half-written must not stay.
            output_folder.discard(out_dir, base)
            raise
    return eap


def pack(content: EapContent, path: Path, *, epoch_s: int, gzip: Gzip) -> Digest:
    """Write the bytes of an `.eap` to the new file `path` and return their digest; it survives a power failure.

    Raises:
        OSError: `path` cannot be written.
        OutputError: gzip failed.
        BlobMissingError: a file that is packed is gone.
        StoreError: it cannot be read or is not what its digest says.
    """
    with path.open("w+b") as target:
        with gzip.compressing(target) as stream:
            write_entries(stream, content.entries, mtime_s=epoch_s)
        os.fsync(target.fileno())
        target.seek(0)
        return digest_stream(target)


def _remove_former(out_dir: Path, base: str, eap: WrittenEap) -> None:
    former = stamped_eap(stamp_path(out_dir, base))
    if former is None or former.path == eap.path or not former.path.is_file() or former.path.is_symlink():
        return
    with former.path.open("rb") as stream:
        is_unchanged = digest_stream(stream) == former.digest
    if is_unchanged:
        former.path.unlink()


def _write_stamp(eap: WrittenEap, out_dir: Path, base: str) -> None:
    temporary = output_folder.temporary(out_dir, base, output_folder.STAMP)
    with temporary.open("wb") as target:
        target.write(encode_eap_stamp(eap))
        target.flush()
        os.fsync(target.fileno())
    output_folder.replace_file(temporary, stamp_path(out_dir, base))
