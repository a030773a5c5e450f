"""The `.eap` of each SoC is, byte for byte, what GNU tar and GNU gzip make, in the documented order and modes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dlpubuild.package.eap.check import sound_content
from dlpubuild.package.eap.contents import read_eap, read_eap_file
from dlpubuild.package.eap.overview import eap_overview
from dlpubuild.package.eap.request import SCHEMA_VERSIONS, AcapFacts
from dlpubuild.package.eap.write import write_eap
from dlpubuild.package.spec import SocFacts
from dlpubuild.resources import templates_dir
from dlpubuild.targets.load import load_socs
from tests.unit.package.eap.requests import eap_request
from tests.unit.package.eap.test_write import acap_build_tar, gzip, listed, stage

if TYPE_CHECKING:
    from pathlib import Path

    from dlpubuild.package.eap.compressor import Gzip
    from dlpubuild.package.eap.request import EapRequest, Schema
    from dlpubuild.targets.model import Soc

__all__ = ["gzip"]

SOCS = load_socs([templates_dir()], trusted=templates_dir())
# What Axis documents: the device that larod has, the architecture, whether the manifest asks for the DLPU.
DOCUMENTED = {
    "artpec7": ("google-edge-tpu-tflite", "armv7hf", "model.tflite", False),
    "artpec8": ("axis-a8-dlpu-tflite", "aarch64", "model.tflite", True),
    "artpec9": ("a9-dlpu-tflite", "aarch64", "model.tflite", True),
    "cv25": ("ambarella-cvflow", "aarch64", "model.bin", True),
    "cv75": ("cv75-dlpu-native", "aarch64", "model.bin", True),
    "cpu": ("cpu-tflite", "aarch64", "model.tflite", False),
}


def test_all_six_are_there() -> None:
    found = {
        name: (s.larod_device, s.architecture, s.model_file, s.deep_learning_processor) for name, s in SOCS.items()
    }
    assert found == DOCUMENTED


def request_for(soc: Soc, model: Path, schema: Schema) -> EapRequest:
    facts = SocFacts(
        name=soc.name,
        title=soc.title,
        larod_device=soc.larod_device,
        architecture=soc.architecture,
        deep_learning_processor=soc.deep_learning_processor,
    )
    acap = AcapFacts(
        friendly_name=f"Digits {soc.title}", schema=schema, vendor_id="1234567890" if schema == "2" else None
    )
    return eap_request(model, acap, soc=facts, model_file=soc.model_file)


@pytest.mark.parametrize("schema", ["1.7", "2"])
@pytest.mark.parametrize("name", DOCUMENTED)
def test_it_is_what_tar_and_gzip_make(tmp_path: Path, gzip: Gzip, name: str, schema: Schema) -> None:
    soc = SOCS[name]
    request = request_for(soc, tmp_path / "model", schema)
    written = write_eap(request, tmp_path / "dist", gzip=gzip)
    names = ["digits", "package.conf", "param.conf", "LICENSE", "manifest.json"]
    names += ["label/labels.txt", f"model/{soc.model_file}"]
    assert written.path.read_bytes() == acap_build_tar(stage(tmp_path / "staged", sound_content(request)), names)

    rows = [line.split(" ") for line in listed(written.path)]
    assert [(row[0], row[1], row[-1]) for row in rows] == [
        ("-rwxr-xr-x", "0/0", "digits"),
        ("-rw-r--r--", "0/0", "package.conf"),
        ("-rw-r--r--", "0/0", "param.conf"),
        ("-rw-r--r--", "0/0", "LICENSE"),
        ("-rw-------", "0/0", "manifest.json"),
        ("-rw-r--r--", "0/0", "label/labels.txt"),
        ("-rw-r--r--", "0/0", f"model/{soc.model_file}"),
    ]
    assert {(row[3], row[4]) for row in rows} == {("2023-11-14", "22:13")}
    title = soc.title.replace(" ", "_")
    assert written.path.name == f"Digits_{title}_1_0_0_{soc.architecture}.eap"


@pytest.mark.parametrize("schema", ["1.7", "2"])
@pytest.mark.parametrize("name", DOCUMENTED)
def test_it_says_what_is_documented_of_the_soc(tmp_path: Path, gzip: Gzip, name: str, schema: Schema) -> None:
    soc = SOCS[name]
    path = write_eap(request_for(soc, tmp_path / "model", schema), tmp_path / "dist", gzip=gzip).path
    found = read_eap(path)
    assert found.manifest is not None
    assert found.manifest.schema_text == SCHEMA_VERSIONS[schema]
    assert found.manifest.architecture == found.package_conf["APPTYPE"] == soc.architecture
    wish = {"enabled": True, "required": True} if soc.deep_learning_processor and schema == "2" else None
    assert found.manifest.deep_learning_processor == wish
    assert found.models == (f"model/{soc.model_file}",)
    assert read_eap_file(path, f"model/{soc.model_file}") == (tmp_path / "model").read_bytes()
    devices = {each.larod_device for each in SOCS.values()}
    assert eap_overview(path, devices).larod_devices == (soc.larod_device,)
