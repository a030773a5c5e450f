"""Where a process begins: `dlpubuild` and `python -m dlpubuild`.

Imports almost nothing before it is ready for Ctrl-C, which may come while the rest is still being imported.
"""

from __future__ import annotations

import sys

# As `typing` has it, whose import takes longer than all else here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> NoReturn:
    """Run the command line and exit."""
    try:
        from dlpubuild.cli import main as run  # noqa: PLC0415 - see above

        run()
    except (KeyboardInterrupt, RuntimeError) as error:
        # Before 3.12 Python wraps what is raised while a class is made, as while a module is imported.
        if isinstance(error, RuntimeError) and not isinstance(error.__cause__, KeyboardInterrupt):
            raise
        sys.stderr.write("interrupted\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
