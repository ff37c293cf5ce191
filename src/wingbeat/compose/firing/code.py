"""The code that triggers need, as far as it is in this program: what they run, and the functions that they ask.

Its one rule: nothing is imported inside of a transaction. A function that is known by its name alone is imported once,
in a thread, while its trigger is passed over.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from wingbeat.compose.firing.absences import Absences
from wingbeat.compose.firing.polling import in_thread
from wingbeat.compose.firing.stored_definitions import Elsewhere
from wingbeat.compose.refs import GlobalRef
from wingbeat.compose.trigger_defs import TriggerDef
from wingbeat.store.compose.activations import Activation
from wingbeat.store.compose.transaction import Transaction

Definitions = Callable[[Activation], TriggerDef]
"""Raises Elsewhere, and ValueError for a trigger that cannot be understood."""
_LONGEST_IMPORT = timedelta(minutes=1)
log = logging.getLogger("wingbeat.compose.trigger")


@dataclass(slots=True)
class Code:
    definitions: Definitions
    has: Callable[[str], bool]
    """Whether something is registered at a place."""
    absences: Absences = field(default_factory=Absences)
    _imports: dict[str, str | None] = field(default_factory=dict[str, "str | None"])
    """What went wrong with functions that were imported, or None."""
    _wanted: list[TriggerDef] = field(default_factory=list[TriggerDef])
    _warned: set[str] = field(default_factory=set[str])

    def fireable(self, tx: Transaction, activation: Activation, now: datetime) -> TriggerDef | None:
        """None when it must be left to others. Raises ValueError for a trigger that cannot be understood."""
        try:
            definition = self.definitions(activation)
            if not self.has(activation.dag_nsref):
                raise Elsewhere(f"trigger {activation.name!r}: {activation.dag_nsref!r} is not in this program")
            if not self._is_imported(definition):
                self.absences.pass_over(activation, now + _LONGEST_IMPORT)
                return None
        except Elsewhere as why:
            self._warn_once(activation.name, why)
            self.absences.leave(tx, activation, now, why=str(why))
            return None
        return definition

    def wanted(self) -> list[TriggerDef]:
        """Those whose functions are to be imported, each once."""
        wanted, self._wanted = self._wanted, []
        return wanted

    async def fetch(self, definition: TriggerDef) -> None:
        try:
            await in_thread(lambda: self.require(definition))
        except Exception as error:
            log.exception("the poll_fn of trigger %r cannot be imported", definition.name)
            self._imports[str(definition.poll_fn)] = str(error)
        finally:
            self.absences.end(definition.name)

    def require(self, definition: TriggerDef) -> None:
        """Import its function here and now. Raises ValueError when there is none, and what its module raises."""
        definition.polled()
        self._imports[str(definition.poll_fn)] = None

    def _warn_once(self, name: str, why: Elsewhere) -> None:
        if name not in self._warned:
            self._warned.add(name)
            log.warning("slots of trigger %r are left to programs that have its code: %s", name, why)

    def _is_imported(self, definition: TriggerDef) -> bool:
        if not isinstance(definition.poll_fn, GlobalRef):
            return True
        name = str(definition.poll_fn)
        if name not in self._imports:
            self._imports[name] = f"trigger {definition.name!r}: poll_fn {name!r} is still being imported"
            self._wanted.append(definition)
            return False
        if (error := self._imports[name]) is not None:
            raise Elsewhere(error)
        return True
