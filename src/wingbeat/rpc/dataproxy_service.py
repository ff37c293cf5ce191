"""flyteidl2.dataproxy.DataProxyService: what goes in and out of runs as bytes, and their logs.

Every path is made here of checked parts, below this server's own blob store: no caller names a key.
"""

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from connectrpc.request import RequestContext
from flyteidl2.common import run_pb2
from flyteidl2.dataproxy import dataproxy_service_pb2 as pb
from flyteidl2.dataproxy.dataproxy_service_connect import DataProxyService
from flyteidl2.logs.dataplane import payload_pb2
from flyteidl2.task import common_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError, Message

from wingbeat.blobs import keys
from wingbeat.blobs.store import Blobs
from wingbeat.clock import Clock, system_clock
from wingbeat.core.action import Action, ActionType
from wingbeat.core.condition import Signal
from wingbeat.core.ids import ROOT_ACTION, Scope, TaskId
from wingbeat.core.launch import inputs_object, outputs_object
from wingbeat.core.project import Domains
from wingbeat.core.run import Run
from wingbeat.core.uploads import OFFLOADED_INPUTS, UPLOADS, spoken_of
from wingbeat.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from wingbeat.operations import current, projects, tasks, triggers
from wingbeat.rpc import downloads
from wingbeat.rpc.log_tail import Batch, LogTail
from wingbeat.rpc.streams import closing
from wingbeat.store import runs, signals, upload_uses
from wingbeat.store.database import Database, Transaction
from wingbeat.wire import actions as wire_actions
from wingbeat.wire import caching, times, uploads, values
from wingbeat.wire import inputs as wire_inputs
from wingbeat.wire import runs as wire_runs
from wingbeat.wire import tasks as wire_tasks
from wingbeat.wire import triggers as wire_triggers

Context = RequestContext[Any, Any]

RANDOM_NAME_BYTES = 16
_NANOSECONDS_PER_MICROSECOND = 1000


@dataclass(frozen=True, slots=True)
class DataProxyLimits:
    max_upload_bytes: int = 100 * 1024 * 1024
    max_answer_bytes: int = 32 * 1024 * 1024
    """Of inputs, and of outputs, that an answer holds."""
    max_expiry: timedelta = timedelta(hours=1)
    """The longest life of a signed URL, and the life of one that asks for none."""


