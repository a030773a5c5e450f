"""What a builder says while it builds: what a person wants to know of it, and what was wrong.

In: lines of BuildKit's plain progress, or of Podman's. Out: one line per stage as it comes, and in the end the lines of
the step that failed, with what to do about it. Pure but for the function that is told.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_TAIL_LINES = 15
_COLUMNS = 100

# What builders and what they run say when something outside of them is at fault; the first that fits.
_HINTS = (
    (
        r"DO NOT MATCH THE HASHES|sha256 mismatch|Hash Sum mismatch",
        "somebody served other bytes than those that are pinned: check the package index, mirror or proxy in use",
    ),
    (
        r"certificate verify failed|CERTIFICATE_VERIFY_FAILED|x509:|SSLError|certificate is NOT trusted",
        "where the network intercepts TLS, name its authority: --ca-bundle FILE, or DLPU_CA_BUNDLE",
    ),
    (
        r"pull access denied|failed to (resolve source|load metadata)|/v2/\S+/manifests/|manifest unknown|rate limit",
        "the base image cannot be had: --base-registry names a mirror of Docker Hub, --base NAME=IMAGE another image",
    ),
    (r"no space left on device", "free some room on the engine's disk: docker system df, docker builder prune"),
    (
        r"no such host|name resolution|could not resolve|not known|refused|unreachable|timed out|cannot be downloaded",
        "does a container on this engine reach the network? HTTPS_PROXY, --index-url and --base-registry are used",
    ),
)


@dataclass(slots=True, kw_only=True)
class Progress:
    """Reads lines such as `#7 [stage 2/3] RUN …`, `#7 CACHED`, `#7 12.3 output`, `#7 DONE 45.6s` and `#7 ERROR: …`.

    `stages` are the stages of the steps seen so far, by number; `begun` are the steps that are still to be told of.
    """

    say: Callable[[str], None]
    stages: dict[str, str] = field(default_factory=dict)
    begun: dict[str, str] = field(default_factory=dict)
    output: dict[str, list[str]] = field(default_factory=dict)
    failed: str = ""
    lines: list[str] = field(default_factory=list)

    def take(self, line: str) -> None:
        """Read one line."""
        if not line.strip():
            return
        self.lines = [*self.lines[-_TAIL_LINES:], line]
        number, _, text = line.partition(" ")
        if re.fullmatch(r"#\d+", number):
            self._take_step(number, text)
        elif re.match(r"(\[\d+/\d+\] )?STEP \d+/\d+", line):
            # Podman's way to say it.
            self.say(_shortened(line))

    def pause(self) -> None:
        """Tell of the steps that have begun; of one that is cached the builder says so in the same breath."""
        for number, command in self.begun.items():
            self.say(f"{self.stages[number]}: {command}")
        self.begun = {}

    def _take_step(self, number: str, text: str) -> None:
        if match := re.match(r"\[(?!internal|auth)([\w.-]+)(?: +\d+/\d+)?\] (\S.*)", text):
            if number not in self.stages:
                self.stages[number] = match[1]
                self.begun[number] = _shortened(match[2])
        elif text == "CACHED":
            self.begun.pop(number, None)
        elif match := re.fullmatch(r"DONE (\d+\.\d)s", text):
            if number in self.stages and float(match[1]) >= 1:
                self.pause()
                self.say(f"{self.stages[number]}: done in {match[1]} s")
        elif text.startswith("ERROR"):
            self.failed = number
        elif match := re.match(r"\d+\.\d+ (.*)", text):
            self.output.setdefault(number, []).append(match[1])
            # What takes long.
            if re.search(r"Downloading \S+ \(\d+(\.\d+)? MB\)", match[1]):
                self.pause()
                self.say(f"{self.stages.get(number, '')}: {match[1].strip()}")

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines of the step that failed, or of everything."""
        return tuple((self.output.get(self.failed) or self.lines)[-_TAIL_LINES:])

    @property
    def hint(self) -> str:
        """What to do about a fault that is not the Dockerfile's; empty where that is not known."""
        text = "\n".join([*self.tail, *self.lines])
        return next((hint for pattern, hint in _HINTS if re.search(pattern, text, flags=re.IGNORECASE)), "")


def _shortened(command: str) -> str:
    text = " ".join(re.sub(r"--(mount|from)=\S+", "", command).split())
    return text if len(text) <= _COLUMNS else f"{text[: _COLUMNS - 1]}…"
