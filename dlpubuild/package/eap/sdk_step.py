"""The step that lets Axis' own acap-build pack the application of a target.

In: a checked request, the target's plan, and the pin of the SDK. Out: a `Step` like those of the templates: run by the
same engine, cached by all it is made of. The application is staged as the tool's own packer would pack it, with the
manifest made final; what acap-build makes of the manifest (`package.conf`, `param.conf`, `cgi.conf`) is left to it.
"""

from __future__ import annotations

import hashlib
import json
from types import MappingProxyType
from typing import TYPE_CHECKING

from dlpubuild.errors import ManifestError
from dlpubuild.package.eap.acap_manifest import MANIFEST, encode_manifest
from dlpubuild.package.eap.application import settle_application
from dlpubuild.package.eap.check import sound_content
from dlpubuild.package.eap.findings import to_problems
from dlpubuild.package.eap.members import loose_names
from dlpubuild.package.model_json import LABELS
from dlpubuild.plan.model import FilesInput, MadeInput, OutputInput, OutputOf, ProjectModel, Step
from dlpubuild.project.model import SourceFile
from dlpubuild.resources import steps_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from dlpubuild.errors import Location
    from dlpubuild.package.eap.application import Application
    from dlpubuild.package.eap.request import EapRequest, SdkPacking
    from dlpubuild.package.members import Member
    from dlpubuild.plan.model import PlannedTarget
    from dlpubuild.toolchains.pins import ToolchainPin

PACKAGE = "out/package.eap"
STEP_ID = "acap-build"
# Where all images of the SDK have it (Dockerfile of acap-native-sdk).
_SDK = "/opt/axis/acapsdk"
_APP = "in/app"
_SCRIPTS = ("acap_build.py", "stepio.py")
# Compiling what an application consists of takes minutes, not hours.
_TIMEOUT_S = 3600


def sdk_step(
    request: EapRequest,
    sdk: SdkPacking,
    planned: PlannedTarget,
    pin: ToolchainPin,
    *,
    locate: Callable[[str], Location],
) -> Step:
    """Return the step that packs the application of `planned`.

    Args:
        request: the application package; its model need not exist.
        sdk: how acap-build is called.
        planned: where the model comes from.
        pin: the SDK, in its image.
        locate: returns the place of a TOML path.

    Raises:
        ManifestError: every fault of the application.
    """
    content = sound_content(request, locate=locate)
    application, found = settle_application(request)
    if application is None:
        app = request.app.name if request.app is not None else None
        raise ManifestError(to_problems(found, app=app, locate=locate))
    add = content.added if sdk.add is None else (*sorted(sdk.add), *loose_names(request, sdk.add))
    params: dict[str, Any] = {
        "architecture": request.package.soc.architecture,
        "build": sdk.build,
        "add": list(add),
        "epoch": request.package.epoch_s,
        "folders": list(application.folders),
        "links": [[link.path, link.target] for link in application.links],
        "digest": _digest(request),
        "sdk": _SDK,
        "output": PACKAGE,
    }
    inputs = tuple(_inputs(request, application, planned))
    return Step(
        key=_key(params, inputs, pin),
        id=STEP_ID,
        name=f"{STEP_ID}:{planned.target.name}",
        title=f"Pack the application with {pin.title}",
        scripts=tuple(steps_dir() / name for name in _SCRIPTS),
        params=MappingProxyType(params),
        toolchain=pin,
        inputs=inputs,
        outputs=(PACKAGE,),
        timeout_s=_TIMEOUT_S,
        targets=(planned.target.name,),
    )


def _digest(request: EapRequest) -> dict[str, str] | None:
    """Where the measuring application has the digest of the model, which is not known before that is built."""
    package = request.package
    if request.app is not None:
        return None
    return {"into": package.app_name, "mark": package.model_digest.hash, "of": package.model_member}


def _inputs(
    request: EapRequest, application: Application, planned: PlannedTarget
) -> Iterator[FilesInput | MadeInput | OutputInput]:
    package = request.package
    kept = (application.param_conf, application.cgi_conf)
    members = (*application.files, *(member for member in kept if member is not None))
    name = request.app.name if request.app is not None else ""
    on_disk = tuple(file for member in members if (file := _source(member, name)) is not None)
    if on_disk:
        yield FilesInput(at=_APP, files=on_disk)
    for member in members:
        if isinstance(member.content, bytes):
            yield MadeInput(at=f"{_APP}/{member.path}", content=member.content, is_executable=member.executable)
    yield MadeInput(at=f"{_APP}/{MANIFEST}", content=encode_manifest(application.manifest.document))
    if package.labels is not None:
        yield MadeInput(at=f"{_APP}/{LABELS}", content="".join(f"{label}\n" for label in package.labels).encode())
    at = f"{_APP}/{package.model_member}"
    if isinstance(planned.result, ProjectModel):
        file = planned.result.file
        yield FilesInput(at=at, files=(SourceFile(staged="", path=file.path, name=file.name, digest=file.digest),))
    else:
        yield OutputInput(at=at, output=OutputOf(step=planned.result.step, path=planned.result.path))


def _source(member: Member, app: str) -> SourceFile | None:
    if isinstance(member.content, bytes):
        return None
    return SourceFile(
        staged=member.path,
        path=member.content,
        name=f"{app}/{member.path}",
        digest=member.digest,
        is_executable=member.executable,
    )


def _key(params: dict[str, Any], inputs: tuple[FilesInput | MadeInput | OutputInput, ...], pin: ToolchainPin) -> str:
    described = [_described(each) for each in inputs]
    image = pin.image.name if pin.image is not None else ""
    text = json.dumps([STEP_ID, params, described, pin.name, image], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _described(each: FilesInput | MadeInput | OutputInput) -> list[Any]:
    if isinstance(each, OutputInput):
        return [each.at, each.output.step, each.output.path]
    if isinstance(each, MadeInput):
        return [each.at, hashlib.sha256(each.content).hexdigest(), each.is_executable]
    return [each.at, [[file.staged, file.digest.hash, file.is_executable] for file in each.files]]
