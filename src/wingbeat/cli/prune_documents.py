"""What `--output json` says of pruning. The names, types and meanings are a promise; fields may be added."""

from dataclasses import dataclass
from typing import Annotated


@dataclass(frozen=True, slots=True)
class KeptRuns:
    """Runs that are old enough and stay."""

    reason: Annotated[str, "UNFINISHED, NEEDED (by another run), CACHED or BUSY"]
    runs: int


@dataclass(frozen=True, slots=True)
class Pruning:
    """`wingbeat prune`."""

    dry_run: Annotated[bool, "whether nothing was changed"]
    older_than_seconds: float
    project: Annotated[str | None, "null for all"]
    domain: Annotated[str | None, "null for all"]
    runs: Annotated[int, "that were pruned, or would be"]
    actions: Annotated[int, "of these runs"]
    kept: tuple[KeptRuns, ...]
    removing: Annotated[int | None, "pruned runs whose rows and files are still there, null after a dry run"]
