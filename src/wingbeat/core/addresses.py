"""Internet addresses: which of them lead to this machine, or to what serves machines and is no business of people."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

LOOPBACK_NAME = "localhost"
METADATA = frozenset(
    {
        IPv4Address("100.100.100.200"),
        IPv4Address("168.63.129.16"),
        IPv4Address("192.0.0.192"),
        IPv6Address("fd00:ec2::254"),
    }
)
"""Where clouds tell a machine its secrets, beside link-local addresses."""
_NAT64 = IPv6Network("64:ff9b::/96")
_IPV4_BITS = 2**32 - 1

Address = IPv4Address | IPv6Address


def is_loopback(host: str) -> bool:
    """Whether a host, as URLs and settings name it, is this machine."""
    address = parsed(host)
    return host.lower() == LOOPBACK_NAME if address is None else address.is_loopback


def parsed(host: str) -> Address | None:
    """None when it is a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def kind_inside(address: Address) -> str | None:
    """In a word why an address is not for everybody to send requests to; None for all others, private ones too."""
    address = _plain(address)
    if address.is_loopback or address.is_unspecified:
        return "loopback"
    if address.is_link_local:
        return "link-local"
    return "metadata" if address in METADATA else None


def _plain(address: Address) -> Address:
    """The IPv4 address to which an IPv6 one leads, if it does."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & _IPV4_BITS)
    return address.ipv4_mapped or address.sixtofour or address
