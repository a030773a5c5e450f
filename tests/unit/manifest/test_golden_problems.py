"""Each folder of tests/golden/manifest is one bad manifest and what is said about it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dlpubuild.errors import ExitCode, ManifestError
from dlpubuild.manifest.load import load_manifest

if TYPE_CHECKING:
    from collections.abc import Callable

CASES = sorted(path.parent for path in (Path(__file__).parents[2] / "golden" / "manifest").glob("*/dlpu.toml"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_bad_manifest_gets_every_fault_at_once(
    case: Path, golden: Callable[[Path, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(case)
    with pytest.raises(ManifestError) as caught:
        load_manifest(Path("dlpu.toml"))
    assert caught.value.exit_code is ExitCode.USAGE
    golden(case / "problems.txt", f"{caught.value.message}\n")
