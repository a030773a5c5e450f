"""Faults collected while a project is resolved, so that all are told at once.

In: what the modules of this package find wrong, by TOML path. Out: one `ManifestError`. Nothing is looked up here but
the place of a key in the manifest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from dlpubuild.errors import ErrorCode, ManifestError, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dlpubuild.cas.digest import Digest
    from dlpubuild.errors import DlpuError, Location
    from dlpubuild.manifest.model import Manifest
    from dlpubuild.project.paths import PathRefusedError


class Memo(Protocol):
    """What resolving needs of the file-digest memo (`dlpubuild.cas.memo`)."""

    def digest_files(self, paths: Sequence[Path]) -> list[Digest]:
        """Return the digest of each file, from its stat where it is known."""
        ...

    def recall(self, kind: str, key: str) -> bytes | None:
        """Return what `remember` was given, or None."""
        ...

    def remember(self, kind: str, key: str, value: bytes) -> None:
        """Keep the result of a pure function."""
        ...


@dataclass(frozen=True, slots=True)
class Faults:
    """The manifest that is looked at, and the problems found so far."""

    manifest: Manifest
    found: list[Problem] = field(default_factory=list)

    def add(
        self, code: ErrorCode, path: str, message: str, hint: str = "", *, location: Location | None = None
    ) -> None:
        """Note a fault at the TOML path `path`; it stands there in the manifest unless `location` says otherwise."""
        place = location or self.manifest.locate(path)
        self.found.append(Problem(code=code, location=place, path=path, message=message, hint=hint))

    def add_refused(self, path: str, error: PathRefusedError) -> None:
        """Note that what the manifest names at `path` cannot be used."""
        self.add(error.code, path, str(error), error.hint)

    def add_unreadable(self, path: str, error: DlpuError) -> None:
        """Note that a file which `path` names cannot be read; any other error goes on.

        Raises:
            DlpuError: `error`, where it is not about a file that cannot be read.
        """
        if error.code is not ErrorCode.INPUT_UNREADABLE:
            raise error
        self.add(error.code, path, error.message, error.hint)

    def raise_if_any(self) -> None:
        """Raise all of them together.

        Raises:
            ManifestError: there is at least one.
        """
        if self.found:
            raise ManifestError(self.found)
