"""The parsed specs of tasks, read from the database once."""

from wingbeat.core.action import Failure
from wingbeat.store import tasks
from wingbeat.store.database import Database
from wingbeat.wire.launch import Template, Templates, missing_spec


class Specs:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._templates = Templates()

    async def template(self, digest: str) -> Template | Failure:
        """What launches of the task need, or why it cannot run here."""
        known = self._templates.find(digest)
        if known is not None:
            return known
        spec = await self._database.read(lambda tx: tasks.spec(tx, digest))
        return missing_spec() if spec is None else self._templates.add(digest, spec)
