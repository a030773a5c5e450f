"""Where the programs of the Ambarella toolchain are, and the environment that they run in.

In: the folder that is named in the environment, and names of programs. Out: `Tools`. The toolchain is the user's, and
its folders have differed from version to version: programs are looked for on PATH, then anywhere below the folder.
Where it has a script that sets its environment (`env/cv25.env`), that is asked first. Nothing of it is changed or run
here but that script.
"""

import os
import re
import shutil
import sys
import tempfile
from typing import NamedTuple

import stepio
from tool_process import run_program

# Where dlpubuild puts the folder; an image of the user's own has it in one of the others.
VARIABLE = "DLPU_AMBARELLA_TOOLCHAIN"
_PLACES = ("/opt/ambarella", "/opt/cnngen")
# The system's own Python comes before that of the step: scripts of the toolchain need packages that the latter lacks.
_SYSTEM_PATH = ("/usr/local/bin", "/usr/bin", "/bin")
_ENVIRONMENT_S = 60
# First lines of these, in this order, at the top of the folder.
VERSION_FILES = ("version.txt", "VERSION", "VERSION.txt", "version", "release.txt", "RELEASE", "release")
_VERSION = re.compile(r"[ -~]{1,80}")
_SKIPPED = (".git", "__pycache__", "share", "doc", "docs")


class Tools(NamedTuple):
    """Paths of programs by name, the variables that they run with, and the toolchain's own version."""

    programs: dict
    environment: dict
    version: str

    def arguments(self, command):
        """Return a command line as it can be started."""
        return [self.programs[command.program], *command.arguments]


def find_tools(names, soc):
    """Return where the programs are.

    Args:
        names: of the programs.
        soc: the SoC's name; where the toolchain has parts for several, its own are preferred.

    Raises:
        stepio.StepError: some are missing.
    """
    folder = _folder()
    environment = _environment(folder, soc)
    programs = {name: shutil.which(name, path=environment["PATH"]) for name in names}
    missing = [name for name in names if programs[name] is None]
    found, unusable = _below(folder, missing, soc) if folder and missing else ({}, [])
    programs.update(found)
    missing = [name for name in names if programs[name] is None]
    if missing:
        where = "{} and its folders have".format(folder) if folder else "PATH has"
        hint = "make them executable: {}".format(", ".join(unusable)) if unusable else ""
        raise stepio.StepError(
            "toolchain",
            "the Ambarella toolchain is not whole: {} no program {}".format(where, ", ".join(missing)),
            hint or "name the folder in which the whole toolchain is installed with path under [toolchain.ambarella]",
        )
    own = [os.path.dirname(programs[name]) for name in names]
    environment["PATH"] = os.pathsep.join(dict.fromkeys([*own, *environment["PATH"].split(os.pathsep)]))
    return Tools(programs, environment, _version(folder))


def _folder():
    for place in (os.environ.get(VARIABLE), *_PLACES):
        if place and os.path.isdir(place):
            return os.path.realpath(place)
    return None


def _environment(folder, soc):
    own = os.environ.get("PATH", "").split(os.pathsep)
    path = [each for each in own if each not in _SYSTEM_PATH and not _is_own_python(each)]
    rest = [each for each in own if _is_own_python(each)]
    variables = dict(os.environ, PATH=os.pathsep.join(dict.fromkeys([*path, *_SYSTEM_PATH, *rest])))
    variables.pop(VARIABLE, None)
    script = _environment_script(folder, soc) if folder else None
    return variables if script is None else _sourced(script, variables)


def _is_own_python(folder):
    """Whether a folder of PATH is that of the environment in which this step runs."""
    return os.path.realpath(folder) == os.path.realpath(os.path.join(sys.prefix, "bin"))


def _environment_script(folder, soc):
    """Return the script that sets the environment for an SoC, None where there is none."""
    found = [path for path in _walked(folder) if path.endswith("/env/{}.env".format(soc))]
    if len(found) > 1:
        raise stepio.StepError(
            "toolchain",
            "the Ambarella toolchain has several scripts for the environment of {}: {}".format(
                soc, ", ".join(os.path.relpath(path, folder) for path in found)
            ),
            "name the folder of one system, such as ubuntu-20.04, with path under [toolchain.ambarella]",
        )
    return found[0] if found else None


def _sourced(script, variables):
    """Return the environment after a script was read by a shell."""
    shell = shutil.which("bash", path="/usr/local/bin:/usr/bin:/bin") or "/bin/sh"
    folder = tempfile.mkdtemp(prefix="ambarella-")
    try:
        result = os.path.join(folder, "environment")
        ended = run_program(
            [shell, "-c", 'cd "$(dirname "$1")" && . "$1" && env -0 > "$2"', shell, script, result],
            folder,
            os.path.join(folder, "said"),
            _ENVIRONMENT_S,
            variables,
        )
        content = b""
        if os.path.isfile(result):
            with open(result, "rb") as stream:
                content = stream.read()
        if ended.exit_code != 0 or not content:
            said = ended.said.strip().splitlines()
            raise stepio.StepError(
                "toolchain",
                "the environment script {} of the Ambarella toolchain failed{}".format(
                    script, ": {}".format(said[-1][:200]) if said else ""
                ),
                "it is read by {}: try it there".format(os.path.basename(shell)),
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    pairs = (entry.partition("=") for entry in content.decode("utf-8", "surrogateescape").split("\0") if entry)
    return {name: value for name, sign, value in pairs if sign and name not in ("_", "PWD", "OLDPWD", "SHLVL")}


def _below(folder, names, soc):
    """Return the programs that are anywhere below a folder, and files that have such a name and cannot be run."""
    found, unusable = {}, []
    for path in _walked(folder):
        name = os.path.basename(path)
        if name not in names:
            continue
        if not os.access(path, os.X_OK):
            unusable.append(path)
            continue
        parts = os.path.relpath(path, folder).split(os.sep)
        rank = (not any(soc in part.lower() for part in parts), len(parts), path)
        if name not in found or rank < found[name]:
            found[name] = rank
    return {name: rank[-1] for name, rank in found.items()}, [p for p in unusable if os.path.basename(p) not in found]


def _walked(folder):
    """Return every file below a folder, sorted."""
    files = []
    for top, folders, names in os.walk(folder):
        folders[:] = sorted(each for each in folders if each not in _SKIPPED)
        files += [os.path.join(top, name) for name in sorted(names) if os.path.isfile(os.path.join(top, name))]
    return files


def _version(folder):
    for name in VERSION_FILES if folder else ():
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            with open(path, "rb") as stream:
                lines = stream.read(4096).decode("utf-8", "replace").splitlines()
            for line in lines:
                if _VERSION.fullmatch(line.strip()):
                    return line.strip()
    return "unknown"
