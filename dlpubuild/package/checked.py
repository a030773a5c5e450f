"""What a quantizing step measured of the model that it made, read from its record.

In: the digest of the record. Out: an `OutputCheck`. Only the record is read, which is small; nothing is judged here.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from dlpubuild.errors import ErrorCode, StepFailedError
from dlpubuild.targets.output_figures import read_check

if TYPE_CHECKING:
    from dlpubuild.cas.digest import Digest
    from dlpubuild.cas.store import Store
    from dlpubuild.targets.output_figures import OutputCheck


def read_measured(record: Digest, store: Store) -> OutputCheck:
    """Return what the record of a quantizing step says.

    Raises:
        StepFailedError: `STEP_OUTPUT`: it is not what such a step is to write.
        BlobMissingError: it is not in the store, or was damaged there.
    """
    return read_check(read_record(record, store, of="quantizing"))


def read_record(record: Digest, store: Store, *, of: str) -> Any:
    """Return the record of a step as JSON values; `of` says which, as in "the quantizing step".

    Raises:
        StepFailedError: `STEP_OUTPUT`: it is not JSON.
        BlobMissingError: it is not in the store, or was damaged there.
    """
    content = store.read(record)
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise StepFailedError(
            ErrorCode.STEP_OUTPUT,
            f"the record of the {of} step is not JSON: {error}",
            hint="write it with stepio.write_step_json, as docs/templates.md describes",
        ) from error
