"""Say what TensorFlow itself knows of `.tflite` files; runs in the toolchain.

In: `models`, paths; `make`, a path where an integer model with a scale per channel is written first. Out: per model
its `tensors` and `operators` as the interpreter has them, and `schema`, per operator what TensorFlow's own copy of the
schema reads: version, length of the custom options, builtin options under the schema's names with enumerations as
numbers.
"""

# mypy: ignore-errors
# ruff: noqa: T201 - it talks through stdout, to code that takes paths as text

import json
import re
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema


def make(path):
    generator = np.random.default_rng(1)
    image = tf.keras.Input((16, 16, 3), batch_size=1, name="image")
    x = tf.keras.layers.Conv2D(8, 3, strides=2, padding="same", activation="relu6")(image)
    x = tf.keras.layers.DepthwiseConv2D(5, dilation_rate=2, padding="same")(x)
    x = tf.keras.layers.Conv2DTranspose(4, 3, strides=2)(x)
    x = tf.keras.layers.AveragePooling2D(3, strides=2)(x)
    x = tf.keras.layers.LeakyReLU(0.25)(x)
    x = tf.keras.layers.Dense(5, activation="softmax")(tf.keras.layers.Flatten()(x))
    converter = tf.lite.TFLiteConverter.from_keras_model(tf.keras.Model(image, x))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([generator.random((1, 16, 16, 3), np.float32)] for _ in range(4))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    Path(path).write_bytes(converter.convert())


def tensor(details):
    quantization = details["quantization_parameters"]
    return {
        "index": int(details["index"]),
        "name": details["name"],
        "shape": [int(size) for size in details["shape"]],
        "dtype": np.dtype(details["dtype"]).name,
        "scales": [float(each) for each in quantization["scales"]],
        "zero_points": [int(each) for each in quantization["zero_points"]],
        "axis": int(quantization["quantized_dimension"]),
    }


def options(found):
    if found is None:
        return {}
    snake = ((re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower(), value) for name, value in vars(found).items())
    return {
        name: value.tolist() if isinstance(value, np.ndarray) else value.decode() if isinstance(value, bytes) else value
        for name, value in snake
    }


def facts(path):
    resolver = tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = tf.lite.Interpreter(model_path=path, experimental_op_resolver_type=resolver)
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(bytearray(Path(path).read_bytes()), 0))
    return {
        "tensors": [tensor(each) for each in interpreter.get_tensor_details()],
        "operators": [
            {
                "index": int(each["index"]),
                "name": each["op_name"],
                "inputs": [int(index) for index in each["inputs"]],
                "outputs": [int(index) for index in each["outputs"]],
            }
            for each in interpreter._get_ops_details()
        ],
        "schema": [
            {
                "version": model.operatorCodes[each.opcodeIndex].version,
                "custom_bytes": 0 if each.customOptions is None else len(each.customOptions),
                "options": options(each.builtinOptions),
            }
            for each in model.subgraphs[0].operators
        ],
    }


def main():
    job = json.load(sys.stdin)
    make(job["make"])
    print(json.dumps([facts(path) for path in (job["make"], *job["models"])]))


main()
