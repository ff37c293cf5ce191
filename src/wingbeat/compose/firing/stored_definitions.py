"""A trigger's definition as its activation keeps it, so that a change in code counts only when it is activated."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from wingbeat.compose.configs import TriggerConfig
from wingbeat.compose.firing.answers import TriggerTime
from wingbeat.compose.json_text import json_default
from wingbeat.compose.trigger_defs import TriggerDef
from wingbeat.store.compose.activations import Activation

_LOCAL = "poll_fn_of_process"
"""The name of a function that no import finds; only a process that defines the trigger can ask it."""


def encode(definition: TriggerDef) -> str:
    config = definition.to_config()
    said = config.model_dump(mode="json", exclude_none=True, exclude={"name", "type", "payload", "inputs"})
    if definition.poll_fn is not None and definition.poll_ref is None:
        said[_LOCAL] = getattr(definition.poll_fn, "__qualname__", type(definition.poll_fn).__qualname__)
    for field in ("payload", "inputs"):
        values: Mapping[str, Any] | None = getattr(definition, field)
        if values:
            said[field] = {name: "TriggerTime" if value is TriggerTime else value for name, value in values.items()}
    return json.dumps(said, default=_text)


class Elsewhere(ValueError):
    """Code of the trigger is in another program: this one cannot fire it, and cannot say that it is wrong either."""


def stored(activation: Activation) -> TriggerDef:
    """Its schedule and policies. Raises ValueError for what somebody else wrote there."""
    definition, _ = _decode(activation.name, activation.trigger_type, activation.dag_nsref, activation.config_json)
    return definition


def asks_a_function(activation: Activation) -> bool:
    """Whether it has a `poll_fn`, which may be in another program. Raises ValueError like `stored`."""
    found, local = _decode(activation.name, activation.trigger_type, activation.dag_nsref, activation.config_json)
    return found.poll_fn is not None or local is not None


def decode(activation: Activation, live: TriggerDef | None) -> TriggerDef:
    """Its schedule and policies are the stored ones; functions and values are those of the code, where it has them.

    Raises Elsewhere when no function here can be asked, ValueError for what somebody else wrote there.
    """
    found, local = _decode(activation.name, activation.trigger_type, activation.dag_nsref, activation.config_json)
    if live is not None:
        asks = found.poll_fn is not None or local is not None
        poll_fn = (live.poll_fn or found.poll_fn) if asks else None
        return _with(found, payload=live.payload, inputs=live.inputs, poll_fn=poll_fn)
    if local:
        raise Elsewhere(f"trigger {activation.name!r}: poll_fn {local} is defined in another program, not here")
    return found


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
def _decode(name: str, kind: str, dag_nsref: str, config_json: str) -> tuple[TriggerDef, str | None]:
    said = json.loads(config_json)
    local = said.pop(_LOCAL, None)
    config = TriggerConfig.model_validate({**said, "name": name, "type": kind})
    return TriggerDef.from_config(config, dag_nsref), local


def _text(value: Any) -> Any:
    """What has no JSON is only shown: the code has the value."""
    try:
        return json_default(value)
    except TypeError:
        return f"<{type(value).__qualname__}>"
