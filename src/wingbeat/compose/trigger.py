"""Triggers of the embedded library: the public place to import them from."""

from wingbeat.compose.firing.answers import Fire, PollContext, Skip, TriggerTime
from wingbeat.compose.trigger_defs import TriggerDef
from wingbeat.compose.trigger_manager import TriggerActivationResult, TriggerManager
from wingbeat.compose.trigger_store import TriggerStore

__all__ = [
    "Fire",
    "PollContext",
    "Skip",
    "TriggerActivationResult",
    "TriggerDef",
    "TriggerManager",
    "TriggerStore",
    "TriggerTime",
]
