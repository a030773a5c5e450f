"""A stand-in for `larod-client`, the closed tool on a camera: its documented options, its lines, its failures.

Run as a process. `LAROD_DOUBLE` names a folder with `camera.json`: what the camera is like and how it fails; each call
is added to `calls` there. Options: Axis' page on larod-client. Lines and failures: Axis' page on testing a model, and
issues of Axis' examples that quote them.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

DEVICES = {
    "artpec7": ("cpu-tflite", "cpu-proc", "axis-ace-proc", "google-edge-tpu-tflite", "axis-a7-gpu-tflite"),
    "artpec8": ("cpu-tflite", "axis-ace-proc", "cpu-proc", "axis-a8-dlpu-tflite", "axis-a8-dlpu-native"),
    "artpec9": ("cpu-tflite", "armnn-cpu-tflite", "cpu-proc", "a9-dlpu-tflite", "a9-gpu-proc"),
    "cv25": ("cpu-tflite", "cpu-proc", "ambarella-cvflow", "ambarella-cvflow-proc"),
}
FAILURES = {
    "memory": "Could not load model: Could not allocate tensors",
    "partitions": "Could not load model: Model contains too many graph partitions (137 > 16) and 68 of the graph "
    "partitions can't be run on the device",
    "died": "Could not load model: Asynchronous connection has been closed (-6)",
    "format": "Could not load model: Failed model format type check",
    "runtime": "Could not load model: Failed precondition: Package requires runtime version (14), which is newer than "
    "this runtime version (13)",
    "power": "Could not load model: Power not available (50)",
    "session": "Could not connect to larod: Could not create session: Message recipient disconnected",
    "chip": "Could not find chip",
    "other": "Something that no page tells of",
}
# Takes a value; `-i`, the input, may be an empty one: random data.
VALUED = {"-b", "-c", "-g", "-I", "-i", "-O", "-o", "-R", "-w", "--random-seed"}
PLAIN = {"-a", "-d", "-p", "-q", "-r", "-X", "-Y"}


def line(text: str) -> None:
    sys.stdout.write(f"2023-12-05T15:47:57.882 {text}\n")
    sys.stdout.flush()


def fail(text: str) -> None:
    line(text)
    sys.exit(1)


def options(argv: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    words = iter(argv)
    for word in words:
        if word in VALUED:
            value = next(words, None)
            if value is None:
                fail(f"larod-client: option requires an argument -- '{word.lstrip('-')}'")
            found[word] = value or ""
        elif word in PLAIN:
            found[word] = ""
        else:
            fail(f"larod-client: unrecognized option '{word}'")
    return found


def main(argv: list[str]) -> None:
    home = Path(os.environ["LAROD_DOUBLE"])
    camera = json.loads((home / "camera.json").read_text(encoding="utf-8"))
    with (home / "calls").open("a", encoding="utf-8") as calls:
        calls.write(json.dumps({"argv": argv, "cwd": str(Path.cwd())}) + "\n")
    given = options(argv)
    if camera.get("ignores_term"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "-a" in given:
        list_devices(camera)
        return
    run(given, camera, home)


def list_devices(camera: dict[str, object]) -> None:
    if camera.get("list") == "hangs":
        time.sleep(600)
    if camera.get("list") == "fails":
        fail(FAILURES["session"])
    line("Connecting to larod...")
    line("Connected")
    line("Available devices:")
    for device in DEVICES[str(camera["soc"])]:
        sys.stdout.write(f"    {device}\n")


def run(given: dict[str, str], camera: dict[str, object], home: Path) -> None:
    line("Connecting to larod...")
    line("Connected")
    device, model = given.get("-c", "cpu-tflite"), Path(given.get("-g", ""))
    if device not in DEVICES[str(camera["soc"])]:
        fail(f"Could not find device {device}")
    if not model.is_file():
        fail(f"Could not open model file {model}: No such file or directory")
    failures = camera.get("fails", [])
    done = len((home / "calls").read_text(encoding="utf-8").splitlines()) - 2
    if isinstance(failures, list) and done < len(failures):
        fail(FAILURES[failures[done]])
    if camera.get("job") == "rubbish":
        sys.stdout.buffer.write(b"\x00\xffMean time: soon\n")
        return
    time.sleep(float(str(camera.get("load_s", 0))))
    line(f"Model {model.name} loaded")
    if camera.get("fallbacks"):
        line("WARNING: Fallback unsupported op 32 to TfLite")
    line(f"Setting up randomly generated input tensors using random seed {given.get('--random-seed', 1701791277)}")
    line(f"Running job for {given.get('-R', '1')} round(s)...")
    if camera.get("job") == "hangs":
        time.sleep(600)
    line(f"Mean execution time for job: {camera.get('mean_ms', '5.60')} ms")
    if camera.get("job") == "fails after":
        fail("Could not write output: No space left on device")
    Path("0.out0").write_bytes(b"\x00")
    line("Output written to:")
    line("        0.out0")


if __name__ == "__main__":
    main(sys.argv[1:])
