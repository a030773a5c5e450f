"""Whether an engine sees our files as they are, found out by showing it one.

In: a folder and an image. Out: yes, if a container that mounts the folder shows the file in it with its content and
owner. The container is never started: that would take ten times as long, and show no more.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from dlpubuild.executors.docker.calls import created
from dlpubuild.executors.docker.container import WORK, bind_mount
from dlpubuild.executors.docker.refusals import RefusedError
from dlpubuild.executors.docker.tar_stream import Kind, TarFaultError, TarStream

if TYPE_CHECKING:
    from pathlib import Path

    from dlpubuild.executors.docker.calls import Calls
    from dlpubuild.executors.docker.container import Marks, User
    from dlpubuild.executors.docker.image import RunImage

_FILE = "nonce"


def sees_our_files(calls: Calls, image: RunImage, folder: Path, marks: Marks, user: User, *, is_podman: bool) -> bool:
    """Return whether the engine can mount `folder` for a step that runs as `user`.

    Args:
        calls: to the engine.
        image: any that it has.
        folder: a new one, in which a file is made.
        marks: of the container; they make the content of the file one that no other machine has.
        user: the owner of the file that is made.
        is_podman: the engine says of every file that the container's user owns it.

    Raises:
        ToolchainError: the image is not there.
        EngineMissingError: the engine does not answer.
    """
    nonce = f"{marks.owner} {marks.lease} {marks.expires_s}".encode()
    file = folder / _FILE
    file.write_bytes(nonce)
    os.chown(file, user.uid, user.gid)
    config = {
        "Image": image.name,
        "Entrypoint": ["/usr/bin/env"],
        "Labels": marks.labels,
        "HostConfig": {"NetworkMode": "none", "Mounts": [bind_mount(str(folder), WORK, read_only=True)]},
    }
    try:
        with created(calls, config) as container:
            if calls.inspect(container).label:
                # SELinux would deny the files to the container, and labelling them anew would change the user's.
                return False
            with calls.received(container, f"{WORK}/{_FILE}") as archive:
                stream = TarStream(archive.read)
                for member in stream.members():
                    content = b"".join(stream.content()) if member.size_bytes == len(nonce) else b""
                    is_same = member.kind is Kind.FILE and content == nonce
                    return is_same and (is_podman or member.uid == user.uid)
    except (RefusedError, TarFaultError):
        return False
    return False
