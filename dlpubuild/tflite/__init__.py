"""Reading `.tflite` files: tensors, quantization, operators. Nothing of TensorFlow is needed or imported."""
