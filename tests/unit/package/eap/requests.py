"""Applications to pack, small enough to read in a failing assertion."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlpubuild.cas.digest import digest_bytes
from dlpubuild.package.eap.request import AcapFacts, EapRequest, Measurement
from dlpubuild.project.app_folder import read_app_folder
from tests.unit.package.specs import MODEL_BYTES, make_request

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dlpubuild.cas.digest import Digest
    from dlpubuild.project.app_folder import AppFault, AppFolder

EPOCH_S = 1700000000
TWO = AcapFacts(friendly_name="Digits ARTPEC-8", vendor_id="1234567890", schema="2")
ONE = AcapFacts(friendly_name="Digits ARTPEC-8", schema="1.7")


def eap_request(
    model: Path,
    acap: AcapFacts = TWO,
    *,
    app: AppFolder | None = None,
    measurement: Measurement | None = None,
    **changes: Any,
) -> EapRequest:
    """Return a request whose model is the file `model`; `changes` are of the package."""
    package = make_request(model, **{"epoch_s": EPOCH_S, **changes})
    return EapRequest(package=package, acap=acap, app=app, measurement=measurement or Measurement())


def placeless_request(acap: AcapFacts = TWO, **changes: Any) -> EapRequest:
    """Return a request whose model lies nowhere, for what never opens it."""
    return eap_request(Path("/dev/null"), acap, **{"model_digest": digest_bytes(MODEL_BYTES), **changes})


def digest_files(paths: Sequence[Path]) -> list[Digest]:
    return [digest_bytes(path.read_bytes()) for path in paths]


def own_manifest(**setup: Any) -> dict[str, Any]:
    """Return a manifest of schema 2 in which nothing is wrong; `setup` changes `setup`, None removes a key."""
    settled = {
        "friendlyName": "Counter",
        "appName": "counter",
        "vendor": "Example AB",
        "vendorId": "A1B2C3D4E5",
        "runMode": "once",
        "version": "2.1.0",
        "compatibleOsVersions": [{"min": "12.10", "max": "13"}],
        **setup,
    }
    return {
        "schemaVersion": "2.0.0",
        "resources": {"deepLearningProcessor": {"enabled": True, "required": False}},
        "acapPackageConf": {"setup": {key: value for key, value in settled.items() if value is not None}},
    }


def write_app(folder: Path, files: Mapping[str, bytes | str] | None = None, **setup: Any) -> Path:
    """Write an application of the user's own to `folder`; `files` adds and replaces. Returns the folder."""
    content: dict[str, bytes | str] = {
        "counter": "#!/bin/sh\n",
        "LICENSE": "All rights reserved\n",
        "manifest.json": json.dumps(own_manifest(**setup)),
    }
    for path, data in {**content, **(files or {})}.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data.encode() if isinstance(data, str) else data)
    (folder / "counter").chmod(0o755)
    return folder


def read_app(folder: Path) -> AppFolder:
    """Return the application in `folder`, in which no file may be at fault."""
    app, faults = read_app_folder(folder, "app", digest_files)
    assert faults == ()
    return app


def faults_of(folder: Path) -> list[AppFault]:
    """Return what is wrong with the files in `folder`."""
    return list(read_app_folder(folder, "app", digest_files)[1])
