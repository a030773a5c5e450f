"""The work for the Ambarella toolchain, as a folder for somebody who has it: a script and a page beside the files.

In: a `Job` whose files are in a folder. Out: `run.sh` with the very command lines of the step, and `README.md`. The
script needs a POSIX shell and the toolchain on PATH, and nothing of dlpubuild.
"""

import os
import shlex

import stepio
from ambarella_work import MODEL_FILE

SCRIPT = "run.sh"


def write_hand_over(job, soc, folder):
    """Write the script and the page; the script can be run as often as one likes."""
    path = os.path.join(folder, SCRIPT)
    stepio.write_output(path, _script(job, soc).encode("utf-8"))
    os.chmod(path, 0o755)  # noqa: S103 - a script to run
    stepio.write_output(os.path.join(folder, "README.md"), _page(job, soc).encode("utf-8"))


def _script(job, soc):
    programs = [each.program for each in job.commands if each.program != "cat"]
    lines = [
        "#!/bin/sh",
        "# Compiles the model in this folder for {} with the Ambarella toolchain; leaves {}.".format(soc, MODEL_FILE),
        "set -eu",
        'cd "$(dirname "$0")"',
        "for program in {}; do".format(" ".join(dict.fromkeys(programs))),
        '    if ! command -v "$program" > /dev/null; then',
        '        echo "$program is not on PATH: set the environment of the Ambarella toolchain first" >&2',
        "        exit 127",
        "    fi",
        "done",
        # What an earlier run left must not be taken for a result of this one.
        "rm -rf quantized vas_output {}".format(MODEL_FILE),
    ]
    for command in job.commands:
        line = " ".join(shlex.quote(word) for word in (command.program, *command.arguments))
        lines += ["", line + (" > {}".format(shlex.quote(command.output)) if command.output else "")]
        lines.append("test -{} {}".format("d" if "." not in command.makes else "s", shlex.quote(command.makes)))
    return "\n".join(lines) + "\n"


def _page(job, soc):
    inputs = ["- input `{}`: {}".format(each["tensor"], "x".join(map(str, each["shape"]))) for each in job.inputs]
    outputs = ["- output `{}`".format(each["tensor"]) for each in job.outputs]
    notes = ["- {}".format(note) for note in job.notes]
    return "\n".join(
        [
            "# A model for {}, ready for the Ambarella toolchain".format(soc),
            "",
            "All that the toolchain reads is in this folder, and `{}` has its command lines. On a machine".format(
                SCRIPT
            ),
            "that has the toolchain (CNNGen, from Ambarella), with its programs on PATH:",
            "",
            "```sh",
            ". /path/to/the/toolchain/env/{}.env      # as the toolchain's own documentation says".format(soc),
            "sh {}".format(SCRIPT),
            "```",
            "",
            "It leaves `{}`, for the camera. Name that file as `[model] source` of a project to package it.".format(
                MODEL_FILE
            ),
            "",
            *inputs,
            *outputs,
            "",
            "{} calibration samples.".format(job.samples),
            *(["", *notes] if notes else []),
            "",
        ]
    )
