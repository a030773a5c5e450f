"""The entries of an `.eap`, in the order and with the modes of Axis' acap-build.

In: an `EapRequest` without faults. Out: entries for a tar, and the file's name. tar gets names in an order of its own,
each folder among them with all below it, sorted; so do these: the executable, `package.conf`, `param.conf`, `LICENSE`,
`manifest.json` and the script to run after the installation; then what was added, and the script to run before it is
removed; then `html`, `declarations`, `lib` and `cgi.conf`. Nothing is read or written.

Modes: the executable and both scripts 0755, `manifest.json` 0600 as acap-build leaves it, folders 0755; every other
file 0644, or 0755 where its owner may execute it. So no umask enters.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from dlpubuild.package.eap.acap_manifest import MANIFEST, encode_manifest
from dlpubuild.package.eap.conf_files import (
    CGI_CONF,
    PACKAGE_CONF,
    PARAM_CONF,
    cgi_conf,
    encode_lines,
    package_conf_lines,
    param_conf,
    version_parts,
)
from dlpubuild.package.members import Member, made_member
from dlpubuild.package.model_json import LABELS
from dlpubuild.package.readme import LICENSE
from dlpubuild.package.tar import EXECUTABLE, PLAIN, PRIVATE, TarFile, TarFolder, TarLink

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from dlpubuild.package.eap.acap_manifest import AcapManifest
    from dlpubuild.package.eap.application import Application
    from dlpubuild.package.eap.conf_files import ConfLine
    from dlpubuild.package.eap.request import EapRequest
    from dlpubuild.package.tar import TarEntry

_LAST = ("html", "declarations", "lib", CGI_CONF)


@dataclass(frozen=True, slots=True, kw_only=True)
class EapContent:
    """What an `.eap` holds. `names` are those that tar would be given, in order; `entries` what it makes of them.

    `added` are the names among them that acap-build would have to be given.
    """

    file_name: str
    names: tuple[str, ...]
    entries: tuple[TarEntry, ...]
    added: tuple[str, ...] = ()


def eap_content(request: EapRequest, application: Application) -> EapContent:
    """Return what the `.eap` of `request` holds."""
    manifest = application.manifest
    tree = _Tree.of((*application.files, *_carried(request)), application)
    first = (manifest.app_name or "", PACKAGE_CONF, PARAM_CONF, LICENSE, MANIFEST, manifest.post_install or "")
    last = (manifest.pre_uninstall or "",)
    added = tuple(name for name in _added(request, application) if name not in {*first, *last, *_LAST})
    other = (*added, *(name for name in last if name and name not in first))
    lines = package_conf_lines(
        manifest, architecture=request.package.soc.architecture, other_files=other, kept=application.kept_conf
    )
    tree = tree.with_files(_made(application, lines))
    names = tuple(dict.fromkeys(name for name in (*first, *other, *_LAST) if name in tree.known))
    scripts = {name for name in (manifest.app_name, manifest.post_install, manifest.pre_uninstall) if name}
    return EapContent(
        file_name=eap_file_name(manifest, request.package.soc.architecture),
        names=names,
        entries=tuple(chain.from_iterable(tree.below(name, scripts) for name in names)),
        added=added,
    )


def eap_file_name(manifest: AcapManifest, architecture: str) -> str:
    """Return the name that Axis' tool gives to the package: no two of one name and architecture differ in it."""
    name = (manifest.friendly_name or manifest.app_name or "").replace(" ", "_")
    return f"{name}_{'_'.join(version_parts(manifest.version))}_{manifest.architecture or architecture}.eap"


def loose_names(request: EapRequest, packed: Collection[str]) -> tuple[str, ...]:
    """Return the paths of the model and the labels, but for those that are below one of the names in `packed`."""
    paths = [member.path for member in _carried(request)]
    return tuple(path for path in paths if not any(path == name or path.startswith(f"{name}/") for name in packed))


def _carried(request: EapRequest) -> Iterator[Member]:
    package = request.package
    yield Member(path=package.model_member, content=package.model_path, digest=package.model_digest)
    if package.labels is not None:
        yield made_member(LABELS, "".join(f"{label}\n" for label in package.labels).encode())


def _made(application: Application, lines: Iterable[ConfLine]) -> Iterator[Member]:
    manifest = application.manifest
    yield made_member(MANIFEST, encode_manifest(manifest.document))
    yield made_member(PACKAGE_CONF, encode_lines(lines))
    yield application.param_conf or made_member(PARAM_CONF, param_conf(manifest))
    served = cgi_conf(manifest)
    if served is not None:
        yield made_member(CGI_CONF, served)
    elif application.cgi_conf is not None:
        yield application.cgi_conf


def _added(request: EapRequest, application: Application) -> tuple[str, ...]:
    """The names that were added: each at the top of the application, and the files that the build puts in.

    A file goes by its own path, as with `acap-build -a model/model.tflite`, unless its folder is there anyway.
    """
    top = {path for path in (*(each.path for each in application.files), *application.folders) if "/" not in path}
    top |= {link.path for link in application.links if "/" not in link.path}
    return tuple(sorted({*top, *loose_names(request, top)}, key=str.encode))


@dataclass(frozen=True, slots=True)
class _Tree:
    """Everything that may be packed, by path."""

    known: Mapping[str, Member | TarLink | TarFolder]

    @classmethod
    def of(cls, files: Iterable[Member], application: Application) -> _Tree:
        known: dict[str, Member | TarLink | TarFolder] = {path: TarFolder(path=path) for path in application.folders}
        known |= {link.path: TarLink(path=link.path, target=link.target) for link in application.links}
        return cls(known | {file.path: file for file in files})

    def with_files(self, files: Iterable[Member]) -> _Tree:
        return _Tree({**self.known, **{file.path: file for file in files}})

    def below(self, name: str, scripts: set[str]) -> Iterator[TarEntry]:
        """What tar makes of `name`: the entry itself, and all below it where it is a folder."""
        paths = [path for path in self.known if path == name or path.startswith(f"{name}/")]
        for path in sorted(paths, key=lambda each: tuple(part.encode() for part in each.split("/"))):
            here = self.known[path]
            yield TarFile(member=here, mode=_mode(here, scripts)) if isinstance(here, Member) else here


def _mode(member: Member, scripts: set[str]) -> int:
    if member.path == MANIFEST:
        return PRIVATE
    return EXECUTABLE if member.executable or member.path in scripts else PLAIN
