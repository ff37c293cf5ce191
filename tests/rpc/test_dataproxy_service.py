import hashlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from flyteidl2.common import identifier_pb2
from flyteidl2.core import literals_pb2, tasks_pb2
from flyteidl2.dataproxy import dataproxy_service_pb2 as pb
from flyteidl2.task import common_pb2, task_definition_pb2
from google.protobuf.duration_pb2 import Duration

from tests.conftest import T0, FakeClock
from tests.fake_executor import FakeExecutor
from tests.loops.node import OneNode, blobs_in
from tests.planting import spec as planted_spec
from tests.queued_runs import attempt_key, enqueue, task_spec
from tests.rpc.calling import Client, RpcError, serving
from tests.rpc.edge_services import messages
from wingbeat.blobs.store import Blobs
from wingbeat.core.project import Domains
from wingbeat.operations import projects
from wingbeat.rpc.dataproxy_service import DataProxy, DataProxyLimits
from wingbeat.rpc.log_tail import LogTail
from wingbeat.rpc.service import broken_promises
from wingbeat.store import upload_uses
from wingbeat.store.database import Database

SERVICE = "dataproxy.DataProxyService"
DOMAINS = Domains.of(["development"])
MD5 = hashlib.md5(b"code").digest()
PREFIX = "s3://wingbeat/p/development/r/a0/1"


@dataclass
class Place:
    client: Client
    database: Database
    blobs: Blobs
    executor: FakeExecutor

    async def upload(self, **fields: object) -> pb.CreateUploadLocationResponse:
        wanted = {"project": "p", "domain": "development", **fields}
        request = pb.CreateUploadLocationRequest(**wanted)  # pyright: ignore
        return await self.client.call(f"{SERVICE}/CreateUploadLocation", request, pb.CreateUploadLocationResponse)

    async def upload_inputs(self, **fields: object) -> pb.UploadInputsResponse:
        project = identifier_pb2.ProjectIdentifier(name="p", domain="development")
        request = pb.UploadInputsRequest(project_id=project, **fields)  # pyright: ignore
        return await self.client.call(f"{SERVICE}/UploadInputs", request, pb.UploadInputsResponse)

    async def data(self, name: str = "r") -> pb.GetActionDataResponse:
        request = pb.GetActionDataRequest(action_id=action_id(name))
        return await self.client.call(f"{SERVICE}/GetActionData", request, pb.GetActionDataResponse)

    async def link(self, kind: str, **fields: object) -> pb.CreateDownloadLinkResponse:
        request = pb.CreateDownloadLinkRequest(artifact_type=f"ARTIFACT_TYPE_{kind}", **fields)  # pyright: ignore
        return await self.client.call(f"{SERVICE}/CreateDownloadLink", request, pb.CreateDownloadLinkResponse)

    async def run_to_the_end(self) -> None:
        async with OneNode(self.database, self.executor, self.blobs) as node:
            await node.dispatcher.tick()
            await self.executor.write(attempt_key("r"), b"one\ntwo")
            await self.executor.exit(attempt_key("r"))
            await node.round()


@pytest.fixture
async def place(database: Database, tmp_path: Path, clock: FakeClock) -> AsyncGenerator[Place]:
    blobs, executor = blobs_in(tmp_path), FakeExecutor()
    await database.write(lambda tx: projects.seed(tx, ["p"]))
    logs = LogTail(database, blobs, executor, node="n1")
    proxy = DataProxy(database, blobs, logs, domains=DOMAINS, limits=DataProxyLimits(), clock=clock)
    async with serving([proxy]) as client:
        yield Place(client, database, blobs, executor)


def action_id(run: str = "r", name: str = "a0") -> identifier_pb2.ActionIdentifier:
    return identifier_pb2.ActionIdentifier(
        run=identifier_pb2.RunIdentifier(org="o", project="p", domain="development", name=run), name=name
    )


def attempt_id(run: str = "r", attempt: int = 1) -> identifier_pb2.ActionAttemptIdentifier:
    return identifier_pb2.ActionAttemptIdentifier(action_id=action_id(run), attempt=attempt)


def number(value: int) -> literals_pb2.Literal:
    return literals_pb2.Literal(scalar=literals_pb2.Scalar(primitive=literals_pb2.Primitive(integer=value)))


def inputs(context: dict[str, str] | None = None, **values: int) -> common_pb2.Inputs:
    return common_pb2.Inputs(
        literals=[common_pb2.NamedLiteral(name=name, value=number(value)) for name, value in values.items()],
        context=[literals_pb2.KeyValuePair(key=key, value=value) for key, value in (context or {}).items()],
    )


def spec_ignoring(*names: str) -> task_definition_pb2.TaskSpec:
    metadata = tasks_pb2.TaskMetadata(cache_ignore_input_vars=names)
    return task_definition_pb2.TaskSpec(task_template=tasks_pb2.TaskTemplate(metadata=metadata))


