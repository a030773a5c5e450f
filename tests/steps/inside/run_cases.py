"""Run one step script for many cases in one process, which loads TensorFlow once; runs in the toolchain.

In: `{"script", "cases": [{"folder", "params", "settings"?}]}`. Out: for each None, or the fault that `main` raised.
"""

# mypy: ignore-errors
# ruff: noqa: T201, PTH103 - it talks through stdout, to code that takes paths as text

import importlib
import json
import os
import sys

import stepio


def fault(main, case):
    os.chdir(case["folder"])
    os.makedirs("out", exist_ok=True)
    try:
        main(case["params"], **case.get("settings", {}))
    except stepio.StepError as error:
        return {"code": error.code, "message": str(error), "hint": error.hint}
    return None


def main():
    job = json.load(sys.stdin)
    step = importlib.import_module(job["script"])
    print("\n" + json.dumps([fault(step.main, case) for case in job["cases"]]))


main()
