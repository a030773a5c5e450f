"""Turn trained neural networks into reproducible packages for the DLPUs of Axis cameras."""

__version__ = "0.1.0"