class DataProxy(DataProxyService):
    def __init__(
        self,
        database: Database,
        blobs: Blobs,
        logs: LogTail,
        *,
        domains: Domains,
        limits: DataProxyLimits,
        public_url: str | None = None,
        clock: Clock = system_clock,
    ) -> None:
        """`public_url` is where clients reach this server; None: by the address that each of them calls."""
        self._database = database
        self._blobs = blobs
        self._logs = logs
        self._domains = domains
        self._limits = limits
        self._public_url = public_url
        self._clock = clock

    async def create_upload_location(
        self, request: pb.CreateUploadLocationRequest, ctx: Context
    ) -> pb.CreateUploadLocationResponse:
        expiry = self._expiry(request.expires_in if request.HasField("expires_in") else None)
        key = self._upload_key(request)
        await self._require_project(Scope(request.project, request.domain))
        if request.filename and request.filename_root:
            await self._require_free(key, request.content_md5)
        expires_at = self._clock() + expiry
        upload = await self._blobs.sign_put(
            key, expiry, content_md5=request.content_md5 or None, public_url=self._url_of(ctx)
        )
        return pb.CreateUploadLocationResponse(
            signed_url=upload.url,
            native_url=self._blobs.uri(key),
            expires_at=times.to_proto(expires_at),
            headers=upload.headers,
        )

    async def upload_inputs(self, request: pb.UploadInputsRequest, ctx: Context) -> pb.UploadInputsResponse:
        scope = _scope(request)
        await self._require_project(scope)
        task = wire_runs.task_traits(await self._spec(request))
        given = wire_inputs.completed(request.inputs, task.defaults)
        base = self._blobs.key(request.base_dir.rstrip("/")) if request.base_dir else UPLOADS
        directory = keys.joined(base, scope.project, scope.domain, OFFLOADED_INPUTS, uploads.content_key(given))
        content = given.SerializeToString(deterministic=True)
        await self._blobs.put(inputs_object(directory), content)
        files = spoken_of(content)
        if files:
            holder = upload_uses.of_upload(directory)
            await self._database.write(lambda tx: upload_uses.note(tx, holder, files))
        return pb.UploadInputsResponse(
            offloaded_input_data=run_pb2.OffloadedInputData(
                uri=self._blobs.uri(directory), inputs_hash=caching.inputs_hash(given, task.ignored)
            )
        )

    async def get_action_data(self, request: pb.GetActionDataRequest, ctx: Context) -> pb.GetActionDataResponse:
        """Inputs and outputs that are not there yet are empty; NotFound says which of them are gone.

        A condition has no inputs, and its output is the value that it was given.
        """
        action_id = wire_actions.action_id(request.action_id)

        async def body(tx: Transaction) -> tuple[Action, Run | None, Signal | None]:
            return (
                await current.get(tx, action_id),
                await runs.find(tx, action_id.run),
                await signals.find(tx, action_id),
            )

        action, run, signal = await self._database.read(body)
        if action.type is ActionType.CONDITION:
            return pb.GetActionDataResponse(outputs=values.outputs(signal.value) if signal else None)
        response = pb.GetActionDataResponse(inputs_uri=inputs_object(action.input_uri))
        response.inputs.CopyFrom(await self._inputs(action, run))
        if action.output_uri:
            response.outputs_uri = outputs_object(action.output_uri)
            await self._read(response.outputs, response.outputs_uri, f"the outputs of {downloads.words(action_id)}")
        return response

    async def create_download_link(
        self, request: pb.CreateDownloadLinkRequest, ctx: Context
    ) -> pb.CreateDownloadLinkResponse:
        expiry = self._expiry(request.expires_in if request.HasField("expires_in") else None)
        uri = await self._database.read(lambda tx: downloads.locate(tx, request))
        if not self._blobs.owns(uri):
            raise FailedPrecondition(f"this is not in the server's own blob store: read it at {uri}")
        if not await self._blobs.exists(uri):
            raise NotFound(f"there is nothing at {uri}")
        expires_at = self._clock() + expiry
        url = await self._blobs.sign_get(uri, expiry, public_url=self._url_of(ctx))
        return pb.CreateDownloadLinkResponse(
            pre_signed_urls=pb.PreSignedURLs(signed_url=[url], expires_at=times.to_proto(expires_at))
        )

    async def tail_logs(self, request: pb.TailLogsRequest, ctx: Context) -> AsyncIterator[pb.TailLogsResponse]:
        """An attempt is one process here: whichever pod is asked for, it is the one."""
        async with closing(self._logs.follow(wire_actions.action_id(request.action_id), request.attempt)) as batches:
            async for batch in batches:
                yield _logs(batch)

    def _upload_key(self, request: pb.CreateUploadLocationRequest) -> str:
        if not request.filename_root and not request.content_md5:
            raise InvalidArgument("set content_md5, or filename_root for the files of a directory")
        if request.content_length > self._limits.max_upload_bytes:
            raise InvalidArgument(
                f"content_length {request.content_length} is more than the {self._limits.max_upload_bytes} bytes that"
                " an upload may have"
            )
        root = request.filename_root or request.content_md5.hex()
        name = request.filename or secrets.token_hex(RANDOM_NAME_BYTES)
        return keys.joined(UPLOADS, request.project, request.domain, root, name)

    async def _require_project(self, scope: Scope) -> None:
        await self._database.read(
            lambda tx: projects.require_active(tx, scope.project, scope.domain, domains=self._domains)
        )

    async def _require_free(self, key: str, content_md5: bytes) -> None:
        """What is there may be written again, not changed: others may have read it."""
        if await self._blobs.exists(key) and (not content_md5 or await self._blobs.md5(key) != content_md5):
            raise AlreadyExists(f"{self._blobs.uri(key)} exists with another content")

    async def _spec(self, request: pb.UploadInputsRequest) -> bytes:
        match request.WhichOneof("task"):
            case "task_spec":
                return request.task_spec.SerializeToString(deterministic=True)
            case "task_id":
                task_id = wire_tasks.id_from_proto(request.task_id)
                return (await self._database.read(lambda tx: tasks.get(tx, task_id))).spec
            case "trigger_name":
                return await self._database.read(lambda tx: _spec_of_trigger(tx, request))
            case _:
                raise InvalidArgument("set task_id, task_spec or trigger_name: nothing says whose inputs these are")

    async def _inputs(self, action: Action, run: Run | None) -> common_pb2.Inputs:
        """Those of a run that came inline are in its row, whether they were written to their place yet or not."""
        if run is not None and run.inputs is not None and action.id.name == ROOT_ACTION:
            return common_pb2.Inputs.FromString(run.inputs)
        inputs = common_pb2.Inputs()
        await self._read(inputs, inputs_object(action.input_uri), f"the inputs of {downloads.words(action.id)}")
        return inputs

    async def _read(self, into: Message, uri: str, name: str) -> None:
        """Tasks write these files, and may write anything."""
        try:
            into.ParseFromString(await self._blobs.get(uri, at_most=self._limits.max_answer_bytes))
        except NotFound:
            raise NotFound(f"{name} are no longer in storage") from None
        except DecodeError as error:
            raise FailedPrecondition(f"{name} cannot be read: {uri} is no {into.DESCRIPTOR.full_name}") from error

    def _expiry(self, asked: Duration | None) -> timedelta:
        if asked is None:
            return self._limits.max_expiry
        expiry = asked.ToNanoseconds()
        longest = self._limits.max_expiry // timedelta(microseconds=1) * _NANOSECONDS_PER_MICROSECOND
        if not 0 < expiry <= longest:
            raise InvalidArgument(
                f"expires_in must be more than 0 s and at most {self._limits.max_expiry.total_seconds():.0f} s"
            )
        return asked.ToTimedelta()

    def _url_of(self, ctx: Context) -> str | None:
        """Where this client reaches the server: what it was told, or the address that it has called."""
        headers = ctx.request_headers()
        host = headers.get("host", "")
        if self._public_url is not None or not host:
            return self._public_url
        forwarded = headers.get("x-forwarded-proto", "").partition(",")[0].strip()
        return f"{'https' if forwarded == 'https' else 'http'}://{host}"


def _scope(request: pb.UploadInputsRequest) -> Scope:
    match request.WhichOneof("id"):
        case "run_id":
            return Scope(request.run_id.project, request.run_id.domain)
        case "project_id":
            return Scope(request.project_id.name, request.project_id.domain)
        case _:
            raise InvalidArgument("set run_id or project_id: nothing says where the inputs belong")


async def _spec_of_trigger(tx: Transaction, request: pb.UploadInputsRequest) -> bytes:
    name = wire_triggers.name_from_proto(request.trigger_name)
    trigger = await triggers.get(tx, name)
    return (await tasks.get(tx, TaskId(name.project, name.domain, name.task, trigger.task_version))).spec


def _logs(batch: Batch) -> pb.TailLogsResponse:
    lines = [
        payload_pb2.LogLine(
            message=line.message, timestamp=times.maybe_to_proto(line.at), originator=payload_pb2.LogLineOriginator.USER
        )
        for line in batch
    ]
    return pb.TailLogsResponse(logs=[pb.TailLogsResponse.Logs(lines=lines)] if lines else [])
