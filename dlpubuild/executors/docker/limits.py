"""What one step may use of the engine's machine.

In: what the manifest and the options ask for, and what the engine says it has. Out: numbers that the engine takes, or
an error that says why it would not. Limits protect a machine; no result depends on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlpubuild.errors import ErrorCode, UsageError

if TYPE_CHECKING:
    from dlpubuild.containers.connect import EngineFacts

# What Docker's daemon takes at least (daemon/daemon_unix.go: linuxMinMemory).
LEAST_MEMORY_BYTES = 6 << 20
_LEAST_CPUS = 0.01
_NANO = 1_000_000_000
_MIB = 1 << 20
_GIB = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one step may use; `None` is three quarters of the engine's memory, and all its cores.

    `pids` is a number of processes and threads.
    """

    memory_bytes: int | None
    cpus: float | None
    pids: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SettledLimits:
    """Limits as the engine takes them; `nano_cpus` is None where the step may use every core.

    `unlimited` names what the engine cannot limit: of `memory`, `cpus` and `pids`.
    """

    memory_bytes: int
    nano_cpus: int | None
    pids: int
    unlimited: tuple[str, ...] = ()


def settle_limits(limits: Limits, facts: EngineFacts) -> SettledLimits:
    """Return the limits of a step on this engine.

    Raises:
        UsageError: nothing can run with so little.
    """
    memory_bytes = facts.memory_bytes // 4 * 3 if limits.memory_bytes is None else limits.memory_bytes
    if memory_bytes < LEAST_MEMORY_BYTES:
        raise UsageError(
            ErrorCode.USAGE,
            f"a memory limit of {size(memory_bytes)} is less than a container can have, {size(LEAST_MEMORY_BYTES)}",
            hint='set more in [limits] memory of dlpu.toml, as in memory = "4GiB", or with --memory',
        )
    if limits.cpus is not None and limits.cpus < _LEAST_CPUS:
        raise UsageError(
            ErrorCode.USAGE,
            f"a limit of {limits.cpus:g} cores is less than a container can have, {_LEAST_CPUS:g}",
            hint="set more in [limits] cpus of dlpu.toml, or with --cpus",
        )
    if limits.pids < 1:
        raise UsageError(
            ErrorCode.USAGE,
            f"a limit of {limits.pids} processes leaves none for the step",
            hint="set more in [limits] pids of dlpu.toml, or with --pids",
        )
    return SettledLimits(
        memory_bytes=memory_bytes,
        # Engines refuse more cores than they have; a project's limit is kept by a machine that has fewer.
        nano_cpus=None if limits.cpus is None or limits.cpus >= facts.cores else round(limits.cpus * _NANO),
        pids=limits.pids,
        unlimited=facts.unlimited,
    )


def size(size_bytes: int) -> str:
    """Return a size as a person writes it in the manifest."""
    if size_bytes >= _GIB:
        return f"{size_bytes / _GIB:.3g}GiB"
    return f"{size_bytes / _MIB:.3g}MiB"
