"""`dlpubuild cache`: the store of results."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from dlpubuild.commands import options
from dlpubuild.commands.wiring import DEFAULT_BUDGET, open_memo, open_store, parse_size, read_host

app = typer.Typer(
    help="Look at, shrink, check and empty the store of results.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def info(as_json: options.JsonOption = False) -> None:
    """Show where the cache is and how full it is.

    \b
    Examples:
      dlpubuild cache info
      dlpubuild cache info --json
    """  # noqa: D301 - click wants the character itself
    from dlpubuild.cas.collect import usage  # noqa: PLC0415
    from dlpubuild.report.text import columns, size_text  # noqa: PLC0415

    host = read_host()
    found = usage(open_store(host))
    held = found.blob_bytes + found.result_bytes
    if as_json:
        document = {
            "folder": str(host.cache),
            "budget_bytes": host.budget_bytes,
            "blobs": found.blobs,
            "blob_bytes": found.blob_bytes,
            "results": found.results,
            "result_bytes": found.result_bytes,
            "tmp_bytes": found.tmp_bytes,
            "running_builds": found.running_builds,
        }
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
        return
    rows = [
        ("folder", str(host.cache)),
        ("blobs", f"{found.blobs} ({size_text(found.blob_bytes)})"),
        ("action results", str(found.results)),
        ("half-written", size_text(found.tmp_bytes)),
        ("running builds", str(found.running_builds)),
        ("budget", f"{size_text(host.budget_bytes)} ({held * 100 // max(1, host.budget_bytes)} % used)"),
    ]
    sys.stdout.write(columns(rows) + "\n")


@app.command()
def gc(
    budget: Annotated[
        str,
        typer.Option(
            "--budget",
            metavar="SIZE",
            help=f"How much may stay, such as 500MB or 2GiB; {DEFAULT_BUDGET} when left out.",
            envvar="DLPU_CACHE_BUDGET",
        ),
    ] = DEFAULT_BUDGET,
) -> None:
    """Remove the results used longest ago.

    As many go as it takes for the rest to fit the budget. What a running build uses is never removed. A build that ran
    a step does this by itself when it ends.

    \b
    Example:
      dlpubuild cache gc --budget 2GiB
    """  # noqa: D301 - click wants the character itself
    from dlpubuild.cas.collect import collect  # noqa: PLC0415
    from dlpubuild.report.text import size_text  # noqa: PLC0415

    host = read_host()
    done = collect(open_store(host), budget_bytes=parse_size(budget), now_ns=host.now_ns())
    sys.stdout.write(
        f"removed {done.removed} entries ({size_text(done.freed_bytes)}); {size_text(done.kept_bytes)} kept"
        f"{f', {size_text(done.in_use_bytes)} of them in use' if done.in_use_bytes else ''}\n"
    )


@app.command()
def verify() -> None:
    """Check every blob, and remove what is damaged.

    Each blob is hashed again; the results that need a damaged one go with it. What was removed is made again by the
    next build that needs it. Damage is also found without this command, whenever a blob is read.

    \b
    Example:
      dlpubuild cache verify

    \b
    Exit codes: 0 all is well, 4 something was damaged and has been removed.
    """  # noqa: D301 - click wants the character itself
    from dlpubuild.cas.verify import verify as verify_store  # noqa: PLC0415
    from dlpubuild.errors import ErrorCode, OutOfDateError  # noqa: PLC0415

    host = read_host()
    report = verify_store(open_store(host))
    sys.stdout.write(f"{report.blobs} blobs and {report.results} action results checked\n")
    if not report.is_clean:
        raise OutOfDateError(
            ErrorCode.BLOB_MISSING,
            f"{report.damaged_blobs} blobs were damaged, and {report.dropped_results} results needed them: "
            "they have been removed",
            hint="the next build makes them again; damage that comes back is a sign of a failing disk",
        )


@app.command()
def clear() -> None:
    """Remove every result that no running build uses.

    Prepared toolchains stay; to remove one: dlpubuild toolchain remove NAME.

    \b
    Example:
      dlpubuild cache clear
    """  # noqa: D301 - click wants the character itself
    from dlpubuild.cas.collect import clear as clear_store  # noqa: PLC0415
    from dlpubuild.report.text import size_text  # noqa: PLC0415

    host = read_host()
    done = clear_store(open_store(host), now_ns=host.now_ns())
    with open_memo(host) as memo:
        memo.clear()
    sys.stdout.write(f"removed {done.removed} entries ({size_text(done.freed_bytes)})")
    if done.in_use_bytes:
        sys.stdout.write(f"; {size_text(done.in_use_bytes)} stay, because a running build uses them")
    sys.stdout.write("\n")
