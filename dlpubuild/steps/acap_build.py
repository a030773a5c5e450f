"""Pack an ACAP application with Axis' own acap-build, inside an image of the ACAP Native SDK.

In: the application with its model and labels below `in/app`, what to add, and the time that all members get. Out: the
one `.eap` that acap-build leaves. The application is copied first, because acap-build writes beside what it packs, and
every copy has the same modes and times, whoever staged it. Runs in the SDK's Python (its images have it as `python`,
too), with the environment that the SDK's own script sets up.

Sources: "Build, install and run" and the examples of Axis' acap-native-sdk-examples (`. /opt/axis/acapsdk/
environment-setup* && acap-build .`), and the Dockerfile of acap-native-sdk.
"""

import collections
import glob
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile

from stepio import StepError, message, run, write_step_json

_CHUNK_BYTES = 1 << 20
_LINE_BYTES = 1 << 16
_KEPT_LINES = 40
_SHOWN_CHARACTERS = 500
# What the SDK's script calls an architecture, and what is in the script's own name.
_TARGETS = {"aarch64": ("aarch64", "cortexa53"), "armv7hf": ("arm", "cortexa9")}
# What is in the last line where acap-build refuses, and what to do about it.
_KNOWN = (
    (
        "no schema matching",
        "the SDK of this image is older than the manifest's schemaVersion: use a newer image or an older schema",
    ),
    ("license", "an application needs a file LICENSE"),
    ("manifest", "correct the application's manifest.json"),
)


def main(params):
    """Run acap-build on the application."""
    # What acap-build and make write gets modes by it, and they are packed.
    os.umask(0o022)
    environment = _environment(params["sdk"], params["architecture"])
    program = shutil.which("acap-build", path=environment.get("PATH", ""))
    if program is None:
        raise StepError(
            "toolchain",
            "the image has no acap-build on the PATH that its SDK sets up",
            "name an image of axisecp/acap-native-sdk under [package.acap.sdk-image]",
        )
    with tempfile.TemporaryDirectory() as scratch:
        folder = os.path.join(scratch, "app")
        _stage("in/app", folder, params)
        command = [program, "-b", params["build"]]
        for name in params["add"]:
            command += ["-a", name]
        exit_code, said = _run([*command, "."], folder, dict(environment, SOURCE_DATE_EPOCH=str(params["epoch"])))
        if exit_code:
            raise StepError("acap-build", _failure(exit_code, said), _hint(said))
        made = sorted(glob.glob(os.path.join(glob.escape(folder), "*.eap")))
        if len(made) != 1:
            names = ", ".join(os.path.basename(path) for path in made) or "none"
            raise StepError(
                "acap-build",
                "acap-build ended well, but left {} .eap files where it leaves one: {}".format(len(made), names),
                "the log has what it said",
            )
        shutil.copyfile(made[0], params["output"])
        name = os.path.basename(made[0])
    version = environment.get("OECORE_SDK_VERSION", "")
    write_step_json({"acap-sdk": version} if version else {}, {"inputs": [], "outputs": []}, {"file_name": name})
    message("acap-build made {}".format(name))


def _environment(sdk, architecture):
    """Return the variables that the SDK's script leaves, which must be those of the architecture."""
    scripts = sorted(glob.glob(os.path.join(glob.escape(sdk), "environment-setup*")))
    fitting = [path for path in scripts if any(word in os.path.basename(path) for word in _TARGETS[architecture])]
    if not scripts:
        raise StepError(
            "toolchain",
            "the image has no {}/environment-setup*, so it is no image of the ACAP Native SDK".format(sdk),
            "name an image of axisecp/acap-native-sdk under [package.acap.sdk-image]",
        )
    script = fitting[0] if len(scripts) > 1 and fitting else scripts[0]
    # The script changes the shell that reads it, so that shell has to say what became of its variables.
    told = subprocess.run(
        ["/bin/sh", "-c", '. "$1" >/dev/null && exec env -0', "sh", script],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=False,
    )
    if told.returncode:
        raise StepError("toolchain", "{} failed with exit code {}".format(script, told.returncode), "see the log")
    pairs = [os.fsdecode(entry).partition("=") for entry in told.stdout.split(b"\0") if entry]
    environment = {name: value for name, _, value in pairs}
    found = environment.get("OECORE_TARGET_ARCH")
    if found is not None and found != _TARGETS[architecture][0]:
        names = {words[0]: name for name, words in _TARGETS.items()}
        raise StepError(
            "toolchain",
            "the SDK of this image builds for {}, not for {}".format(names.get(found, found), architecture),
            "name an image for each architecture under [package.acap.sdk-image]; their tags end in -aarch64… or "
            "-armv7hf…",
        )
    return environment


def _stage(source, target, params):
    """Copy the application, so that neither the umask nor the time of staging shows in what is packed."""
    for folder, _, names in os.walk(source):
        place = os.path.normpath(os.path.join(target, os.path.relpath(folder, source)))
        os.makedirs(place, exist_ok=True)
        for name in names:
            original, copy = os.path.join(folder, name), os.path.join(place, name)
            shutil.copyfile(original, copy)
            os.chmod(copy, 0o755 if os.stat(original).st_mode & 0o100 else 0o644)
    _put_digest(target, params["digest"])
    for path in params["folders"]:
        os.makedirs(os.path.join(target, path), exist_ok=True)
    for path, leads_to in params["links"]:
        os.symlink(leads_to, os.path.join(target, path))
    # Equal times: to make, nothing is older than anything else.
    for folder, folders, names in os.walk(target, topdown=False):
        for name in folders + names:
            path = os.path.join(folder, name)
            if not os.path.islink(path):
                os.utime(path, (params["epoch"], params["epoch"]))


def _put_digest(folder, wanted):
    """Write the sha256 of one file into another, where that has a mark: nobody knew it when that was written."""
    if wanted is None:
        return
    sha = hashlib.sha256()
    with open(os.path.join(folder, wanted["of"]), "rb") as stream:
        for chunk in iter(lambda: stream.read(_CHUNK_BYTES), b""):
            sha.update(chunk)
    path = os.path.join(folder, wanted["into"])
    with open(path, "rb") as stream:
        text = stream.read()
    with open(path, "wb") as stream:
        stream.write(text.replace(wanted["mark"].encode(), sha.hexdigest().encode()))


def _run(command, folder, environment):
    """Return the exit code and the last lines; all goes to the log, and no line of it can become an event."""
    said = collections.deque(maxlen=_KEPT_LINES)
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        while True:
            line = process.stdout.readline(_LINE_BYTES)
            if not line:
                break
            sys.stderr.buffer.write(line)
            sys.stderr.buffer.flush()
            text = line.decode("utf-8", "replace").strip()
            if text:
                said.append(text)
    return process.returncode, list(said)


def _failure(exit_code, said):
    text = "acap-build failed with exit code {}".format(exit_code)
    # A traceback, and what make prints, end with the line that says most.
    return "{}: {}".format(text, said[-1][:_SHOWN_CHARACTERS]) if said else "{} and said nothing".format(text)


def _hint(said):
    if any("make: ***" in line for line in said):
        return "make failed: the lines before say why; build in the same image by hand to try"
    for words, hint in _KNOWN:
        if said and words in said[-1].lower():
            return hint
    return "the log has all that it said"


if __name__ == "__main__":
    run(main)
