"""What is known of stored bytes without reading them."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Blob:
    key: str
    size: int
    """Bytes."""
    etag: str
    """Changes whenever the bytes are written again; without quotes; opaque."""
    modified: datetime
    """UTC."""


@dataclass(frozen=True, slots=True)
class Page:
    """One stretch of a listing in key order."""

    blobs: tuple[Blob, ...]
    folders: tuple[str, ...]
    """Keys up to and including the "/" at which a delimited listing stopped."""
    after: str | None
    """Where the next page begins, or None when this is the last one."""
