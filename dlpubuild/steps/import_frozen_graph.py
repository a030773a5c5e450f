"""A frozen graph becomes a float `.tflite` with every dimension fixed.

In: `in/model.pb`, a GraphDef of TensorFlow 1 or 2; the inputs and outputs that the manifest declares. Out:
`out/model.tflite` with a signature of these names. The part of the graph between them is traced anew at its final
shapes; whatever only training needed falls away. Graphs with ranges for integers are refused: see import_model.py,
whose parts are used here.
"""

import import_model
import stepio

_PLACEHOLDERS = ("Placeholder", "PlaceholderV2", "PlaceholderWithDefault")
_NO_OUTPUTS = (*_PLACEHOLDERS, "NoOp", "Assert", "Const", "SaveV2", "RestoreV2")


def main(params):
    """Convert the model; see the module's first paragraph.

    Args:
        params: `model`, `inputs`, `outputs`, `optimization`.
    """
    graph = _read(params["model"])
    import_model.refuse_fake_quant(_operators(graph))
    chosen = list(params["outputs"]) or _leaves(graph)
    _require(graph, chosen, "output")
    declared = [each["name"] for each in params["inputs"]]
    _require(graph, declared, "input")
    part, placeholders = _part(graph, chosen, declared)
    names = declared + placeholders
    if not names:
        raise stepio.StepError(
            "model-input",
            "the outputs {} depend on no placeholder of the graph".format(stepio.listed(chosen)),
            "name the inputs: [[model.input]] with name and shape",
        )
    import tensorflow as tf

    with import_model.conversion():
        inputs = _inputs(tf, graph, names)
    shapes = import_model.fixed_shapes(inputs, params["inputs"])
    content = _convert(tf, part, inputs, shapes, chosen, params["optimization"])
    schema = stepio.tflite_schema()
    model = stepio.unpack(schema, content)
    stepio.write_output("out/model.tflite", content)
    stepio.write_step_json(
        stepio.tool_versions("tensorflow-cpu", "tensorflow", "numpy"),
        stepio.describe_tensors(schema, model),
        {"bytes": len(content), "operators": len(model.subgraphs[0].operators)},
    )


def _read(path):
    from google.protobuf.message import DecodeError
    from tensorflow.core.framework import graph_pb2

    graph = graph_pb2.GraphDef()
    try:
        with open(path, "rb") as stream:
            graph.ParseFromString(stream.read())
    except DecodeError as error:
        raise stepio.StepError(
            "model-unreadable",
            "the .pb file is damaged or not a frozen graph",
            "give a binary GraphDef; of a SavedModel, name the folder",
        ) from error
    return graph


def _operators(graph):
    for node in graph.node:
        yield node.op
    for function in graph.library.function:
        for node in function.node_def:
            yield node.op


def _node(name):
    return name.lstrip("^").partition(":")[0]


def _leaves(graph):
    taken = {_node(name) for node in graph.node for name in node.input}
    return [node.name for node in graph.node if node.name not in taken and node.op not in _NO_OUTPUTS]


def _require(graph, names, what):
    known = [node.name for node in graph.node]
    for name in names:
        if _node(name) not in known:
            raise stepio.StepError(
                "model-" + what,
                'the graph has no node "{}"{}'.format(name, stepio.suggestion(name, known)),
                "correct [[model.{}]] name: dlpubuild inspect shows what the graph has".format(what),
            )


def _part(graph, chosen, declared):
    """Return the graph between what is declared and the outputs, and the placeholders it still has.

    A placeholder with a default keeps it, where there is any other input.
    """
    nodes = {node.name: node for node in graph.node}
    cut = {_node(name) for name in declared}
    needed = set()
    pending = [_node(name) for name in chosen]
    while pending:
        name = pending.pop()
        if name in needed or name in cut or name not in nodes:
            continue
        needed.add(name)
        pending.extend(_node(each) for each in nodes[name].input)
    placeholders = [n.name for n in graph.node if n.name in needed and n.op in _PLACEHOLDERS[:2]]
    if not placeholders and not declared:
        placeholders = [n.name for n in graph.node if n.name in needed and n.op == _PLACEHOLDERS[2]]
    part = type(graph)()
    part.CopyFrom(graph)
    del part.node[:]
    for node in graph.node:
        if node.name in needed and node.name not in placeholders:
            kept = part.node.add()
            kept.CopyFrom(node)
            # Shapes that the exporter noted may be those of another batch.
            kept.attr.pop("_output_shapes", None)
    return part, placeholders


def _tensor(name):
    return name if ":" in name else name + ":0"


def _inputs(tf, graph, names):
    """Return the inputs with the types and shapes that the graph has for them."""
    with tf.Graph().as_default() as whole:
        tf.import_graph_def(graph, name="")
        inputs = []
        for name in names:
            tensor = whole.get_tensor_by_name(_tensor(name))
            shape = None if tensor.shape.rank is None else tuple(tensor.shape.as_list())
            inputs.append(import_model.ModelInput(name, shape, tensor.dtype))
    return inputs


def _convert(tf, part, inputs, shapes, chosen, optimization):
    nodes = {each.name: "input_{:03}".format(number) for number, each in enumerate(inputs)}
    out_nodes = ["output_{:03}".format(number) for number in range(len(chosen))]

    def call(**tensors):
        fed = {_tensor(each.name): tensors[nodes[each.name]] for each in inputs}
        results = tf.graph_util.import_graph_def(
            part, input_map=fed, return_elements=[_tensor(name) for name in chosen], name=""
        )
        return {node: tf.identity(result) for node, result in zip(out_nodes, results)}

    specs = {nodes[each.name]: tf.TensorSpec(shapes[each.name], each.dtype, name=nodes[each.name]) for each in inputs}
    with import_model.conversion():
        traced = tf.function(call, autograph=False).get_concrete_function(**specs)
        content = import_model.run_converter(tf.lite.TFLiteConverter.from_concrete_functions([traced]), optimization)
    return import_model.with_signature(content, [each.name for each in inputs], chosen)


if __name__ == "__main__":
    stepio.run(main)
