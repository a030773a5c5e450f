"""`dlpubuild doctor`: what this machine has, and what to do about what it lacks."""

from __future__ import annotations

import json
import sys

from dlpubuild.commands import options
from dlpubuild.commands.wiring import read_host
from dlpubuild.errors import ExitCode


def doctor(as_json: options.JsonOption = False) -> int:
    """Look at this machine, and say what is missing.

    Shows versions, cache folder, toolchains, executors and targets, and what to do about each. Nothing is installed or
    changed.

    \b
    Examples:
      dlpubuild doctor
      dlpubuild doctor --json

    \b
    Exit codes: 0 a build can run, 7 something that every build needs is missing.
    """  # noqa: D301 - click wants the character itself
    from dlpubuild.commands.examination import examine  # noqa: PLC0415
    from dlpubuild.report.doctor import findings_text  # noqa: PLC0415

    host = read_host()
    findings = examine(host)
    if as_json:
        rows = [{"topic": f.topic, "state": f.state, "found": f.found, "todo": f.todo} for f in findings]
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
    else:
        sys.stdout.write(findings_text(findings, colored=host.colors_on(sys.stdout)))
    failed = any(finding.state == "missing" for finding in findings)
    return ExitCode.TOOLCHAIN_MISSING if failed else ExitCode.DONE
