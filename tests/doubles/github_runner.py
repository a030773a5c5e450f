"""The runner of GitHub Actions, as far as our composite action needs it.

In: `action.yml`, inputs and the environment of a job. Out: exit code, log and outputs. Steps that `run` are run by bash
as the runner runs them; steps that use other actions are not: their outputs are given. Expressions other than those in
`action.yml` are an error, so that a step cannot be passed over by mistake.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).resolve().parents[2]
_SHELL = ("bash", "--noprofile", "--norc", "-eo", "pipefail")
_EXPRESSION = re.compile(r"\$\{\{ (inputs|steps)\.([a-z-]+)(?:\.outputs\.([a-z-]+))? \}\}")
_CONDITION = re.compile(r"inputs\.([a-z-]+) == '(.*)'")


def read_yaml(text: str) -> Any:
    """Return a YAML document as plain values."""
    return YAML(typ="safe", pure=True).load(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionRun:
    """An action that ended: exit code of the step that failed (else 0), what was printed, outputs, the summary."""

    code: int
    log: str
    outputs: Mapping[str, str]
    summary: str


@dataclass(slots=True, kw_only=True)
class GithubRunner:
    """A job in which the action of this checkout is used.

    `temp` and `workspace` are the job's folders, `environ` its environment. `given` holds outputs of steps that use
    other actions, by the step's id. `prefix` goes in front of every command, to run as somebody else. `action` is where
    the action was checked out.
    """

    temp: Path
    workspace: Path
    environ: Mapping[str, str]
    given: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    prefix: Sequence[str] = ()
    action: Path = ROOT

    def use(self, **inputs: str) -> ActionRun:
        """Run the action; underscores in names of inputs stand for hyphens."""
        action = read_yaml((ROOT / "action.yml").read_text(encoding="utf-8"))
        values = {name: each["default"] for name, each in action["inputs"].items()}
        values |= {name.replace("_", "-"): value for name, value in inputs.items()}
        assert values.keys() == action["inputs"].keys()
        outputs: dict[str, Mapping[str, str]] = {name: dict(each) for name, each in self.given.items()}
        code, log = 0, ""
        summary = self.temp / "summary"
        summary.touch()
        summary.chmod(0o666)
        for step in action["runs"]["steps"]:
            if not _holds(step.get("if", ""), values) or "uses" in step:
                continue
            assert step["shell"] == "bash"
            done, found = self._run(
                step["run"], {n: _fill(v, values, outputs) for n, v in step["env"].items()}, summary
            )
            outputs[step.get("id", "")] = found
            code, log = done.returncode, log + done.stdout
            if code != 0:
                break
        named = {name: _fill(each["value"], values, outputs) for name, each in action["outputs"].items()}
        return ActionRun(code=code, log=log, outputs=named, summary=summary.read_text(encoding="utf-8"))

    def _run(
        self, script: str, variables: Mapping[str, str], summary: Path
    ) -> tuple[subprocess.CompletedProcess[str], Mapping[str, str]]:
        output = self.temp / "output"
        output.write_bytes(b"")
        output.chmod(0o666)
        file = self.temp / "step.sh"
        file.write_text(script, encoding="utf-8")
        done = subprocess.run(
            [*self.prefix, *_SHELL, str(file)],
            cwd=self.workspace,
            env={
                **self.environ,
                "GITHUB_ACTION_PATH": str(self.action),
                "GITHUB_OUTPUT": str(output),
                "GITHUB_SHA": "0" * 40,
                "GITHUB_STEP_SUMMARY": str(summary),
                "GITHUB_WORKSPACE": str(self.workspace),
                "RUNNER_ARCH": "X64",
                "RUNNER_OS": "Linux",
                "RUNNER_TEMP": str(self.temp),
                **variables,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        lines = [line.partition("=") for line in output.read_text(encoding="utf-8").splitlines()]
        return done, {name: value for name, _, value in lines}


def own_tool(temp: Path) -> None:
    """Put the tool that runs these tests where `ci/github/install` would install one."""
    program = temp / "dlpubuild" / "bin" / "dlpubuild"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m dlpubuild "$@"\n')
    program.chmod(0o755)
    (temp / "dlpubuild" / "installed").touch()


def _holds(condition: str, inputs: Mapping[str, str]) -> bool:
    if not condition:
        return True
    match = _CONDITION.fullmatch(condition)
    assert match is not None, condition
    return inputs[match[1]] == match[2]


def _fill(text: str, inputs: Mapping[str, str], outputs: Mapping[str, Mapping[str, str]]) -> str:
    def value(match: re.Match[str]) -> str:
        kind, name, output = match.groups()
        return inputs[name] if kind == "inputs" else outputs.get(name, {}).get(output or "", "")

    filled = _EXPRESSION.sub(value, text)
    assert "${{" not in _EXPRESSION.sub("", text), text
    return filled
