"""The blobs below a directory in key order, read lazily: a page costs what it holds, not what the store holds."""

import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from wingbeat.blobs import keys
from wingbeat.blobs.blob import Blob, Page

HIDDEN = ".wingbeat"
"""The folder at the root that holds what is not a blob (yet); no key leads there."""
LAST_CHARACTER = "\U0010ffff"
"""Sorts after every key of a folder when it follows the folder's name."""


def page(root: Path, prefix: str, *, after: str, limit: int, delimited: bool) -> Page:
    """Up to `limit` blobs (and folders, if `delimited`) whose keys begin with `prefix` and sort behind `after`."""
    found = list(islice(walk(root, prefix, after=after, delimited=delimited), limit + 1))
    shown = found[:limit]
    blobs = tuple(entry for entry in shown if isinstance(entry, Blob))
    folders = tuple(entry for entry in shown if isinstance(entry, str))
    return Page(blobs, folders, _resume_point(shown[-1]) if shown and len(found) > limit else None)


def walk(root: Path, prefix: str, *, after: str = "", delimited: bool = False) -> Iterator[Blob | str]:
    """Blobs, and folders as text ending in "/" if `delimited`."""
    folder = prefix.rpartition("/")[0]
    if folder and not (keys.is_legal(folder) and is_visible(folder)):
        return
    base = f"{folder}/" if folder else ""
    yield from _walk(root / folder, base, prefix, after, delimited=delimited)


def is_visible(key: str) -> bool:
    return key.partition("/")[0] != HIDDEN


def blob_of(key: str, status: os.stat_result) -> Blob:
    """The ETag tells versions apart without reading them: every write makes a new file."""
    etag = f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"
    return Blob(key, status.st_size, etag, datetime.fromtimestamp(status.st_mtime, UTC))


def _walk(path: Path, base: str, prefix: str, after: str, *, delimited: bool) -> Iterator[Blob | str]:
    for name, entry in _entries(path):
        key = base + name
        if not key.startswith(prefix) or not is_visible(key):
            continue
        if not name.endswith("/"):
            yield from _file(key, entry, after)
        elif after < key or (after.startswith(key) and after != key + LAST_CHARACTER):
            within = _walk(path / name, key, prefix, after, delimited=False)
            if not delimited:
                yield from within
            elif next(within, None) is not None:
                yield key


def _file(key: str, entry: os.DirEntry[str], after: str) -> Iterator[Blob]:
    if key <= after:
        return
    try:
        status = entry.stat()
    except FileNotFoundError:
        return  # deleted since the directory was read
    if stat.S_ISREG(status.st_mode):
        yield blob_of(key, status)


def _entries(path: Path) -> list[tuple[str, os.DirEntry[str]]]:
    """Sorted as keys are: a folder's name counts with its "/", which sorts behind "-" and "."."""
    try:
        with os.scandir(path) as found:
            named = [(f"{e.name}/" if e.is_dir() else e.name, e) for e in found if keys.is_legal(e.name)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(named, key=lambda pair: pair[0])


def _resume_point(entry: Blob | str) -> str:
    return entry + LAST_CHARACTER if isinstance(entry, str) else entry.key
