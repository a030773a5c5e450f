#!/usr/bin/env python3
"""A stand-in for tfparser.py, which reads a float .tflite, interleaved, and is told of planes."""

from ambarella_files import Tflite
from ambarella_parser import main

if __name__ == "__main__":
    main("tfparser.py", "-p", Tflite, lambda s: (s[0], s[3], s[1], s[2]) if len(s) == 4 else s)
