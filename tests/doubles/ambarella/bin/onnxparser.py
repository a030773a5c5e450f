#!/usr/bin/env python3
"""A stand-in for onnxparser.py, which reads an ONNX model; its sizes are those that it is told."""

from ambarella_files import Onnx
from ambarella_parser import main

if __name__ == "__main__":
    main("onnxparser.py", "-m", Onnx, lambda shape: shape)
