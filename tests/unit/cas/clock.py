"""A clock that stands still until it is told to go on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Clock:
    """Nanoseconds since the epoch."""

    now_ns: int = 1_700_000_000_000_000_000

    def __call__(self) -> int:
        return self.now_ns

    def advance(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1e9)
