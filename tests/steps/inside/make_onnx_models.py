"""Write the ONNX models of the tests to the current folder, with the onnx package, all with seeded weights.

image.onnx       image [1, 3, 16, 12] -> "scores å" [1, 5] and "map/0:0" [1, 4, 8, 6]; opset 17
dynamic.onnx     the same with all sizes of the image but the channels free
external.onnx    the same with weights in all.bin
nhwc.onnx        image [1, 16, 12, 3], transposed inside, as a model of TensorFlow's
two.onnx         b [1, 4] and a [1, 3, 8] -> sum [1, 4]
passing.onnx     image as in image.onnx, which is an output, too
fft.onnx         has DFT, which nothing converts
own.onnx         has an operator of another domain
int8.onnx        has QuantizeLinear
half.onnx        image.onnx with float16 weights and values
twice.onnx       batch 2
broken.onnx      a Conv whose weights do not fit
deep.onnx        300 layers, one after another
"""

# mypy: ignore-errors

import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

random = np.random.default_rng(5)
OPSET = [helper.make_opsetid("", 17)]


def weight(name, *shape):
    return numpy_helper.from_array(
        (random.standard_normal(shape) / np.sqrt(np.prod(shape[1:]) or 1)).astype("f4"), name
    )


def value(name, shape, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def save(name, graph, opsets=OPSET, **more):
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.save(model, name, **more)
    return model


def body(source):
    nodes = [
        helper.make_node("Conv", [source, "w1", "b1"], ["c1"], "conv 1", strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("Conv", ["r1", "w2", "b2"], ["map/0:0"], "conv 2", pads=[0, 0, 0, 0]),
        helper.make_node("GlobalAveragePool", ["r1"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "w3", "b3"], ["g"]),
        helper.make_node("Softmax", ["g"], ["scores å"], axis=1),
    ]
    weights = [weight("w1", 8, 3, 3, 3), weight("b1", 8), weight("w2", 4, 8, 1, 1), weight("b2", 4)]
    return nodes, [*weights, weight("w3", 8, 5), weight("b3", 5)]


def image_graph(shape=(1, 3, 16, 12), batch=1, scores=None, maps=None):
    nodes, weights = body("image")
    outputs = [value("scores å", scores or [batch, 5]), value("map/0:0", maps or [batch, 4, 8, 6])]
    return helper.make_graph(nodes, "g", [value("image", shape)], outputs, weights)


image = save("image.onnx", image_graph())
save("dynamic.onnx", image_graph(("n", 3, "h", "w"), scores=["n", 5], maps=["n", 4, "hh", "ww"]))
save(
    "external.onnx",
    image_graph(),
    save_as_external_data=True,
    location="all.bin",
    size_threshold=0,
)
save("twice.onnx", image_graph((2, 3, 16, 12), batch=2))

nodes, weights = body("turned")
nodes.insert(0, helper.make_node("Transpose", ["image"], ["turned"], perm=[0, 3, 1, 2]))
outputs = [value("scores å", [1, 5]), value("map/0:0", [1, 4, 8, 6])]
save("nhwc.onnx", helper.make_graph(nodes, "g", [value("image", [1, 16, 12, 3])], outputs, weights))

nodes = [
    helper.make_node("ReduceMean", ["a"], ["m"], axes=[1, 2], keepdims=0),
    helper.make_node("Mul", ["b", "m"], ["s"]),
    helper.make_node("Add", ["s", "b"], ["sum"]),
]
save("two.onnx", helper.make_graph(nodes, "g", [value("b", [1, 4]), value("a", [1, 3, 8])], [value("sum", [1, 4])]))

nodes, weights = body("image")
passed = [value("scores å", [1, 5]), value("image", [1, 3, 16, 12])]
save("passing.onnx", helper.make_graph(nodes, "g", [value("image", [1, 3, 16, 12])], passed, weights))

node = helper.make_node("DFT", ["x"], ["y"], axis=1)
save("fft.onnx", helper.make_graph([node], "g", [value("x", [1, 8, 1])], [value("y", [1, 8, 2])]))
node = helper.make_node("Fancy", ["x"], ["y"], domain="com.example")
own = [*OPSET, helper.make_opsetid("com.example", 1)]
save("own.onnx", helper.make_graph([node], "g", [value("x", [1, 8])], [value("y", [1, 8])]), own)

scale, zero = numpy_helper.from_array(np.float32(0.1), "s"), numpy_helper.from_array(np.uint8(3), "z")
nodes = [
    helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
    helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
]
save("int8.onnx", helper.make_graph(nodes, "g", [value("x", [1, 8])], [value("y", [1, 8])], [scale, zero]))

node = helper.make_node("Erf", ["x"], ["y"])
save("erf.onnx", helper.make_graph([node], "g", [value("x", [1, 8])], [value("y", [1, 8])]))

half = onnx.ModelProto()
half.CopyFrom(image)
for each in half.graph.initializer:
    each.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(each).astype("f2"), each.name))
for each in [*half.graph.input, *half.graph.output]:
    each.type.tensor_type.elem_type = TensorProto.FLOAT16
onnx.save(half, "half.onnx")

broken = [weight("w1", 8, 5, 3, 3)]
node = helper.make_node("Conv", ["image", "w1"], ["y"], "conv 1")
save(
    "broken.onnx",
    helper.make_graph([node], "g", [value("image", [1, 3, 16, 12])], [value("y", [1, 8, 14, 10])], broken),
)

nodes, weights, last = [], [], "x"
for number in range(300):
    weights.append(weight(f"w{number}", 8, 8))
    nodes.append(helper.make_node("MatMul", [last, f"w{number}"], [f"m{number}"]))
    last = f"t{number}"
    nodes.append(helper.make_node("Tanh", [f"m{number}"], [last]))
save("deep.onnx", helper.make_graph(nodes, "g", [value("x", [1, 8])], [value(last, [1, 8])], weights))
sys.stdout.write("{}\n")
