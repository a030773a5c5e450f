"""The first operator that the Edge TPU compiler cannot compile, where it does not say which.

In: a model that it fails on, and a way to run it. Out: that operator, or the few among which it is. The compiler is
asked to put one beginning of the model after another on the Edge TPU, by its own option for intermediate tensors, and
what lies between one that compiles and one that fails is halved each time. The number of runs grows with the logarithm
of the operators, and is bounded, as is the time.
"""

import re
from typing import NamedTuple, Tuple

MAX_RUNS = 16
# The compiler separates names with commas, and lists for several models with colons (google-coral/edgetpu issue 778);
# the semicolon that converters join names with is fine (issue 601).
_USABLE = re.compile(r"[A-Za-z0-9_./;()\[\]{}@+=#-]{1,2000}$")


class Found(NamedTuple):
    """What bisecting came to.

    The first operator that fails is one of `first` to `last`, and nearly always both are the same. `cut` names the
    tensors at which everything before `first` still compiles; empty where nothing does, or where they have no names
    that the compiler takes. `runs` is how often it ran.
    """

    first: int
    last: int
    cut: Tuple[str, ...]
    runs: int


def can_be_named(name):
    """Return whether the compiler takes `name` in a list of intermediate tensors."""
    return _USABLE.match(name) is not None


def first_failing(model, compiles, tell):
    """Return the first operator whose addition makes the beginning of the model fail.

    Args:
        model: a model that fails as a whole (`tflite_file.Model`).
        compiles: is given names of tensors, and new names by tensor index for those whose own cannot be used; returns
            whether the compiler can compile what leads to them, or None to give up.
        tell: is called with the number of operators of each beginning that is tried.
    """
    names, renamed = _names(model)
    # All of the model fails, and nothing at all does not.
    passes, fails = -1, len(model.operators) - 1
    runs = 0
    while fails - passes > 1 and runs < MAX_RUNS:
        cut = _nearest_cut(model, names, passes, fails)
        if cut is None:
            break
        position, tensors = cut
        tell(position + 1)
        runs += 1
        result = compiles([names[index] for index in tensors], {at: renamed[at] for at in tensors if at in renamed})
        if result is None:
            break
        if result:
            passes = position
        else:
            fails = position
    own = [model.tensors[index].name for index in frontier(model, passes)] if passes >= 0 else []
    return Found(passes + 1, fails, tuple(own) if all(map(can_be_named, own)) else (), runs)


def frontier(model, position):
    """Return the tensors that what comes after operator `position` takes from before it, in order, and outputs."""
    wanted = {index for operator in model.operators[position + 1 :] for index in operator.inputs}
    wanted.update(model.outputs)
    written = [index for operator in model.operators[: position + 1] for index in operator.outputs]
    return [index for index in dict.fromkeys(written) if index in wanted]


def _nearest_cut(model, names, passes, fails):
    """Return the cut nearest to the middle, all of whose tensors have a usable name."""
    middle = (passes + fails) // 2
    for position in sorted(range(passes + 1, fails), key=lambda each: (abs(each - middle), each)):
        tensors = frontier(model, position)
        if tensors and all(index in names for index in tensors):
            return position, tensors
    return None


def _names(model):
    """Return a name for each tensor that the compiler can be told of, and which of these are not its own."""
    counts = {}
    for tensor in model.tensors:
        counts[tensor.name] = counts.get(tensor.name, 0) + 1
    places = {}
    for tensor in model.tensors:
        places[tensor.name_at] = places.get(tensor.name_at, 0) + 1
    names, renamed = {}, {}
    for tensor in model.tensors:
        other = "tensor{}".format(tensor.index)
        if counts[tensor.name] == 1 and can_be_named(tensor.name):
            names[tensor.index] = tensor.name
        elif len(other) <= tensor.name_bytes and places[tensor.name_at] == 1 and other not in counts:
            names[tensor.index] = renamed[tensor.index] = other
    return names, renamed
