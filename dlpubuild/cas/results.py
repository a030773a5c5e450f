"""How an action result lies in the cache folder: the REAPI message behind a checksum.

In: an action's hash and its result, or the bytes of a file. Out: the reverse. A blob can be checked against
its name; a result cannot, for it is named by its action. A result cut short at the end of a field would still
be a readable message with fewer outputs, and an empty file one of a success without any. So the file starts
with the sha256 of the action's hash and the message: it is whole, and under its own name, or it is refused.
Never touches a file.
"""

from __future__ import annotations

import hashlib

from dlpubuild.cas.action import ActionResult
from dlpubuild.cas.reapi import MessageDecodeError

_CHECKSUM_BYTES = 32


def frame_result(action_hash: str, result: ActionResult) -> bytes:
    """Return the bytes to keep for the result of the action that hashes to `action_hash`."""
    message = result.encode()
    return _checksum(action_hash, message) + message


def unframe_result(action_hash: str, data: bytes) -> ActionResult:
    """Return the result in `data`.

    Raises:
        MessageDecodeError: `data` is damaged or the result of another action.
    """
    message = data[_CHECKSUM_BYTES:]
    if data[:_CHECKSUM_BYTES] != _checksum(action_hash, message):
        raise MessageDecodeError("the checksum of the action result does not match")
    return ActionResult.decode(message)


def _checksum(action_hash: str, message: bytes) -> bytes:
    return hashlib.sha256(action_hash.encode() + b"\n" + message).digest()
