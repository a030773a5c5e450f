"""Commands in images, as a user that no image knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dlpubuild.containers.connect import Connection


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs commands in images, as a user that no image knows, without network, in a file system that is read only."""

    connection: Connection

    def __call__(self, image: str, *command: str, **more: Any) -> str:
        options: dict[str, Any] = {
            "user": "12345:12345",
            "read_only": True,
            "network_mode": "none",
            "tmpfs": {"/tmp": ""},
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges"],
            "use_config_proxy": False,
            **more,
        }
        output = self.connection.client().containers.run(image, list(command), remove=True, stderr=True, **options)
        return bytes(output).decode(errors="replace")
