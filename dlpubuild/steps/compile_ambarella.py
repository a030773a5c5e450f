"""A float model becomes a `.bin` for CV25, or another CVflow SoC, by Ambarella's closed toolchain.

In: a float `.tflite` (`tfparser.py`) or an ONNX model (`onnxparser.py`), calibration data, and what the manifest asks
of the toolchain. Out: `out/model.bin`; `out/compile.log`, all that its programs said; `out/step.json` with the tensors
and every command line. The programs run one after the other in a folder of their own, with relative paths, so that no
path of this machine's reaches them. None is believed: each has to leave what it is run for. Times, which differ from
run to run, are below `metrics.run` in `out/step.json`.

With a folder as second argument nothing is run: that folder gets all that the toolchain reads, and a script with the
same command lines, for somebody who has the toolchain (`dlpubuild render --hand-over`).
"""

import os
import shutil
import sys
import tempfile
import time

import stepio
from ambarella_handover import write_hand_over
from ambarella_tools import find_tools
from ambarella_work import MODEL_FILE, lay_out
from tool_process import ending, run_program

LOG = "out/compile.log"
_SHOWN_LINES = 6
_SHOWN_CHARACTERS = 200
_SIGNATURE_BYTES = 8


def main(params):
    """Compile the model; see the module's first paragraph.

    Args:
        params: as `ambarella_work.lay_out` takes them, and `output`, a path; `soc`; `timeout_sec`, for each program;
            `signature`, what files that were seen begin with, in hexadecimal.
    """
    top = tempfile.mkdtemp(prefix="ambarella-")
    folder = os.path.join(top, "work")
    os.mkdir(folder)
    try:
        job = lay_out(params, folder)
        for note in job.notes:
            stepio.message(note)
        names = dict.fromkeys(each.program for each in job.commands if each.program != "cat")
        tools = find_tools(tuple(names), params["soc"])
        records, times = [], {}
        for command in job.commands:
            started_s = time.monotonic()
            _run(command, tools, folder, params["timeout_sec"], records)
            times[command.program] = int((time.monotonic() - started_s) * 1000)
        with open(os.path.join(folder, MODEL_FILE), "rb") as stream:
            content = stream.read()
    finally:
        shutil.rmtree(top, ignore_errors=True)
    _tell_signature(content, params["signature"])
    stepio.write_output(params["output"], content)
    stepio.write_output(LOG, "\n".join(records).encode("utf-8"))
    metrics = {
        "bytes": len(content),
        "commands": [[each.program, *each.arguments] for each in job.commands],
        "samples": job.samples,
        "run": {"milliseconds": times},
    }
    tensors = {"inputs": list(job.inputs), "outputs": list(job.outputs)}
    stepio.write_step_json({"ambarella-cnngen": tools.version}, tensors, metrics)


def hand_over(params):
    """Fill the folder that the command line names with what the toolchain reads, and the script that runs it."""
    folder = sys.argv[2]
    os.makedirs(folder, exist_ok=True)
    if os.listdir(folder):
        raise stepio.StepError("step-failed", "{} is not empty".format(folder), "name a new folder")
    write_hand_over(lay_out(params, folder), params["soc"], folder)


def _run(command, tools, folder, limit_s, records):
    """Run one command line and hold what it left against what it is run for."""
    if command.program == "cat":
        records.append("$ {} > {}\n".format(_line(command), command.output))
        _join(command, folder)
        return
    stepio.message(_line(command))
    said_path = "{}.{}".format(folder, len(records))
    ended = run_program(tools.arguments(command), folder, said_path, limit_s, tools.environment)
    how = ending(ended.exit_code)
    record = "$ {}\n{}\n[ended {}{}]\n".format(
        _line(command), ended.said.rstrip("\n"), how, ": " + ended.killed if ended.killed else ""
    )
    records.append(record)
    # On standard error: a line of a program's that looks like an event must not become one.
    sys.stderr.write(record)
    sys.stderr.flush()
    if ended.killed.startswith("it did not end"):
        raise stepio.StepError(
            "compiler-timeout",
            "{} was killed: {}{}".format(command.program, ended.killed, _said(ended.said)),
            "give it more time with timeout under the target, or make the model smaller",
        )
    if ended.killed or ended.exit_code != 0:
        raise stepio.StepError(
            "compiler-internal",
            "{} ended {}{}".format(command.program, ended.killed or how, _said(ended.said)),
            _hint(command, ended.said),
        )
    wrong = _what_is_wrong(command, folder)
    if wrong:
        raise stepio.StepError(
            "compiler-output",
            "{} ended with exit code 0, but {}{}".format(command.program, wrong, _said(ended.said)),
            "run the same command lines by hand: dlpubuild render FOLDER --hand-over lays them out",
        )


def _join(command, folder):
    content = b""
    for path in command.arguments:
        with open(os.path.join(folder, path), "rb") as stream:
            content += stream.read()
    stepio.write_output(os.path.join(folder, command.output), content)


def _what_is_wrong(command, folder):
    """Return what a program did not leave, as the end of a sentence; empty where all is there."""
    path = os.path.join(folder, command.makes)
    if not os.path.exists(path):
        return "{} is not there".format(command.makes)
    if os.path.isdir(path):
        files = [os.path.join(top, name) for top, _, names in os.walk(path) for name in names]
        return "" if any(os.path.getsize(file) for file in files) else "{} holds nothing".format(command.makes)
    if not os.path.getsize(path):
        return "{} is empty".format(command.makes)
    if command.lines is not None:
        with open(path, "rb") as stream:
            found = sum(1 for line in stream if line.strip())
        if found != command.lines:
            return "{} has {} lines for {} images".format(command.makes, found, command.lines)
    return ""


def _hint(command, said):
    text = said.lower()
    if command.program == "gen_image_list.py":
        return "look at the calibration images: it has to read them, and write a list of what it made"
    if "no module named" in text or "modulenotfounderror" in text:
        return "a Python package that the toolchain needs is not installed for the Python that runs it"
    if "libpython" in text or "shared librar" in text:
        return "a library that the toolchain needs is missing: use the system it is made for, as an image"
    if command.program in ("onnxparser.py", "tfparser.py"):
        return (
            "what it names is in the model or in the options above: operators that it does not know, names, shapes; "
            "an older opset, or the other parser, may help"
        )
    return "the log of the step has all that it said; `dlpubuild render FOLDER --hand-over` lays it out to try by hand"


def _said(said):
    lines = [line.strip()[:_SHOWN_CHARACTERS] for line in said.splitlines() if line.strip()]
    return "; its last lines: {}".format(" / ".join(lines[-_SHOWN_LINES:])) if lines else "; it said nothing"


def _line(command):
    return " ".join([command.program, *command.arguments])


def _tell_signature(content, expected):
    found = " ".join("{:02x}".format(byte) for byte in content[:_SIGNATURE_BYTES])
    if not found.startswith(expected):
        stepio.message(
            "{} begins with {}, those that were seen with {}: try it on a camera".format(MODEL_FILE, found, expected)
        )


if __name__ == "__main__":
    stepio.run(main if len(sys.argv) == 2 else hand_over)  # noqa: PLR2004 - a second argument names a folder
