"""Small commands as single steps, timed inside a process: through an executor, or by the Engine API alone.

Runs in the Python that dlpubuild is installed in:

- `steps.py look` says, as JSON, which engine and image there are, or why nothing can be measured;
- `steps.py shape IMAGE FOLDER` prints the container of a step of the Docker executor, as the engine inspects it;
- `steps.py docker IMAGE FOLDER` and `steps.py local IMAGE FOLDER` run each command once through an executor, after one
  that is told as `first`: for Docker with the imports, the connection, and what is found out once per build;
- `steps.py api IMAGE FOLDER` makes the calls that a container needs, with the container described in FOLDER/shape.json.

FOLDER holds the store and the scratch folder. A line of output is a name, seconds on the wall, and seconds of processor
time of this process and its children; the engine's own are not among them.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

IMAGES = ("dlpubuild/tf2", "dlpubuild-test/small")
SCRIPT = b"read line < src/step.sh && echo done > out/result\n"
RESULT = "out/result"
COMMANDS = {"true": (("/bin/true",), ()), "write": (("/bin/sh", "src/step.sh"), (RESULT,))}
ENVIRONMENT = {"HOME": "/tmp", "LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"}
TIMEOUT_S = 120.0
OWNER = "0" * 31 + "1"


@contextmanager
def timed(name):
    started_s, started_cpu_s = time.perf_counter(), cpu_s()
    yield
    print(name, repr(time.perf_counter() - started_s), repr(cpu_s() - started_cpu_s), flush=True)


def cpu_s():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + usage.ru_utime + usage.ru_stime


def connect():
    """Return a connection to the engine that the tool would take; None where there is none."""
    from dlpubuild.containers.address import find_address
    from dlpubuild.containers.connect import Connection

    address = find_address(os.environ, Path.home())
    return None if address is None else Connection(address, os.environ)


def look():
    from dlpubuild import __version__
    from dlpubuild.containers.connect import describe_engine
    from dlpubuild.containers.images import find_image
    from dlpubuild.errors import DlpuError

    try:
        connection = connect()
        if connection is None:
            return {"missing": "no container engine was found"}
        with connection:
            engine = describe_engine(connection.facts(), connection.address)
            for repository in IMAGES:
                tag = f"{repository}:{__version__}" if repository.startswith("dlpubuild/") else ""
                names = [tag] if tag else _tags(connection, repository)
                for name in names:
                    if (image := find_image(connection, name)) is not None:
                        variables = dict(connection.address.variables)
                        return {"engine": engine, "image": image.id, "name": name, "variables": variables}
    except DlpuError as error:
        return {"missing": error.message}
    return {"missing": f"the engine has no image dlpubuild/tf2:{__version__}: dlpubuild image build tf2"}


def _tags(connection, repository):
    return [tag for image in connection.client().api.images(repository) for tag in image["RepoTags"] or ()]


def bound(arguments, outputs):
    from dlpubuild.cas.action import Action, Command
    from dlpubuild.cas.digest import digest_bytes
    from dlpubuild.cas.tree import InputFile, build_input_tree
    from dlpubuild.executors.base import BoundAction

    digest = digest_bytes(SCRIPT)
    tree = build_input_tree({"src/step.sh": InputFile(digest=digest)})
    # What nobody declares is not collected; out/ itself is there in any case.
    command = Command(arguments=arguments, environment=ENVIRONMENT, output_paths=outputs, platform={})
    action = Action(command=command.digest, input_root=tree.root, timeout_s=TIMEOUT_S)
    content = {digest: SCRIPT}
    return BoundAction(
        digest=action.digest, action=action, command=command, tree=tree, content=content, mnemonic="step"
    )


def docker_executor(image, folder, connection):
    """The executor as a build makes it, but for the toolchain that names the image."""
    import functools

    from dlpubuild.cas.store import Store
    from dlpubuild.containers.images import find_image
    from dlpubuild.executors.docker.executor import DockerExecutor, RunImage
    from dlpubuild.executors.docker.limits import Limits

    @functools.cache
    def run_image():
        return RunImage(name=find_image(connection, image).id)

    return DockerExecutor(
        store=Store(folder, now_ns=time.time_ns),
        scratch=folder / "scratch",
        connection=connection,
        image_of=lambda _: run_image(),
        limits=Limits(memory_bytes=None, cpus=None, pids=4096),
        owner=OWNER,
        now_ns=time.time_ns,
    )


def local_executor(folder):
    from dlpubuild.cas.store import Store
    from dlpubuild.executors.local import LocalExecutor

    return LocalExecutor(
        store=Store(folder, now_ns=time.time_ns),
        scratch=folder / "scratch",
        environment_of=lambda _: Path(sys.prefix),
        now_ns=time.time_ns,
    )


def run_step(executor, folder, command, cancelled=None):
    from dlpubuild.executors.base import Run

    log = folder / "log"
    run = Run(log=log, observe=lambda _: None, cancelled=cancelled or threading.Event())
    result = executor.run(bound(*command), run)
    if result.exit_code:
        sys.exit(f"{command[0]} ended with {result.exit_code}: {log.read_text(errors='replace')}")


def steps(way, image, folder):
    connection = connect() if way == "docker" else None
    with timed("first"):
        executor = local_executor(folder) if connection is None else docker_executor(image, folder, connection)
        run_step(executor, folder, COMMANDS["true"])
    for name, command in COMMANDS.items():
        with timed(name):
            run_step(executor, folder, command)
    if connection is not None:
        executor.close()
        connection.close()


def shape(image, folder):
    """Run a step that sleeps, and return what the engine says of its container."""
    from dlpubuild.errors import InterruptedBuildError

    cancelled = threading.Event()

    def sleep():
        with suppress(InterruptedBuildError):
            run_step(executor, folder, (("/bin/sleep", "60"), ()), cancelled)

    with connect() as connection:
        executor = docker_executor(image, folder, connection)
        thread = threading.Thread(target=sleep)
        thread.start()
        try:
            api = connection.client().api
            while thread.is_alive():
                # The first one only shows the engine a file, and never runs.
                for each in api.containers(filters={"label": f"org.dlpubuild.owner={OWNER}", "status": "running"}):
                    return api.inspect_container(each["Id"])
                time.sleep(0.05)
        finally:
            cancelled.set()
            thread.join()
            executor.close()
    sys.exit("the step's container was not found")


def calls(folder):
    """Run one container after another by the calls that each needs, and nothing else."""
    described = json.loads((folder / "shape.json").read_text(encoding="utf-8"))
    wanted = ("Image", "Entrypoint", "WorkingDir", "User", "Hostname", "AttachStdout", "AttachStderr")
    config = {name: described["Config"][name] for name in wanted} | {"HostConfig": described["HostConfig"]}
    config["NetworkDisabled"] = described["Config"].get("NetworkDisabled", False)
    with timed("first"):
        connection = connect()
        run_container(connection.client().api, config, COMMANDS["true"][0])
    with connection:
        for name, (arguments, _) in COMMANDS.items():
            with timed(name):
                run_container(connection.client().api, config, arguments)


def run_container(api, config, arguments):
    variables = [f"{name}={value}" for name, value in ENVIRONMENT.items()]
    container = api.create_container_from_config({**config, "Cmd": ["-i", *variables, *arguments]})["Id"]
    url = f"{api.base_url}/v{api.api_version}/containers/{container}/attach"
    with api.post(url, params={"stdout": 1, "stderr": 1, "stream": 1}, stream=True) as response:
        api.start(container)
        response.raw.read()
    code = api.wait(container)["StatusCode"]
    api.remove_container(container, v=True)
    if code:
        sys.exit(f"{arguments} ended with {code}")


def main(way, image="", folder=""):
    match way:
        case "look":
            print(json.dumps(look()))
        case "shape":
            print(json.dumps(shape(image, Path(folder))))
        case "api":
            calls(Path(folder))
        case _:
            steps(way, image, Path(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
