"""What the stand-ins for Ambarella's tools share: their settings, and readers for as much of a model as they look at.

What a test wants of them is JSON in the variable AMBARELLA_DOUBLE, or in `ambarella.json` in the folder above:

    modes     by name of a program: "refuse", "hang", "rubbish" (exit code 0 and an empty file), "missing" (exit code 0
              and no file), "crash" (a signal), "flood"
    calls     file to which each command line is added, a JSON list a line
"""

import json
import os
import signal
import struct
import sys
import time

HERE = os.path.dirname(os.path.realpath(__file__))


def settings():
    text = os.environ.get("AMBARELLA_DOUBLE")
    path = os.path.join(HERE, "..", "ambarella.json")
    if text is None and os.path.isfile(path):
        with open(path) as stream:
            text = stream.read()
    return json.loads(text or "{}")


def begin(program):
    """Note the call; return True where nothing useful is to be done, after doing what the mode says."""
    config = settings()
    if "calls" in config:
        with open(config["calls"], "a") as stream:
            stream.write(json.dumps([program, *sys.argv[1:]]) + "\n")
    mode = config.get("modes", {}).get(program, "ok")
    if mode == "refuse":
        refuse("unsupported operator: Frobnicate (node 7)")
    if mode == "hang":
        print("working", flush=True)
        if os.fork() == 0:
            time.sleep(3600)
        time.sleep(3600)
    if mode == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    while mode == "flood":
        sys.stdout.write("x" * 65536)
    return mode if mode in ("rubbish", "missing") else ""


def refuse(text):
    sys.stderr.write("Traceback (most recent call last):\n  (of the vendor's own)\nERROR: %s\n" % text)
    sys.exit(1)


class Tflite:
    """Inputs and outputs of the first subgraph: name -> (shape, type code)."""

    def __init__(self, data):
        if data[4:8] != b"TFL3":
            raise ValueError("not a tflite file")
        self.data = data
        (graph, *_) = self.tables(self.root(0), 2)
        tensors = self.tables(graph, 0)
        self.inputs = dict(self.described(tensors[i]) for i in self.numbers(graph, 1))
        self.outputs = dict(self.described(tensors[i]) for i in self.numbers(graph, 2))

    def root(self, at):
        return at + struct.unpack_from("<I", self.data, at)[0]

    def place(self, table, field):
        fields = table - struct.unpack_from("<i", self.data, table)[0]
        if 4 + 2 * field >= struct.unpack_from("<H", self.data, fields)[0]:
            return 0
        offset = struct.unpack_from("<H", self.data, fields + 4 + 2 * field)[0]
        return table + offset if offset else 0

    def vector(self, table, field):
        at = self.place(table, field)
        if not at:
            return 0, 0
        at = self.root(at)
        return at + 4, struct.unpack_from("<I", self.data, at)[0]

    def tables(self, table, field):
        at, count = self.vector(table, field)
        return [self.root(at + 4 * i) for i in range(count)]

    def numbers(self, table, field):
        at, count = self.vector(table, field)
        return struct.unpack_from("<%di" % count, self.data, at)

    def described(self, tensor):
        at, count = self.vector(tensor, 3)
        kind = self.place(tensor, 1)
        code = self.data[kind] if kind else 0
        return self.data[at : at + count].decode(), (self.numbers(tensor, 0), code)


class Onnx:
    """Inputs and outputs of the graph: name -> (shape, type code as in a .tflite)."""

    def __init__(self, data):
        graph = [value for number, value in fields(data) if number == 7][0]
        parts = list(fields(graph))
        weights = {self.text(value, 8) for number, value in parts if number == 5}
        named = [self.described(value) for number, value in parts if number == 11]
        self.inputs = {name: found for name, found in named if name not in weights}
        self.outputs = dict(self.described(value) for number, value in parts if number == 12)

    def text(self, message, wanted):
        return next(bytes(value).decode() for number, value in fields(message) if number == wanted)

    def described(self, message):
        kind = next(value for number, value in fields(message) if number == 2)
        tensor = dict(fields(next(value for number, value in fields(kind) if number == 1)))
        dims = [dict(fields(value)).get(1, -1) for number, value in fields(tensor.get(2, b"")) if number == 1]
        return self.text(message, 1), (tuple(d if isinstance(d, int) else -1 for d in dims), tensor.get(1, 0) - 1)


def fields(data):
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        value, at = varint(data, at) if key & 7 in (0, 2) else (0, at + (4 if key & 7 == 5 else 8))
        if key & 7 == 2:
            value, at = data[at : at + value], at + value
        yield key >> 3, value


def varint(data, at):
    value, shift = 0, 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 0x80:
            return value, at
