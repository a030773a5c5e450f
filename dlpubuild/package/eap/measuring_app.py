"""The test application: a shell script that measures the packed model on the camera, and its manifest.

In: an `EapRequest`. Out: the script and the manifest's document. The script itself is `measure.sh`; only its settings
are written here.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlpubuild.package.eap.request import SCHEMA_VERSIONS

if TYPE_CHECKING:
    from dlpubuild.package.eap.request import EapRequest

_SCRIPT = Path(__file__).with_name("measure.sh")
_SETTINGS = "# @settings@\n"
# Below 3.0 only for an AXIS OS that knows no manifest. Schema 2 has no such field.
_EMBEDDED_SDK = "3.0"


def entry_point(request: EapRequest) -> bytes:
    """Return the script with the settings of this model and SoC; words of the user's are quoted."""
    package, how = request.package, request.measurement
    settings: dict[str, str | int] = {
        "APP": package.app_name,
        "VERSION": package.version,
        "SOC": package.soc.title,
        "DEVICE": package.soc.larod_device,
        "MODEL": package.model_member,
        "SHA256": package.model_digest.hash,
        "ROUNDS": how.rounds,
        "WARM_UP": how.warm_up,
        "LOAD_LIMIT_S": how.load_limit_s,
        "LIST_LIMIT_S": how.list_limit_s,
        "NOTICE_S": how.notice_s,
        "KILL_AFTER_S": how.kill_after_s,
        "POWER_RETRY_S": how.power_retry_s,
        "POWER_LIMIT_S": how.power_limit_s,
    }
    lines = "".join(f"{name}={shlex.quote(str(value))}\n" for name, value in settings.items())
    before, mark, after = _SCRIPT.read_text("utf-8").partition(_SETTINGS)
    if not mark:
        raise AssertionError(f"{_SCRIPT.name} has no place for the settings")
    return f"{before}{lines}{after}".encode()


def manifest_document(request: EapRequest) -> dict[str, Any]:
    """Return the manifest of the test application for the schema that is asked for, without the architecture."""
    acap, package = request.acap, request.package
    is_two = acap.schema == "2"
    resources: dict[str, Any] = {}
    if acap.groups:
        resources["linux"] = {"user": {"groups": list(acap.groups)}}
    if is_two and package.soc.deep_learning_processor:
        resources["deepLearningProcessor"] = {"enabled": True, "required": True}
    setup: dict[str, Any] = {"friendlyName": acap.friendly_name, "appName": package.app_name}
    if package.vendor is not None:
        setup["vendor"] = package.vendor
    if is_two and acap.vendor_id is not None:
        setup["vendorId"] = acap.vendor_id
    if acap.vendor_url is not None:
        setup["vendorUrl"] = acap.vendor_url
    setup |= {"runMode": "never", "version": package.version}
    if is_two:
        setup["compatibleOsVersions"] = [{"min": acap.min_os, "max": acap.max_os}]
    else:
        setup["embeddedSdkVersion"] = _EMBEDDED_SDK
    document: dict[str, Any] = {"schemaVersion": SCHEMA_VERSIONS[acap.schema]}
    if resources:
        document["resources"] = resources
    return document | {"acapPackageConf": {"setup": setup}}
