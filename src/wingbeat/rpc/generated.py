"""What generated code says about a service. The one module that reads connectrpc's private names.

connectrpc 0.10 gives no other way to the table of endpoints; the pin `>=0.10,<0.11` and the tests hold it.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol, cast

from connectrpc.method import MethodInfo

GENERATED = ("flyteidl2.", "wingbeat._generated.")
"""Packages whose modules `*_connect` define services."""


class Endpoint(Protocol):
    """A method of a service and the function that answers it, whatever their shape."""

    @property
    def method(self) -> MethodInfo[Any, Any]: ...

    @property
    def function(self) -> Callable[..., Any]: ...


def protocol_of(service: type) -> type:
    """The generated class, such as flyteidl2's `TriggerService`, that a service class implements.

    Raises TypeError for a class that implements none.
    """
    for ancestor in service.__mro__:
        if ancestor.__module__.startswith(GENERATED) and ancestor.__module__.endswith("_connect"):
            return ancestor
    raise TypeError(f"{service.__name__} implements no service of flyteidl2 or of ours")


def endpoints_of(service: object) -> Mapping[str, Endpoint]:
    """Path to endpoint for every method of a service; of a class, with functions that are not bound."""
    protocol = protocol_of(service if isinstance(service, type) else type(service))
    application: Callable[[object], Any] = getattr(
        sys.modules[protocol.__module__], f"{protocol.__name__}ASGIApplication"
    )
    return application(service)._endpoints(service)


def answered_by(endpoint: Endpoint, function: Callable[..., Any]) -> Endpoint:
    return replace(cast("Any", endpoint), function=function)
