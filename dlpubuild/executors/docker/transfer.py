"""How inputs get into a container, and outputs out of it: mounted where the engine sees our files, else streamed.

In: a staged folder. Out: mounts, the user to run as, and in the end a folder with the declared outputs, which belong to
the caller. Both ways show the same to a step: `/w`, read-only, and `/w/out`, which is its own. Neither way follows a
link that a step left.
"""

from __future__ import annotations

import math
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from dlpubuild.errors import EngineMissingError, ErrorCode, ToolchainError
from dlpubuild.executors.docker.container import NOBODY, OUT, WORK, User, bind_mount, work_volume
from dlpubuild.executors.docker.inputs import pack_inputs
from dlpubuild.executors.docker.outputs import OutputReader
from dlpubuild.executors.docker.tar_stream import TarFaultError
from dlpubuild.executors.staging import bad_output, check_output
from dlpubuild.executors.watching import check_limits

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dlpubuild.executors.base import BoundAction, Run
    from dlpubuild.executors.docker.calls import Calls
    from dlpubuild.executors.docker.image import RunImage

_RECEIVED = "received"


class Transfer(Protocol):
    """A way of files into a container and out of it. `user` is who the step runs as."""

    @property
    def user(self) -> User:
        """Who the step runs as: whoever may write to `out/` and to nothing else."""
        ...

    def check_image(self, image: RunImage, address: object) -> None:
        """Raise ToolchainError where the folders that `image` needs cannot be mounted."""
        ...

    def mounts(self, root: Path) -> list[dict[str, Any]]:
        """Make the staged folder ready for `user`, and return what the container mounts."""
        ...

    def send(self, calls: Calls, container: str, root: Path, check: Callable[[], None]) -> None:
        """Bring the staged folder into the container, which does not run yet."""
        ...

    def receive(self, calls: Calls, container: str, root: Path, bound: BoundAction, run: Run) -> Path:
        """Return the folder with the declared outputs, plain files of the caller's, once the container has ended.

        Raises:
            StepFailedError: an output is anything but a plain file that can be read, with no other name.
            InterruptedBuildError: the build was cancelled.
        """
        ...


@dataclass(frozen=True, slots=True)
class BindTransfer:
    """The engine sees our files: the staged folder is mounted.

    The caller runs the step as itself; root does not: it runs it as a user without rights, who is given `out/`.
    """

    user: User

    def check_image(self, image: RunImage, address: object) -> None:
        """See `Transfer`."""
        del address
        for mount in image.mounts:
            if not mount.source.is_dir():
                raise ToolchainError(
                    ErrorCode.TOOLCHAIN,
                    f"the toolchain folder {mount.source} is not there",
                    hint="install the vendor's toolchain there, or name the folder it is in",
                )

    def mounts(self, root: Path) -> list[dict[str, Any]]:
        """See `Transfer`."""
        out = root / OUT
        out.mkdir(exist_ok=True)
        for parent, _, _ in os.walk(root) if self._gives_away else ():
            # Whatever root's umask is.
            os.chmod(parent, 0o755)  # noqa: PTH101, S103 - a text path; the scratch folder lets nobody in
            if parent == str(out) or parent.startswith(f"{out}/"):
                os.chown(parent, self.user.uid, self.user.gid)
        return [bind_mount(str(root), WORK, read_only=True), bind_mount(str(out), f"{WORK}/{OUT}", read_only=False)]

    def send(self, calls: Calls, container: str, root: Path, check: Callable[[], None]) -> None:
        """Do nothing: the container sees the folder."""

    def receive(self, calls: Calls, container: str, root: Path, bound: BoundAction, run: Run) -> Path:
        """See `Transfer`."""
        del calls, container
        for path in bound.command.output_paths:
            state = check_output(bound, root, path, run.log)
            if state.st_nlink > 1:
                raise bad_output(bound, path, "has a second name", run.log)
            if not state.st_mode & stat.S_IRUSR:
                raise bad_output(bound, path, f"cannot be read: its mode is {stat.S_IMODE(state.st_mode):04o}", run.log)
            if self._gives_away:
                os.chown(root / path, os.geteuid(), os.getegid(), follow_symlinks=False)
        return root

    @property
    def _gives_away(self) -> bool:
        return self.user.uid != os.geteuid()


@dataclass(frozen=True, slots=True)
class StreamTransfer:
    """The engine does not see our files, or sees them with other owners: they go through a volume of the container."""

    @property
    def user(self) -> User:
        """A user without rights; the files that come back are made by the caller."""
        return User(uid=NOBODY, gid=NOBODY)

    def check_image(self, image: RunImage, address: object) -> None:
        """See `Transfer`."""
        if image.mounts:
            raise ToolchainError(
                ErrorCode.TOOLCHAIN,
                f"the container engine at {address} does not see this machine's files, and the toolchain in "
                f"{image.mounts[0].source} has to be mounted",
                hint="use an engine on this machine that runs with root's rights, or --executor local",
            )

    def mounts(self, root: Path) -> list[dict[str, Any]]:
        """See `Transfer`."""
        (root / OUT).mkdir(exist_ok=True)
        return [work_volume()]

    def send(self, calls: Calls, container: str, root: Path, check: Callable[[], None]) -> None:
        """See `Transfer`."""
        calls.send(container, WORK, pack_inputs(root, self.user, check))

    def receive(self, calls: Calls, container: str, root: Path, bound: BoundAction, run: Run) -> Path:
        """See `Transfer`."""
        folder = root.with_name(_RECEIVED)
        folder.mkdir()
        reader = OutputReader(
            root=OUT,
            declared=bound.command.output_paths,
            folder=folder,
            check=lambda: check_limits(math.inf, bound, run),
        )
        try:
            with calls.received(container, f"{WORK}/{OUT}") as archive:
                reader.take(archive.read)
        except TarFaultError as fault:
            raise bad_output(bound, fault.member, fault.what, run.log) from fault
        except EngineMissingError as error:
            if error.code is ErrorCode.ENGINE_LOST and calls.answers():
                # It stopped in the middle of the archive: there is a file that it cannot pack.
                raise bad_output(bound, OUT, f"cannot be read by the engine: {error.message}", run.log) from error
            raise
        return folder


def caller() -> User:
    """Who runs steps on mounted folders for this process."""
    uid, gid = os.geteuid(), os.getegid()
    return User(uid=uid, gid=gid) if uid else User(uid=NOBODY, gid=NOBODY)
