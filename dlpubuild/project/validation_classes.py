"""The right class of a validation sample, from what a person wrote: a folder's name, a cell of a table, a number.

In: the outputs of a model and the project's labels. Out: which output a class is for, and its index there. Only names
and shapes are looked at; no file is opened here.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from dlpubuild.manifest.wording import did_you_mean, in_a_row, nearest_value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dlpubuild.project.model import KnownTensor

# As many decimal digits as the largest class could ever have.
_MOST_DIGITS = 9
_TWO = 2


class NoClassError(ValueError):
    """What was written is no class of the output, or there is no such output; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Classes:
    """The classes of one output: `count` of them, None where that is not known, and the labels that name one alone.

    `repeated` are labels that several classes have.
    """

    output: str
    count: int | None
    names: Mapping[str, int]
    repeated: frozenset[str] = frozenset()

    def of_text(self, text: str) -> int:
        """Return the class that `text` names, by its label or its index.

        Raises:
            NoClassError: it names none.
        """
        if text in self.names:
            return self.names[text]
        if text in self.repeated:
            raise NoClassError(f'several classes have the label "{text}"; write the index of the one that is meant')
        if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS:
            return self.of_number(int(text))
        guess = did_you_mean(nearest_value(text, self.names))
        known = "a label" if self.names else "an index"
        return self._refuse(f'"{text}"', f"is not {known} of output " + f'"{self.output}"{guess}')

    def of_number(self, number: float) -> int:
        """Return the class with the index `number`.

        Raises:
            NoClassError: there is none.
        """
        if not math.isfinite(number) or number != int(number):
            return self._refuse(f"{number:g}", "is no index of a class")
        if number < 0 or (self.count is not None and number >= self.count):
            most = "" if self.count is None else f"; it has {self.count} classes, 0 to {self.count - 1}"
            return self._refuse(f"{int(number)}", f'is no class of output "{self.output}"{most}')
        return int(number)

    def _refuse(self, what: str, why: str) -> int:
        raise NoClassError(f"{what} {why}")


def classes_of(output: KnownTensor, labels: Sequence[str] | None) -> Classes:
    """Return the classes of `output`; one score has two: 0, it is not there, and 1.

    Raises:
        NoClassError: a sample of this output has no class: it is a map, or boxes.
    """
    count = _count(output)
    if count == 0:
        raise NoClassError(
            f'output "{output.name}" has the shape {list(output.shape or ())}, not a score for each class'
        )
    given = labels if labels is not None and count in (None, len(labels)) else ()
    if count is None and given:
        count = len(given)
    times = Counter(given)
    names = {label: index for index, label in enumerate(given) if times[label] == 1}
    return Classes(
        output=output.name,
        count=count,
        names=MappingProxyType(names),
        repeated=frozenset(label for label, number in times.items() if number > 1),
    )


def _count(output: KnownTensor) -> int | None:
    """Return how many classes there are, 0 where the output is none of scores, None where that is not known."""
    if output.shape is None or any(size < 1 for size in output.shape[1:]):
        return None
    # Not even a batch: rare, and TensorFlow Lite allows it.
    sizes = output.shape[1:] or output.shape or (1,)
    elements = math.prod(sizes)
    if elements == 1:
        return _TWO
    return elements if elements == sizes[-1] else 0


def named_output(name: str, outputs: Sequence[KnownTensor]) -> KnownTensor:
    """Return the output called `name`.

    Raises:
        NoClassError: there is none.
    """
    for output in outputs:
        if output.name == name:
            return output
    names = [output.name for output in outputs]
    guess = did_you_mean(nearest_value(name, names))
    raise NoClassError(f'the model has no output "{name}"; it has {in_a_row(names)}{guess}')


def only_output(outputs: Sequence[KnownTensor], labels: Sequence[str] | None) -> KnownTensor:
    """Return the output that a class which names none is for.

    Raises:
        NoClassError: there is not one alone.
    """
    if not outputs:
        raise NoClassError("the model does not say what its outputs are called; name them in [[model.output]]")
    scores = [output for output in outputs if _count(output) != 0]
    if len(scores) > 1 and labels is not None:
        scores = [output for output in scores if _count(output) == len(labels)] or scores
    if len(scores) == 1:
        return scores[0]
    names = in_a_row(output.name for output in scores or outputs)
    if not scores:
        raise NoClassError(f"no output has a score for each class: {names}")
    raise NoClassError(f"the model has {len(scores)} outputs that have classes ({names}), so say which one is meant")
