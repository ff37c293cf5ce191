"""What a mounted service promises: each of its methods is written, or listed in `NOT_YET` with what is missing,
such as `NOT_YET: ClassVar[Mapping[str, str]] = {"ListVersions": "versions are not kept apart yet"}`.
"""

from collections.abc import Mapping, Sequence
from typing import NoReturn

from wingbeat.errors import Unimplemented
from wingbeat.rpc.generated import Endpoint, answered_by, endpoints_of, protocol_of

NO_REASON = "nobody has written it yet"


def reasons(service: type) -> Mapping[str, str]:
    """Method, named as in the proto, to what is missing."""
    return getattr(service, "NOT_YET", {})


def unwritten(service: type) -> Sequence[str]:
    """The methods, named as in the proto, that the class inherits from the generated one."""
    protocol = protocol_of(service)
    return [
        endpoint.method.name
        for endpoint in endpoints_of(service).values()
        if endpoint.function is getattr(protocol, endpoint.function.__name__)
    ]


def broken_promises(service: type) -> Sequence[str]:
    """One sentence for each method that is silently missing and each entry of NOT_YET that is not true.

    For tests: a service in order has none.
    """
    known = [endpoint.method.name for endpoint in endpoints_of(service).values()]
    missing, listed, name = unwritten(service), reasons(service), service.__name__
    written = [method for method in known if method not in missing]
    return [
        *(f"{name}.{method} is neither written nor in NOT_YET" for method in missing if method not in listed),
        *(f"{name}.NOT_YET lists {method}, which is written" for method in listed if method in written),
        *(f"{name}.NOT_YET lists {method}, which no RPC is called" for method in listed if method not in known),
        *(f"{name}.NOT_YET gives no reason for {method}" for method, reason in listed.items() if not reason),
    ]


def promised(service: object) -> Mapping[str, Endpoint]:
    """Path to endpoint of a service; a method that is not written answers UNIMPLEMENTED and says what is missing."""
    missing = frozenset(unwritten(type(service)))
    return {
        path: _refusing(endpoint, type(service)) if endpoint.method.name in missing else endpoint
        for path, endpoint in endpoints_of(service).items()
    }


def _refusing(endpoint: Endpoint, service: type) -> Endpoint:
    method = endpoint.method.name
    reason = reasons(service).get(method, NO_REASON)
    text = f"{protocol_of(service).__name__}/{method} is not implemented: {reason}"

    def refuse(_request: object, _ctx: object) -> NoReturn:
        raise Unimplemented(text)

    return answered_by(endpoint, refuse)
