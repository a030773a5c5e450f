"""Checking the whole cache folder: every blob against its name, every result against its outputs.

In: a store. Out: counts. What is damaged, or a result that points at what is not there, is removed; the next
build makes it anew. Never marks anything as used.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlpubuild.cas.collect import entries
from dlpubuild.cas.digest import digest_stream
from dlpubuild.cas.faults import store_faults
from dlpubuild.cas.folder import BLOBS, RESULTS
from dlpubuild.cas.reapi import MessageDecodeError
from dlpubuild.cas.results import unframe_result

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlpubuild.cas.collect import Entry
    from dlpubuild.cas.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """What was found.

    Attributes:
        blobs: number of blobs that are good.
        blob_bytes: their size.
        damaged_blobs: number of blobs that did not match their name and were removed.
        results: number of action results that are good.
        dropped_results: number of results that were removed: damaged, failed, or without an output.
    """

    blobs: int
    blob_bytes: int
    damaged_blobs: int
    results: int
    dropped_results: int

    @property
    def is_clean(self) -> bool:
        """Whether nothing had to be removed."""
        return self.damaged_blobs == 0 and self.dropped_results == 0


def verify(store: Store, progress: Callable[[int, int], None] | None = None) -> VerifyReport:
    """Hash every blob, check every result, and remove what is bad.

    Args:
        store: the store; builds may run meanwhile.
        progress: called with the bytes hashed so far and in all, after each blob.

    Raises:
        StoreError: the cache folder cannot be read or written.
    """
    with store_faults(store.root):
        blobs = entries(store, BLOBS)
        total_bytes = sum(entry.size_bytes for entry in blobs)
        done_bytes = good = good_bytes = damaged = 0
        for entry in blobs:
            outcome = _check_blob(store, entry)
            if outcome is False:
                damaged += 1
            elif outcome:
                good += 1
                good_bytes += entry.size_bytes
            done_bytes += entry.size_bytes
            if progress is not None:
                progress(done_bytes, total_bytes)
        kept = [_check_result(store, entry) for entry in entries(store, RESULTS)]
    return VerifyReport(
        blobs=good,
        blob_bytes=good_bytes,
        damaged_blobs=damaged,
        results=kept.count(True),
        dropped_results=kept.count(False),
    )


def _check_blob(store: Store, entry: Entry) -> bool | None:
    """Return whether the blob is good, None if it is gone; a bad one is removed."""
    with suppress(FileNotFoundError), open(entry.path, "rb", buffering=0) as source:  # noqa: PTH123  # text path
        opened = os.fstat(source.fileno())
        if digest_stream(source).hash == entry.name:
            return True
        # Only the very file that was read: a build may have put a good one in its place.
        store.folder.remove_if(entry.path, lambda found: os.path.samestat(found, opened))
        return False
    return None


def _check_result(store: Store, entry: Entry) -> bool | None:
    """Return whether the result is of use, None if it is gone; one that is not is removed."""
    with suppress(FileNotFoundError), open(entry.path, "rb", buffering=0) as source:  # noqa: PTH123  # text path
        opened = os.fstat(source.fileno())
        try:
            result = unframe_result(entry.name, source.read())
        except MessageDecodeError:
            result = None
        if result and result.exit_code == 0 and all(store.contains(digest) for digest in result.blobs):
            return True
        store.folder.remove_if(entry.path, lambda found: os.path.samestat(found, opened))
        return False
    return None
