"""What a toolchain that is fed bytes cannot do to them, told before anything runs.

In: a model, the inputs as they are settled, and the targets. Out: a fault for each input whose normalisation the
documented options of Ambarella's parsers cannot say: they divide all channels of an input by one number. No file is
opened here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dlpubuild.errors import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dlpubuild.manifest.model import ModelInput
    from dlpubuild.project.faults import Faults
    from dlpubuild.project.model import ModelSource
    from dlpubuild.targets.model import Target

# An SoC whose target.toml lists what it may be has a parser that is told how bytes come in.
_OPTION: Final = "input-format"


def check_byte_inputs(
    faults: Faults, model: ModelSource, inputs: Sequence[ModelInput], targets: Sequence[Target]
) -> None:
    """Note each mean, and each std that differs by channel, where a target's toolchain is fed bytes."""
    fed = [target.soc.title for target in targets if _OPTION in target.soc.allowed_options]
    if not fed or model.format == "compiled":
        return
    whose = f"the toolchain of {' and '.join(fed)}"
    for position, each in enumerate(inputs):
        path = f"model.input[{position}]"
        if any(each.mean or ()):
            faults.add(
                ErrorCode.CONFLICT,
                f"{path}.mean",
                f"{whose} divides pixels and cannot subtract from them; found {_shown(each.mean)}",
                "put the subtraction into the model, as its first layer; then mean is 0",
            )
        if len(set(each.std or ())) > 1:
            faults.add(
                ErrorCode.CONFLICT,
                f"{path}.std",
                f"{whose} divides all channels by one number; found {_shown(each.std)}",
                "put the division into the model, as its first layer; then std is 1 or 255",
            )


def _shown(values: Sequence[float] | None) -> str:
    return ", ".join(f"{value:g}" for value in values or ())
