"""Where everything is measured: the installed tool, its caches, the toolchain, and the machine.

In: the checkout and an empty work folder. Out: a `Setting`. Nothing is written outside of the work folder, except that
the toolchain is prepared in the user's own cache folder where it is not there yet.
"""

from __future__ import annotations

import functools
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from timing import BenchError, Process

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parent.parent
BENCH = ROOT / "bench"


def _own_environment() -> dict[str, str]:
    """Return the environment without what changes how Python or the tool works: a user's shell has none of it."""
    # pip's and uv's settings stay: they say where packages come from.
    dropped = ("PYTHON", "DLPU_", "TF_", "VIRTUAL_ENV", "SOURCE_DATE_EPOCH", "KERAS_", "FORCE_COLOR")
    return {name: value for name, value in os.environ.items() if not name.startswith(dropped)}


@dataclass
class Setting:
    """The installed tool and its work folder; the toolchain is prepared when it is first asked for."""

    work: Path
    bare: Mapping[str, str]

    @property
    def python(self) -> Path:
        """The interpreter beside the installed tool."""
        return self.work / "venv" / "bin" / "python"

    @property
    def tool(self) -> Path:
        """The installed `dlpubuild`."""
        return self.work / "venv" / "bin" / "dlpubuild"

    def env(self, cache: Path | None = None) -> dict[str, str]:
        """Return the variables for a process that keeps its cache in `cache`."""
        return {**self.bare, "DLPU_CACHE_DIR": str(cache or self.work / "cache")}

    def process(self, *argv: str | Path, cache: Path | None = None, output: Path | None = None) -> Process:
        """Return a command of the installed tool."""
        return Process(argv=[self.tool, *argv], env=self.env(cache), log=self.work / "log", output=output)

    def fresh_cache(self, name: str) -> Path:
        """Return a cache folder that holds the prepared toolchain and nothing else."""
        folder = self.work / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / "toolchains").symlink_to(self.toolchain_python.parents[2])
        return folder

    @functools.cached_property
    def toolchain_python(self) -> Path:
        """The toolchain's interpreter, in the user's own cache folder."""
        variables = {**self.bare, **{name: value for name, value in os.environ.items() if name == "DLPU_CACHE_DIR"}}
        argv = [str(self.tool), "toolchain", "prepare", "tf2", "--print-python"]
        done = subprocess.run(argv, env=variables, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise BenchError("the toolchain could not be prepared")
        return Path(done.stdout.strip())

    def toolchain_process(self, script: str, *arguments: str | Path) -> Process:
        """Return the process that runs one of the scripts here in the toolchain's Python."""
        return Process(
            argv=[self.toolchain_python, BENCH / script, *arguments], env=self.bare, log=self.work / f"{script}.log"
        )


def install(work: Path) -> Setting:
    """Build the wheel of this checkout and install it, with its locked dependencies, in an environment of its own.

    Raises:
        BenchError: pip failed.
    """

    # pip is not measured; it takes the environment as it is.
    def run(*argv: str | Path) -> None:
        Process(argv=argv, env=os.environ, log=work / "install.log").run()

    setting = Setting(work=work, bare=_own_environment())
    wheel = ["pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir"]
    run(sys.executable, "-m", *wheel, work, ROOT)
    run(sys.executable, "-m", "venv", work / "venv")
    pip: list[str | Path] = [setting.python, "-m", "pip", "install", "--quiet"]
    run(*pip, "--require-hashes", "--requirement", ROOT / "requirements" / "run.txt")
    run(*pip, "--no-deps", *work.glob("dlpubuild-*.whl"))
    return setting


def machine_facts(setting: Setting) -> dict[str, str | int]:
    """Return what figures depend on."""
    uv = subprocess.run([setting.python.with_name("uv"), "--version"], capture_output=True, text=True, check=False)
    version = subprocess.run([setting.tool, "--version"], capture_output=True, text=True, check=False)
    return {
        "tool": f"{version.stdout.strip()}, wheel in an environment of its own, bytecode on",
        "commit": _commit(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "cpu": _cpu_model(),
        "memory": _memory(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "uv": uv.stdout.split()[1] if uv.returncode == 0 else "unknown",
    }


def _commit() -> str:
    argv = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _memory() -> str:
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / (1 << 30):.0f} GiB"
