"""Run a `.tflite` on samples with TensorFlow Lite's own interpreter.

In: the bytes of a model, and the values of every input. Out: the values of every output, in the order of the file. The
interpreter's extension module is loaded without importing TensorFlow, as stepio.load_from_toolchain explains; where the
toolchain has it elsewhere, TensorFlow's public interpreter does the same. One thread; variables are reset before each
sample. Nothing is judged here.
"""

import numpy as np

import stepio

_MODULE = "tensorflow/lite/python/interpreter_wrapper/_pywrap_tensorflow_interpreter_wrapper.so"
# Numbers of `_get_op_resolver_id` in tensorflow/lite/python/interpreter.py.
_DEFAULT_DELEGATES = 1
_NO_DELEGATES = 3
# What the interpreter raises for a model or for values that it cannot take.
FAULTS = (RuntimeError, ValueError, TypeError)


class Runner:
    """One model, ready to run.

    Args:
        content: the bytes of a `.tflite`.
        delegates: whether TensorFlow Lite may take its fast kernels (XNNPACK). Without them it takes those that also
            calibrate.
        keep_all: whether `tensor` can give the values of every tensor after a run.

    Raises:
        RuntimeError, ValueError, TypeError: the interpreter does not take the model.
    """

    def __init__(self, content, delegates, keep_all=False):
        # The interpreter reads these bytes as long as it lives and does not own them.
        self._content = content
        native = stepio.load_from_toolchain(_MODULE)
        if native is None:
            self._model = _Public(content, delegates, keep_all)
        else:
            self._model = native.CreateWrapperFromBuffer(
                content,
                _DEFAULT_DELEGATES if delegates else _NO_DELEGATES,
                [],  # custom operators by name
                [],  # custom operators by function
                keep_all,  # preserve all tensors
                False,  # disable delegate clustering
                1,  # threads
                False,  # default delegate's latest features
            )
        self._model.AllocateTensors(-1)
        self._inputs = [int(index) for index in self._model.InputIndices()]
        self._outputs = [int(index) for index in self._model.OutputIndices()]

    def run(self, values):
        """Return the values of every output for one sample; raises what the constructor raises."""
        self._model.ResetVariableTensors()
        for index, each in zip(self._inputs, values):
            self._model.SetTensor(index, each, 0)
        self._model.Invoke(0)
        return [np.array(self._model.GetTensor(index, 0)) for index in self._outputs]

    def tensor(self, index):
        """Return the values of a tensor of the first subgraph, as the last run left them.

        Raises:
            ValueError: it has none, because a kernel made do without.
        """
        return np.array(self._model.GetTensor(index, 0))


class _Public:
    """TensorFlow's public interpreter, with the methods of the native one that are used here."""

    def __init__(self, content, delegates, keep_all):
        import tensorflow as tf

        kinds = tf.lite.experimental.OpResolverType
        self._interpreter = tf.lite.Interpreter(
            model_content=content,
            num_threads=1,
            experimental_preserve_all_tensors=keep_all,
            experimental_op_resolver_type=kinds.AUTO if delegates else kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )

    def AllocateTensors(self, _subgraph):  # noqa: N802 - as the native one calls it
        self._interpreter.allocate_tensors()

    def InputIndices(self):  # noqa: N802
        return [each["index"] for each in self._interpreter.get_input_details()]

    def OutputIndices(self):  # noqa: N802
        return [each["index"] for each in self._interpreter.get_output_details()]

    def ResetVariableTensors(self):  # noqa: N802
        self._interpreter.reset_all_variables()

    def SetTensor(self, index, values, _subgraph):  # noqa: N802
        self._interpreter.set_tensor(index, values)

    def Invoke(self, _subgraph):  # noqa: N802
        self._interpreter.invoke()

    def GetTensor(self, index, _subgraph):  # noqa: N802
        return self._interpreter.get_tensor(index)
