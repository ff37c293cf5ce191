"""Where the server is reached: by its own tasks, by clients, and by nobody else unless it was said so."""

import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from wingbeat.config.settings import Server
from wingbeat.core.addresses import is_loopback, parsed
from wingbeat.errors import StartError


@dataclass(frozen=True, slots=True)
class Address:
    local_url: str
    """For tasks on this machine."""
    public_url: str
    """For clients; signed URLs begin with it."""
    hosts: tuple[str, ...]
    """The names that clients may call the server by."""


def check_exposure(server: Server) -> None:
    """Raise StartError when other machines could reach a server that asks nobody who they are."""
    if server.allow_unauthenticated or server.bearer.required or is_loopback(server.host):
        return
    raise StartError(
        f"refusing to listen on {server.host} without authentication: anybody who reaches it may run code on it;"
        " demand tokens with server.bearer, put a proxy that authenticates before it, or accept that with"
        " --allow-unauthenticated"
    )


def address_of(server: Server, listening: socket.socket) -> Address:
    """`listening` tells the port that was taken, when any was asked for."""
    port: int = listening.getsockname()[1]
    host = _reachable(server.host)
    local_url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    public_url = (server.public_url or local_url).rstrip("/")
    name = urlsplit(public_url).hostname
    return Address(local_url, public_url, hosts=(*server.hosts, *([name] if name else []), host))


def _reachable(host: str) -> str:
    """The address to call, where `host` is one that stands for all of them."""
    address = parsed(host)
    if address is None or not address.is_unspecified:
        return host
    return "127.0.0.1" if address.version == 4 else "::1"
