"""The client address of a request, in the form that limits count."""

from ipaddress import IPv6Address
from typing import Final

from bridge.http.answer import Scope

_NETWORK_BITS: Final = 64


def address_of(scope: Scope, hops: int) -> str:
    """Return the client address for which limits count a request.

    Without proxies (`hops` is 0) this is the address of the connection's peer. Else it is the client address that the
    outermost of the operator's `hops` proxies has put into the headers. An IPv6 address is replaced by its network,
    because one client has a whole network. An IPv4-mapped address counts as IPv4.
    """
    client = scope.get("client")
    address = client[0] if client else ""
    if hops:
        seen = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for").split(b",")
        if len(seen) >= hops and (told := seen[-hops].strip().decode("latin-1")):
            address = _without_port(told[:64])
    return counted(address)


def counted(address: str) -> str:
    """Return the address, or an IPv6 address's network, for which limits count it."""
    if ":" in address:
        try:
            read = IPv6Address(address.partition("%")[0])
        except ValueError:
            return address
        mapped = read.ipv4_mapped
        return str(int(read) >> (128 - _NETWORK_BITS)) if mapped is None else str(mapped)
    return address


def _without_port(told: str) -> str:
    """Remove the port that some proxies add, because it differs between connections of one client."""
    if told.startswith("["):
        return told[1:].partition("]")[0]
    return told.partition(":")[0] if told.count(":") == 1 else told
