"""Conditions that running tasks ask for, and what their webhooks are told: proto <-> core."""

import re
from datetime import timedelta
from typing import TypeAlias
from urllib.parse import urlsplit

from flyteidl2.actions import actions_service_pb2 as pb
from flyteidl2.core import types_pb2
from flyteidl2.workflow import run_definition_pb2
from google.protobuf import json_format

from wingbeat.core.action import TaskRef
from wingbeat.core.condition import ConditionChild
from wingbeat.core.ids import TaskId
from wingbeat.core.value import ValueType
from wingbeat.errors import InvalidArgument
from wingbeat.wire import actions, tasks

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

TYPE = "condition"
CALLBACK_URI = "{callback_uri}"
MAX_TIMEOUT = timedelta(days=100 * 365)
MAX_PAYLOAD_BYTES = 1024 * 1024
SCHEMES = ("http", "https")
_OF_URLS = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+")
"""The characters of RFC 3986. Of others parsers make different things: in `http://a\\@b` the host is a, or b."""
_SIMPLE = frozenset(ValueType)


def child_of(action: pb.Action, *, parent: str) -> ConditionChild:
    """Raises InvalidArgument."""
    condition, run = action.condition, action.action_id.run
    spec = condition.SerializeToString(deterministic=True)
    if condition.HasField("webhook"):
        _check_url(condition.webhook.url)
        _check_payload(condition.webhook)
    name = TaskId(run.project, run.domain, condition.name, "")
    return ConditionChild(
        id=actions.action_id(action.action_id),
        parent=parent,
        group=action.group,
        input_uri=action.input_uri,
        task=TaskRef(name, TYPE, condition.name, condition.name, "", tasks.digest(spec)),
        spec=spec,
        value_type=_value_type(condition),
        timeout=_timeout(condition),
        notifies=condition.HasField("webhook"),
    )


def webhook(spec: bytes, *, callback_uri: str) -> tuple[str, Json]:
    """The URL and the JSON of the webhook in a condition's `spec`."""
    hook = run_definition_pb2.ConditionAction.FromString(spec).webhook
    return hook.url, _substituted(json_format.MessageToDict(hook.payload), callback_uri)


def _substituted(template: Json, callback_uri: str) -> Json:
    """The template with the URI in its texts. Numbers have come as floats, whatever the task has written."""
    match template:
        case str():
            return template.replace(CALLBACK_URI, callback_uri)
        case float() if template.is_integer():
            return int(template)
        case dict():
            return {key: _substituted(value, callback_uri) for key, value in template.items()}
        case list():
            return [_substituted(value, callback_uri) for value in template]
        case _:
            return template


def _value_type(condition: run_definition_pb2.ConditionAction) -> ValueType:
    kind = condition.type.WhichOneof("type")
    if kind == "simple" and condition.type.simple in _SIMPLE:
        return ValueType(condition.type.simple)
    given = types_pb2.SimpleType.Name(condition.type.simple) if kind == "simple" else kind or "none"
    raise InvalidArgument(
        f"condition {condition.name!r} is of type {given}: it must be BOOLEAN, INTEGER, FLOAT or STRING"
    )


def _timeout(condition: run_definition_pb2.ConditionAction) -> timedelta | None:
    """None: it may wait for ever, which 0 means too."""
    if not condition.HasField("timeout"):
        return None
    timeout = timedelta(seconds=condition.timeout.seconds, microseconds=condition.timeout.nanos // 1000)
    if not timedelta(0) <= timeout <= MAX_TIMEOUT:
        raise InvalidArgument(
            f"condition {condition.name!r}: timeout is {timeout.total_seconds():.0f} s, not from 0 s to 100 years"
        )
    return timeout or None


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in SCHEMES and parts.hostname and _OF_URLS.fullmatch(url)
    except ValueError:
        usable = False
    if not usable:
        raise InvalidArgument(
            "webhook.url must begin with http:// or https://, name a host, and write all but the"
            " characters of URLs as %XX"
        )


def _check_payload(webhook: run_definition_pb2.ConditionWebhook) -> None:
    if webhook.payload.ByteSize() > MAX_PAYLOAD_BYTES:
        size = webhook.payload.ByteSize()
        raise InvalidArgument(f"webhook.payload has {size} bytes: {MAX_PAYLOAD_BYTES} are the most")
    try:
        json_format.MessageToDict(webhook.payload)
    except (ValueError, json_format.Error) as error:
        raise InvalidArgument(f"webhook.payload cannot be written as JSON: {error}") from error
