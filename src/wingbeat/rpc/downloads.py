"""Where the things are that a caller may ask to download: reports of attempts, code of tasks."""

from flyteidl2.dataproxy import dataproxy_service_pb2 as pb

from wingbeat.core.ids import ActionId
from wingbeat.errors import InvalidArgument, NotFound
from wingbeat.operations import current, tasks
from wingbeat.store import actions as stored_actions
from wingbeat.store import tasks as stored_tasks
from wingbeat.store.database import Transaction
from wingbeat.wire import actions as wire_actions
from wingbeat.wire import tasks as wire_tasks
from wingbeat.wire.launch import code_bundle


async def locate(tx: Transaction, request: pb.CreateDownloadLinkRequest) -> str:
    """The URI of what is asked for, whether it exists or not. Raises InvalidArgument, NotFound."""
    match request.artifact_type:
        case pb.ARTIFACT_TYPE_REPORT:
            return await _report(tx, request)
        case pb.ARTIFACT_TYPE_CODE_BUNDLE:
            return await _code(tx, request)
        case _:
            raise InvalidArgument("artifact_type must be ARTIFACT_TYPE_REPORT or ARTIFACT_TYPE_CODE_BUNDLE")


def words(action_id: ActionId) -> str:
    return f"action {action_id.name!r} of run {action_id.run.name!r}"


async def _report(tx: Transaction, request: pb.CreateDownloadLinkRequest) -> str:
    if request.WhichOneof("source") != "action_attempt_id":
        raise InvalidArgument("a report belongs to an attempt: set action_attempt_id")
    action = await current.get(tx, wire_actions.action_id(request.action_attempt_id.action_id))
    number = request.action_attempt_id.attempt or action.attempts
    for attempt in await stored_actions.attempts(tx, action.id):
        if attempt.id.number == number:
            return f"{attempt.output_prefix}/report.html"
    raise NotFound(f"{words(action.id)} has not begun attempt {number}")


async def _code(tx: Transaction, request: pb.CreateDownloadLinkRequest) -> str:
    match request.WhichOneof("source"):
        case "action_attempt_id":
            action = await current.get(tx, wire_actions.action_id(request.action_attempt_id.action_id))
            spec = await stored_tasks.spec(tx, action.task.spec_digest) or b""
        case "task_id":
            spec = (await tasks.get(tx, wire_tasks.id_from_proto(request.task_id))).spec
        case _:
            raise InvalidArgument("code belongs to a task: set action_attempt_id or task_id")
    uri = code_bundle(spec)
    if uri is None:
        raise NotFound("the task has no code bundle: its code is in its image")
    return uri
