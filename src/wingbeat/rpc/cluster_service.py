"""flyteidl2.cluster.ClusterService: there is one cluster, and whoever asks is talking to it."""

from typing import Any

from connectrpc.request import RequestContext
from flyteidl2.cluster import payload_pb2 as pb
from flyteidl2.cluster.service_connect import ClusterService


class Clusters(ClusterService):
    async def select_cluster(
        self, request: pb.SelectClusterRequest, ctx: RequestContext[Any, Any]
    ) -> pb.SelectClusterResponse:
        """For every operation: an empty endpoint means the one that was asked."""
        return pb.SelectClusterResponse(cluster_endpoint="")
