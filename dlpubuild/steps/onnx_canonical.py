"""An ONNX model in one order and with one set of names, however the tool that wrote it came to its own.

In: an `onnx.ModelProto`. Out: the same model, changed in place: nodes in the order in which its outputs need them,
weights in the order of their use, everything but inputs and outputs named by its place. tf2onnx goes through sets of
objects, so that names and orders differ from run to run. What the model computes does not change.
"""


def make_canonical(model):
    """Order and name everything in the model."""
    order_graph(model.graph)
    fixed = {each.name for each in model.graph.input}.union(each.name for each in model.graph.output)
    names = {name: name for name in fixed}
    names[""] = ""
    _Namer(names, fixed).rename(model.graph)
    del model.graph.value_info[:]


def order_graph(graph):
    """Put the nodes of a graph, and of those below it, in the order in which the outputs need them."""
    for node in graph.node:
        for subgraph in _subgraphs(node):
            order_graph(subgraph)
    producers = {name: position for position, node in enumerate(graph.node) for name in node.output if name}
    needs = [
        [producers[name] for name in [*node.input, *_outer_names(node)] if name in producers] for node in graph.node
    ]
    order, seen = [], set()
    for output in graph.output:
        # A stack and no recursion: networks are deeper than Python's stack.
        pending = [(producers[output.name], False)] if output.name in producers else []
        while pending:
            position, is_done = pending.pop()
            if is_done:
                order.append(position)
            elif position not in seen:
                seen.add(position)
                pending.append((position, True))
                pending.extend((needed, False) for needed in reversed(needs[position]) if needed not in seen)
    nodes = [graph.node[position] for position in order]
    copies = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)
    _order_weights(graph)


def _order_weights(graph):
    weights = {each.name: each for each in graph.initializer}
    used = [name for node in graph.node for name in [*node.input, *_outer_names(node)] if name in weights]
    used += [each.name for each in graph.output if each.name in weights]
    copies = [type(weights[name]).FromString(weights[name].SerializeToString()) for name in dict.fromkeys(used)]
    del graph.initializer[:]
    graph.initializer.extend(copies)


def _subgraphs(node):
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        for graph in attribute.graphs:
            yield graph


def _outer_names(node):
    """Return the names that the subgraphs of a node take from around it, in the order in which they take them."""
    names = []
    for graph in _subgraphs(node):
        own = {each.name for each in [*graph.input, *graph.initializer]}
        own.update(name for inner in graph.node for name in inner.output)
        taken = [name for inner in graph.node for name in [*inner.input, *_outer_names(inner)]]
        taken += [each.name for each in graph.output]
        names.extend(name for name in taken if name not in own)
    return names


class _Namer:
    """Gives names in the order in which it meets what it names."""

    def __init__(self, names, fixed):
        self._names = names
        self._fixed = fixed
        self._tensors = 0
        self._nodes = 0

    def rename(self, graph):
        for value in graph.input:
            value.name = self._new(value.name)
        for weight in graph.initializer:
            weight.name = self._new(weight.name)
        for node in graph.node:
            self._nodes += 1
            node.name = "{}_{}".format(node.op_type, self._nodes)
            node.doc_string = ""
            node.input[:] = [self._new(name) for name in node.input]
            for subgraph in _subgraphs(node):
                subgraph.name = "{}_body".format(node.name)
                self.rename(subgraph)
            node.output[:] = [self._new(name) for name in node.output]
        for value in graph.output:
            value.name = self._new(value.name)
        if graph.value_info:
            del graph.value_info[:]

    def _new(self, name):
        while name not in self._names:
            self._tensors += 1
            new = "t{}".format(self._tensors)
            if new not in self._fixed:
                self._names[name] = new
        return self._names[name]
