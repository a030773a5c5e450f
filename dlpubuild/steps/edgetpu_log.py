"""What the Edge TPU compiler says of a compilation, as values.

In: what it printed, and the `.log` file that it wrote. Out: a `Report`, and every way in which its figures contradict
one another or the files. The line formats are those of version 16.0, as users show them in google-coral/edgetpu issues
572, 671, 686 and 903. Nothing here runs anything, and nothing is believed: a line that is not there is a figure that is
None.
"""

import re
from typing import NamedTuple, Optional, Tuple

from tflite_file import EDGETPU_OPERATOR

MAPPED = "Mapped to Edge TPU"

# One for each compilation: a search for a part that compiles starts several.
_STARTED = re.compile(r"^Started a compilation timeout timer", re.MULTILINE)
_TABLE_HEAD = re.compile(r"^Operator\s+Count\s+Status\s*$", re.MULTILINE)
_TABLE_ROW = re.compile(r"(\S+)\s+(\d{1,9})\s+(\S.*?)\s*$")
_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


class Row(NamedTuple):
    """A line of the operator table: how many operators of a name share a status."""

    operator: str
    status: str
    count: int

    @property
    def is_mapped(self):
        """Whether they run on the Edge TPU."""
        return self.status == MAPPED


class Report(NamedTuple):
    """What the compiler said last; None stands for what it did not say.

    `segment` is how many operators the part had that a search for one ended with. Memory is in bytes, as far as the two
    decimals go that the compiler prints.
    """

    version: Optional[str]
    milliseconds: Optional[int]
    subgraphs: Optional[int]
    total: Optional[int]
    mapped: Optional[int]
    on_cpu: Optional[int]
    on_chip_used: Optional[int]
    on_chip_remaining: Optional[int]
    off_chip_streamed: Optional[int]
    segment: Optional[int]
    rows: Tuple[Row, ...]

    @property
    def has_compiled(self):
        """Whether it says that it compiled the model."""
        return self.milliseconds is not None


def parse_output(text):
    """Return the report on the last compilation in what the compiler printed."""
    last = text[_last_start(text) :]
    return Report(
        version=_found(r"^Edge TPU Compiler version (\S+)", text),
        milliseconds=_number(r"^Models? compiled successfully in (\d{1,15})\b ms", last),
        subgraphs=_number(r"^Number of Edge TPU subgraphs: (\d{1,9})\b", last),
        total=_number(r"^Total number of operations: (\d{1,9})\b", last),
        mapped=_number(r"^Number of operations that will run on Edge TPU: (\d{1,9})\b", last),
        on_cpu=_number(r"^Number of operations that will run on CPU: (\d{1,9})\b", last),
        on_chip_used=_bytes("On-chip memory used for caching model parameters", last),
        on_chip_remaining=_bytes("On-chip memory remaining for caching model parameters", last),
        off_chip_streamed=_bytes("Off-chip memory used for streaming uncached model parameters", last),
        segment=_last_number(r"^Try to compile segment with (\d{1,9}) ops", text),
        rows=parse_table(last),
    )


def last_compilation(text):
    """Return what was printed of the last compilation: a search reports each part that does not compile, too."""
    return text[_last_start(text) :]


def parse_table(text):
    """Return the rows of the last operator table in `text`, sorted; lines that are equal but for the count are one."""
    heads = list(_TABLE_HEAD.finditer(text))
    if not heads:
        return ()
    counts = {}
    for line in text[heads[-1].end() :].splitlines():
        row = _TABLE_ROW.match(line)
        if row is not None:
            key = (row.group(1), row.group(3))
            counts[key] = counts.get(key, 0) + int(row.group(2))
        elif line.strip():
            break
    return tuple(sorted(Row(operator, status, count) for (operator, status), count in counts.items()))


def completed(report, log_rows):
    """Return the report with what follows from the table where the compiler says nothing.

    It leaves both counts out where everything is mapped, and its `.log` file has the table that was not printed.
    """
    rows = report.rows or log_rows
    mapped = sum(row.count for row in rows if row.is_mapped)
    total = sum(row.count for row in rows)
    return report._replace(
        rows=rows,
        total=total if report.total is None else report.total,
        mapped=mapped if report.mapped is None else report.mapped,
        on_cpu=total - mapped if report.on_cpu is None else report.on_cpu,
    )


def contradictions(report, log_rows, source, compiled):
    """Return, as sentences, how a report contradicts itself, the `.log` file, the model or what was compiled of it.

    Args:
        report: as `completed` returns it.
        log_rows: the table of the `.log` file, empty where there is none.
        source: the model that was given to the compiler (`tflite_file.Model`).
        compiled: the model that it wrote.
    """
    found = []
    if not report.rows:
        return ["there is no table of operators, neither in what it printed nor in its .log file"]
    in_table = sum(row.count for row in report.rows)
    mapped = sum(row.count for row in report.rows if row.is_mapped)
    if log_rows and log_rows != report.rows:
        found.append("the table that it printed and that of its .log file differ")
    if report.total != in_table:
        found.append("it counts {} operators, its table {}".format(report.total, in_table))
    if (report.mapped, report.on_cpu) != (mapped, in_table - mapped):
        found.append(
            "it counts {} operators on the Edge TPU and {} on the CPU, its table {} and {}".format(
                report.mapped, report.on_cpu, mapped, in_table - mapped
            )
        )
    if source.subgraphs == 1 and in_table != len(source.operators):
        found.append("its table has {} operators, the model {}".format(in_table, len(source.operators)))
    return found + _against_file(report, mapped, in_table - mapped, compiled)


def _against_file(report, mapped, on_cpu, compiled):
    found = []
    delegated = sum(operator.custom_code == EDGETPU_OPERATOR for operator in compiled.operators)
    others = len(compiled.operators) - delegated
    if mapped and not delegated:
        found.append(
            "it says that {} operators are mapped, but what it wrote has no operator {}".format(
                mapped, EDGETPU_OPERATOR
            )
        )
    elif report.subgraphs is not None and report.subgraphs != delegated:
        found.append(
            "it says that there are {} subgraphs on the Edge TPU, what it wrote has {}".format(
                report.subgraphs, delegated
            )
        )
    elif delegated and not mapped:
        found.append("it says that nothing is mapped, but what it wrote has an operator {}".format(EDGETPU_OPERATOR))
    if others != on_cpu and compiled.subgraphs == 1:
        found.append(
            "it says that {} operators run on the CPU, what it wrote has {} besides {}".format(
                on_cpu, others, EDGETPU_OPERATOR
            )
        )
    return found


def _last_start(text):
    starts = [match.start() for match in _STARTED.finditer(text)]
    return starts[-1] if starts else 0


def _found(pattern, text):
    match = re.search(pattern, text, flags=re.MULTILINE)
    return match.group(1) if match else None


def _number(pattern, text):
    found = _found(pattern, text)
    return None if found is None else int(found)


def _last_number(pattern, text):
    found = re.findall(pattern, text, flags=re.MULTILINE)
    return int(found[-1]) if found else None


def _bytes(title, text):
    match = re.search("^" + re.escape(title) + r": ([0-9.]{1,20})([KMG]?i?B)\s*$", text, flags=re.MULTILINE)
    if match is None or match.group(2) not in _UNITS:
        return None
    try:
        return round(float(match.group(1)) * _UNITS[match.group(2)])
    except ValueError:
        return None
