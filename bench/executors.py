"""The sections on the Docker executor: what it adds to a step, and to a whole build.

In: a `Bench`. Out: `Series` values, and notes in `Bench.notes`. Where no engine answers, or an image is missing, a note
says so and nothing is measured. No image is built, fetched or removed, and every container is gone in the end.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import projects
from sections import build_twice, cold_build, mobilenet_folder, say
from setting import BENCH, ROOT
from steps import COMMANDS, ENVIRONMENT, RESULT, SCRIPT
from timing import BenchError, Process, Rounds, Series, Spent, in_rounds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sections import Bench

STEP_AIM = 1.25
BUILD_AIM = 1.15
NO_OP_AIM_S = 0.25
TF2 = "dlpubuild/tf2:"
# Of the container's description: what isolates and limits it. The rest is names, or how its output is shown.
NOT_COMPARED = ("AutoRemove", "ConsoleSize", "ContainerIDFile", "Mounts", "RestartPolicy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """The engine and the image that `steps.py look` found; `variables` lead the docker program to the same engine."""

    told: str
    image: str
    name: str
    variables: Mapping[str, str]


def _engine(bench: Bench) -> Engine | None:
    """Return the engine, or None with a note that says what is missing."""
    found = json.loads(_steps(bench, "look"))
    if "missing" in found:
        bench.notes.append(f"{found['missing']}: nothing measured")
        return None
    bench.notes.append(f"engine: {found['engine']}; image: {found['name']}")
    return Engine(told=found["engine"], image=found["image"], name=found["name"], variables=found["variables"])


def _steps(bench: Bench, *arguments: str | Path) -> str:
    output = bench.setting.work / "steps"
    argv: list[str | Path] = [bench.setting.python, BENCH / "steps.py", *arguments]
    Process(argv=argv, env=bench.setting.bare, log=bench.setting.work / "log", output=output).run()
    return output.read_text(encoding="utf-8")


def executor_step(bench: Bench) -> list[Series]:
    engine = _engine(bench)
    program = shutil.which("docker")
    if engine is not None and program is None:
        bench.notes.append("no docker program on PATH to compare with: nothing measured")
    if engine is None or program is None:
        return []
    folder = bench.setting.work / "step"
    folder.mkdir()
    bare = _bare_container(bench, engine, program, folder)
    if bare is None:
        return []
    rounds = Rounds()
    for number in range(bench.repeats.commands + 1):
        say(f"executor-step, round {number} of {bench.repeats.commands}")
        found = dict(_steps_of(bench, "docker", engine.image, folder))
        found |= {f"run {name}": bare.timed(name) for name in COMMANDS}
        for way in ("api", "local"):
            found |= {f"{way} {name}": spent for name, spent in _steps_of(bench, way, engine.image, folder).items()}
        if number:
            for name, spent in found.items():
                rounds.add(name, spent)
    bench.notes.append("processor times are those of the client, and of the local step: not of the engine")
    rows = []
    for name, title in (("true", "`true`"), ("write", "writes a file")):
        rows += [
            rounds.series(name, title=f"step: {title}"),
            rounds.series(f"run {name}", title="    docker run --rm"),
            rounds.series(f"api {name}", title="    the API's calls alone"),
            rounds.series(f"local {name}", title="    step of the local executor"),
            rounds.ratios("step / docker run", name, [f"run {name}"], aim=STEP_AIM),
            rounds.ratios("step / API's calls", name, [f"api {name}"]),
        ]
    rows += [
        rounds.series("first", title="first step of a build, `true`"),
        rounds.series("api first", title="    the API's calls alone"),
        rounds.series("local first", title="    of the local executor"),
    ]
    return rows


def _steps_of(bench: Bench, way: str, image: str, folder: Path) -> dict[str, Spent]:
    lines = [line.split() for line in _steps(bench, way, image, folder).splitlines()]
    return {name: Spent(float(wall), float(cpu)) for name, wall, cpu in lines}


@dataclass(frozen=True, slots=True, kw_only=True)
class BareContainer:
    """`docker run` with what isolates a step; `root` is what the step has as its scratch folder."""

    program: str
    flags: Sequence[str]
    image: str
    root: Path
    env: Mapping[str, str]

    def argv(self, verb: str, arguments: Sequence[str]) -> list[str]:
        variables = [f"{name}={value}" for name, value in sorted(ENVIRONMENT.items())]
        return [self.program, verb, *self.flags, self.image, "-i", *variables, *arguments]

    def timed(self, name: str) -> Spent:
        arguments, outputs = COMMANDS[name]
        argv = [*self.argv("run", arguments)]
        argv.insert(2, "--rm")
        spent = Process(argv=argv, env=self.env, log=self.root.with_name("run.log")).timed()
        for path in outputs:
            (self.root / path).unlink()
        return spent


def _bare_container(bench: Bench, engine: Engine, program: str, folder: Path) -> BareContainer | None:
    """Return what is run beside a step, after comparing how the engine describes the containers of both.

    None, with a note, where a step's files are streamed: a bare container would need other calls for that.
    """
    step = json.loads(_steps(bench, "shape", engine.image, folder))
    if any(mount["Type"] != "bind" for mount in step["HostConfig"]["Mounts"]):
        bench.notes.append("the engine does not see this machine's files, `docker run` cannot send any: not measured")
        return None
    root = folder / "bare" / "root"
    places = {"/w": root, f"/w/{Path(RESULT).parent}": root / Path(RESULT).parent}
    if {mount["Target"] for mount in step["HostConfig"]["Mounts"]} != places.keys():
        raise BenchError(f"a step mounts other places than {', '.join(places)}")
    _stage(root, step["Config"]["User"])
    for mount in step["HostConfig"]["Mounts"]:
        mount["Source"] = str(places[mount["Target"]])
    (folder / "shape.json").write_text(json.dumps(step), encoding="utf-8")
    # The variables of a user's docker program must not lead it elsewhere; its folder may say how to get there.
    kept = {name: value for name, value in bench.setting.bare.items() if not name.startswith("DOCKER_")}
    kept |= {name: value for name, value in bench.setting.bare.items() if name == "DOCKER_CONFIG"}
    bare = BareContainer(
        program=program, flags=_flags(step), image=engine.image, root=root, env={**kept, **engine.variables}
    )
    _compare(step, bare)
    if step["Config"].get("NetworkDisabled"):
        bench.notes.append("a step also asks for NetworkDisabled, which `docker run` cannot; the API's calls here do")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, env=bare.env)
    bench.notes.append(f"{program}: {version.stdout.strip()}; flags: {' '.join(bare.flags)}")
    return bare


def _stage(root: Path, user: str) -> None:
    (root / "src").mkdir(parents=True)
    (root / "src" / "step.sh").write_bytes(SCRIPT)
    (root / RESULT).parent.mkdir()
    if os.geteuid() == 0:
        os.chown((root / RESULT).parent, *(int(part) for part in user.split(":")))


def _flags(step: Mapping[str, Any]) -> list[str]:
    """Return the options of `docker run` that make the container of a step."""
    config, host = step["Config"], step["HostConfig"]
    mounts = [
        f"type=bind,source={mount['Source']},target={mount['Target']}" + (",readonly" if mount.get("ReadOnly") else "")
        for mount in host["Mounts"]
    ]
    pairs = [
        ("--network", [host["NetworkMode"]]),
        ("--log-driver", [host["LogConfig"]["Type"]]),
        ("--user", [config["User"]]),
        ("--hostname", [config["Hostname"]]),
        ("--workdir", [config["WorkingDir"]]),
        ("--cap-drop", host["CapDrop"] or []),
        ("--security-opt", host["SecurityOpt"] or []),
        ("--tmpfs", [f"{path}:{options}" for path, options in (host["Tmpfs"] or {}).items()]),
        ("--mount", mounts),
        ("--memory", [str(host["Memory"])] if host["Memory"] else []),
        ("--memory-swap", [str(host["MemorySwap"])] if host["MemorySwap"] else []),
        ("--cpus", [str(host["NanoCpus"] / 1e9)] if host["NanoCpus"] else []),
        ("--pids-limit", [str(host["PidsLimit"])] if host["PidsLimit"] else []),
        ("--entrypoint", config["Entrypoint"]),
    ]
    flags = [f"{name}={value}" for name, values in pairs for value in values]
    return [*flags, "--read-only"] if host["ReadonlyRootfs"] else flags


def _compare(step: Mapping[str, Any], bare: BareContainer) -> None:
    """See that the engine describes the container of a step and the bare one alike.

    Raises:
        BenchError: they differ in something else than in names and in the folders that are mounted.
    """

    def docker(*argv: str) -> str:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, env=bare.env)
        if done.returncode:
            raise BenchError(f"{' '.join(argv)}: {done.stderr.strip()}")
        return done.stdout.strip()

    container = docker(*bare.argv("create", COMMANDS["true"][0]))
    try:
        (made,) = json.loads(docker(bare.program, "inspect", container))
    finally:
        docker(bare.program, "rm", container)
    differing = [
        f"{name}: {wanted!r} and {found!r}"
        for name in step["HostConfig"]
        if name not in NOT_COMPARED
        and (wanted := step["HostConfig"][name] or None) != (found := made["HostConfig"].get(name) or None)
    ]
    if _mounts(step) != _mounts(made):
        differing.append(f"mounts: {_mounts(step)} and {_mounts(made)}")
    if differing:
        raise BenchError(f"`docker run` does not isolate as a step does: {'; '.join(differing)}")


def _mounts(container: Mapping[str, Any]) -> set[tuple[str, str, bool]]:
    mounts = container["HostConfig"]["Mounts"]
    return {(mount["Type"], mount["Target"], bool(mount.get("ReadOnly"))) for mount in mounts}


def executor_build(bench: Bench) -> list[Series]:
    """Cold builds of three SoCs by both executors, taking turns; then builds with nothing to do."""
    engine = _engine(bench)
    if engine is not None and not engine.name.startswith(TF2):
        bench.notes.append("no build runs in that image (`dlpubuild image build tf2`): nothing measured")
    if engine is None or not engine.name.startswith(TF2):
        return []
    digits = bench.setting.work / "digits-built"
    shutil.copytree(ROOT / "examples" / "digits", digits, ignore=shutil.ignore_patterns("dist"))
    manifests = {"digits": digits / "dlpu.toml"}
    folder = mobilenet_folder(bench)
    for each in projects.MOBILENET_SETS:
        manifests[f"mobilenet {each.name}"] = projects.write_mobilenet(folder, "model.keras", each)
    rounds = Rounds()
    for number in range(bench.repeats.builds + 1):
        # The first round is not counted: it brings the files of the image and of the environment into memory.
        for name, manifest in manifests.items() if number else [("digits", manifests["digits"])]:
            # Whoever goes first in one round goes second in the next.
            for executor in ("docker", "local")[:: 1 if number % 2 else -1]:
                say(f"executor-build, round {number} of {bench.repeats.builds}: {name}, {executor}")
                output = bench.setting.work / f"built-{executor}"
                spent = cold_build(bench, manifest, f"{name}, {executor}", output, executor=executor)
                if number:
                    rounds.add(f"{name} {executor}", spent)
            _same_packages(bench, name)
    bench.notes.append("processor times are those of the tool and of steps that it runs itself: not of containers")
    rows = []
    for name in manifests:
        rows += [
            rounds.series(f"{name} docker", title=f"{name}: --executor docker"),
            rounds.series(f"{name} local", title=f"{name}: --executor local"),
            rounds.ratios("docker / local", f"{name} docker", [f"{name} local"], aim=BUILD_AIM),
        ]
    return rows + _nothing_to_do(bench, manifests["digits"])


def _same_packages(bench: Bench, name: str) -> None:
    """See that both executors made the same packages."""
    docker, local = (_archives(bench.setting.work / f"built-{executor}") for executor in ("docker", "local"))
    if not docker or docker != local:
        raise BenchError(f"{name}: the executors made different packages: {sorted(docker)} and {sorted(local)}")


def _archives(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*.tar.gz")}


def _nothing_to_do(bench: Bench, manifest: Path) -> list[Series]:
    cache = bench.setting.fresh_cache("executors")
    report = bench.setting.work / "report.json"
    processes = {}
    for executor in ("docker", "local", "auto"):
        output = bench.setting.work / f"kept-{executor}"
        arguments = ("build", "--manifest", manifest, "--output", output, "--executor", executor)
        build_twice(bench.setting.process(*arguments, "--json", "--offline", cache=cache, output=report), report)
        processes[executor] = bench.setting.process(*arguments, cache=cache)
    rounds = in_rounds(processes, bench.repeats.commands)
    aims = {"docker": NO_OP_AIM_S}
    return [
        *(
            rounds.series(name, title=f"digits, nothing to do: --executor {name}", aim=aims.get(name))
            for name in processes
        ),
        rounds.ratios("docker / local", "docker", ["local"]),
    ]


SECTIONS: dict[str, Callable[[Bench], list[Series]]] = {
    "executor-step": executor_step,
    "executor-build": executor_build,
}
