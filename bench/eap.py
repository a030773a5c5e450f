"""The section on packing: a model of 100 MB into an `.eap`, and into both formats, beside `tar | gzip` of the same.

In: a `Bench`; or run as `python bench/eap.py [ROUNDS]`, which measures this checkout with this interpreter. Out:
`Series` values. The model is made up: bytes spread as weights of 8 bits are, so that gzip has work with what it saves.
`python bench/eap.py pack FORMATS FOLDER` is what is measured: it packs the model in FOLDER and prints its peak memory.
"""

from __future__ import annotations

import filecmp
import hashlib
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sections import Bench
    from timing import Series

MODEL_BYTES = 100_000_000
SHA256 = "sha256"
AIM = 1.3
# What an 8-bit weight of a trained network is about: most are near 0, few near the ends.
SPREAD = statistics.NormalDist(mu=128, sigma=40)
NAMES = ("digits", "package.conf", "param.conf", "LICENSE", "manifest.json", "model/model.tflite")


def write_model(path: Path) -> None:
    """Write the model: the same bytes on every machine."""
    table = bytes(min(255, max(0, round(SPREAD.inv_cdf((value + 0.5) / 256)))) for value in range(256))
    sha = hashlib.sha256()
    with path.open("wb") as target:
        for number in range(MODEL_BYTES // 1_000_000):
            piece = hashlib.shake_256(str(number).encode()).digest(1_000_000).translate(table)
            sha.update(piece)
            target.write(piece)
    path.with_name(SHA256).write_text(sha.hexdigest())


def pack(formats: str, folder: Path) -> None:
    """Pack the model in `folder` into its `dist`, and print the peak memory of this process."""
    from dlpubuild.cas.digest import Digest
    from dlpubuild.package.bundle import write_bundle
    from dlpubuild.package.description import ModelDescription
    from dlpubuild.package.eap.compressor import find_gzip
    from dlpubuild.package.eap.request import AcapFacts, EapRequest
    from dlpubuild.package.eap.write import write_eap
    from dlpubuild.package.spec import BundleSpec, PackageRequest, SocFacts, ToolchainFacts

    model = folder / "blob"
    request = PackageRequest(
        name="digits",
        version="1.0.0",
        vendor="Example AB",
        license="Apache-2.0",
        license_text=None,
        app_name="digits",
        soc=SocFacts(
            name="cpu", title="CPU", larod_device="cpu-tflite", architecture="aarch64", deep_learning_processor=False
        ),
        model_file="model.tflite",
        model_path=model,
        model_digest=Digest(model.with_name(SHA256).read_text(), MODEL_BYTES),
        preprocessing=(),
        labels=None,
        requested_quantization="none",
        toolchain=ToolchainFacts(name="tf2", tensorflow="2.19.1", lock_sha256="0" * 64),
        epoch_s=315_532_800,
    )
    out_dir = folder / "dist"
    if "bundle" in formats:
        described = ModelDescription(
            inputs=(),
            outputs=(),
            operators=(),
            macs=0,
            parameter_bytes=MODEL_BYTES,
            quantization="none",
            granularity="per-tensor",
            min_runtime="2.3.0",
        )
        write_bundle(BundleSpec(request=request, model=described), out_dir)
    if "eap" in formats:
        facts = AcapFacts(friendly_name="digits")
        write_eap(EapRequest(package=request, acap=facts), out_dir, gzip=find_gzip(os.environ["PATH"]))
    peak_kib = {
        "python": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "gzip": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss,
    }
    print(json.dumps(peak_kib))


def packing(bench: Bench) -> list[Series]:
    """Measure the installed tool."""
    return _measure(bench.setting.python, bench.setting.bare, bench.setting.work, bench.repeats.builds, bench.notes)


def _measure(python: Path, env: Mapping[str, str], work: Path, repeats: int, notes: list[str]) -> list[Series]:
    from sections import say
    from timing import BenchError, Process, Rounds

    tar, gzip = shutil.which("tar"), shutil.which("gzip")
    if tar is None or gzip is None:
        raise BenchError("tar or gzip is not installed")
    folder = work / "eap"
    folder.mkdir()
    write_model(folder / "blob")
    script, log, told = Path(__file__).resolve(), work / "log", work / "told"
    ours = {
        formats: Process(argv=[python, script, "pack", formats, folder], env=env, log=log, output=told)
        for formats in ("eap", "bundle+eap")
    }
    rounds = Rounds()
    for number in range(repeats + 1):
        say(f"eap, round {number} of {repeats}")
        for formats, process in ours.items():
            shutil.rmtree(folder / "dist", ignore_errors=True)
            spent = process.timed()
            if number:
                rounds.add(formats, spent)
        if not number:
            staged = _unpacked(folder)
            command = f"{tar} --format gnu --owner 0 --group 0 --numeric-owner --sort name --mtime @315532800 -cf - "
            command += f"{' '.join(NAMES)} | {gzip} -n -9 >../plain.eap"
            plain = Process(argv=["sh", "-c", f"cd '{staged}' && {command}"], env=env, log=log)
        spent = plain.timed()
        if number:
            rounds.add("tar | gzip", spent)
    packed = next((folder / "dist").glob("*.eap"))
    if not filecmp.cmp(packed, folder / "plain.eap", shallow=False):
        raise BenchError("the .eap is not what tar and gzip make of the same files")
    peak_kib = json.loads(told.read_text(encoding="utf-8"))
    notes.append(f"{MODEL_BYTES:,} bytes become {packed.stat().st_size:,}, the same bytes as those of tar and gzip")
    # At the start of a program Linux counts the memory of the one that started it: nothing large may be held here.
    notes.append(f"peak memory with both formats: {max(peak_kib.values()) >> 10} MiB")
    shutil.rmtree(folder)
    return [
        rounds.series("tar | gzip"),
        rounds.series("eap", title=".eap"),
        rounds.series("bundle+eap", title="bundle and .eap"),
        rounds.ratios(".eap / tar | gzip", "eap", ["tar | gzip"], aim=AIM),
        rounds.ratios("bundle and .eap / tar | gzip", "bundle+eap", ["tar | gzip"], aim=AIM),
    ]


def _unpacked(folder: Path) -> Path:
    staged = folder / "staged"
    staged.mkdir()
    eap = next((folder / "dist").glob("*.eap"))
    subprocess.run(["tar", "-xzpf", str(eap), "-C", str(staged)], check=True)
    return staged


SECTIONS: dict[str, Callable[[Bench], list[Series]]] = {"eap": packing}


def main(argv: list[str]) -> None:
    if argv[:1] == ["pack"]:
        pack(argv[1], Path(argv[2]))
        return
    repeats = int(argv[0]) if argv else 3
    notes: list[str] = []
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    with tempfile.TemporaryDirectory(prefix="dlpubuild-bench-") as work:
        rows = _measure(Path(sys.executable), environment, Path(work), repeats, notes)
    for row in rows:
        walls = f"{row.median:6.2f} {row.unit} ({min(row.values):.2f} to {max(row.values):.2f})"
        print(f"{row.name:30} {walls:32} processor {row.median_cpu:6.2f} {row.unit}")
    print("\n".join(notes))


if __name__ == "__main__":
    main(sys.argv[1:])
