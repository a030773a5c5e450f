"""CV25 in the image `ambarella`, with the toolchain mounted: the same package as on this machine."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.factories.ambarella import put_toolchain
from tests.integration.test_ambarella import VARIABLE, states, write_onnx

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.integration.conftest import Tool

MODEL = "dist/net-1.0.0-cv25/model/model.bin"


def test_the_mounted_toolchain_gives_the_package_that_this_machine_gives(
    tool: Tool, engine_environment: Mapping[str, str], ambarella_image: str, tmp_path: Path
) -> None:
    assert ambarella_image.startswith("sha256:")
    (tool.cache / "toolchains").unlink()
    toolchain = put_toolchain(tmp_path / "cn gen")
    # Whoever runs the step in the container has to be able to read what is mounted there.
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    project = write_onnx(tmp_path / "net", "[target.cv25]\n")
    inside = replace(
        tool, environ={**tool.environ, **engine_environment, "DLPU_EXECUTOR": "docker", VARIABLE: str(toolchain)}
    )
    assert states(inside.build(project)) == {"compile": "ran"}
    assert states(inside.build(project)) == {"compile": "cached"}
    archive = (project / "dist/net-1.0.0-cv25.tar.gz").read_bytes()
    assert not (tool.cache / "toolchains").exists(), "nothing was prepared on this machine"

    here = replace(tool, environ={**tool.environ, VARIABLE: str(toolchain)})
    assert states(here.build(project)) == {"compile": "ran"}
    assert (project / "dist/net-1.0.0-cv25.tar.gz").read_bytes() == archive

    (toolchain / "version.txt").write_text("2.8\n")
    assert states(inside.build(project)) == {"compile": "ran"}
    shutil.rmtree(toolchain)
    gone = inside.run("build", cwd=project)
    assert (gone.code, str(toolchain) in gone.err) == (7, True)


def test_without_a_folder_the_image_alone_does_not_do(
    tool: Tool, engine_environment: Mapping[str, str], ambarella_image: str, tmp_path: Path
) -> None:
    assert ambarella_image
    project = write_onnx(tmp_path / "net", "[target.cv25]\n")
    inside = replace(tool, environ={**tool.environ, **engine_environment})
    for executor in ("docker", "auto"):
        done = inside.run("build", "--executor", executor, cwd=project)
        assert (done.code, VARIABLE in done.err) == (7, True), done.err
