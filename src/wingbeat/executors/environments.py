"""Images without Docker: which Python environment of this machine stands for a container image."""

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wingbeat.errors import InvalidArgument

_RELEASE_IMAGE = re.compile(r"ghcr\.io/flyteorg/flyte:py(?P<python>\d+\.\d+)-v.+")
_ANY_IMAGE = ("", "auto")
_INHERITED = ("HOME", "LANG", "TMPDIR")
_PYTHON_HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


@dataclass(frozen=True, slots=True)
class Environment:
    """Where an image's programs are found."""

    python: Path

    def variables(self, around: Mapping[str, str]) -> dict[str, str]:
        """The least an action needs to find itself at home; of `around` no more than that gets in."""
        path = os.pathsep.join([str(self.python.parent), around.get("PATH", os.defpath)])
        inherited = {name: around[name] for name in _INHERITED if name in around}
        return {"LANG": "C.UTF-8", **inherited, "PATH": path, "PYTHONUNBUFFERED": "1", "FLYTE_DISABLE_SENTRY": "1"}


def environment_of(image: str) -> Environment:
    """Raises InvalidArgument, with what to do, for an image this machine cannot stand in for."""
    release = _RELEASE_IMAGE.fullmatch(image)
    if image in _ANY_IMAGE or (release and release["python"] == _PYTHON_HERE):
        # Not resolved: the link in a virtual environment is what makes it one.
        return Environment(Path(sys.executable))
    if release:
        raise InvalidArgument(
            f"image {image!r} is for Python {release['python']}, the server runs Python {_PYTHON_HERE}: deploy with "
            f"Python {_PYTHON_HERE}, or start the server with Python {release['python']}"
        )
    raise InvalidArgument(
        f"image {image!r} cannot be provided without containers: use a plain TaskEnvironment, whose image is "
        f"'ghcr.io/flyteorg/flyte:py{_PYTHON_HERE}-v...', and install the packages that the task needs into the "
        f"server's environment ({sys.prefix})"
    )
