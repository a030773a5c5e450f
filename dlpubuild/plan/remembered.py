"""Step templates rendered at most once: the document is a pure function of the template folders and the context.

In: a memo. Out: a renderer for `plan_build` that knows what it rendered before, and saves the import of jinja2 and
jsonschema then. Never remembers an error, nor what is too large for a memo.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from dlpubuild import __version__
from dlpubuild.cas.memo import MAX_FACT_BYTES
from dlpubuild.errors import DlpuError
from dlpubuild.plan.planner import render_checked
from dlpubuild.resources import schema_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from dlpubuild.cas.memo import Memo
    from dlpubuild.targets.model import Soc

_KIND = "steps-rendered-1"


def remembering(memo: Memo) -> Callable[[Soc, Mapping[str, Any]], dict[str, Any]]:
    """Return a renderer that asks `memo` first; the template folders are looked at once."""
    digests: dict[tuple[Path, ...], str] = {}

    def render(soc: Soc, context: Mapping[str, Any]) -> dict[str, Any]:
        try:
            if soc.search_path not in digests:
                digests[soc.search_path] = _folders_digest(soc.search_path, memo)
        except DlpuError:
            # Something in the folder cannot be read: if a template needs it, rendering says so.
            return render_checked(soc, context)
        key = _key(digests[soc.search_path], soc.name, context)
        known = memo.recall(_KIND, key)
        if known is not None:
            document: dict[str, Any] = json.loads(known)
            return document
        document = render_checked(soc, context)
        text = json.dumps(document).encode()
        if len(text) <= MAX_FACT_BYTES:
            memo.remember(_KIND, key, text)
        return document

    return render


def _folders_digest(folders: tuple[Path, ...], memo: Memo) -> str:
    sha = hashlib.sha256(f"{__version__}\n".encode())
    sha.update(schema_path("steps").read_bytes())
    for folder in folders:
        sha.update(b"\n")
        for file in memo.digest_tree(folder):
            sha.update(f"{file.digest.hash} {file.path}\n".encode())
    return sha.hexdigest()


def _key(folders: str, soc: str, context: Mapping[str, Any]) -> str:
    text = json.dumps([folders, soc, context], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
