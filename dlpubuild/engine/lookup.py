"""Results in the cache: which count as a hit.

In: a bound action and the store. Out: its result, or None. A result that lacks an output the command declares is a
miss, whoever put it there; the store has already refused failed ones and those whose blobs are gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dlpubuild.cas.action import ActionResult
    from dlpubuild.cas.store import Store
    from dlpubuild.executors.base import BoundAction


def cached_result(store: Store, bound: BoundAction, *, mark: bool = True) -> ActionResult | None:
    """Return the cached result of an action.

    Args:
        mark: note that it was used, so that it is kept; not where one only looks.
    """
    result = store.get_action_result(bound.digest, mark=mark)
    if result is None:
        return None
    written = {output.path for output in result.output_files}
    return result if written.issuperset(bound.command.output_paths) else None
