"""Where clients upload code, files and inputs, and which uploads some bytes speak of.

An upload is a folder below `UPLOADS`: all that was uploaded at once, or under the same content.
"""

import re

UPLOADS = "uploads"
OFFLOADED_INPUTS = "offloaded-inputs"
MAX_PATH = 400
"""Characters of a path that are kept: more than the folder of any upload has."""

_MARK = f"/{UPLOADS}/".encode()
_END = re.compile(rb"[\x00-\x1f\x7f]")


def folder_of(key: str) -> str | None:
    """The path of the upload that a blob belongs to, below `UPLOADS`; None: it belongs to none."""
    root, *parts = key.split("/")
    length = 4 if parts[2:3] == [OFFLOADED_INPUTS] else 3
    return "/".join(parts[:length]) if root == UPLOADS and len(parts) > length else None


def spoken_of(*contents: bytes | None) -> frozenset[str]:
    """What follows each mention of the uploads in serialized messages, whatever they are.

    A path may have something behind it that is no part of it: it begins with the upload that is meant.
    """
    return frozenset(
        path for content in contents if content and _MARK in content for path in map(_path, content.split(_MARK)[1:])
    )


def _path(rest: bytes) -> str:
    return _END.split(rest, maxsplit=1)[0].decode(errors="ignore")[:MAX_PATH]
