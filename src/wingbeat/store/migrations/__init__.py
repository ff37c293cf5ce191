"""Schema changes: NNNN_name.sql per database, applied in order, once, under a lock.

Expand first, contract in a later release, so that replicas can be upgraded one by one.
"""

from dataclasses import dataclass
from importlib.resources import files

from wingbeat.errors import StartError


@dataclass(frozen=True, slots=True)
class Migration:
    version: int
    name: str
    sql: str


def pending(dialect: str, applied: int) -> list[Migration]:
    """What is left to apply to a schema of version `applied`. Raises StartError when that is newer than we are."""
    known = [
        Migration(int(entry.name[:4]), entry.name[5:].removesuffix(".sql"), entry.read_text("utf-8"))
        for entry in sorted(files(__name__).joinpath(dialect).iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".sql")
    ]
    newest = known[-1].version
    if applied > newest:
        raise StartError(
            f"the database has schema {applied}, newer than the {newest} of this program:"
            " upgrade wingbeat, or use another database"
        )
    return [migration for migration in known if migration.version > applied]
