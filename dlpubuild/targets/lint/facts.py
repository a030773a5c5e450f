"""What a lint rule may ask of a whole model, and which facts there are of operators, tensors and models.

In: a `TfliteModel`, and where its operators run. Out: an object with one attribute for each fact; and the names of all
facts, which expressions are held against before any model is there.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final, Literal

from dlpubuild.targets.lint.operator_facts import OperatorFacts
from dlpubuild.targets.lint.tensor_facts import TensorFacts
from dlpubuild.tflite.facts import summarise
from dlpubuild.tflite.option_defaults import option_names
from dlpubuild.tflite.runtime import min_runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dlpubuild.targets.lint.model import Placement
    from dlpubuild.tflite.model import TfliteModel

FactKind = Literal["operator", "tensor", "model"]


class WholeModelFacts:
    """What a rule about all of a model sees: itself, as `model`."""

    def __init__(self, model: TfliteModel, placement: Placement | None) -> None:
        self._model = model
        self._placement = placement
        self._facts = summarise(model)

    @property
    def model(self) -> WholeModelFacts:
        """The facts below."""
        return self

    @property
    def granularity(self) -> str:
        """`per-tensor`, `per-channel` or `none`."""
        return self._facts.granularity

    @property
    def quantization(self) -> str:
        """`per-tensor`, `per-channel`, `dynamic`, `float16` or `none`."""
        return self._facts.quantization

    @property
    def parameter_bytes(self) -> int:
        """Bytes of all constants."""
        return self._facts.parameter_bytes

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one run."""
        return self._facts.macs

    @property
    def operators(self) -> Mapping[str, int]:
        """How many operators there are, by name."""
        return self._facts.operators

    @property
    def parts(self) -> int | None:
        """Into how many parts the graph falls, None where that cannot be said."""
        return self._placement.parts if self._placement else None

    @property
    def switches(self) -> int | None:
        """How often work goes from one processor to the other."""
        return self._placement.switches if self._placement else None

    @property
    def dlpu_operators(self) -> int | None:
        """How many operators run on the DLPU."""
        return len(self._placement.on_dlpu) if self._placement else None

    @property
    def cpu_operators(self) -> int | None:
        """How many operators run on the CPU."""
        return len(self._placement.on_cpu) if self._placement else None

    @property
    def inputs(self) -> list[TensorFacts]:
        """What the model takes."""
        return [TensorFacts(self._model, tensor) for tensor in self._model.inputs]

    @property
    def outputs(self) -> list[TensorFacts]:
        """What the model gives."""
        return [TensorFacts(self._model, tensor) for tensor in self._model.outputs]

    @cached_property
    def min_runtime(self) -> str | None:
        """The oldest TensorFlow Lite that has all operators, by their versions."""
        return min_runtime(self._model).version


def _public(owner: type) -> tuple[str, ...]:
    return tuple(sorted(name for name in vars(owner) if not name.startswith("_")))


# What an expression may name, by what it is about, and what the parts of that have.
FACTS: Final[Mapping[FactKind, tuple[str, ...]]] = {
    "operator": _public(OperatorFacts),
    "tensor": ("t",),
    "model": ("model",),
}
_TENSOR_FACTS: Final = frozenset(_public(TensorFacts))
_MODEL_FACTS: Final = frozenset(_public(WholeModelFacts)) - {"model"}
PART_FACTS: Final[Mapping[str, Callable[[], frozenset[str]]]] = {
    **dict.fromkeys(("x", "w", "bias", "y", "t"), lambda: _TENSOR_FACTS),
    "op": option_names,
    "model": lambda: _MODEL_FACTS,
}
