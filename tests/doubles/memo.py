"""A memo that forgets everything with the process: digests are computed each time, results kept in a dictionary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlpubuild.cas.digest import Digest, digest_bytes
from dlpubuild.errors import DlpuError, ErrorCode

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class MemoryMemo:
    """What `dlpubuild.project.faults.Memo` asks for; `hashed` and `facts` tell what was done."""

    def __init__(self) -> None:
        self.facts: dict[tuple[str, str], bytes] = {}
        self.hashed: list[Path] = []

    def digest_files(self, paths: Sequence[Path]) -> list[Digest]:
        self.hashed += paths
        try:
            return [digest_bytes(path.read_bytes()) for path in paths]
        except OSError as error:
            raise DlpuError(ErrorCode.INPUT_UNREADABLE, f"cannot read {error.filename}") from error

    def recall(self, kind: str, key: str) -> bytes | None:
        return self.facts.get((kind, key))

    def remember(self, kind: str, key: str, value: bytes) -> None:
        self.facts[kind, key] = value
