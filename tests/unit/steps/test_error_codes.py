"""What a step tells as the code of its fault is a code that users meet."""

from __future__ import annotations

import re

from dlpubuild.errors import ErrorCode
from dlpubuild.resources import steps_dir


def test_every_code_of_the_compiling_step_is_one_of_the_tools_and_none_is_unused() -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in steps_dir().glob("*.py"))
    told = set(re.findall(r'"(compiler-[a-z-]+)"', sources))
    assert told == {str(code) for code in ErrorCode if code.startswith("compiler-")}
