"""Addresses of Kafka and Postgres (hosts, user, password and TLS), parsed without asking any server."""

import ipaddress
import re
import socket
from contextlib import suppress
from typing import Final, NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
# A host (a name, an IPv4 address, or an IPv6 address in brackets), then an optional port.
_HOST_PORT = re.compile(r"(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.%\w]+\])(?::(?P<port>\d{1,5}))?")
_HIGHEST_PORT = 65535
_LOCAL_NAME = re.compile(r"(.+\.)?localhost(\.localdomain)?|ip6-(localhost|loopback)")


class DatabaseAddress(NamedTuple):
    """The parts of a Postgres URL.

    A URL without a host, or with a path as the host, means a Unix socket on this machine.
    """

    hosts: tuple[str, ...]
    user: str
    password: str
    database: str
    sslmode: str


class Place(NamedTuple):
    """The address of one server. If the port is None, the driver uses its default."""

    host: str
    port: int | None

    def __str__(self) -> str:
        return f"{self.host}:{self.port or 'default port'}"


def database_options(url: str) -> dict[str, str]:
    """Return the query parameters of a Postgres URL by name.

    Raises ValueError with a message that never contains the URL, because the URL may contain a password.
    """
    query = _split(url).query
    try:
        return dict(parse_qsl(query, strict_parsing=True)) if query else {}
    except ValueError:
        raise ValueError("the part after ? must be name=value, joined by &") from None


def names_hosts_twice(url: str) -> bool:
    """Return whether a Postgres URL names hosts both before its path and in its parameter `host`.

    The product's driver uses the hosts before the path, libpq uses those of the parameter.
    """
    return bool(_split(url).netloc.rpartition("@")[2]) and bool(database_options(url).get("host"))


def database_places(url: str) -> tuple[Place, ...]:
    """Return the servers that a Postgres URL names, in the URL's order.

    Raises ValueError with a message that never contains the URL, because the URL may contain a password.
    """
    options = database_options(url)
    named = _split(url).netloc.rpartition("@")[2] or options.get("host", "")
    hosts = [unquote(one) for one in named.split(",") if one]
    ports = options.get("port", "").split(",")
    if len(ports) != len(hosts):
        ports = ports[:1] * len(hosts)
    return tuple(_place(host, port) for host, port in zip(hosts, ports, strict=True))


def _place(host: str, port: str) -> Place:
    match = None if host.startswith("/") else _HOST_PORT.fullmatch(host)
    own = match["port"] if match is not None else None
    chosen = own or port
    if chosen and not chosen.isdecimal():
        raise ValueError("a port must be a number")
    return Place(_host(host), int(chosen) if chosen else None)


def database_address(url: str) -> DatabaseAddress:
    """Return the parts of a Postgres URL as the driver reads them.

    Raises ValueError with a message that never contains the URL, because the URL may contain a password.
    """
    parts = _split(url)
    if parts.scheme not in ("postgresql", "postgres"):
        raise ValueError("must begin with postgresql:// or postgresql+asyncpg://")
    options = database_options(url)
    sslmode = options.get("sslmode", "prefer")
    if sslmode not in SSL_MODES:
        raise ValueError(f"sslmode must be one of {', '.join(SSL_MODES)}")
    account, at, places = parts.netloc.partition("@")
    if not at:
        account, places = "", parts.netloc
    user, _, password = account.partition(":")
    return DatabaseAddress(
        hosts=tuple(_host(unquote(one)) for one in (places or options.get("host", "")).split(",") if one),
        user=unquote(user) or options.get("user", ""),
        password=unquote(password) or options.get("password", ""),
        database=unquote(parts.path.removeprefix("/")) or options.get("dbname", options.get("database", "")),
        sslmode=sslmode,
    )


def broker_hosts(servers: str) -> tuple[str, ...]:
    """Return the hosts of Kafka's bootstrap servers; raises ValueError."""
    try:
        return tuple(_host(one) for one in servers.split(","))
    except ValueError:
        raise ValueError("must be host:port, or several of them separated by commas") from None


def web_host(url: str) -> str:
    """Return the host of an http or https URL.

    Raises ValueError with a message that never contains the URL, because the URL may contain a secret.
    """
    parts = _split(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError("must be a URL that begins with https:// or http://")
    return _host(parts.netloc.rpartition("@")[2])


def is_local(host: str) -> bool:
    """Return whether the host means this machine: loopback, the unspecified address, a Unix socket, or no host."""
    if not host or host.startswith(("/", "@")):
        return True
    name = host.lower().removesuffix(".")
    if _LOCAL_NAME.fullmatch(name):
        return True
    address = _address(name)
    if address is None:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback or mapped.is_unspecified)


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        # The message of urlsplit may quote the part with the password.
        raise ValueError("is not a URL") from None


def _host(place: str) -> str:
    if place.startswith("/"):
        return place
    match = _HOST_PORT.fullmatch(place)
    if match is None or not 0 < int(match["port"] or 1) <= _HIGHEST_PORT:
        raise ValueError(
            "host or port can't be read; write a special character in a user name or password as % and its code"
        )
    return match["host"].strip("[]")


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    with suppress(ValueError):
        return ipaddress.ip_address(name.partition("%")[0])
    with suppress(OSError, ValueError):
        # The resolver also accepts short and numeric forms, such as 127.1 and 2130706433.
        return ipaddress.IPv4Address(socket.inet_aton(name))
    return None
