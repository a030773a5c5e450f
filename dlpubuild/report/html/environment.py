"""The Jinja environment of every HTML page, and the page's own style, script and security policy.

In: the name of a template beside this file and its context. Out: one self-contained page that loads nothing. Every
string is escaped, and what is not printable or turns the direction of writing is shown as an escape, because names come
out of files of unknown origin. The policy allows the page's own style and script by their digests and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from dlpubuild.report import figures
from dlpubuild.report.text import printable

_FOLDER = Path(__file__).parent
_NAME_LENGTH = 160


@cache
def environment() -> jinja2.Environment:
    """Return the environment; templates are looked up beside this file."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.do"],
    )
    made.filters |= {
        "bytes": figures.bytes_text,
        "count": figures.count_text,
        "decibels": figures.decibel_text,
        "duration": figures.duration_text,
        "lines": str.splitlines,
        "macs": figures.macs_text,
        "name": elided,
        "percent": figures.percent_text,
        "points": figures.points_text,
        "short_count": figures.short_count_text,
        "small": figures.small_text,
        "web_address": web_address,
    }
    return made


def render_page(template: str, *, styles: tuple[str, ...], scripts: tuple[str, ...] = (), **context: Any) -> str:
    """Return a page.

    Args:
        template: extends `page.html.j2`.
        styles: style sheets beside this file, after `base.css`.
        scripts: scripts beside this file.
    """
    style = "\n".join(_source(name) for name in ("base.css", *styles))
    script = "\n".join(_source(name) for name in scripts)
    policy = {
        "default-src": "'none'",
        "style-src": _digest(style),
        "script-src": _digest(script) if script else "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return (
        environment()
        .get_template(template)
        .render(
            style=Markup(style),  # noqa: S704 - files of ours
            script=Markup(script),  # noqa: S704 - files of ours
            policy=Markup("; ".join(f"{name} {value}" for name, value in policy.items())),  # noqa: S704 - made above
            **context,
        )
    )


def elided(name: str, length: int = _NAME_LENGTH) -> str:
    """Return a name with its middle left out where it is longer than `length`."""
    if len(name) <= length:
        return name
    head = (length - 1) // 2
    return f"{name[:head]}…{name[-(length - 1 - head) :]}"


def web_address(text: str) -> bool:
    """Return whether a text may become a link: an address of the web, and nothing that runs."""
    return text.startswith(("https://", "http://"))


def _shown(value: Any) -> Any:
    return printable(value) if type(value) is str else value


def _source(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
