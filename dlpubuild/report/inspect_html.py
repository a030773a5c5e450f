"""What is in a model or a package, as one page of HTML that needs no network.

In: models with their facts, or texts about what is no `.tflite`. Out: pieces of a page, made as they are asked for.
Every name comes out of a file of unknown origin: it is made printable, and escaped.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from dlpubuild.report.inspect import fact_rows
from dlpubuild.report.inspect_rows import (
    count_text,
    kind_rows,
    operator_rows,
    scale_text,
    scale_texts,
    shape_text,
    tensor_rows,
    whole_text,
)
from dlpubuild.report.text import printable, size_text
from dlpubuild.tflite.metadata import metadata_entries
from dlpubuild.tflite.oddities import oddities
from dlpubuild.tflite.runtime import min_runtime

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dlpubuild.tflite.facts import ModelFacts
    from dlpubuild.tflite.model import TfliteModel

_FOLDER = Path(__file__).parent
_TEMPLATE = "inspect.html.j2"
_STYLES = ("html/base.css", "inspect.css")


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One model with its facts, or what is known of another file as the text of its page."""

    name: str
    model: TfliteModel | None = None
    facts: ModelFacts | None = None
    text: str = ""


def inspect_html(title: str, sections: Sequence[Section]) -> Iterator[str]:
    """Yield a page on `title` with a section for each model."""
    template = _environment().get_template(_TEMPLATE)
    style = "\n".join((_FOLDER / name).read_text(encoding="utf-8") for name in _STYLES)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    stream = template.stream(
        title=title,
        style=Markup(style),  # noqa: S704 - files of ours
        style_digest=Markup(f"'sha256-{digest}'"),  # noqa: S704 - made above
        sections=sections,
    )
    stream.enable_buffering(200)
    return stream


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: printable(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"size": size_text, "count": count_text, "whole": whole_text, "scale": scale_text}
    made.globals |= {
        "fact_rows": fact_rows,
        "kind_rows": kind_rows,
        "operator_rows": operator_rows,
        "tensor_rows": tensor_rows,
        "scale_texts": scale_texts,
        "shape_text": shape_text,
        "metadata_entries": metadata_entries,
        "min_runtime": min_runtime,
        "oddities": oddities,
    }
    return made
