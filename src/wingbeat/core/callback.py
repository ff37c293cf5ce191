"""The addresses by which conditions are signalled from outside: whoever has one may signal that condition, no other."""

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlencode

from wingbeat.core.ids import ActionId, RunId
from wingbeat.errors import PermissionDenied

SEGMENT = "callbacks"
"""The first of the path."""
_PARTS = 4
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Callback:
    condition: ActionId
    since: datetime
    """When the condition began to wait: another one with its name is not meant."""


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Makes addresses, and knows its own again."""

    public_url: str
    secret: bytes = field(repr=False)
    """The same for all servers of one database."""

    def uri(self, callback: Callback) -> str:
        path = "/".join(quote(part, safe="") for part in _parts(callback.condition))
        query = {"since": str(_micros(callback.since)), "signature": self._signature(callback)}
        return f"{self.public_url}/{SEGMENT}/{path}?{urlencode(query)}"

    def verified(self, path: str, *, since: str, signature: str) -> Callback:
        """What the address with the decoded `path` is for. Raises PermissionDenied for one that is not from here."""
        parts = path.removeprefix(f"/{SEGMENT}/").split("/")
        if len(parts) == _PARTS and since.isascii() and since.isdigit() and len(since) <= len(str(2**63)):
            project, domain, run, action = parts
            try:
                moment = _EPOCH + int(since) * _MICROSECOND
            except OverflowError:
                moment = _EPOCH
            callback = Callback(ActionId(RunId(project, domain, run), action), moment)
            if hmac.compare_digest(self._signature(callback).encode(), signature.encode(errors="replace")):
                return callback
        raise PermissionDenied("the address of this callback was not made here, or is not whole")

    def _signature(self, callback: Callback) -> str:
        digest = hmac.new(self.secret, digestmod=hashlib.sha256)
        for part in (*_parts(callback.condition), str(_micros(callback.since))):
            data = part.encode()
            digest.update(len(data).to_bytes(4, "big") + data)
        return digest.hexdigest()


def _parts(condition: ActionId) -> tuple[str, str, str, str]:
    run = condition.run
    return run.project, run.domain, run.name, condition.name


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND
