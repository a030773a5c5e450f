"""Write the sample application to the folder in argv[1], for ever where argv[2] is `forever`: a process to kill."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from dlpubuild.package.eap.compressor import find_gzip
from dlpubuild.package.eap.write import write_eap
from tests.unit.package.eap.requests import eap_request, read_app, write_app


def main() -> None:
    out_dir = Path(sys.argv[1])
    gzip = find_gzip(os.environ["PATH"])
    with tempfile.TemporaryDirectory() as folder:
        app = read_app(write_app(Path(folder) / "app", {"html/å.html": "å", "lib/a.so": "so", "zebra": "z"}))
        requests = [
            eap_request(Path(folder) / "blob"),
            eap_request(Path(folder) / "blob", app=app, name="counter", app_name="counter"),
        ]
        for request in requests:
            sys.stdout.write(f"{write_eap(request, out_dir, gzip=gzip).digest}\n")
        sys.stdout.flush()
        while "forever" in sys.argv[2:]:
            write_eap(requests[0], out_dir, gzip=gzip)


if __name__ == "__main__":
    main()
