"""The command line: which commands there are, and what becomes of errors.

In: argv. Out: an exit code. This is the one place that prints errors and ends the process. Command modules import
what they need when they run, so that `--help` stays quick.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shlex
import sys
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from dlpubuild import __version__
from dlpubuild.commands import cache, image, toolchain
from dlpubuild.commands.build import build
from dlpubuild.commands.check import check
from dlpubuild.commands.clean import clean
from dlpubuild.commands.config import config
from dlpubuild.commands.doctor import doctor
from dlpubuild.commands.init import init
from dlpubuild.commands.inspect import inspect
from dlpubuild.commands.lint import lint
from dlpubuild.commands.lock import lock
from dlpubuild.commands.plan import plan
from dlpubuild.commands.render import render
from dlpubuild.commands.report import report
from dlpubuild.commands.schema import schema
from dlpubuild.commands.verify import verify
from dlpubuild.errors import (
    BuildFailedError,
    DlpuError,
    ErrorCode,
    ExitCode,
    InterruptedBuildError,
    Location,
    OutputError,
    StepFailedError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_FULL = (errno.ENOSPC, errno.EDQUOT)
# What is wrong with a path that the user named, wherever that is found out; never a fault of the tool.
_OF_PATHS = (errno.EACCES, errno.EIO, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EPERM, errno.EROFS)
_HELP = """Turn trained neural networks into reproducible packages for the DLPUs of Axis cameras.

\b
A project is a folder with a dlpu.toml. To begin:
  dlpubuild init model/my_model.keras   # writes dlpu.toml by looking at the model
  dlpubuild check                       # the manifest and everything it names
  dlpubuild build                       # packages in dist/

\b
Environment: DLPU_CACHE_DIR (cache folder), DLPU_CACHE_BUDGET (its size, 20GiB), DLPU_JOBS, DLPU_OUTPUT_DIR,
DLPU_EXECUTOR, DLPU_OFFLINE, DLPU_LOCKED, DLPU_MANIFEST; SOURCE_DATE_EPOCH, NO_COLOR, FORCE_COLOR.
"""

app = typer.Typer(
    name="dlpubuild",
    help=_HELP,
    no_args_is_help=True,
    # Plain text: it reads well in a pipe and in a manual, and rich takes 60 ms to import.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"dlpubuild {__version__}\n")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


for command in (init, check, config, plan, render, build, verify, report, inspect, lint, lock, schema, doctor, clean):
    app.command()(command)
app.add_typer(toolchain.app, name="toolchain")
app.add_typer(image.app, name="image")
app.add_typer(cache.app, name="cache")


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    _speak_utf8()
    sys.exit(run(sys.argv[1:] if argv is None else argv))


def _speak_utf8() -> None:
    """See to it that what is told can be written, whatever the locale says.

    Files and pipes get UTF-8, which JSON, HTML and Markdown are in; a terminal of another encoding gets a question mark
    for what it cannot show.
    """
    for stream in (sys.stdout, sys.stderr):
        if not isinstance(stream, io.TextIOWrapper) or stream.encoding.lower().replace("_", "-") in ("utf-8", "utf8"):
            continue
        if stream.isatty():
            stream.reconfigure(errors="replace")
        else:
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def run(argv: Sequence[str]) -> int:
    """Run the command line and return its exit code; every error has been printed."""
    code = _invoke(argv)
    try:
        # Here and not when the interpreter ends, where nobody can say what went wrong.
        sys.stdout.flush()
    except OSError as error:
        return max(code, _unwritable(error))
    return code


def _invoke(argv: Sequence[str]) -> int:  # noqa: PLR0911 - one return per way to end
    try:
        result = app(args=list(argv), prog_name="dlpubuild", standalone_mode=False)
    except (InterruptedBuildError, KeyboardInterrupt, typer.Abort):
        return _interrupted()
    except DlpuError as error:
        return _report([error], ())
    except BuildFailedError as failed:
        return _report(failed.errors, failed.command)
    except SystemExit as ended:
        # What typer makes of a broken pipe; it also ends so after printing completions.
        if isinstance(ended.__context__, BrokenPipeError):
            return _unwritable(ended.__context__)
        raise
    except Exception as error:  # noqa: BLE001 - the edge of the program
        # Before 3.12 Python wraps what is raised while a class is made, as while a module is imported.
        return _interrupted() if isinstance(error.__cause__, KeyboardInterrupt) else _other(error)
    if result == ExitCode.INTERRUPTED:
        # What typer makes of Ctrl-C.
        return _interrupted()
    return result if isinstance(result, int) else ExitCode.DONE


def _interrupted() -> int:
    sys.stderr.write("interrupted; what is done stays in the cache\n")
    return ExitCode.INTERRUPTED


def _unwritable(error: OSError) -> int:
    """Standard output takes no more; what is still to be written there must not fail again at the end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):
        # Whoever read our output has gone, as in `dlpubuild plan | head`.
        return ExitCode.DONE
    return _report([OutputError(ErrorCode.OUTPUT, f"standard output cannot be written: {error.strerror}")], ())


def _other(error: Exception) -> int:
    show = getattr(error, "show", None)
    if callable(show):
        # What typer raises for a command line it does not understand.
        show()
        return int(getattr(error, "exit_code", ExitCode.USAGE))
    if isinstance(error, OSError) and error.errno in _FULL and error.filename is None:
        return _unwritable(error)
    if isinstance(error, OSError) and error.errno in _OF_PATHS and error.filename is not None:
        path = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else str(error.filename)
        told = f"it cannot be read or written: {error.strerror}"
        return _report([DlpuError(ErrorCode.PATH_KIND, told, location=Location(path))], ())
    return _internal(error)


def _report(errors: Sequence[DlpuError], command: Sequence[str]) -> int:
    from dlpubuild.commands.wiring import colors_on  # noqa: PLC0415
    from dlpubuild.report.errors import error_text  # noqa: PLC0415

    colored = colors_on(sys.stderr, os.environ)
    for error in errors:
        again = [*command, "--step", error.step] if isinstance(error, StepFailedError) and error.step else []
        sys.stderr.write(error_text(error, colored=colored, rerun=shlex.join(again)))
    return int(errors[0].exit_code)


def _internal(error: Exception) -> int:
    import traceback  # noqa: PLC0415

    traceback.print_exception(error)
    sys.stderr.write(
        f"\ninternal error in dlpubuild {__version__}: this is a fault of the tool, not yours.\n"
        "Please report it with the lines above and the command you ran.\n"
    )
    return ExitCode.INTERNAL
