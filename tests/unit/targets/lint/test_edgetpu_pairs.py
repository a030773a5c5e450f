"""What ARTPEC-7's table predicts is what the real compiler did.

The pairs lie beside the repository, in `../shared/data/models`. `DLPU_EDGETPU_PAIRS` names a folder with more.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.factories.edgetpu_pairs import ROOT, figures, find_pairs, meet

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.factories.edgetpu_pairs import Pair

SHARED = ROOT.parent / "shared" / "data" / "models"
# Read here: no variable of this kind is left when a test runs.
OTHERS = os.environ.get("DLPU_EDGETPU_PAIRS")
PAIRS = find_pairs(*(folder for folder in (SHARED, Path(OTHERS) if OTHERS else None) if folder is not None))

here = pytest.mark.skipif(not PAIRS, reason=f"no pairs in {SHARED}, and DLPU_EDGETPU_PAIRS names none")


@here
@pytest.mark.parametrize("pair", PAIRS or [None], ids=lambda pair: pair.name if pair else "none")
def test_the_lint_expects_on_the_cpu_what_the_real_compiler_left_there(pair: Pair) -> None:
    assert Counter(meet(pair).placement.cpu) == meet(pair).left


@here
@pytest.mark.parametrize("pair", PAIRS or [None], ids=lambda pair: pair.name if pair else "none")
def test_the_operators_expected_on_the_cpu_are_the_very_ones(pair: Pair) -> None:
    assert meet(pair).expected == meet(pair).real


@here
def test_precision_and_recall_are_complete(record_property: Callable[[str, object], None]) -> None:
    told = figures(PAIRS)
    record_property("figures", told)
    print(told)  # noqa: T201 - the figures are what the test is there for
    assert told.splitlines()[-1].split()[-8:][2:4] == ["1.000", "1.000"]
    assert told.splitlines()[-1].split()[-2:] == ["1.000", "1.000"]
