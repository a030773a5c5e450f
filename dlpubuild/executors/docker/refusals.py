"""What an engine answers that it will not do, said to a person.

In: what was asked, and the engine's status and words. Out: an error that says whose fault it is: the image's, the
disk's, or the engine's. Words are looked for in few places, and where they are not known they are quoted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlpubuild.errors import DlpuError, EngineMissingError, ErrorCode, ToolchainError

if TYPE_CHECKING:
    from dlpubuild.containers.address import EngineAddress

_NOT_FOUND = 404
_MAX_CHARACTERS = 400


class RefusedError(EngineMissingError):
    """The engine answered, and would not do what it was asked."""


def refusal(address: EngineAddress, what: str, image: str, status: int, said: str) -> DlpuError:
    """Return the error for an answer with an HTTP status of 400 or more.

    Args:
        address: the engine's.
        what: what it was to do with a container: create, start.
        image: the image of the container; empty where it has no part in this.
        status: of the answer.
        said: the engine's words, on one line.
    """
    words = said.lower()
    if "no space left on device" in words:
        return RefusedError(
            ErrorCode.ENGINE,
            f"the disk of the container engine at {address} is full: {_shortened(said)}",
            hint="`docker system df` shows what fills it, `docker system prune` frees what is not used",
        )
    if image and status == _NOT_FOUND and "image" in words:
        return ToolchainError(
            ErrorCode.IMAGE_MISSING,
            f"image {image} is not on the engine at {address}",
            hint="was it removed meanwhile? `dlpubuild image build` makes it, `dlpubuild image pull` fetches it",
        )
    if image and what == "start" and "/usr/bin/env" in words:
        return ToolchainError(
            ErrorCode.TOOLCHAIN,
            f"image {image} cannot run steps: /usr/bin/env cannot be started in it ({_shortened(said)})",
            hint="an image for steps needs a Linux system for this kind of machine, with /usr/bin/env",
        )
    if status == _NOT_FOUND and not image:
        return RefusedError(
            ErrorCode.ENGINE_LOST,
            f"the container of a step was removed from the engine at {address} while it was in use",
            hint="did somebody run `docker rm`? Build again: finished steps are kept",
        )
    return RefusedError(
        ErrorCode.ENGINE,
        f"the container engine at {address} refused to {what} the container of a step: {_shortened(said)}",
        hint="the engine's log may say more",
    )


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]}…"
