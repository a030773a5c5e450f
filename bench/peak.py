"""Peak memory of a command of the tool: `peak.py FILE [ARGUMENT ...]`.

Runs in the Python that dlpubuild is installed in. Without arguments it does nothing, and so measures the interpreter.
Writes the peak of its resident memory to FILE, in KiB. Read from inside, because what a parent is told of a child's
peak holds what the parent had when it started it.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(target: str, arguments: Sequence[str]) -> int:
    code = 0
    if arguments:
        from dlpubuild.cli import run

        code = run(arguments)
    with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123 - pathlib would count, too
        (peak,) = (line.split()[1] for line in status if line.startswith("VmHWM"))
    with open(target, "w", encoding="ascii") as stream:  # noqa: PTH123 - as above
        stream.write(peak)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