def test_keeps_its_promises() -> None:
    assert broken_promises(DataProxy) == []


class TestCreateUploadLocation:
    async def test_signs_a_place_for_these_bytes(self, place: Place) -> None:
        answer = await place.upload(filename="code.tgz", content_md5=MD5)
        assert answer.native_url == f"s3://wingbeat/uploads/p/development/{MD5.hex()}/code.tgz"
        assert answer.signed_url.startswith("http://wingbeat/blobs/uploads/p/development/"), "where the client called"
        assert answer.headers["Content-MD5"]
        assert answer.expires_at.ToDatetime() == (T0 + timedelta(hours=1)).replace(tzinfo=None)

    async def test_the_files_of_a_directory_share_its_root(self, place: Place) -> None:
        answer = await place.upload(filename="sub/a.txt", filename_root="dir-1", content_md5=MD5)
        assert answer.native_url == "s3://wingbeat/uploads/p/development/dir-1/sub/a.txt"

    async def test_a_file_without_a_name_gets_one(self, place: Place) -> None:
        one, two = [await place.upload(filename_root="dir-1", content_md5=MD5) for _ in range(2)]
        assert one.native_url != two.native_url

    async def test_what_exists_may_be_uploaded_again_but_not_changed(self, place: Place) -> None:
        wanted = {"filename": "a", "filename_root": "root"}
        await place.blobs.put("uploads/p/development/root/a", b"code")
        await place.upload(**wanted, content_md5=MD5)
        with pytest.raises(RpcError, match="already_exists"):
            await place.upload(**wanted, content_md5=bytes(16))

    @pytest.mark.parametrize(
        "fields",
        [
            pytest.param({"filename": "a"}, id="neither MD5 nor root"),
            pytest.param({"filename": "../../x", "content_md5": MD5}, id="a name that climbs"),
            pytest.param({"filename": "/x", "content_md5": MD5}, id="a name from the root"),
            pytest.param({"filename": "x", "filename_root": "../x"}, id="a root that climbs"),
            pytest.param({"filename": "x", "filename_root": "a//b"}, id="an empty part"),
            pytest.param({"filename": "x", "content_md5": b"short"}, id="a short MD5"),
            pytest.param({"content_md5": MD5, "content_length": 2**40}, id="too large"),
            pytest.param({"content_md5": MD5, "expires_in": Duration(seconds=3601)}, id="too long"),
            pytest.param({"content_md5": MD5, "expires_in": Duration()}, id="no time at all"),
            pytest.param({"content_md5": MD5, "expires_in": Duration(seconds=-5)}, id="over already"),
            pytest.param({"content_md5": MD5, "domain": "elsewhere"}, id="an unknown domain"),
        ],
    )
    async def test_refuses(self, place: Place, fields: dict[str, object]) -> None:
        with pytest.raises(RpcError, match="invalid_argument"):
            await place.upload(**fields)

    async def test_an_unknown_project_is_not_found(self, place: Place) -> None:
        with pytest.raises(RpcError, match="not_found"):
            await place.upload(content_md5=MD5, project="none")


