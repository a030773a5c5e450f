"""Names of images: what pins one, and what does not.

In: text as people write it. Out: a `Reference` that names content by its digest, or a repository with a tag. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dlpubuild.errors import ErrorCode, UsageError

# The grammar of the distribution project's reference.go, without its rarer corners.
_HOST = r"[A-Za-z0-9.-]+(?::[0-9]+)?|\[[0-9A-Fa-f:]+\](?::[0-9]+)?"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = rf"(?:(?:{_HOST})/)?{_PART}(?:/{_PART})*"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
_DIGEST = r"sha256:[0-9a-f]{64}"
_PINNED = re.compile(rf"(?P<repository>{_REPOSITORY})(?::{_TAG})?@(?P<digest>{_DIGEST})")
_TAGGED = re.compile(rf"(?P<repository>{_REPOSITORY})(?::(?P<tag>{_TAG}))?")
IMAGE_ID = re.compile(_DIGEST)


@dataclass(frozen=True, slots=True)
class Reference:
    """A repository and the digest of a manifest in it."""

    repository: str
    digest: str

    def __str__(self) -> str:
        return f"{self.repository}@{self.digest}"


def parse_pinned(text: str) -> Reference:
    """Return the reference in `text`; a tag before the digest is for people and is dropped.

    Raises:
        UsageError: it names no digest, or is no name of an image.
    """
    match = _PINNED.fullmatch(text)
    if match is not None:
        return Reference(match["repository"], match["digest"])
    if _TAGGED.fullmatch(text):
        raise UsageError(
            ErrorCode.USAGE,
            f'"{text}" names no digest: what a tag means can change from one day to the next',
            hint=f"name it by its digest, {text.partition(':')[0]}@sha256:…; `dlpubuild image push` prints it, and so "
            "does: docker buildx imagetools inspect NAME",
        )
    raise UsageError(ErrorCode.USAGE, f'"{text}" is no name of an image', hint="write it as REPOSITORY@sha256:DIGEST")


def parse_tagged(text: str, default_tag: str) -> tuple[str, str]:
    """Return the repository and the tag in `text`.

    Raises:
        UsageError: it names a digest, or is no name of an image.
    """
    match = _TAGGED.fullmatch(text)
    if match is None:
        raise UsageError(
            ErrorCode.USAGE, f'"{text}" is no repository', hint="write it as REGISTRY/REPOSITORY or REPOSITORY:TAG"
        )
    return match["repository"], match["tag"] or default_tag


def qualified(name: str) -> str:
    """Return `name` with the registry that it means: the names of Docker Hub are mostly written without."""
    host, slash, _ = name.partition("/")
    if slash and ("." in host or ":" in host or host == "localhost"):
        return name
    return f"docker.io/{name}" if slash else f"docker.io/library/{name}"
