"""Axis' ACAP Native SDK as a toolchain: an image of the user's own for each architecture of an application.

In: the name of an architecture. Out: the toolchain's name and, without its image, its pin. It is closed and large, so
there is neither a lock nor an image of ours; it only ever runs in a container. Nothing here runs anything.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from dlpubuild.toolchains.pins import ToolchainPin, image_pin

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlpubuild.toolchains.pins import ImagePin

_PREFIX = "acap-sdk-"
_ENVIRONMENT = MappingProxyType(
    {
        # What an image of Ubuntu has without the SDK's own script, which the step reads.
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/tmp",  # noqa: S108 - a container's own tmpfs
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
)


def sdk_toolchain(architecture: str) -> str:
    """Return the name of the toolchain for applications of an architecture (`aarch64`, `armv7hf`)."""
    return f"{_PREFIX}{architecture}"


def is_sdk(name: str) -> bool:
    """Return whether a toolchain of this name is an SDK."""
    return name.startswith(_PREFIX)


def pin_in_image(name: str, image_of: Callable[[ToolchainPin], ImagePin]) -> ToolchainPin:
    """Return the pin of toolchain `name`, an SDK or one of the tool's, in the image that `image_of` returns for it.

    Raises:
        ToolchainError: no such toolchain, or what `image_of` raises.
    """
    if not is_sdk(name):
        return image_pin(name, image_of)
    pin = sdk_pin(name)
    return replace(pin, image=image_of(pin))


def sdk_pin(name: str) -> ToolchainPin:
    """Return the pin of such a toolchain; whoever knows its image puts that in."""
    architecture = name.removeprefix(_PREFIX)
    return ToolchainPin(
        name=name,
        title=f"the ACAP Native SDK for {architecture}",
        python="3",
        isa="x86-64",
        lock=None,
        lock_sha256="",
        environment=_ENVIRONMENT,
    )
