"""Write the sample bundle to the folder in argv[1], for ever where argv[2] is `forever`: a process to kill."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from dlpubuild.errors import DlpuError
from dlpubuild.package.bundle import write_bundle
from tests.unit.package.specs import make_spec


def main() -> None:
    out_dir = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        spec = make_spec(Path(folder) / "blob")
        try:
            package = write_bundle(spec, out_dir)
            sys.stdout.write(f"{package.archive_digest}\n")
            sys.stdout.flush()
            while "forever" in sys.argv[2:]:
                write_bundle(spec, out_dir)
        except DlpuError as error:
            sys.stdout.write(f"{type(error).__name__} {error.code} {error}\n")


if __name__ == "__main__":
    main()
