"""A report that was written before, by this version or another, or by somebody else: read and found good.

In: the path of a report's JSON file, of a folder with one, or of a bundle. Out: the document, in which all is as
`schemas/report.schema.json` says. The file is not trusted: it may be cut off, huge, something else, or newer than this
version. Nothing is written.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from dlpubuild.errors import ErrorCode, Location, UsageError
from dlpubuild.package.bundle_json import is_bundle, read_bundle
from dlpubuild.report.document import SCHEMA_VERSION
from dlpubuild.resources import schema_path
from dlpubuild.tflite.opening import without_waiting

if TYPE_CHECKING:
    from pathlib import Path

MAX_REPORT_BYTES = 64 << 20
_PATTERN = "*-report.json"
_FAULTS_SHOWN = 3
# As many as a file of any size, or any count of operations, has.
_DIGITS = 20
_VALUE_LENGTH = 200
_HINT = "report takes a report's .json, a folder with one, or a bundle that a build wrote"
_VIEWS = (".html", ".md")


def find_report(path: Path) -> dict[str, Any]:
    """Return the report at `path`: a report's JSON file, a folder that holds one, or one made from a bundle.

    Raises:
        UsageError: there is none, or it cannot be used.
        DlpuError: a bundle cannot be read.
    """
    if is_bundle(path):
        from dlpubuild.report.of_package import package_report  # noqa: PLC0415 - reads models

        return package_report(read_bundle(path))
    try:
        if not path.is_dir():
            return read_report(path)
        found = sorted(path.glob(_PATTERN))
    except OSError as error:
        raise _refused(path, f"it cannot be read: {error.strerror or error}") from error
    if not found:
        raise _refused(path, f"the folder has no {_PATTERN}", code=ErrorCode.PATH_MISSING)
    if len(found) > 1:
        raise _refused(path, f"the folder has {len(found)} reports: {', '.join(each.name for each in found)}; name one")
    return read_report(found[0])


def read_report(path: Path) -> dict[str, Any]:
    """Return the report in a JSON file.

    Raises:
        UsageError: it cannot be read, or is no report of a version that is known.
    """
    if path.suffix in _VIEWS:
        raise _refused(path, "that is a view of a report; name the .json beside it")
    try:
        with open(path, "rb", opener=without_waiting) as stream:
            content = stream.read(MAX_REPORT_BYTES + 1)
    except FileNotFoundError as error:
        raise _refused(path, "there is no such file", code=ErrorCode.PATH_MISSING) from error
    except OSError as error:
        raise _refused(path, f"it cannot be read: {error.strerror or error}") from error
    if len(content) > MAX_REPORT_BYTES:
        raise _refused(path, f"it is larger than {MAX_REPORT_BYTES >> 20} MiB, and no report is")
    try:
        document = json.loads(content, parse_float=_finite, parse_int=_countable, parse_constant=_finite)
    except (ValueError, RecursionError) as error:
        raise _refused(path, f"it is not JSON, or was cut off: {error}") from error
    return _checked(path, document)


def _checked(path: Path, document: object) -> dict[str, Any]:
    if not isinstance(document, dict) or not {"schema", "tool", "targets"} <= document.keys():
        raise _refused(path, "it is JSON, but no report of a build")
    version = document["schema"]
    if isinstance(version, int) and version > SCHEMA_VERSION:
        tool = document["tool"].get("version") if isinstance(document["tool"], dict) else None
        by = f" by dlpubuild {tool[:20]}" if isinstance(tool, str) else ""
        raise _refused(
            path,
            f"it was written{by} in version {version} of the format, and this dlpubuild knows version {SCHEMA_VERSION}",
            hint="use a newer dlpubuild, or build the project again",
        )
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - slow to import

    validator = Draft202012Validator(json.loads(schema_path("report").read_text(encoding="utf-8")))
    faults = []
    for error in validator.iter_errors(document):
        place = ".".join(str(part) for part in error.absolute_path)
        message = error.message if len(error.message) <= _VALUE_LENGTH else f"{error.message[:_VALUE_LENGTH]}..."
        faults.append(f"{place}: {message}" if place else message)
        if len(faults) == _FAULTS_SHOWN:
            break
    if faults:
        listed = "".join(f"\n    {each}" for each in faults)
        raise _refused(path, f"it is not as a report has to be:{listed}")
    return document


def _countable(text: str) -> int:
    if len(text) > _DIGITS:
        raise ValueError(f"{text[:_DIGITS]}... is more than there is of anything")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is no number")
    return value


def _refused(path: Path, why: str, *, code: ErrorCode = ErrorCode.PATH_KIND, hint: str = _HINT) -> UsageError:
    return UsageError(code, why, location=Location(str(path)), hint=hint)
