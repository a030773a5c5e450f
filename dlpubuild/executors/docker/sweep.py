"""Containers that nobody waits for any more, because the process that started them was killed.

In: the containers of an engine that carry our labels, and who is alive. Out: those of dead builds are gone, volumes
included. An engine can be shared between machines and users: of another cache folder's containers nothing is known but
the time after which nobody can need them.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from dlpubuild.errors import EngineMissingError
from dlpubuild.executors.docker.calls import Calls
from dlpubuild.executors.docker.container import EXPIRES_LABEL, LEASE_LABEL, OWNER_LABEL

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from dlpubuild.containers.connect import Connection

# Clocks of machines that share an engine may differ.
_GRACE_S = 300


def sweep_containers(
    connection: Connection, owner: str, alive_leases: Callable[[], Collection[str]], now_s: int
) -> int:
    """Remove the containers of builds that are gone, and return how many there were.

    Args:
        connection: to the engine.
        owner: the id of this cache folder.
        alive_leases: returns the names of the leases in the scratch folder that are held. It is called once the
            containers are known: a build that begins meanwhile takes its lease before it makes a container.
        now_s: the time, in seconds since the epoch.

    Raises:
        EngineMissingError: the engine does not answer.
    """
    calls = Calls(connection)
    found = calls.find({OWNER_LABEL: ""})
    if not found:
        return 0
    alive = frozenset(alive_leases())
    abandoned = [each["Id"] for each in found if is_abandoned(each, owner, alive, now_s)]
    removed = 0
    for container in abandoned:
        # One that cannot be removed must not keep a build from running.
        with suppress(EngineMissingError):
            calls.remove(container)
            removed += 1
    return removed


def is_abandoned(labels: Mapping[str, str], owner: str, alive: Collection[str], now_s: int) -> bool:
    """Return whether a container may go: of our own folder if its build is gone, of another's if it has expired."""
    if labels.get(OWNER_LABEL) == owner:
        return labels.get(LEASE_LABEL) not in alive
    expires = labels.get(EXPIRES_LABEL, "")
    return (
        expires.isascii() and expires.isdigit() and len(expires) < len(str(1 << 63)) and now_s > int(expires) + _GRACE_S
    )
