"""A trigger's definition as its activation keeps it, so that a change in code counts only when it is activated."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from wingbeat.compose.configs import TriggerConfig
from wingbeat.compose.firing.payloads import definition_data, definition_values
from wingbeat.compose.trigger_defs import TriggerDef
from wingbeat.store.compose.activations import Activation

_LOCAL = "poll_fn_of_process"
"""The name of a function that no import finds; only a process that defines the trigger can ask it."""
_VALUES = ("payload", "inputs")
Values = Mapping[str, Mapping[str, Any]]
"""As they are written: they are read where nobody has them."""


def encode(definition: TriggerDef) -> str:
    config = definition.to_config()
    said = config.model_dump(mode="json", exclude_none=True, exclude={"name", "type", "payload", "inputs"})
    if definition.poll_fn is not None and definition.poll_ref is None:
        said[_LOCAL] = getattr(definition.poll_fn, "__qualname__", type(definition.poll_fn).__qualname__)
    for field in _VALUES:
        values: Mapping[str, Any] | None = getattr(definition, field)
        if values:
            said[field] = definition_data(values)
    return json.dumps(said)


class Elsewhere(ValueError):
    """Code of the trigger is in another program: this one cannot fire it, and cannot say that it is wrong either."""


def stored(activation: Activation) -> TriggerDef:
    """Its schedule and policies, without values. Raises ValueError for what somebody else wrote there."""
    definition, _, _ = _decode(activation.name, activation.trigger_type, activation.dag_nsref, activation.config_json)
    return definition


def asks_a_function(activation: Activation) -> bool:
    """Whether it has a `poll_fn`, which may be in another program. Raises ValueError like `stored`."""
    found, local, _ = _decode(activation.name, activation.trigger_type, activation.dag_nsref, activation.config_json)
    return found.poll_fn is not None or local is not None


def decode(activation: Activation, live: TriggerDef | None) -> TriggerDef:
    """Its schedule and policies are the stored ones; functions and values are those of the code, where it has them.

    Raises Elsewhere when no function here can be asked, or a value is of a class that is not here; ValueError for what
    somebody else wrote there.
    """
    found, local, data = _decode(activation.name, activation.trigger_type, activation.dag_nsref, activation.config_json)
    if live is not None:
        asks = found.poll_fn is not None or local is not None
        poll_fn = (live.poll_fn or found.poll_fn) if asks else None
        return _with(found, payload=live.payload, inputs=live.inputs, poll_fn=poll_fn)
    if local:
        raise Elsewhere(f"trigger {activation.name!r}: poll_fn {local} is defined in another program, not here")
    try:
        return _with(found, **{field: definition_values(values) for field, values in data.items()})
    except ValueError as error:
        raise Elsewhere(f"trigger {activation.name!r}, {error}") from error


def _with(found: TriggerDef, **said: Any) -> TriggerDef:
    return found if all(getattr(found, name) is value for name, value in said.items()) else replace(found, **said)


class Definitions:
    """Of activations, with the code of this program; decoded again when either has changed."""

    def __init__(self, live: Callable[[str], TriggerDef | None]) -> None:
        self._live = live
        self._known: dict[str, tuple[tuple[str, str, str], TriggerDef | None, TriggerDef]] = {}

    def __call__(self, activation: Activation) -> TriggerDef:
        """Raises what `decode` raises."""
        live = self._live(activation.name)
        stored = (activation.trigger_type, activation.dag_nsref, activation.config_json)
        known = self._known.get(activation.name)
        if known is None or known[0] != stored or known[1] is not live:
            self._known[activation.name] = known = (stored, live, decode(activation, live))
        return known[2]


@lru_cache(maxsize=16_384)
def _decode(name: str, kind: str, dag_nsref: str, config_json: str) -> tuple[TriggerDef, str | None, Values]:
    said = json.loads(config_json)
    local = said.pop(_LOCAL, None)
    config = TriggerConfig.model_validate({**said, "name": name, "type": kind})
    values = {field: values for field in _VALUES if (values := getattr(config, field)) is not None}
    return TriggerDef.from_config(config.model_copy(update=dict.fromkeys(_VALUES)), dag_nsref), local, values
