"""A graph cut into parts that run one after another, each on one processor.

In: a subgraph, and which of its operators a DLPU can take. Out: the parts in the order in which they run, and which
operators the Edge TPU compiler maps. The cut is that of TensorFlow Lite's delegates
(`PartitionGraphIntoIndependentNodeSubsets` in tensorflow/lite/graph_info.cc): by data dependency, and not by the order
in the file. Operators that wait for one another, which no sound file has, are in no part.
"""

from __future__ import annotations

from collections import defaultdict
from heapq import heappop, heappush
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from dlpubuild.tflite.model import Subgraph


class Part(NamedTuple):
    """Operators that run on one processor before work goes to the other; sorted indices."""

    on_dlpu: bool
    operators: tuple[int, ...]


def parts(graph: Subgraph, taken: AbstractSet[int]) -> tuple[Part, ...]:
    """Return the parts of `graph` in the order in which they run.

    The first operator of the file whose inputs are there says which processor begins; the part is everything that this
    processor can do by then, wherever in the file it stands. Then it is the other's turn.

    Args:
        graph: the subgraph.
        taken: indices of the operators that the DLPU takes.
    """
    operators = graph.operators
    produced = {tensor for operator in operators for tensor in operator.outputs if tensor >= 0}
    waits = [len(set(operator.inputs) & produced) for operator in operators]
    users: defaultdict[int, list[int]] = defaultdict(list)
    ready: dict[bool, list[int]] = {True: [], False: []}
    for operator in operators:
        for tensor in set(operator.inputs) & produced:
            users[tensor].append(operator.index)
        if not waits[operator.index]:
            ready[operator.index in taken].append(operator.index)
    done: set[int] = set()
    found = []
    while ready[True] or ready[False]:
        on_dlpu = bool(ready[True]) and (not ready[False] or ready[True][0] < ready[False][0])
        members = []
        while ready[on_dlpu]:
            members.append(heappop(ready[on_dlpu]))
            for tensor in set(operators[members[-1]].outputs) - done:
                done.add(tensor)
                for user in users[tensor]:
                    waits[user] -= 1
                    if not waits[user]:
                        heappush(ready[user in taken], user)
        found.append(Part(on_dlpu, tuple(sorted(members))))
    return tuple(found)


def first_on_dlpu(graph: Subgraph, taken: AbstractSet[int]) -> tuple[int, ...]:
    """Return the operators that a compiler maps that makes one part only: the first that the DLPU can run.

    What stands beside it and depends on nothing outside belongs to it; what comes behind an operator of the CPU does
    not, even where it is much more. (google-coral/edgetpu issues 317 and 461; measured, see docs/lint.md.)
    """
    return next((part.operators for part in parts(graph, taken) if part.on_dlpu), ())
