"""What a frozen graph says of itself without TensorFlow: a `.pb` file that holds a GraphDef and nothing around it.

In: its bytes, and the tensors that the manifest declares. Out: a `FrozenGraph`. Such a graph has no signature: its
inputs are its placeholders, or whatever tensors the manifest names, which cut the graph off there; its outputs are
those that the manifest names, else the nodes whose result no other node takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from dlpubuild.project.model import KnownSignature, KnownTensor
from dlpubuild.project.signature import UnreadableModelError
from dlpubuild.project.tensorflow_proto import (
    graph_operators,
    is_quantization_aware,
    parse_graph,
    parse_saved_model,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# A SavedModel begins with its schema version, always 1, and a graph; a GraphDef with a node.
_SAVED_MODEL_START = b"\x08\x01\x12"
_TEXT_START = (b"node {", b"node{", b"versions {", b"library {")
_PLACEHOLDERS = frozenset({"Placeholder", "PlaceholderV2"})
_DEFAULTED = "PlaceholderWithDefault"
# Nodes whose result nobody takes and nobody wants.
_NO_OUTPUTS = _PLACEHOLDERS | {_DEFAULTED, "NoOp", "Assert", "Const", "SaveV2", "RestoreV2"}
_VARIABLES = frozenset({"Variable", "VariableV2", "VarHandleOp", "AutoReloadVariable"})
# Some of tensorflow/core/framework/types.proto, in NumPy's words.
_DTYPES: Mapping[int, str] = MappingProxyType(
    {1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 9: "int64", 10: "bool", 19: "float16"}
)
_FREEZE = "freeze it with tf.compat.v1.graph_util.convert_variables_to_constants, or give a SavedModel"


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenGraph:
    """A frozen graph: its signature, the number of nodes by operator, and whether it was trained for integers."""

    signature: KnownSignature
    operators: Mapping[str, int]
    is_quantization_aware: bool


def read_frozen_graph(data: bytes, *, inputs: Sequence[str] = (), outputs: Sequence[str] = ()) -> FrozenGraph:
    """Return what the graph in `data` says of itself.

    Args:
        data: the bytes of the file.
        inputs: tensors that the manifest declares as inputs: the name of a node, or `name:1` for its second result.
            Those that the graph does not have are left out of the signature.
        outputs: the same of outputs.

    Raises:
        UnreadableModelError: not a frozen graph; the text says what it is instead.
    """
    graph = _parsed(data)
    nodes = {node.name: node for node in graph.node}
    stateful = [node for node in graph.node if node.op in _VARIABLES]
    if stateful:
        raise UnreadableModelError(
            f"the graph is not frozen: it has variables ({len(stateful)}, such as {stateful[0].name!r}); {_FREEZE}"
        )
    made = [name for name in outputs if _has(nodes, name)]
    if not outputs or len(made) < len(outputs):
        # Beside a name that the graph does not have, those are shown that may have been meant.
        made = list(dict.fromkeys((*made, *_leaves(graph))))
    given = [name for name in inputs if _has(nodes, name)]
    needed = _needed_placeholders(nodes, made, given)
    operators = graph_operators(graph)
    return FrozenGraph(
        signature=KnownSignature(
            inputs=tuple(_tensor(nodes, name) for name in (*given, *needed)),
            outputs=tuple(KnownTensor(name=name, shape=None) for name in made),
        ),
        operators=MappingProxyType(dict(sorted(operators.items()))),
        is_quantization_aware=is_quantization_aware(operators),
    )


def node_of(name: str) -> str:
    """Return the node that a tensor is a result of.

    >>> node_of("scores:0"), node_of("^init")
    ('scores', 'init')
    """
    return name.removeprefix("^").partition(":")[0]


def _parsed(data: bytes) -> Any:
    if data.startswith(_SAVED_MODEL_START) and _is_saved_model(data):
        raise UnreadableModelError(
            "it is the saved_model.pb of a SavedModel, not a frozen graph; name the folder that holds it"
        )
    if data.lstrip()[:16].startswith(_TEXT_START):
        raise UnreadableModelError("it is a graph in text form (.pbtxt); write it with as_text=False")
    if not data:
        raise UnreadableModelError("the file is empty")
    try:
        graph = parse_graph(data)
    except ValueError as error:
        raise UnreadableModelError(
            "it is not a frozen graph, or damaged (its protocol buffer does not parse as a GraphDef)"
        ) from error
    if not any(node.op for node in graph.node):
        raise UnreadableModelError("it is not a frozen graph: it holds no node")
    return graph


def _is_saved_model(data: bytes) -> bool:
    try:
        return bool(parse_saved_model(data).meta_graphs)
    except ValueError:
        return False


def _has(nodes: Mapping[str, Any], name: str) -> bool:
    node, _, index = name.partition(":")
    return node in nodes and (not index or index.isdecimal())


def _leaves(graph: Any) -> list[str]:
    taken = {node_of(name) for node in graph.node for name in node.input}
    return [node.name for node in graph.node if node.name not in taken and node.op not in _NO_OUTPUTS]


def _needed_placeholders(nodes: Mapping[str, Any], made: Iterable[str], given: Iterable[str]) -> list[str]:
    """Return, in the order of the graph, the placeholders that `made` depends on beside what is `given`.

    One with a default is only an input where there is no other: it mostly is a switch for training.
    """
    cut = {node_of(name) for name in given}
    seen: set[str] = set()
    pending = [node_of(name) for name in made]
    while pending:
        name = pending.pop()
        if name in seen or name in cut or name not in nodes:
            continue
        seen.add(name)
        pending.extend(node_of(each) for each in nodes[name].input if not each.startswith("^"))
    needed = [name for name in nodes if name in seen and nodes[name].op in _PLACEHOLDERS]
    if needed or cut:
        return needed
    return [name for name in nodes if name in seen and nodes[name].op == _DEFAULTED]


def _tensor(nodes: Mapping[str, Any], name: str) -> KnownTensor:
    """Of a node that is no placeholder neither shape nor type are in the file."""
    node = nodes[node_of(name)]
    if node.op not in _PLACEHOLDERS and node.op != _DEFAULTED:
        return KnownTensor(name=name, shape=None)
    dtype = _DTYPES.get(node.attr["dtype"].type) if "dtype" in node.attr else None
    if "shape" not in node.attr or node.attr["shape"].shape.unknown_rank:
        return KnownTensor(name=name, shape=None, dtype=dtype)
    sizes = tuple(dim.size if dim.size >= 0 else -1 for dim in node.attr["shape"].shape.dim)
    return KnownTensor(name=name, shape=sizes, dtype=dtype)
