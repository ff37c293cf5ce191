"""`pause` and `resume`: a process that fires the trigger notices them within a second."""

from wingbeat.cli.compose import reading
from wingbeat.cli.compose.documents import ComposeSwitched
from wingbeat.cli.compose.program import Program
from wingbeat.cli.compose.refusals import refusals
from wingbeat.cli.compose.running import BY
from wingbeat.cli.compose.user_code import called
from wingbeat.compose.dag_provenance import initiated_by
from wingbeat.errors import NotFound


def pause(program: Program, trigger: str) -> ComposeSwitched:
    """Raises NotFound."""
    manager = program.onlooker
    if manager is None:
        raise NotFound(f"trigger {trigger!r} was never activated: there are no triggers in {program.data}")
    with refusals(), initiated_by(BY):
        manager.pause(trigger)
    return ComposeSwitched(reading.trigger(manager.store, trigger))


def resume(program: Program, trigger: str) -> ComposeSwitched:
    """Also one that was never active, where the namespace has it. Raises NotFound and InvalidArgument."""
    manager = program.onlooker
    never = manager is None or manager.store.get_activation(trigger) is None
    if never and not program.is_defined:
        raise NotFound(f"trigger {trigger!r} was never activated: say with --app which namespace has it")
    with called(f"trigger {trigger!r} cannot be activated"), refusals(), initiated_by(BY):
        if manager is None or never:
            manager = program.manager
            manager.activate(trigger)
        else:
            manager.resume(trigger)
    return ComposeSwitched(reading.trigger(manager.store, trigger))