class TestUploadInputs:
    async def test_keeps_all_inputs_at_an_address_of_their_own(self, place: Place) -> None:
        data = (await place.upload_inputs(task_spec=spec_ignoring(), inputs=inputs(x=1))).offloaded_input_data
        assert data.uri.startswith("s3://wingbeat/uploads/p/development/offloaded-inputs/")
        assert common_pb2.Inputs.FromString(await place.blobs.get(f"{data.uri}/inputs.pb")) == inputs(x=1)

    async def test_what_the_cache_ignores_is_kept_all_the_same(self, place: Place) -> None:
        one, two = [
            (await place.upload_inputs(task_spec=spec_ignoring("x"), inputs=inputs(x=x, y=1))).offloaded_input_data
            for x in (1, 2)
        ]
        assert one.inputs_hash == two.inputs_hash
        assert one.uri != two.uri
        assert common_pb2.Inputs.FromString(await place.blobs.get(f"{one.uri}/inputs.pb")) == inputs(x=1, y=1)

    @pytest.mark.parametrize("other", [inputs(x=2), inputs(y=1), inputs()])
    async def test_other_inputs_have_another_address_and_hash(self, place: Place, other: common_pb2.Inputs) -> None:
        one, two = [
            (await place.upload_inputs(task_spec=spec_ignoring(), inputs=each)).offloaded_input_data
            for each in (inputs(x=1), other)
        ]
        assert one.uri != two.uri
        assert one.inputs_hash != two.inputs_hash

    @pytest.mark.parametrize("other", [inputs(y=2, x=1), inputs({"k": "v"}, x=1, y=2)])
    async def test_neither_order_nor_context_matter_to_the_cache(self, place: Place, other: common_pb2.Inputs) -> None:
        one, two = [
            (await place.upload_inputs(task_spec=spec_ignoring(), inputs=each)).offloaded_input_data
            for each in (inputs(x=1, y=2), other)
        ]
        assert one.uri != two.uri
        assert one.inputs_hash == two.inputs_hash

    async def test_the_defaults_of_the_task_are_filled_in(self, place: Place) -> None:
        spec = planted_spec(defaults={"a": 7})
        one, two = [
            (await place.upload_inputs(task_spec=spec, inputs=each)).offloaded_input_data
            for each in (inputs(), inputs(a=7))
        ]
        assert one == two
        assert common_pb2.Inputs.FromString(await place.blobs.get(f"{one.uri}/inputs.pb")) == inputs(a=7)

    async def test_a_base_must_be_ours(self, place: Place) -> None:
        spec = spec_ignoring()
        mine = await place.upload_inputs(task_spec=spec, inputs=inputs(), base_dir="s3://wingbeat/runs/r1/")
        assert mine.offloaded_input_data.uri.startswith("s3://wingbeat/runs/r1/p/development/offloaded-inputs/")
        for base in ("s3://other/x", "s3://wingbeat/../x", "file:///etc"):
            with pytest.raises(RpcError, match="invalid_argument"):
                await place.upload_inputs(task_spec=spec, inputs=inputs(), base_dir=base)

    async def test_the_task_must_exist(self, place: Place) -> None:
        task = task_definition_pb2.TaskIdentifier(project="p", domain="development", name="e.f", version="v1")
        trigger = identifier_pb2.TriggerName(project="p", domain="development", name="t", task_name="e.f")
        for named in ({"task_id": task}, {"trigger_name": trigger}):
            with pytest.raises(RpcError, match="not_found"):
                await place.upload_inputs(**named, inputs=inputs())
        with pytest.raises(RpcError, match="invalid_argument"):
            await place.upload_inputs(inputs=inputs())


