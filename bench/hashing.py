"""One way of finding the digests of all files below a folder, timed inside the process.

Runs in the Python that dlpubuild is installed in: `hashing.py plain|folder|paths FOLDER MEMO`. `plain` is the loop one
would write with hashlib; `folder` and `paths` ask the memo in the file MEMO, the latter with the paths known. Prints
how many files there were, seconds on the wall, and seconds of processor time. Interpreter start and imports are not
part of the time; opening the memo is.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from pathlib import Path


def plain(folder: Path) -> dict[str, str]:
    digests = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)  # noqa: PTH118 - pathlib would be slower, and unfair
            with open(path, "rb") as stream:  # noqa: PTH123 - as above
                digests[path] = hashlib.sha256(stream.read()).hexdigest()
    return digests


def main(way: str, folder: Path, memo_file: Path) -> None:
    from dlpubuild.cas.memo import Memo

    paths = sorted(path for path in folder.rglob("*") if path.is_file()) if way == "paths" else []
    started_s, started_cpu_s = time.perf_counter(), time.process_time()
    if way == "plain":
        count = len(plain(folder))
    else:
        with Memo(memo_file, now_ns=time.time_ns) as memo:
            count = len(memo.digest_files(paths) if way == "paths" else memo.digest_tree(folder))
    seconds, cpu_s = time.perf_counter() - started_s, time.process_time() - started_cpu_s
    print(f"{count} {seconds!r} {cpu_s!r}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
