"""One run of the Edge TPU compiler: its command line, its time-out, all that it says, and nothing of it left behind.

In: options and a model. Out: a `Run`. The compiler works in a folder of its own below the temporary folder, on a copy
with a plain name, so that no name of the user's reaches its command line. It keeps its own time; where it does not, it
is killed with every process that it started. Nothing here judges the outcome.
"""

import os
import shutil
import sys
import tempfile
from typing import NamedTuple, Optional

import stepio
from tool_process import ending, read_text, run_program

PROGRAM = "edgetpu_compiler"
# What it may need beyond its own time-out, which counts the compilation alone.
MARGIN_S = 30
_MAX_LOG_BYTES = 16 << 20
_INPUT = "model.tflite"
_OUTPUT = "model_edgetpu.tflite"
_LOG = "model_edgetpu.log"


class Options(NamedTuple):
    """What the compiler is asked for, besides the operator table.

    `min_runtime_version` is that of the Edge TPU runtime on the camera, None for the newest; `delegate_search_step` how
    many operators a search leaves out with each try, None for no search; `intermediate_tensors` where the part for the
    Edge TPU ends.
    """

    timeout_s: int
    min_runtime_version: Optional[int] = None
    delegate_search_step: Optional[int] = None
    intermediate_tensors: tuple = ()

    def arguments(self):
        """Return the arguments of the compiler."""
        arguments = ["--show_operations", "--out_dir", "out", "--timeout_sec", str(self.timeout_s)]
        if self.min_runtime_version is not None:
            arguments += ["--min_runtime_version", str(self.min_runtime_version)]
        if self.delegate_search_step is not None:
            arguments += ["--search_delegate", "--delegate_search_step", str(self.delegate_search_step)]
        if self.intermediate_tensors:
            arguments += ["--intermediate_tensors", ",".join(self.intermediate_tensors)]
        return [*arguments, _INPUT]

    def limit_s(self, operators):
        """Return after how many seconds the compiler is killed: each try of a search has the time-out for itself."""
        tries = 1 if self.delegate_search_step is None else 1 + operators // self.delegate_search_step
        return tries * self.timeout_s + MARGIN_S


class Run(NamedTuple):
    """What came of one run.

    `exit_code` is negative for a signal and None where the compiler was killed, for which `killed` says why: a phrase,
    empty otherwise. `compiled` is what it wrote, None where it wrote nothing; `log` the text of its `.log` file.
    """

    arguments: tuple
    exit_code: Optional[int]
    killed: str
    said: str
    compiled: Optional[bytes]
    log: str

    @property
    def ending(self):
        """How it ended, as a phrase."""
        return ending(self.exit_code)

    @property
    def record(self):
        """All of it for a person, as text."""
        parts = ["$ {} {}".format(PROGRAM, " ".join(self.arguments)), self.said.rstrip("\n")]
        parts.append("[ended {}{}]".format(self.ending, ": {}".format(self.killed) if self.killed else ""))
        if self.log:
            parts += ["[{}]".format(_LOG), self.log.rstrip("\n")]
        return "\n".join(parts) + "\n"


def find_compiler():
    """Return the path of the compiler.

    Raises:
        stepio.StepError: there is none.
    """
    path = shutil.which(PROGRAM)
    if path is None:
        raise stepio.StepError(
            "toolchain",
            "the toolchain has no program {}".format(PROGRAM),
            "use the pinned toolchain edgetpu, or name a folder that has it with path under [toolchain.edgetpu]",
        )
    return os.path.abspath(path)


def run_compiler(compiler, content, options, limit_s):
    """Run the compiler on the model in `content` and return what came of it; all that it says is also in the log.

    Args:
        compiler: its path.
        content: the bytes of a `.tflite` file.
        options: what it is asked for.
        limit_s: after how many seconds it is killed.
    """
    folder = tempfile.mkdtemp(prefix="edgetpu-")
    try:
        os.mkdir(os.path.join(folder, "out"))
        with open(os.path.join(folder, _INPUT), "wb") as stream:
            stream.write(content)
        arguments = options.arguments()
        said_path = os.path.join(folder, "said")
        ended = run_program([compiler, *arguments], folder, said_path, limit_s)
        run = Run(
            arguments=tuple(arguments),
            exit_code=ended.exit_code,
            killed=ended.killed,
            said=ended.said,
            compiled=_content(os.path.join(folder, "out", _OUTPUT)),
            log=read_text(os.path.join(folder, "out", _LOG), _MAX_LOG_BYTES),
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    # On standard error: a line of a program's that looks like an event must not become one.
    sys.stderr.write(run.record)
    sys.stderr.flush()
    return run


def _content(path):
    if not os.path.isfile(path):
        return None
    with open(path, "rb") as stream:
        return stream.read()
