"""Which value is used, and where it comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlpubuild.manifest.effective import Override, effective_values
from tests.unit.manifest.manifests import load

if TYPE_CHECKING:
    from dlpubuild.manifest.effective import Value
    from dlpubuild.manifest.model import Manifest

MANIFEST = """\
[[model.input]]
name = "image"
[calibration]
data = "images"
samples = 50
[target.artpec8]
io = "int8"
[target.cpu]
[toolchain.ambarella]
path = "/opt/ambarella"
"""


def found(manifest: Manifest, **layers: object) -> dict[str, tuple[Value, str]]:
    values = effective_values(manifest, **layers)  # type: ignore[arg-type]
    assert len({value.path for value in values}) == len(values)
    return {value.path: (value.value, value.source) for value in values}


def test_what_is_written_wins_over_defaults() -> None:
    values = found(load(MANIFEST), soc_defaults={"artpec8": {"io": "uint8", "quantization": "per-tensor"}})
    assert values["calibration.samples"] == (50, "manifest dlpu.toml:11")
    assert values["calibration.seed"] == (0, "default")
    assert values["model.input[0].name"] == ("image", "manifest dlpu.toml:8")
    assert values["model.input[0].color"] == ("rgb", "default")
    assert values["target.artpec8.io"] == ("int8", "manifest dlpu.toml:13")
    assert values["target.artpec8.quantization"] == ("per-tensor", "default of the SoC")
    assert values["toolchain.ambarella.path"] == ("/opt/ambarella", "manifest dlpu.toml:16")
    assert values["package.formats"] == (("bundle",), "default")


def test_the_command_line_wins_over_the_environment_and_both_over_the_manifest() -> None:
    command_line = {"calibration.samples": Override(value=5, source="command line")}
    environment = {
        "calibration.samples": Override(value=7, source="environment DLPU_SAMPLES"),
        "calibration.seed": Override(value=1, source="environment DLPU_SEED"),
        "target.cpu.quantization": Override(value="int8", source="environment DLPU_CPU"),
    }
    values = found(
        load(MANIFEST), overrides=(command_line, environment), soc_defaults={"cpu": {"quantization": "none"}}
    )
    assert values["calibration.samples"] == (5, "command line")
    assert values["calibration.seed"] == (1, "environment DLPU_SEED")
    assert values["target.cpu.quantization"] == ("int8", "environment DLPU_CPU")


def test_settings_of_the_tool_come_after_the_manifest_by_name() -> None:
    values = effective_values(
        load(MANIFEST),
        overrides=({"jobs": Override(value=2, source="command line")},),
        tool_defaults={"jobs": 4, "executor": "auto"},
    )
    assert [(value.path, value.value, value.source) for value in values[-2:]] == [
        ("executor", "auto", "default"),
        ("jobs", 2, "command line"),
    ]


def test_what_nobody_says_is_left_out() -> None:
    values = found(load("[target.cpu]\n"))
    assert not {path for path in values if path.startswith(("calibration", "verify", "target", "toolchain"))}
    assert "project.vendor" not in values
    assert values["project.allow-outside"] == ((), "default")


def test_the_order_is_that_of_the_manifest_format() -> None:
    paths = [value.path for value in effective_values(load(MANIFEST))]
    assert paths[:3] == ["schema", "project.name", "project.version"]
    assert paths.index("model.source") < paths.index("model.input[0].name") < paths.index("target.artpec8.io")
