"""The rules that the protos carry (buf.validate), checked on every request before its method runs.

The Go implementation never checked them, so real clients break a few; those are waived here, by name:
the organisation may be empty, the first attempt may be called 0, and what is watched or listed may be
named in part.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from connectrpc.request import RequestContext
from flyteidl2.common import phase_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from protovalidate import EvaluationError, Validator, Violation

from wingbeat.core.action import TERMINAL
from wingbeat.errors import InvalidArgument
from wingbeat.rpc import organisations
from wingbeat.rpc.organisations import named

if TYPE_CHECKING:
    from protovalidate import FieldPathElementPb as FieldPathElement

REQ = TypeVar("REQ")
RES = TypeVar("RES")

LARGE_MESSAGE_BYTES = 64 * 1024
"""Above this, literals are left out: no rule limits them, and each costs 5 us of the event loop.

A thread would not help: the validator keeps the interpreter's lock.
"""

HOLDERS_OF_INLINE_RULES = frozenset({"flyteidl2.task.RunSpec"})
"""Their rule `paused_rule_exclusive` names an enumeration; the validator cannot read it, so it is checked here."""
HOLDERS_OF_LITERALS = frozenset({"flyteidl2.task.Inputs", "flyteidl2.task.Outputs", "flyteidl2.core.LiteralMap"})
ATTEMPT_FROM_ZERO = frozenset(
    {
        "flyteidl2.actions.UpdateRequest.attempt",
        "flyteidl2.workflow.ActionEvent.attempt",
        "flyteidl2.workflow.ActionStatus.attempts",
        "flyteidl2.workflow.WatchClusterEventsRequest.attempt",
    }
)
PARTIAL_NAMES = ("List", "Watch")
EMPTY_RULES = frozenset({"string.min_len", "required"})
MOST_VIOLATIONS_SHOWN = 5


class Validating:
    """Interceptor: raises InvalidArgument that names each field and the rule it breaks."""

    def __init__(self) -> None:
        self._validator = Validator()

    async def intercept_unary(
        self,
        call_next: Callable[[REQ, RequestContext[REQ, RES]], Awaitable[RES]],
        request: REQ,
        ctx: RequestContext[REQ, RES],
    ) -> RES:
        self.check(cast("Message", request), method=ctx.method().name)
        return await call_next(request, ctx)

    def intercept_server_stream(
        self,
        call_next: Callable[[REQ, RequestContext[REQ, RES]], AsyncIterator[RES]],
        request: REQ,
        ctx: RequestContext[REQ, RES],
    ) -> AsyncIterator[RES]:
        self.check(cast("Message", request), method=ctx.method().name)
        return call_next(request, ctx)

    def intercept_bidi_stream(
        self,
        call_next: Callable[[AsyncIterator[REQ], RequestContext[REQ, RES]], AsyncIterator[RES]],
        request: AsyncIterator[REQ],
        ctx: RequestContext[REQ, RES],
    ) -> AsyncIterator[RES]:
        return call_next(self._checked(request, ctx), ctx)

    async def _checked(self, requests: AsyncIterator[REQ], ctx: RequestContext[REQ, RES]) -> AsyncIterator[REQ]:
        async for request in requests:
            self.check(cast("Message", request), method=ctx.method().name)
            yield request

    def check(self, request: Message, *, method: str) -> None:
        """Raise InvalidArgument unless the request keeps every rule that is not waived for the method."""
        if request.ByteSize() > LARGE_MESSAGE_BYTES:
            request = _without(request, HOLDERS_OF_LITERALS, "literals")
        partial = method.startswith(PARTIAL_NAMES)
        with named(request):
            violations = self._violations(request)
        broken = [violation for violation in violations if not _waived(violation, request, partial=partial)]
        if broken:
            raise InvalidArgument(_sentence(broken))

    def _violations(self, request: Message) -> Sequence[Violation]:
        try:
            return self._validator.collect_violations(request)
        except EvaluationError:
            for holder in _holders(request, HOLDERS_OF_INLINE_RULES):
                _check_inline_rules(holder)
            lean = _without(request, HOLDERS_OF_INLINE_RULES, "notification_rules")
            return self._validator.collect_violations(lean)


def _check_inline_rules(run_spec: Any) -> None:
    """Whatever else is wrong with them refuses to be seen, because of the one rule that cannot be evaluated."""
    paused = phase_pb2.ACTION_PHASE_PAUSED
    terminal = {phase.value for phase in TERMINAL} - {phase_pb2.ACTION_PHASE_RECOVERED}
    for rule in run_spec.notification_rules.rules:
        phases = list(rule.on_phases)
        if not phases or len(set(phases)) < len(phases) or not {paused, *terminal}.issuperset(phases):
            raise InvalidArgument(
                f"notification_rules.rules.on_phases is {phases}: give one or more of the phases"
                f" {sorted({paused, *terminal})}, each once"
            )
        if paused in phases and len(phases) > 1:
            raise InvalidArgument(
                "notification_rules.rules.on_phases: a rule for ACTION_PHASE_PAUSED must not have other phases"
            )


def _without(request: Message, holders: Collection[str], field: str) -> Message:
    lean = type(request)()
    lean.CopyFrom(request)
    for holder in _holders(lean, holders):
        holder.ClearField(field)
    return lean


def _holders(message: Message, names: Collection[str]) -> Iterator[Message]:
    if message.DESCRIPTOR.full_name in names:
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        for child in [value] if isinstance(value, Message) else value:
            yield from _holders(child, names)


def _waived(violation: Violation, request: Message, *, partial: bool) -> bool:
    path = _path(violation)
    if not path or violation.field_value not in ("", 0):
        return False
    if violation.proto.rule_id in EMPTY_RULES:
        return path[-1].field_name in organisations.FIELDS or (partial and len(path) > 1)
    return _full_name(request.DESCRIPTOR, path) in ATTEMPT_FROM_ZERO


def _path(violation: Violation) -> "Sequence[FieldPathElement]":
    field = violation.proto.field
    return field.elements if field else []


def _full_name(holder: Any, path: "Sequence[FieldPathElement]") -> str:
    """The full name of the field that a path from the request leads to; "" when it ends in a oneof or a map."""
    field: FieldDescriptor | None = None
    for element in path:
        field = holder.fields_by_name.get(element.field_name)
        if field is None:
            return ""
        holder = field.message_type
    return field.full_name if field else ""


def _sentence(broken: list[Violation]) -> str:
    shown = [_phrase(violation) for violation in broken[:MOST_VIOLATIONS_SHOWN]]
    if len(broken) > MOST_VIOLATIONS_SHOWN:
        shown.append(f"and {len(broken) - MOST_VIOLATIONS_SHOWN} more")
    return "; ".join(shown)


def _phrase(violation: Violation) -> str:
    field = ".".join(_step(element) for element in _path(violation)) or "the request"
    return f"{field}: {violation.proto.message or 'is not legal'} ({violation.proto.rule_id})"


def _step(element: "FieldPathElement") -> str:
    if element.subscript is None:
        return element.field_name
    return f"{element.field_name}[{element.subscript.value}]"