class TestGetActionData:
    async def test_inputs_are_there_before_anything_runs(self, place: Place) -> None:
        given = inputs(x=1).SerializeToString()
        await place.database.write(lambda tx: enqueue(tx, "r", inputs=given))
        answer = await place.data()
        assert answer.inputs == inputs(x=1)
        assert answer.inputs_uri == "s3://wingbeat/p/development/r/inputs/inputs.pb"
        assert not answer.HasField("outputs")
        assert answer.outputs_uri == ""

    async def test_outputs_are_there_after_success(self, place: Place) -> None:
        await place.database.write(lambda tx: enqueue(tx, "r", inputs=b""))
        outputs = common_pb2.Outputs(literals=[common_pb2.NamedLiteral(name="o0", value=number(4))])
        await place.blobs.put(f"{PREFIX}/outputs.pb", outputs.SerializeToString())
        await place.run_to_the_end()
        answer = await place.data()
        assert answer.outputs == outputs
        assert answer.outputs_uri == f"{PREFIX}/outputs.pb"

    async def test_data_too_large_for_an_answer_are_where_it_says(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(DataProxyLimits, "max_answer_bytes", 5)
        await place.database.write(lambda tx: enqueue(tx, "r", inputs=b""))
        await place.blobs.put(f"{PREFIX}/outputs.pb", b"123456")
        await place.run_to_the_end()
        with pytest.raises(RpcError, match=f"failed_precondition: {PREFIX}/outputs.pb has 6 bytes, more than the 5"):
            await place.data()

    async def test_files_that_are_something_else_are_named(self, place: Place) -> None:
        await place.database.write(lambda tx: enqueue(tx, "r", inputs=None))
        await place.blobs.put("s3://wingbeat/p/development/r/inputs/inputs.pb", b"\xff")
        with pytest.raises(RpcError, match=r"failed_precondition: the inputs of .* is no flyteidl2\.task\.Inputs"):
            await place.data()
        await place.blobs.put("s3://wingbeat/p/development/r/inputs/inputs.pb", b"")
        await place.blobs.put(f"{PREFIX}/outputs.pb", b"\xff")
        await place.run_to_the_end()
        with pytest.raises(RpcError, match=r"failed_precondition: the outputs of .* is no flyteidl2\.task\.Outputs"):
            await place.data()

    async def test_says_which_half_is_gone(self, place: Place) -> None:
        await place.database.write(lambda tx: enqueue(tx, "r", inputs=None))
        with pytest.raises(RpcError, match="not_found: the inputs"):
            await place.data()
        await place.blobs.put("s3://wingbeat/p/development/r/inputs/inputs.pb", inputs(x=1).SerializeToString())
        assert (await place.data()).inputs == inputs(x=1)
        await place.blobs.put(f"{PREFIX}/outputs.pb", b"")
        await place.run_to_the_end()
        await place.blobs.delete(f"{PREFIX}/outputs.pb")
        with pytest.raises(RpcError) as raised:
            await place.data()
        assert raised.value.code == "not_found"
        assert "inputs" not in str(raised.value)

    async def test_an_unknown_action_is_not_found(self, place: Place) -> None:
        with pytest.raises(RpcError, match="not_found"):
            await place.data("none")


class TestCreateDownloadLink:
    async def test_a_report(self, place: Place) -> None:
        await place.database.write(lambda tx: enqueue(tx, "r"))
        await place.run_to_the_end()
        with pytest.raises(RpcError, match="not_found"):
            await place.link("REPORT", action_attempt_id=attempt_id())
        await place.blobs.put(f"{PREFIX}/report.html", b"<p>")
        urls = (await place.link("REPORT", action_attempt_id=attempt_id())).pre_signed_urls
        assert len(urls.signed_url) == 1
        assert "/blobs/p/development/r/a0/1/report.html?" in urls.signed_url[0]
        with pytest.raises(RpcError, match="not_found"):
            await place.link("REPORT", action_attempt_id=attempt_id(attempt=2))

    async def test_the_code_of_an_action(self, place: Place) -> None:
        spec = task_spec(args=("a0", "--tgz", "s3://wingbeat/uploads/code.tgz"))
        await place.database.write(lambda tx: enqueue(tx, "r", spec=spec))
        with pytest.raises(RpcError, match="not_found"):
            await place.link("CODE_BUNDLE", action_attempt_id=attempt_id())
        await place.blobs.put("uploads/code.tgz", b"tar")
        urls = (await place.link("CODE_BUNDLE", action_attempt_id=attempt_id())).pre_signed_urls
        assert "/blobs/uploads/code.tgz?" in urls.signed_url[0]

    async def test_code_that_is_kept_elsewhere_is_named(self, place: Place) -> None:
        spec = task_definition_pb2.TaskSpec.FromString(task_spec())
        spec.task_template.container.args[-3] = "s3://other/code.tgz"
        await place.database.write(lambda tx: enqueue(tx, "r", spec=spec.SerializeToString()))
        with pytest.raises(RpcError, match=r"s3://other/code\.tgz"):
            await place.link("CODE_BUNDLE", action_attempt_id=attempt_id())

    @pytest.mark.parametrize(
        ("kind", "fields"),
        [
            pytest.param("UNSPECIFIED", {"action_attempt_id": attempt_id()}, id="no kind"),
            pytest.param("REPORT", {"task_id": task_definition_pb2.TaskIdentifier(
                project="p", domain="development", name="f", version="v")}, id="the report of a task"),
            pytest.param("REPORT", {"action_attempt_id": attempt_id(), "expires_in": Duration(seconds=-1)},
                         id="over already"),
        ],
    )  # fmt: skip
    async def test_refuses(self, place: Place, kind: str, fields: dict[str, object]) -> None:
        with pytest.raises(RpcError, match="invalid_argument"):
            await place.link(kind, **fields)


async def test_logs_are_a_stream_of_lines(place: Place) -> None:
    await place.database.write(lambda tx: enqueue(tx, "r"))
    await place.run_to_the_end()
    request = pb.TailLogsRequest(action_id=action_id(), attempt=1, primary_pod=True)
    body = request.SerializeToString()
    response: httpx.Response = await place.client.http.post(
        f"/flyteidl2.{SERVICE}/TailLogs",
        content=b"\0" + len(body).to_bytes(4, "big") + body,
        headers={"content-type": "application/connect+proto"},
    )
    content, answers = response.content, list[pb.TailLogsResponse]()
    while content[0] == 0:
        length = int.from_bytes(content[1:5], "big")
        answers.append(pb.TailLogsResponse.FromString(content[5 : 5 + length]))
        content = content[5 + length :]
    assert messages(content) == [{}], "the end of the stream"
    lines = [line for answer in answers for logs in answer.logs for line in logs.lines]
    assert [line.message for line in lines] == ["one\n", "two\n"]
    assert {line.originator for line in lines} == {1}


async def test_uploaded_inputs_keep_the_files_that_they_speak_of(place: Place) -> None:
    file = literals_pb2.Literal(
        scalar=literals_pb2.Scalar(blob=literals_pb2.Blob(uri="s3://wingbeat/uploads/p/development/01/poem.txt"))
    )
    inputs = common_pb2.Inputs(literals=[common_pb2.NamedLiteral(name="poem", value=file)])
    await place.upload_inputs(
        task_spec=task_definition_pb2.TaskSpec(task_template=tasks_pb2.TaskTemplate()), inputs=inputs
    )
    folders = ["p/development/01", "p/development/02"]
    used = await place.database.read(lambda tx: upload_uses.used(tx, folders, base_uri="s3://wingbeat"))
    assert used == {"p/development/01"}
