"""What GitLab makes of a job in our template before a runner gets it: `extends` followed, variables filled in.

In: the template and a job's own keys. Out: its variables and its script. Nothing here runs anything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.doubles.github_runner import ROOT, read_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

TEMPLATE = ROOT / "ci" / "gitlab" / "dlpubuild.gitlab-ci.yml"


@dataclass(frozen=True, slots=True, kw_only=True)
class GitlabJob:
    """A job as the runner gets it."""

    keys: Mapping[str, Any]
    variables: Mapping[str, str]

    @property
    def script(self) -> str:
        """The lines of the script as one text for `sh -e`."""
        return "\n".join(self.keys["script"])


def gitlab_job(name: str, *, project: str, **variables: str) -> GitlabJob:
    """Return the job that extends `name` with more variables, its project laid out at `project`."""
    keys = _extended(read_yaml(TEMPLATE.read_text(encoding="utf-8")), name)
    values = {"CI_PROJECT_DIR": project, **keys["variables"], **variables}
    filled = {
        name: re.sub(r"\$([A-Z_]+)", lambda match: values.get(match[1], ""), value) for name, value in values.items()
    }
    return GitlabJob(keys=keys, variables=filled)


def _extended(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Hashes are merged, anything else is replaced."""
    job = dict(document[name])
    parent = job.pop("extends", None)
    if parent is None:
        return job
    above = dict(_extended(document, parent))
    for key, value in job.items():
        above[key] = {**above[key], **value} if isinstance(value, dict) and key in above else value
    return above
