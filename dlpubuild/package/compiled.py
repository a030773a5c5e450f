"""What a package says of a model that an SoC's own compiler made: what from, by which compiler, what runs where.

In: a planned target and the digests of what its steps left. Out: `CompiledFacts`, in which nothing differs from run to
run, and the report that the build shows, in which some things do. Only the record of the compiling step is read, which
is small; nothing is judged here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dlpubuild.package.checked import read_record
from dlpubuild.package.spec import CompiledFacts, CompilerFacts, MappingFacts, OperatorFacts
from dlpubuild.targets.mapping import read_mapping

if TYPE_CHECKING:
    from dlpubuild.cas.digest import Digest
    from dlpubuild.cas.store import Store
    from dlpubuild.plan.model import Compiled
    from dlpubuild.targets.mapping import MappingReport
    from dlpubuild.toolchains.pins import ToolchainPin


# What only the camera can read.
BINARY_FILE = "model.bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltModel:
    """Digests of what the steps of a target left.

    `model` is the file that the camera loads. Where a compiler made it, `source` is what it was made from, and `record`
    the record of the step that ran the compiler. `binary_record` is that instead where only the camera can read the
    model, and `binary_source` the `.tflite` that it was made from, where it was one. `checked` is the record of the
    step that measured the integer model, `verified` what one measured on the validation data, `application` the `.eap`
    where a step packed it.
    """

    model: Digest
    source: Digest | None = None
    record: Digest | None = None
    binary_record: Digest | None = None
    binary_source: Digest | None = None
    checked: Digest | None = None
    verified: Digest | None = None
    application: Digest | None = None

    @property
    def readable(self) -> Digest:
        """The file that the gate looks at and the package describes: a compiled one says nothing of its tensors."""
        return self.source or self.model

    def described(self, model_file: str) -> Digest | None:
        """The `.tflite` whose operators a person wants to see, None where there is none to be read.

        `model_file` is what the camera's file is called.
        """
        return self.binary_source if model_file == BINARY_FILE else self.readable


def read_report(record: Digest, store: Store) -> MappingReport:
    """Return what the record of a compiling step says.

    Raises:
        StepFailedError: `STEP_OUTPUT`: it is not what such a step is to write.
        BlobMissingError: it is not in the store, or was damaged there.
    """
    return read_mapping(read_record(record, store, of="compiling"))


def compiled_facts(compiled: Compiled, source: Digest, report: MappingReport, store: Store) -> CompiledFacts:
    """Return what a package says of the compilation; the model it came from has the digest `source`."""
    return CompiledFacts(
        source_path=Path(store.folder.blob_path(source)),
        source_digest=source,
        compiler=_compiler(compiled.toolchain, report),
        mapping=MappingFacts(
            total=report.total,
            mapped=report.mapped,
            subgraphs=report.subgraphs,
            on_chip_used=report.on_chip_used_bytes,
            on_chip_remaining=report.on_chip_remaining_bytes,
            off_chip_streamed=report.off_chip_streamed_bytes,
            operators=tuple(
                OperatorFacts(name=each.operator, count=each.count, mapped=each.is_mapped, status=each.status)
                for each in report.operators
            ),
        ),
    )


def _compiler(pin: ToolchainPin, report: MappingReport) -> CompilerFacts:
    is_own = pin.image is not None and pin.image.is_own
    pinned = pin.archive is not None and not is_own
    return CompilerFacts(
        name=report.compiler_name,
        version=report.compiler,
        archive_sha256=pin.lock_sha256 if pinned else None,
    )
