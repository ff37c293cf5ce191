"""flyteidl2.imagebuilder.ImageService: the images that need no building. The SDK builds what is not found here."""

import re
from typing import Any

from connectrpc.request import RequestContext
from flyteidl2.imagebuilder import definition_pb2
from flyteidl2.imagebuilder import payload_pb2 as pb
from flyteidl2.imagebuilder.service_connect import ImageService

from wingbeat.errors import NotFound

_REGISTRY = "ghcr.io/flyteorg/"
_RELEASE = re.compile(rf"({re.escape(_REGISTRY)})?(?P<image>flyte:py\d+\.\d+-v[\w.-]+)")
"""The SDK asks for the name without its registry."""


class Images(ImageService):
    async def get_image(self, request: pb.GetImageRequest, ctx: RequestContext[Any, Any]) -> pb.GetImageResponse:
        release = _RELEASE.fullmatch(request.id.name)
        if not release:
            raise NotFound(
                f"image {request.id.name!r} does not exist, and building images is not available yet: use a plain"
                " TaskEnvironment, without an image of its own, and install the packages that its tasks need into the"
                " server's Python environment"
            )
        return pb.GetImageResponse(
            image=definition_pb2.Image(id=request.id, fqin=_REGISTRY + release["image"]),
        )
