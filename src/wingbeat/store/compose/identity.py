"""Which file a path leads to, so that nothing is written into one that somebody has removed or replaced."""

from dataclasses import dataclass
from pathlib import Path

from wingbeat.errors import FailedPrecondition


@dataclass(frozen=True, slots=True)
class Identity:
    path: Path
    device: int
    inode: int

    def holds(self) -> bool:
        """Whether the path still leads to this file."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return False
        return (status.st_dev, status.st_ino) == (self.device, self.inode)

    def check(self) -> None:
        """Raises FailedPrecondition unless `holds`."""
        if not self.holds():
            raise FailedPrecondition(f"file {str(self.path)!r} was removed or replaced while in use: open it again")


def identity(path: Path) -> Identity:
    status = path.stat()
    return Identity(path, status.st_dev, status.st_ino)
