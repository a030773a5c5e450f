"""`manifest.json.fragment`: what an ACAP application's `manifest.json` needs for this SoC.

In: a `PackageRequest`. Out: a JSON object that is merged into a manifest of schema version 2. The run options
follow Axis' object-detection-yolov5 example: model, labels, `-c` and the larod device.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from dlpubuild.package.model_json import LABELS

if TYPE_CHECKING:
    from dlpubuild.package.spec import PackageRequest

FRAGMENT = "manifest.json.fragment"


def run_options(request: PackageRequest) -> str:
    """Return the `runOptions` of an application that takes the model, the labels and the larod device."""
    folder = request.installed_folder
    words = [str(folder / request.model_member)]
    if request.labels is not None:
        words.append(str(folder / LABELS))
    return " ".join([*words, "-c", request.soc.larod_device])


def manifest_fragment(request: PackageRequest) -> bytes:
    """Return the fragment as UTF-8, indented by 4 as ACAP manifests are, ended by a newline.

    `resources.deepLearningProcessor` is there only for an SoC whose applications have to ask for the DLPU;
    `required` makes the installation fail on a camera without one.
    """
    fragment: dict[str, object] = {"acapPackageConf": {"setup": {"runOptions": run_options(request)}}}
    if request.soc.deep_learning_processor:
        fragment["resources"] = {"deepLearningProcessor": {"enabled": True, "required": True}}
    text = json.dumps(fragment, sort_keys=True, indent=4, ensure_ascii=False)
    return f"{text}\n".encode()
