"""Where a process begins: `dlpubuild` and `python -m dlpubuild`.

Imports almost nothing before it is ready for Ctrl-C, which may come while the rest is still being imported.
"""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line and exit."""
    try:
        from dlpubuild.cli import main as run  # noqa: PLC0415 - see above

        run()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
