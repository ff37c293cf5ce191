from collections.abc import AsyncGenerator

import pytest
from flyteidl2.auth import identity_pb2
from flyteidl2.cluster import payload_pb2 as cluster_pb2
from flyteidl2.common import identifier_pb2
from flyteidl2.imagebuilder import definition_pb2
from flyteidl2.imagebuilder import payload_pb2 as image_pb2

from tests.rpc.calling import Client, RpcError, serving
from wingbeat.rpc.cluster_service import Clusters
from wingbeat.rpc.identity_service import Identity
from wingbeat.rpc.image_service import Images
from wingbeat.rpc.service import broken_promises


@pytest.fixture
async def client() -> AsyncGenerator[Client]:
    async with serving([Clusters(), Identity(), Images()]) as client:
        yield client


@pytest.mark.parametrize("service", [Clusters, Identity, Images])
def test_service_keeps_its_promises(service: type) -> None:
    assert broken_promises(service) == []


OPERATIONS = [each.name for each in cluster_pb2.SelectClusterRequest.Operation.DESCRIPTOR.values if each.number]


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_every_operation_stays_at_this_server(client: Client, operation: str) -> None:
    request = cluster_pb2.SelectClusterRequest(org_id=identifier_pb2.OrgIdentifier(name="o"), operation=operation)
    answer = await client.call("cluster.ClusterService/SelectCluster", request, cluster_pb2.SelectClusterResponse)
    assert answer.cluster_endpoint == ""


async def test_caller_nobody_vouches_for_is_anonymous(client: Client) -> None:
    info = await client.call(
        "auth.IdentityService/UserInfo", identity_pb2.UserInfoRequest(), identity_pb2.UserInfoResponse
    )
    assert (info.subject, info.preferred_username) == ("anonymous", "anonymous")


def image_request(name: str) -> image_pb2.GetImageRequest:
    return image_pb2.GetImageRequest(id=definition_pb2.ImageIdentifier(name=name))


@pytest.mark.parametrize("name", ["flyte:py3.11-v2.12.1", "ghcr.io/flyteorg/flyte:py3.13-v2.0.0b1"])
async def test_release_image_needs_no_building(client: Client, name: str) -> None:
    answer = await client.call("imagebuilder.ImageService/GetImage", image_request(name), image_pb2.GetImageResponse)
    assert answer.image.fqin == f"ghcr.io/flyteorg/{name.removeprefix('ghcr.io/flyteorg/')}"


@pytest.mark.parametrize("name", ["flyte:0123abcd", "mine:py3.11-v1", "example.org/flyte:py3.11-v2.12.1"])
async def test_other_image_is_not_found_and_the_message_says_what_to_do(client: Client, name: str) -> None:
    with pytest.raises(RpcError, match=r"not available yet.*install the packages") as refused:
        await client.call("imagebuilder.ImageService/GetImage", image_request(name), image_pb2.GetImageResponse)
    assert refused.value.code == "not_found"
