"""Looking at a model, timed inside the process: `inspecting_inside.py FILE ROUNDS`.

Runs in the Python that dlpubuild is installed in. Prints a line that says nothing, and then for each round what was
done, seconds on the wall and of processor time. The start of the interpreter and imports are not part of the times;
reading the file is part of each.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from dlpubuild.report.inspect import inspect_text
from dlpubuild.report.inspect_json import inspect_json
from dlpubuild.report.json_text import json_chunks
from dlpubuild.resources import templates_dir
from dlpubuild.targets.lint.model import LintSettings
from dlpubuild.targets.lint.run import lint_model
from dlpubuild.targets.load import load_socs
from dlpubuild.tflite.facts import summarise
from dlpubuild.tflite.read import read_file

if TYPE_CHECKING:
    from collections.abc import Callable


def main(path: Path, rounds: int) -> None:
    soc = load_socs([templates_dir()], trusted=templates_dir())["artpec8"]

    def read() -> None:
        read_file(path)

    def inspect() -> None:
        model = read_file(path)
        inspect_text("model", model, summarise(model))

    def inspect_all() -> None:
        model = read_file(path)
        "".join(json_chunks(inspect_json(model, summarise(model))))

    def lint() -> None:
        lint_model(read_file(path), soc, LintSettings())

    ways: dict[str, Callable[[], None]] = {
        "read": read,
        "inspect": inspect,
        "inspect --json": inspect_all,
        "lint": lint,
    }
    print("what wall cpu")
    for name, way in ways.items():
        way()
        for _ in range(rounds):
            begin, begin_cpu = time.perf_counter(), time.process_time()
            way()
            print(name, repr(time.perf_counter() - begin), repr(time.process_time() - begin_cpu))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
