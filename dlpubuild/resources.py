"""Where the data files of the tool lie: in a wheel below `_data/`, in a checkout at its root.

One function, because `importlib.resources` does not find root-level folders in an editable install.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PACKAGE = Path(__file__).resolve().parent
_CONTEXT_FILES = (
    "Dockerfile",
    "LICENSE",
    "README.md",
    "dlpu.toml.example",
    "pyproject.toml",
    "requirements/build.txt",
    "requirements/run.txt",
)
_CONTEXT_FOLDERS = ("docker", "schemas", "templates")


@cache
def data_root() -> Path:
    """Return the folder that holds `schemas/`, `templates/`, `dlpu.toml.example` and the `Dockerfile`."""
    packaged = _PACKAGE / "_data"
    return packaged if packaged.is_dir() else _PACKAGE.parent


def schemas_dir() -> Path:
    """Return the folder of the JSON Schemas."""
    return data_root() / "schemas"


def schema_path(name: str) -> Path:
    """Return the path of a schema by its short name, such as `dlpu` or `model`."""
    return schemas_dir() / f"{name}.schema.json"


def templates_dir() -> Path:
    """Return the folder that holds one folder per SoC."""
    return data_root() / "templates"


def steps_dir() -> Path:
    """Return the folder of the scripts that run inside toolchains."""
    return _PACKAGE / "steps"


def locks_dir() -> Path:
    """Return the folder of the toolchains' lock files."""
    return _PACKAGE / "toolchains" / "locks"


def example_manifest() -> Path:
    """Return the commented manifest that shows every key."""
    return data_root() / "dlpu.toml.example"


def dockerfile() -> Path:
    """Return the Dockerfile of all images."""
    return data_root() / "Dockerfile"


def image_sources() -> Mapping[str, Path]:
    """Return every file that the Dockerfile reads, by its path in the build context, sorted.

    They are those from which the wheel is built, because the `cli` image builds it again, and the same in an installed
    wheel and in a checkout.
    """
    root = data_root()
    found = {name: root / name for name in _CONTEXT_FILES}
    for name, folder in (("dlpubuild", _PACKAGE), *((name, root / name) for name in _CONTEXT_FOLDERS)):
        found |= {f"{name}/{path.relative_to(folder).as_posix()}": path for path in _files_below(folder)}
    return dict(sorted(found.items()))


def _files_below(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        # Hidden files are those of editors and tools.
        if path.name in ("__pycache__", "_data") or path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _files_below(path)
        else:
            yield path
