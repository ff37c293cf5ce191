"""AWS Signature Version 4, the receiving end: who signed a request, and what they said of its body."""

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from wingbeat.http.asgi import Request
from wingbeat.http.s3_xml import S3Error

ALGORITHM = "AWS4-HMAC-SHA256"
MAX_SKEW = timedelta(minutes=15)
MAX_PRESIGNED_SECONDS = 7 * 24 * 3600
UNSIGNED = "UNSIGNED-PAYLOAD"

_HEADER = re.compile(rf"{ALGORITHM}\s+Credential=([^,\s]+),\s*SignedHeaders=([^,\s]+),\s*Signature=([0-9a-f]{{64}})")
_SCOPE = re.compile(r"(?P<key>.+)/(?P<date>\d{8})/(?P<region>[^/]+)/s3/aws4_request")


@dataclass(frozen=True, slots=True)
class Credentials:
    """The one access key of the embedded endpoint."""

    access_key_id: str
    secret_access_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Claim:
    """A signature as it came, in the header or in the query."""

    credential: str
    signed_headers: tuple[str, ...]
    signature: str
    timestamp: str
    """As signed: 20260131T235959Z."""
    expires: int | None
    """Seconds after the timestamp, for presigned URLs."""


@dataclass(frozen=True, slots=True)
class Authorized:
    """A request whose signature is right. `sign` goes on from it for bodies that are signed in chunks."""

    payload: str
    """The signed x-amz-content-sha256: a digest in hex, UNSIGNED-PAYLOAD or a name that begins with STREAMING-."""
    signature: str
    timestamp: str
    scope: str
    key: bytes = field(repr=False)

    def sign(self, kind: str, *lines: str) -> str:
        text = "\n".join([kind, self.timestamp, self.scope, *lines])
        return hmac.new(self.key, text.encode(), hashlib.sha256).hexdigest()


def authorize(request: Request, credentials: Credentials, *, now: datetime) -> Authorized:
    """Raise S3Error unless `request` was signed with `credentials`, and lately."""
    claim = _claim(request)
    scope = _SCOPE.fullmatch(claim.credential)
    if scope is None or claim.timestamp[:8] != scope["date"]:
        raise S3Error("AuthorizationHeaderMalformed", "the credential must be <key>/<date>/<region>/s3/aws4_request")
    if not hmac.compare_digest(scope["key"].encode("latin-1", "replace"), credentials.access_key_id.encode()):
        raise S3Error("InvalidAccessKeyId", "this access key id is not known here")
    _check_time(claim, now)
    _check_signed_headers(claim, request.headers)
    payload = _payload(request, claim)
    authorized = Authorized(
        payload,
        claim.signature,
        claim.timestamp,
        claim.credential.partition("/")[2],
        _signing_key(credentials.secret_access_key, scope["date"], scope["region"]),
    )
    canonical = _canonical_request(request, claim.signed_headers, payload)
    expected = authorized.sign(ALGORITHM, hashlib.sha256(canonical).hexdigest())
    if not hmac.compare_digest(expected.encode(), claim.signature.encode()):
        raise S3Error("SignatureDoesNotMatch", "the signature is not what this request and the secret key give")
    return authorized


def _claim(request: Request) -> Claim:
    parameters = request.parameters
    if "X-Amz-Signature" in parameters:
        return _query_claim(parameters)
    header = request.headers.get("authorization")
    if header is None:
        raise S3Error("AccessDenied", "the request is not signed")
    match = _HEADER.fullmatch(header.strip())
    if match is None:
        raise S3Error("AuthorizationHeaderMalformed", f"expected {ALGORITHM} Credential=, SignedHeaders=, Signature=")
    credential, signed, signature = match.groups()
    timestamp = request.headers.get("x-amz-date", "")
    return Claim(credential, tuple(signed.split(";")), signature, timestamp, None)


def _query_claim(parameters: Mapping[str, str]) -> Claim:
    try:
        expires = int(parameters["X-Amz-Expires"])
        if parameters["X-Amz-Algorithm"] != ALGORITHM or not 1 <= expires <= MAX_PRESIGNED_SECONDS:
            raise ValueError
        return Claim(
            parameters["X-Amz-Credential"],
            tuple(parameters["X-Amz-SignedHeaders"].split(";")),
            parameters["X-Amz-Signature"],
            parameters["X-Amz-Date"],
            expires,
        )
    except (KeyError, ValueError) as error:
        raise S3Error(
            "AuthorizationQueryParametersError",
            f"expected X-Amz-Algorithm={ALGORITHM}, -Credential, -Date, -SignedHeaders, -Signature "
            f"and -Expires from 1 to {MAX_PRESIGNED_SECONDS}",
        ) from error


def _check_time(claim: Claim, now: datetime) -> None:
    try:
        signed_at = datetime.strptime(claim.timestamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise S3Error("AccessDenied", "x-amz-date must be a time like 20260131T235959Z") from error
    if claim.expires is not None and now >= signed_at + timedelta(seconds=claim.expires):
        raise S3Error("AccessDenied", "Request has expired")
    too_old = claim.expires is None and now - signed_at > MAX_SKEW
    if too_old or signed_at - now > MAX_SKEW:
        raise S3Error("RequestTimeTooSkewed", f"the clocks differ by more than {MAX_SKEW.seconds // 60} minutes")


def _check_signed_headers(claim: Claim, headers: Mapping[str, str]) -> None:
    meaningful = {name for name in headers if name.startswith("x-amz-")} | {"host"}
    if claim.expires is not None:
        meaningful.discard("x-amz-content-sha256")  # clients send it along without having signed it
    unsigned = meaningful - set(claim.signed_headers)
    if unsigned:
        raise S3Error("AccessDenied", f"headers that were not signed: {', '.join(sorted(unsigned))}")


def _payload(request: Request, claim: Claim) -> str:
    if claim.expires is not None and "x-amz-content-sha256" not in claim.signed_headers:
        return UNSIGNED
    payload = request.headers.get("x-amz-content-sha256")
    if payload is None:
        raise S3Error("InvalidRequest", "x-amz-content-sha256 is missing")
    return payload


def _signing_key(secret: str, date: str, region: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (date, region, "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def _canonical_request(request: Request, signed_headers: Iterable[str], payload: str) -> bytes:
    names = sorted(signed_headers)
    headers = [f"{name}:{' '.join(request.headers.get(name, '').split())}\n" for name in names]
    query = sorted(
        (quote(name, safe="-_.~"), quote(value, safe="-_.~"))
        for name, value in request.query
        if name != "X-Amz-Signature"
    )
    lines = [
        request.method,
        quote(request.path, safe="/-_.~"),
        "&".join(f"{name}={value}" for name, value in query),
        "".join(headers),
        ";".join(names),
        payload,
    ]
    return "\n".join(lines).encode("latin-1", "replace")
