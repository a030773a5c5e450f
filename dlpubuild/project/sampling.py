"""Which calibration samples are picked, and in which order: the same on every machine.

In: names of candidates, a seed. Out: the names picked. Each candidate is ranked by the sha256 of the seed and its name,
so the choice depends neither on the order in which a file system lists a folder nor on a random number generator;
adding one image changes at most one sample. No file is looked at here.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def pick(names: Iterable[str], *, samples: int, seed: int) -> list[str]:
    """Return at most `samples` of `names`, ranked by seed; all of them where there are fewer.

    >>> pick(["a.png", "b.png", "c.png"], samples=2, seed=0) == pick(["c.png", "a.png", "b.png"], samples=2, seed=0)
    True
    """
    return sorted(names, key=lambda name: (_rank(seed, name), name))[:samples]


def pick_rows(count: int, *, samples: int, seed: int) -> list[int]:
    """Return at most `samples` of the row numbers 0 … `count` - 1, ranked by seed."""
    return [int(name) for name in pick((str(row) for row in range(count)), samples=samples, seed=seed)]


def _rank(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}:{name}".encode()).digest()
