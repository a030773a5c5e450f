"""What the `README.md` of a package says where the SoC's own compiler made the model.

In: a `PackageRequest`. Out: rows and lines of Markdown: which file is for which larod device, and what runs where.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlpubuild.package.markdown import code_span, escaped
from dlpubuild.package.spec import CPU_DEVICE, UNCOMPILED_FILE

if TYPE_CHECKING:
    from dlpubuild.package.spec import CompiledFacts, CompilerFacts, PackageRequest


def model_rows(request: PackageRequest) -> list[str]:
    """Return the rows of the table of files that name models."""
    if request.compiled is None:
        return [f"| `{request.model_member}` | the model that larod loads |"]
    return [
        f"| `{request.model_member}` | the compiled model, for the larod device `{request.soc.larod_device}` |",
        f"| `{request.uncompiled_member}` | the uncompiled model, for `{CPU_DEVICE}` where there is no such device |",
    ]


def compiled_rows(facts: CompiledFacts) -> list[str]:
    """Return the rows of the model's table that tell of its compilation."""
    compiler, mapping = facts.compiler, facts.mapping
    on_cpu = ", ".join(f"{code_span(each.name)} {each.count}" for each in mapping.operators if not each.mapped)
    memory = (
        ("accelerator memory that parameters take", mapping.on_chip_used),
        ("accelerator memory left for parameters", mapping.on_chip_remaining),
        ("parameters sent to the accelerator with each inference", mapping.off_chip_streamed),
    )
    return [
        compiler_row(compiler),
        f"| size before it was compiled | {facts.source_digest.size_bytes:,} bytes |",
        f"| operators on the accelerator | {mapping.mapped} of {mapping.total} |",
        *([f"| operators on the CPU | {on_cpu} |"] if on_cpu else []),
        *(f"| {what} | {size_bytes:,} bytes |" for what, size_bytes in memory if size_bytes is not None),
    ]


def compiler_row(compiler: CompilerFacts) -> str:
    """Return the row of the model's table that names the compiler."""
    return f"| compiled with | {escaped(compiler.name)} {escaped(compiler.version)} |"


def camera_without(request: PackageRequest) -> list[str]:
    """Return what is to be done on a product that lacks the larod device, as lines."""
    return [
        "",
        f"Not every product with {request.soc.title} has that device; `larod-client -a` lists the devices of a camera.",
        f"Where it is missing, the model runs on the CPU, with `{UNCOMPILED_FILE}` and `-c {CPU_DEVICE}`.",
    ]
