"""Where the data files of the tool lie: in a wheel below `_data/`, in a checkout at its root.

One function, because `importlib.resources` does not find root-level folders in an editable install.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


@cache
def data_root() -> Path:
    """Return the folder that holds `schemas/`, `templates/` and `dlpu.toml.example`."""
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
