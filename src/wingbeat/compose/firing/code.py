"""The code that triggers need, as far as it is in this program: what they run, and the functions that they ask.

Its one rule: nothing is imported inside of a transaction. A function that is known by its name alone is imported once,
in a thread, while its trigger is passed over.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from wingbeat.compose.firing.absences import Absence, absent, is_forgotten, tell
from wingbeat.compose.firing.payloads import Codecs
from wingbeat.compose.firing.polling import in_thread
from wingbeat.compose.firing.stored_definitions import Elsewhere
from wingbeat.compose.refs import GlobalRef
from wingbeat.compose.trigger_defs import TriggerDef, check_poll_fn
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
    codecs: Callable[[str], Codecs]
    """How to write what it takes."""
    absences: dict[str, Absence] = field(default_factory=dict[str, Absence])
    """Of triggers that are passed over, or were until lately."""
    imports: dict[str, str | None] = field(default_factory=dict[str, "str | None"])
    """What went wrong with functions that are to be imported, or None for those that are."""
    _warned: set[str] = field(default_factory=set[str])

    def look(self, now: datetime) -> "Look":
        """For one transaction."""
        return Look(self, now, dict(self.absences))

    def saw(self, look: "Look") -> None:
        """What a transaction saw, once it is committed."""
        self.absences.update(look.left)
        self.absences = {name: each for name, each in self.absences.items() if not is_forgotten(each, look.now)}
        self.imports.update((name, _is_importing(each)) for name, each in look.wanted.items())
        for name, why in look.elsewhere.items():
            if name not in self._warned:
                self._warned.add(name)
                log.warning("slots of trigger %r are left to programs that have its code: %s", name, why)

    async def fetch(self, definition: TriggerDef) -> None:
        try:
            await in_thread(lambda: self.require(definition))
        except Exception as error:
            log.exception("the poll_fn of trigger %r cannot be imported", definition.name)
            self.imports[str(definition.poll_fn)] = str(error)
        finally:
            self.absences.pop(definition.name, None)

    def require(self, definition: TriggerDef) -> None:
        """Import its function here and now. Raises ValueError when there is none, and what its module raises."""
        check_poll_fn(definition.name, definition.polled())
        self.imports[str(definition.poll_fn)] = None


@dataclass(slots=True)
class Look:
    """What one transaction sees of the code; nobody else knows of it until `Code.saw`."""

    code: Code
    now: datetime
    absences: dict[str, Absence]
    left: dict[str, Absence] = field(default_factory=dict[str, Absence])
    """Of triggers that are passed over from now on."""
    elsewhere: dict[str, str] = field(default_factory=dict[str, str])
    """Why triggers cannot fire in this program."""
    wanted: dict[str, TriggerDef] = field(default_factory=dict[str, TriggerDef])
    """Functions that are to be imported, each with a trigger that asks it."""

    def passed_over(self) -> list[str]:
        """The triggers not to look at."""
        return [name for name, each in self.absences.items() if each.until > self.now]

    def next_look(self) -> datetime | None:
        return min((each.until for each in self.absences.values() if each.until > self.now), default=None)

    def fireable(self, tx: Transaction, activation: Activation) -> TriggerDef | None:
        """None when it must be left to others. Raises ValueError for a trigger that cannot be understood."""
        try:
            definition = self.code.definitions(activation)
            if not self.code.has(activation.dag_nsref):
                raise Elsewhere(f"trigger {activation.name!r}: {activation.dag_nsref!r} is not in this program")
            if self._is_imported(definition):
                return definition
            self._leave(activation.name, Absence(activation.decided_until, self.now + _LONGEST_IMPORT))
        except Elsewhere as why:
            self.elsewhere[activation.name] = str(why)
            before = self.absences.get(activation.name)
            absence = absent(before, activation, self.now)
            if absence.failures and absence is not before:
                tell(tx, activation, absence, self.now, why=str(why))
            self._leave(activation.name, absence)
        return None

    def _leave(self, name: str, absence: Absence) -> None:
        self.absences[name] = self.left[name] = absence

    def _is_imported(self, definition: TriggerDef) -> bool:
        if not isinstance(definition.poll_fn, GlobalRef):
            return True
        name = str(definition.poll_fn)
        if name in self.wanted:
            raise Elsewhere(_is_importing(definition))
        if name not in self.code.imports:
            self.wanted[name] = definition
            return False
        if (error := self.code.imports[name]) is not None:
            raise Elsewhere(error)
        return True


def _is_importing(definition: TriggerDef) -> str:
    return f"trigger {definition.name!r}: poll_fn {str(definition.poll_fn)!r} is still being imported"
