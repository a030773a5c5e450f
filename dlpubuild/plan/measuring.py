"""The part of a target's steps that measures accuracy, and that part for a model from elsewhere.

In: the rendered steps of a target; a planned step that measures. Out: steps without compilers and packers, so that
their toolchains need not be there; the step that measures another model in the place of the built one. Nothing is run.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from dlpubuild.plan.model import MadeInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dlpubuild.plan.model import Step
    from dlpubuild.targets.model import Soc

# Where the step takes the model that it measures, and the float model where that is another.
_BUILT, _FLOAT = "in/model.tflite", "in/float.tflite"


def measures(document: Mapping[str, Any]) -> bool:
    """Return whether rendered steps measure accuracy, and take the model where it can be replaced."""
    by = document.get("verified", {}).get("by")
    return any(table["id"] == by and _BUILT in table["inputs"] for table in document.get("step", ()))


def only_measuring(soc: Soc, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the steps that measuring needs; the result is the model that is measured.

    Raises:
        KeyError: they do not measure; see `measures`.
    """
    tables = {table["id"]: table for table in document["step"]}
    by = document["verified"]["by"]
    wanted, pending = set(), [by]
    while pending:
        name = pending.pop()
        if name in tables and name not in wanted:
            wanted.add(name)
            pending += [reference.partition(":")[0] for reference in tables[name]["inputs"].values()]
    return {
        "schema": document["schema"],
        "step": [table for table in document["step"] if table["id"] in wanted],
        "result": {soc.model_file: tables[by]["inputs"][_BUILT]},
        "verified": document["verified"],
    }


def for_another_model(step: Step, content: bytes) -> Step:
    """Return the step that measures the model `content` instead of the built one.

    Where that was the float model itself, the float model is another now, and stays what it was.
    """
    inputs = [each for each in step.inputs if each.at != _BUILT]
    params = dict(step.params)
    if params.get("float") == _BUILT:
        (built,) = (each for each in step.inputs if each.at == _BUILT)
        inputs.append(replace(built, at=_FLOAT))
        params["float"] = _FLOAT
    inputs.append(MadeInput(at=_BUILT, content=content))
    key = hashlib.sha256(f"{step.key}\n".encode() + content).hexdigest()[:16]
    ordered = tuple(sorted(inputs, key=lambda each: each.at))
    return replace(step, key=key, inputs=ordered, params=MappingProxyType(params))
