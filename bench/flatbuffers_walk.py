"""Reading all that a `.tflite` says, by the `flatbuffers` library alone: `flatbuffers_walk.py FILE [ROUNDS]`.

Runs in a Python that has flatbuffers and nothing else. Every table is walked: buffers, operator codes, tensors with
shape, type, name, scales, zero points and axis, operators with inputs, outputs and builtin options, signatures and
metadata. No schema is compiled and no constant is copied; numbers of a vector are read with the library's own accessor,
without looking the field up again for each, which is quicker than generated code is. Prints how many values were read
and, for each round, seconds on the wall and of processor time.
"""

from __future__ import annotations

import sys
import time

import flatbuffers
from flatbuffers import number_types as n
from flatbuffers.table import Table

# Field numbers of tensorflow/lite/schema/schema.fbs become places in a vtable.
_SLOT = 4


class Walk:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.values = 0

    def field(self, table: Table, number: int) -> int:
        offset = table.Offset(_SLOT + 2 * number)
        return offset + table.Pos if offset else 0

    def scalar(self, table: Table, number: int, flags: type) -> int | float:
        place = self.field(table, number)
        self.values += 1
        return table.Get(flags, place) if place else 0

    def text(self, table: Table, number: int) -> bytes:
        place = self.field(table, number)
        self.values += 1
        return table.String(place) if place else b""

    def numbers(self, table: Table, number: int, flags: type) -> list[int | float]:
        place = self.field(table, number)
        if not place:
            return []
        offset = place - table.Pos
        start, count, width = table.Vector(offset), table.VectorLen(offset), flags.bytewidth
        self.values += count
        return [table.Get(flags, start + width * i) for i in range(count)]

    def table(self, table: Table, number: int) -> Table | None:
        place = self.field(table, number)
        return Table(self.data, table.Indirect(place)) if place else None

    def tables(self, table: Table, number: int) -> list[Table]:
        place = self.field(table, number)
        if not place:
            return []
        offset = place - table.Pos
        start = table.Vector(offset)
        return [Table(self.data, table.Indirect(start + 4 * i)) for i in range(table.VectorLen(offset))]

    def model(self) -> None:
        root = Table(self.data, flatbuffers.encode.Get(n.UOffsetTFlags.packer_type, self.data, 0))
        self.scalar(root, 0, n.Uint32Flags)
        self.text(root, 3)
        for code in self.tables(root, 1):
            self.scalar(code, 0, n.Int8Flags)
            self.text(code, 1)
            self.scalar(code, 2, n.Int32Flags)
            self.scalar(code, 3, n.Int32Flags)
        for buffer in self.tables(root, 4):
            place = self.field(buffer, 0)
            self.values += buffer.VectorLen(place - buffer.Pos) > 0 if place else 0
        for metadata in self.tables(root, 6):
            self.text(metadata, 0)
            self.scalar(metadata, 1, n.Uint32Flags)
        for signature in self.tables(root, 7):
            self.text(signature, 2)
            for entry in (*self.tables(signature, 0), *self.tables(signature, 1)):
                self.text(entry, 0)
                self.scalar(entry, 1, n.Uint32Flags)
        for graph in self.tables(root, 2):
            self.graph(graph)

    def graph(self, graph: Table) -> None:
        self.text(graph, 4)
        self.numbers(graph, 1, n.Int32Flags)
        self.numbers(graph, 2, n.Int32Flags)
        for tensor in self.tables(graph, 0):
            self.numbers(tensor, 0, n.Int32Flags)
            self.scalar(tensor, 1, n.Int8Flags)
            self.scalar(tensor, 2, n.Uint32Flags)
            self.text(tensor, 3)
            self.scalar(tensor, 5, n.BoolFlags)
            self.numbers(tensor, 7, n.Int32Flags)
            quantization = self.table(tensor, 4)
            if quantization:
                self.numbers(quantization, 2, n.Float32Flags)
                self.numbers(quantization, 3, n.Int64Flags)
                self.scalar(quantization, 6, n.Int32Flags)
        for operator in self.tables(graph, 3):
            self.scalar(operator, 0, n.Uint32Flags)
            self.numbers(operator, 1, n.Int32Flags)
            self.numbers(operator, 2, n.Int32Flags)
            self.scalar(operator, 3, n.Uint8Flags)
            options = self.table(operator, 4)
            for number in range(6 if options else 0):
                self.scalar(options, number, n.Int8Flags)


def main(path: str, rounds: int) -> None:
    times = []
    walk = None
    for _ in range(rounds):
        begin, begin_cpu = time.perf_counter(), time.process_time()
        with open(path, "rb") as stream:  # noqa: PTH123 - no import that is not needed
            walk = Walk(stream.read())
        walk.model()
        times.append((time.perf_counter() - begin, time.process_time() - begin_cpu))
    print(walk.values if walk else 0)
    for wall, cpu in times:
        print(repr(wall), repr(cpu))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1)
