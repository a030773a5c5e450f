"""Which samples a probe takes; runs in the toolchain.

In: pairs of a number of samples and an input. Out: for each pair the positions.
"""

# mypy: ignore-errors
# ruff: noqa: T201 - it talks through stdout

import json
import sys

import probe

print(json.dumps([probe.positions(count, {"inputs": [each], "outputs": []}) for count, each in json.load(sys.stdin)]))
