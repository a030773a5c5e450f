"""`dlpubuild toolchain`: the locked environments that steps run in."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from dlpubuild.commands import options
from dlpubuild.commands.interrupts import interruptible
from dlpubuild.commands.wiring import read_host

if TYPE_CHECKING:
    from dlpubuild.commands.wiring import Host
    from dlpubuild.toolchains.pins import ToolchainPin

app = typer.Typer(
    help="List, prepare and remove what steps run in.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of the toolchain, such as tf2.")]


@app.command("list")
def list_toolchains(as_json: options.JsonOption = False) -> None:
    """Show each toolchain, and whether it is prepared.

    \b
    Example:
      dlpubuild toolchain list
    """  # noqa: D301 - click wants the character itself
    from dlpubuild.report.text import columns, size_text  # noqa: PLC0415
    from dlpubuild.toolchains.environment import environment_bytes, find_environment  # noqa: PLC0415
    from dlpubuild.toolchains.pins import toolchain_names  # noqa: PLC0415

    host = read_host()
    rows = []
    for name in toolchain_names():
        pin = _pin(host, name)
        found = find_environment(pin, host.cache, ready=host.ready_toolchains)
        rows.append(
            {
                "name": name,
                "title": pin.title,
                "python": pin.python,
                "lock_sha256": pin.lock_sha256,
                "prepared": found is not None,
                "folder": str(found.folder) if found else None,
                "interpreter": str(found.python) if found else None,
                "bytes": environment_bytes(found) if found else 0,
            }
        )
    if as_json:
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
        return
    table = [
        (
            str(row["name"]),
            str(row["title"]),
            str(row["lock_sha256"])[:16],
            f"{row['folder']} ({size_text(int(str(row['bytes'])))})" if row["prepared"] else "not prepared",
        )
        for row in rows
    ]
    sys.stdout.write(columns(table, header=("name", "what", "lock", "environment")) + "\n")


@app.command()
def prepare(
    name: NameArgument = "tf2",
    offline: options.OfflineOption = False,
    print_python: Annotated[
        bool, typer.Option("--print-python", help="Print only the path of the interpreter on standard output.")
    ] = False,
) -> None:
    """Build a toolchain's environment now.

    Later builds need no network. A build does the same when it first needs the toolchain. Packages are checked against
    the hashes in the lock.

    \b
    Examples:
      dlpubuild toolchain prepare tf2
      $(dlpubuild toolchain prepare tf2 --print-python) evaluate.py model.tflite
    """  # noqa: D301 - click wants the character itself
    from dlpubuild.toolchains.environment import prepare_environment  # noqa: PLC0415

    host = read_host()
    with interruptible() as interrupts, interrupts.deferred() as cancelled:
        environment = prepare_environment(
            _pin(host, name, must_be_there=True),
            host.cache,
            ready=host.ready_toolchains,
            offline=offline,
            variables=host.environ,
            say=_say,
            cancelled=cancelled,
        )
    sys.stdout.write(f"{environment.python}\n" if print_python else f"{name} is ready in {environment.folder}\n")


@app.command()
def remove(name: NameArgument) -> None:
    """Remove a toolchain's environment.

    The next build that needs it builds it again.

    \b
    Example:
      dlpubuild toolchain remove tf2
    """  # noqa: D301 - click wants the character itself
    from dlpubuild.toolchains.environment import remove_environment  # noqa: PLC0415

    host = read_host()
    with interruptible() as interrupts, interrupts.deferred() as cancelled:
        removed = remove_environment(_pin(host, name), host.cache, cancelled=cancelled)
    sys.stdout.write(f"{name}: {f'removed {removed}' if removed else 'was not prepared'}\n")


def _pin(host: Host, name: str, *, must_be_there: bool = False) -> ToolchainPin:
    from dlpubuild.commands.brought import brought_folder, is_brought, missing, with_brought  # noqa: PLC0415
    from dlpubuild.toolchains.pins import load_pin  # noqa: PLC0415

    pin = load_pin(name, machine=host.machine, system=host.system)
    if is_brought(name):
        if brought_folder(host, None, name) is not None:
            return with_brought(host, None, pin)
        if must_be_there:
            raise missing(pin)
    return pin


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
