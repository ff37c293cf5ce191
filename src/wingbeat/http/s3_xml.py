"""The XML of the S3 protocol: answers and errors out, the two request bodies in."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from html import escape
from xml.parsers import expat

from wingbeat.http.asgi import Response

_ILLEGAL = re.compile(r"[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot say, not even escaped."""
NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
STATUS = {
    "AccessDenied": 403,
    "AuthorizationHeaderMalformed": 400,
    "AuthorizationQueryParametersError": 400,
    "BadDigest": 400,
    "EntityTooLarge": 400,
    "IncompleteBody": 400,
    "InternalError": 500,
    "InvalidAccessKeyId": 403,
    "InvalidArgument": 400,
    "InvalidDigest": 400,
    "InvalidPart": 400,
    "InvalidRange": 416,
    "InvalidRequest": 400,
    "MalformedXML": 400,
    "MethodNotAllowed": 405,
    "NoSuchBucket": 404,
    "NoSuchKey": 404,
    "NoSuchUpload": 404,
    "NotImplemented": 501,
    "OperationAborted": 409,
    "PreconditionFailed": 412,
    "RequestTimeTooSkewed": 403,
    "SignatureDoesNotMatch": 403,
    "SlowDown": 503,
    "XAmzContentSHA256Mismatch": 400,
}
Node = tuple[str, "str | int | bool | Iterable[Node]"]
"""A tag and what is in it."""


class S3Error(Exception):
    """A refusal in S3's own words; `code` is a key of STATUS."""

    def __init__(self, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.headers = headers or {}

    def response(self, path: str) -> Response:
        body = document("Error", [("Code", self.code), ("Message", str(self)), ("Resource", path)], namespace="")
        return Response(STATUS[self.code], {"content-type": "application/xml", **self.headers}, body)


@dataclass(slots=True)
class Element:
    """A parsed tag; namespaces are left out."""

    tag: str
    text: str = ""
    children: list["Element"] = field(default_factory=list["Element"])

    def all(self, tag: str) -> list["Element"]:
        return [child for child in self.children if child.tag == tag]

    def value(self, tag: str) -> str:
        """The text of the first child `tag`; raise S3Error if there is none."""
        for child in self.all(tag):
            return child.text.strip()
        raise S3Error("MalformedXML", f"<{self.tag}> needs a <{tag}>")


def document(tag: str, nodes: Iterable[Node], *, namespace: str = NAMESPACE) -> bytes:
    attribute = f' xmlns="{namespace}"' if namespace else ""
    inside = "".join(_rendered(node) for node in nodes)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{tag}{attribute}>{inside}</{tag}>'.encode()


def xml_response(tag: str, nodes: Iterable[Node]) -> Response:
    return Response(200, {"content-type": "application/xml"}, document(tag, nodes))


def parsed_xml(data: bytes, root: str) -> Element:
    """The element of a body whose root must be `root`; raise S3Error for anything else, and for any DTD."""
    top = Element("")
    open_elements = [top]

    def start(name: str, _: Mapping[str, str]) -> None:
        element = Element(name.rpartition(" ")[2])
        open_elements[-1].children.append(element)
        open_elements.append(element)

    def end(_: str) -> None:
        open_elements.pop()

    def text(data: str) -> None:
        open_elements[-1].text += data

    def refuse(*_: object) -> None:
        raise S3Error("MalformedXML", "document types are not accepted")

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise S3Error("MalformedXML", "the body is not well-formed XML") from error
    if top.children[0].tag != root:
        raise S3Error("MalformedXML", f"the body must be a <{root}>")
    return top.children[0]


def _rendered(node: Node) -> str:
    tag, content = node
    match content:
        case bool():
            inside = "true" if content else "false"
        case str() | int():
            inside = escape(_ILLEGAL.sub("\ufffd", str(content)), quote=False)
        case _:
            inside = "".join(_rendered(child) for child in content)
    return f"<{tag}>{inside}</{tag}>"
