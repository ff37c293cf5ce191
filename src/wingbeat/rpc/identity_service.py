"""flyteidl2.auth.IdentityService: who the caller is, or that nobody asked."""

from typing import Any

from connectrpc.request import RequestContext
from flyteidl2.auth import identity_pb2 as pb
from flyteidl2.auth.identity_connect import IdentityService

from wingbeat.rpc.identity import Identify, nobody

ANONYMOUS = "anonymous"
"""The subject shown to a caller nobody vouches for. It is never stored."""


class Identity(IdentityService):
    def __init__(self, *, identify: Identify = nobody) -> None:
        self._identify = identify

    async def user_info(self, request: pb.UserInfoRequest, ctx: RequestContext[Any, Any]) -> pb.UserInfoResponse:
        subject = self._identify(ctx).subject or ANONYMOUS
        return pb.UserInfoResponse(subject=subject, name=subject, preferred_username=subject)
