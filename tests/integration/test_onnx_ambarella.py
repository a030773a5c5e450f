"""SoCs that start from ONNX, from a TensorFlow model: import, export, Ambarella's closed toolchain stood in for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.factories.ambarella import put_toolchain
from tests.integration.test_ambarella import SIGNATURES, VARIABLE, commands, states

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.conftest import Tool


@pytest.mark.slow
def test_cv75_and_cv25_get_one_export_of_a_keras_model(
    tool: Tool, onnx_python: Path, copy_example: Callable[[str], Path], tmp_path: Path
) -> None:
    assert onnx_python.is_file()
    toolchain = put_toolchain(tmp_path / "cnngen", calls=str(tmp_path / "calls"))
    project = copy_example("digits")
    manifest = project / "dlpu.toml"
    head = manifest.read_text().partition("[target.")[0]
    manifest.write_text(f'{head}[target.cv75]\n[target.cv25]\nparser = "onnx"\n')
    built = replace(tool, environ={**tool.environ, VARIABLE: str(toolchain)}).build(project)
    assert states(built) == {"import": "ran", "export": "ran", "compile:cv75": "ran", "compile:cv25": "ran"}
    for soc in ("cv75", "cv25"):
        bundle = project / f"dist/digits-1.0.0-{soc}"
        assert (bundle / "model/model.bin").read_bytes().hex().startswith(SIGNATURES[soc])
        (image,) = json.loads((bundle / "model.json").read_text())["inputs"]
        assert (image["name"], image["shape"]) == ("image", [1, 3, 32, 32])
    assert commands(toolchain).count("onnxparser.py") == 2
